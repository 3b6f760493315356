/** The budget's part of `backfill status`: each window of each budget, used and left, and until when a gate is shut. */
import type { BudgetStatus, StatusReport } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import { clean, count, duration, limitText, percent, plural } from '../text.js'
import { clockText } from '../zone.js'
import type { Look } from './view.js'

export function budgetLines(report: StatusReport, look: Look): readonly string[] {
  if (report.budgets.length === 0) return []
  const { ink, columns } = look
  const rows = report.budgets.flatMap((budget) => budgetRows(budget, report.at))
  const paint = (text: string, row: number | null, column: number): string => {
    if (row === null) return ink.dim(text)
    if (column === 0) return ink.bold(text)
    return column === 4 && text.startsWith('closed') ? ink.yellow(text) : text
  }
  return renderColumns({
    head: ['BUDGET', 'LIMIT', 'USED', 'LEFT', 'GATE'],
    rows,
    right: [2, 3],
    flexible: 0,
    middle: [0],
    columns,
    paint,
  })
}

function budgetRows(budget: BudgetStatus, now: number): readonly (readonly string[])[] {
  const { state, rules } = budget
  const limits = [
    ...state.windows.map((window) => limitRow(limitText(window), window, '')),
    ...state.quotas.map((quota) =>
      limitRow(`${count(quota.requests)} a ${quota.per}`, quota, `resets ${clockText(quota.resetsAt, now)}`),
    ),
  ]
  const pace = rules.delayMs === 0 ? 'none declared' : `${duration(rules.delayMs)} between`
  const [first = [pace, '-', '-', ''], ...others] = limits
  const gate = [gateText(budget, now), ...notes(first)].join(', ')
  const rows = [[clean(budget.key), ...first.slice(0, 3), gate], ...others.map((row) => ['', ...row])]
  const more = [
    ...(rules.reserve > 0 ? [`${percent(rules.reserve)} kept for verify`] : []),
    ...(state.waiting > 0 ? [`${count(state.waiting)} in line`] : []),
  ]
  return more.length === 0 ? rows : [...rows, ['', '', '', '', more.join(', ')]]
}

/** The limit, what is used and left of it, and what there is to say of it. */
function limitRow(
  name: string,
  { used, left, others, isTold }: BudgetStatus['state']['windows'][number] | BudgetStatus['state']['quotas'][number],
  note: string,
): readonly string[] {
  const remarks = [
    ...(note === '' ? [] : [note]),
    ...(others > 0 ? [`${count(others)} by others`] : []),
    ...(isTold ? ['limit told'] : []),
  ]
  return [name, count(used), count(Math.max(0, left)), remarks.join(', ')]
}

function notes(row: readonly string[]): readonly string[] {
  const note = row[3] ?? ''
  return note === '' ? [] : [note]
}

function gateText({ state, owed }: BudgetStatus, now: number): string {
  const need = owed === null || owed === 0 ? '' : `, ${plural(owed, 'request')} owed`
  if ((state.closedUntil ?? 0) > now) return `closed until ${clockText(state.closedUntil ?? now, now)}${need}`
  // A second's window is always about to open.
  return state.opensAt > now + 1000 ? `opens in ${duration(state.opensAt - now)}${need}` : `open${need}`
}
