/** What `verify` says to people: what is wrong first, in sentences; then a line a stream. Pure. */
import { partitionLabel } from '../../domain/partition.js'
import type { PartitionVerdict, Verdict, VerifyReport } from '../../verify/types.js'
import type { Ink } from '../ink.js'
import { renderTable } from '../table.js'
import { clean, count, plural, wrap } from '../text.js'
import { clockText, localTimes } from '../zone.js'

export interface VerifyLook {
  readonly ink: Ink
  readonly columns: number
  readonly now: number
}

const worstFirst: readonly Verdict[] = ['discrepancy', 'unproven', 'moved', 'equal']
const partitionsShown = 200

export function verifyLines(report: VerifyReport, look: VerifyLook): readonly string[] {
  const sorted = [...report.partitions].sort((a, b) => worstFirst.indexOf(a.verdict) - worstFirst.indexOf(b.verdict))
  const shown = sorted.slice(0, partitionsShown)
  const table = shown.length === 0 ? [] : partitionTable(shown, look)
  const [title = '', ...rows] = table
  const body = rows.flatMap((row, index) => [row, ...sentenceLines(shown[index], look)])
  const hidden = sorted.length - shown.length
  return [
    ...(table.length === 0 ? [] : [title, ...body]),
    ...(hidden > 0 ? [look.ink.dim(`and ${plural(hidden, 'more partition')}`)] : []),
    ...(table.length === 0 ? [] : ['']),
    ...summary(report, look),
  ]
}

function partitionTable(shown: readonly PartitionVerdict[], { ink, columns }: VerifyLook): readonly string[] {
  const rows = shown.map((one) => [
    `${one.source}.${one.stream}`,
    clean(partitionLabel(one.partition)),
    expectedText(one),
    one.actual.rows === null ? '-' : count(one.actual.rows),
    one.verdict,
  ])
  const color: Record<Verdict, (text: string) => string> = {
    equal: ink.green,
    discrepancy: ink.red.bold,
    unproven: ink.yellow,
    moved: ink.cyan,
  }
  const paint = (text: string, row: number | null, column: number): string => {
    if (row === null) return ink.dim(text)
    const verdict = shown[row]?.verdict
    return column === 4 && verdict !== undefined ? color[verdict](text) : text
  }
  return renderTable({
    head: ['STREAM', 'PARTITION', 'EXPECTED', 'ROWS', 'VERDICT'],
    rows,
    right: [2, 3],
    flexible: 1,
    middle: [0],
    columns,
    paint,
  })
}

function expectedText({ expected }: PartitionVerdict): string {
  if (expected === null) return '-'
  return `${expected.trust === 'exact' ? '' : '>= '}${count(expected.value)}`
}

function sentenceLines(one: PartitionVerdict | undefined, look: VerifyLook): readonly string[] {
  if (one === undefined || (one.verdict === 'equal' && givenUpIn(one) === 0)) return []
  return wrap(localTimes(clean(one.sentence), look.now), look.columns - 4).map((line) => look.ink.dim(`    ${line}`))
}

/** Rows without which the counts would differ. */
function givenUpIn({ verdict, expected, actual }: PartitionVerdict): number {
  return verdict === 'equal' ? (expected?.value ?? 0) - (actual.rows ?? 0) : 0
}

function summary(report: VerifyReport, { ink, now }: VerifyLook): readonly string[] {
  const { equal, discrepancy, unproven, moved } = report.byVerdict
  const all = report.partitions.length
  const given = report.partitions.reduce((sum, one) => sum + givenUpIn(one), 0)
  const but = given === 0 ? '' : `, ${plural(given, 'row')} given up`
  const head =
    all > 0 && equal === all && report.notAsked === 0
      ? ink.green(`${plural(all, 'partition is', 'partitions are')} equal to the source${but}`)
      : all === 0 && report.notAsked === 0
        ? 'nothing was compared: these streams have no partition yet'
        : `${plural(all, 'partition')}: ${count(equal)} equal, ${count(discrepancy)} with a discrepancy, ${count(moved)} moved, ${count(unproven)} unproven${but}`
  const missing =
    report.notAsked === 0
      ? []
      : [
          `${plural(report.notAsked, 'partition was', 'partitions were')} not asked for: the budget is closed until ${clockText(report.opensAt ?? now, now)}`,
        ]
  return [`${discrepancy > 0 ? ink.red(head) : head} (${plural(report.requests, 'request')})`, ...missing]
}
