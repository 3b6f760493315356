/** What `seed` and `seed --dry-run` say to people. Pure. */
import { partitionLabel } from '../../domain/partition.js'
import type { DryRunReport, SeedReport } from '../../seed/types.js'
import type { Asked } from '../asked.js'
import { columnsOf } from '../ink.js'
import { renderTable } from '../table.js'
import { openTaskText } from '../task-text.js'
import { clean, count, duration, plural } from '../text.js'

const openShown = 10
const partitionsShown = 20

export function seedLines(report: SeedReport, asked: Pick<Asked<unknown>, 'streams'>, now: number): readonly string[] {
  const lines = report.byStream.map((one) => `${one.source}.${one.stream}: ${countsText(one)}`)
  for (const task of report.open.slice(0, openShown)) {
    const known = asked.streams.find(({ stream }) => stream.source === task.source && stream.name === task.stream)
    lines.push(`  ${openTaskText(task, now, { stream: known?.stream, isNamed: report.byStream.length > 1 })}`)
  }
  const more = report.alreadyOpen - Math.min(openShown, report.open.length)
  if (more > 0) lines.push(`  and ${plural(more, 'more open task')}`)
  if (report.superseded > 0)
    lines.push(`${plural(report.superseded, 'open task was', 'open tasks were')} cancelled for new ones`)
  lines.push(...nextStep(report))
  return lines
}

function nextStep(report: SeedReport): readonly string[] {
  if (report.created > 0 || report.byStream.some(({ follows }) => follows !== null))
    return ['Next: run "backfill worker", or wait for cron']
  if (report.alreadyDone > 0 && report.alreadyOpen === 0)
    return ['Nothing to do: use --force to move finished partitions again']
  return []
}

function countsText(one: SeedReport['byStream'][number]): string {
  if (one.follows !== null) return `follows ${one.follows}: the worker makes a task as rows of it come or change`
  const parts = [`${plural(one.created, 'task')} made`]
  if (one.alreadyDone > 0) parts.push(`${count(one.alreadyDone)} done already`)
  if (one.alreadyOpen > 0) parts.push(`${count(one.alreadyOpen)} open already`)
  return parts.join(', ')
}

export function dryRunLines(report: DryRunReport): readonly string[] {
  const rows = report.partitions
    .filter(({ state }) => state === 'new')
    .slice(0, partitionsShown)
    .map((one) => [
      `${one.source}.${one.stream}`,
      clean(partitionLabel(one.partition)),
      one.rows === null ? '-' : `${one.trust === 'at least' ? '>= ' : ''}${count(one.rows)}`,
      `${one.trust === 'exact' ? '' : '>= '}${count(one.requests)}`,
    ])
  const table =
    rows.length === 0
      ? []
      : renderTable({
          head: ['STREAM', 'PARTITION', 'ROWS', 'REQUESTS'],
          rows,
          right: [2, 3],
          flexible: 1,
          columns: columnsOf(process.stdout),
        })
  const hidden = report.wouldCreate - rows.length
  return [
    ...table,
    ...(hidden > 0 && rows.length > 0 ? [`and ${plural(hidden, 'more partition')}`] : []),
    ...(rows.length > 0 ? [''] : []),
    `Would make ${plural(report.wouldCreate, 'task')} (${count(report.alreadyDone)} done already, ${count(report.alreadyOpen)} open already)`,
    ...(report.wouldCreate === 0 ? [] : [requestsText(report), ...sourceTimes(report)]),
    `Made nothing; this dry run sent ${plural(report.asked, 'request')}${report.notAsked > 0 ? `, ${plural(report.notAsked, 'partition was', 'partitions were')} not asked for` : ''}`,
  ]
}

function requestsText(report: DryRunReport): string {
  const amount = report.isExact ? plural(report.requests, 'request') : `at least ${plural(report.requests, 'request')}`
  const rows = report.rows === null ? '' : ` for ${plural(report.rows, 'row')}`
  return `That is ${amount}${rows}; the budget makes it take ${report.takesMs === 0 ? 'no time' : `${report.isExact ? 'about' : 'at least'} ${duration(report.takesMs)}`}`
}

function sourceTimes(report: DryRunReport): readonly string[] {
  if (report.bySource.length < 2) return []
  return report.bySource.map((one) => `  ${one.source}: ${plural(one.requests, 'request')}, ${duration(one.takesMs)}`)
}
