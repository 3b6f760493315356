/** Held rows for people, in groups: never a value of a record but its key. Pure; no line is wider than the screen. */
import type { HeldGivenUp, HeldGroup, HeldList } from '../../domain/held.js'
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

const columnsAfter = ['CODE', 'ROWS', 'OLDEST', 'NEWEST']
const waits = 'parent_missing'

/** Empty where nothing is held. What was given up has a table of its own, behind. */
export function heldLines(list: HeldList, look: HeldLook): readonly string[] {
  const tables = [
    groupTable('HELD', list.groups.filter(isOpen), look),
    groupTable(
      'GIVEN UP',
      list.groups.filter((group) => !isOpen(group)),
      look,
    ),
  ].filter((lines) => lines.length > 0)
  if (tables.length === 0) return []
  const more = list.moreGroups > 0 ? [look.ink.dim(`and ${plural(list.moreGroups, 'more reason')}`)] : []
  return [...tables.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines])), ...more]
}

function isOpen({ dismissal }: HeldGroup): boolean {
  return dismissal === null
}

/** True where somebody has to look at these rows: they do not wait for a parent and are not given up. */
export function isForSomebody(group: HeldGroup): boolean {
  return isOpen(group) && group.code !== waits
}

function groupTable(title: string, groups: readonly HeldGroup[], look: HeldLook): readonly string[] {
  if (groups.length === 0) return []
  const { ink, columns, now } = look
  const rows = groups.map((group) => [
    `${group.source}.${group.stream}`,
    clean(group.code),
    count(group.count),
    clockText(group.oldestAt, now),
    clockText(group.newestAt, now),
  ])
  const paint = (text: string, row: number | null, column: number): string => {
    if (row === null) return ink.dim(text)
    if (column === 0) return ink.bold(text)
    const group = groups[row]
    return column === 1 && group !== undefined && isForSomebody(group) ? ink.yellow(text) : text
  }
  const head = [title, ...columnsAfter]
  const [first = '', ...body] = renderColumns({ head, rows, right: [2], flexible: 0, columns, paint })
  return [first, ...groups.flatMap((group, index) => [body[index] ?? '', ...groupLines(group, look)])]
}

function groupLines(group: HeldGroup, look: HeldLook): readonly string[] {
  const { ink, columns } = look
  const given = group.dismissal === null ? [] : wrap(givenUpText(group.dismissal, look.now), columns - 2)
  return [
    ...wrap(clean(group.reason), columns - 2).map((line) => `  ${line}`),
    ...given.map((line) => `  ${line}`),
    ...wrap(exampleText(group, look), columns - 2).map((line) => ink.dim(`  ${line}`)),
  ]
}

/** `given up Sun 22 Nov 14:20: dates of 1899`. */
function givenUpText({ at, note }: HeldGivenUp, now: number): string {
  return `given up ${clockText(at, now)}${note === null ? '' : `: ${clean(note)}`}`
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

/** `12 rows are held, 3 of them until their parent comes; 5 more were given up`. */
export function heldSentence({ groups, total, dismissed }: HeldList): string {
  const held = total - dismissed
  const given =
    dismissed === 0
      ? ''
      : `; ${count(dismissed)}${held === 0 ? '' : ' more'} ${dismissed === 1 ? 'was' : 'were'} given up`
  if (held === 0) return `no row is held${given}`
  const waiting = groups
    .filter((group) => isOpen(group) && group.code === waits)
    .reduce((sum, one) => sum + one.count, 0)
  if (held === 1 && waiting === 1) return `1 row is held until its parent comes${given}`
  const wait = waiting === 0 ? '' : `, ${count(waiting)} of them until their parent comes`
  return `${plural(held, 'row is', 'rows are')} held${wait}${given}`
}

/** What to do about them. */
export function heldHints({ groups }: HeldList, columns: number): readonly string[] {
  if (!groups.some(isForSomebody)) return []
  const hint =
    'mend the definition, the table or the source, then run "backfill retry --held SOURCE.STREAM"; "status --held --json --raw" shows the records; what can never be stored is given up by "retry --held --dismiss SOURCE.STREAM --note TEXT"'
  return wrap(hint, columns - 4).map((line, index) => (index === 0 ? `  → ${line}` : `    ${line}`))
}
