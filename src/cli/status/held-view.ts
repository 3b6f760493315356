/** Held rows for people, in groups: never a value of a record but its key. Pure; no line is wider than the screen. */
import type { HeldGroup, HeldList } from '../../domain/held.js'
import { partitionLabel } from '../../domain/partition.js'
import { renderColumns } from '../columns.js'
import type { Ink } from '../ink.js'
import { clean, count, plural, shorten, wrap } from '../text.js'
import { clockText } from '../zone.js'

export interface HeldLook {
  readonly ink: Ink
  readonly columns: number
  readonly now: number
  /** Number of a task; null where the queue does not know it. */
  readonly numberOf: (taskId: string) => number | null
}

const head = ['HELD', 'CODE', 'ROWS', 'OLDEST', 'NEWEST']
const waits = 'parent_missing'

/** Empty where nothing is held. */
export function heldLines(list: HeldList, look: HeldLook): readonly string[] {
  if (list.groups.length === 0) return []
  const { ink, columns, now } = look
  const rows = list.groups.map((group) => [
    `${group.source}.${group.stream}`,
    clean(group.code),
    count(group.count),
    clockText(group.oldestAt, now),
    clockText(group.newestAt, now),
  ])
  const paint = (text: string, row: number | null, column: number): string => {
    if (row === null) return ink.dim(text)
    if (column === 0) return ink.bold(text)
    return column === 1 && text !== waits ? ink.yellow(text) : text
  }
  const [title = '', ...body] = renderColumns({ head, rows, right: [2], flexible: 0, columns, paint })
  const lines = list.groups.flatMap((group, index) => [body[index] ?? '', ...groupLines(group, look)])
  const more = list.moreGroups > 0 ? [ink.dim(`and ${plural(list.moreGroups, 'more reason')}`)] : []
  return [title, ...lines, ...more]
}

function groupLines(group: HeldGroup, look: HeldLook): readonly string[] {
  const { ink, columns } = look
  const reason = wrap(clean(group.reason), columns - 2).map((line) => `  ${line}`)
  return [...reason, ...wrap(exampleText(group, look), columns - 2).map((line) => ink.dim(`  ${line}`))]
}

/** `for example key 5 of eu: row 3 of page 1, task #17`. */
function exampleText({ example }: HeldGroup, look: HeldLook): string {
  const { partition, key, page, position, taskId } = example
  const label = Object.keys(partition).length === 0 ? '' : ` of ${clean(partitionLabel(partition))}`
  const name = key === null ? 'a record without a readable key' : `key ${shorten(clean(key), 60)}`
  const number = look.numberOf(taskId)
  const task = number === null ? '' : `, task #${number}`
  return `for example ${name}${label}: row ${count(position)} of page ${count(page)}${task}`
}

/** `12 rows are held: 9 for you, 3 wait for their parent`. */
export function heldSentence({ groups, total }: HeldList): string {
  if (total === 0) return 'no row is held'
  const waiting = groups.filter(({ code }) => code === waits).reduce((sum, group) => sum + group.count, 0)
  if (total === 1 && waiting === 1) return '1 row is held until its parent comes'
  const wait = waiting === 0 ? '' : `, ${count(waiting)} of them until their parent comes`
  return `${plural(total, 'row is', 'rows are')} held${wait}`
}

/** What to do about them. */
export function heldHints({ groups }: HeldList, columns: number): readonly string[] {
  if (!groups.some(({ code }) => code !== waits)) return []
  const hint =
    'mend the definition, the table or the source, then run "backfill retry --held SOURCE.STREAM"; "status --held --json --raw" shows the records'
  return wrap(hint, columns - 4).map((line, index) => (index === 0 ? `  → ${line}` : `    ${line}`))
}
