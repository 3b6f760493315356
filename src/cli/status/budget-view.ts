/** The budget's part of `backfill status`: each window of each budget, used and left, and until when a gate is shut. */
import type { BudgetStatus, StatusReport } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import { clean, count, duration, limitText, plural } from '../text.js'
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
    flexible: 4,
    columns,
    paint,
  })
}

function budgetRows(budget: BudgetStatus, now: number): readonly (readonly string[])[] {
  const { state, rules } = budget
  const gate = gateText(budget, now)
  if (state.windows.length === 0) {
    const pace = rules.delayMs === 0 ? 'none declared' : `${duration(rules.delayMs)} between`
    return [[clean(budget.key), pace, '-', '-', gate]]
  }
  return state.windows.map((window, index) => {
    const name = index === 0 ? clean(budget.key) : ''
    return [name, limitText(window), count(window.used), count(Math.max(0, window.left)), index === 0 ? gate : '']
  })
}

function gateText({ state, owed }: BudgetStatus, now: number): string {
  const need = owed === null || owed === 0 ? '' : `, ${plural(owed, 'request')} owed`
  if ((state.closedUntil ?? 0) > now) return `closed until ${clockText(state.closedUntil ?? now, now)}${need}`
  // A second's window is always about to open.
  return state.opensAt > now + 1000 ? `opens in ${duration(state.opensAt - now)}${need}` : `open${need}`
}
