/** What `worker` says at its end. Pure. */
import type { WorkerReport } from '../../worker/types.js'
import { fullLabelOf } from '../task-text.js'
import { clean, count, plural } from '../text.js'
import { clockText, localTimes } from '../zone.js'

/** For people at a terminal. */
export function summaryLines(report: WorkerReport, now: number): readonly string[] {
  const did = `${plural(report.done, 'task')} done, ${plural(report.rows, 'row')}, ${plural(report.requests, 'request')}`
  const retrying = report.retrying > 0 ? `, ${plural(report.retrying, 'attempt')} failed for now` : ''
  const reason = localTimes(clean(report.reason), now)
  const lines = [
    report.requests === 0 && report.done === 0 ? `Ended: ${reason}` : `${did}${retrying}; ended: ${reason}`,
  ]
  if (report.putBack > 0) lines.push(`${plural(report.putBack, 'row')} that waited for a parent went in`)
  for (const { source, opensAt } of report.closed)
    lines.push(`The budget of ${source} is closed until ${clockText(opensAt, now)}`)
  const next = nextLine(report, now)
  return next === null ? lines : [...lines, next]
}

/** A run that ended because nothing can be worked on has said why: what is due then is held back. */
function nextLine({ nextDueAt, end }: WorkerReport, now: number): string | null {
  if (nextDueAt === null) return null
  if (nextDueAt > now) return `The next task is due at ${clockText(nextDueAt, now)}`
  return end === 'nothing due' ? null : 'More is due now'
}

/** A line on stderr for what newly went wrong: cron mails it. */
export function newsLines(report: WorkerReport): readonly string[] {
  return [...deathLines(report), ...differenceLines(report), ...shrinkLines(report), ...report.parked.map(parkedLine)]
}

function shrinkLines({ shrunk }: WorkerReport): readonly string[] {
  const [first] = shrunk
  if (first === undefined) return []
  const { task, received, before } = first
  const others = shrunk.length === 1 ? '' : ` and ${plural(shrunk.length - 1, 'other')}`
  const fact = `ended with ${plural(received, 'row')} where its last proven walk had ${count(before)}`
  return [
    `${fullLabelOf(task)}${others} ${fact}, and is not called proven; look at the source, then "backfill seed --force" walks it again ("max_shrink" says how much may go)`,
  ]
}

function parkedLine({ source, until, code, message }: WorkerReport['parked'][number]): string {
  return `${source} is parked until ${clockText(until, Date.now())} (${code}: ${clean(message)}); run "backfill status"`
}

function differenceLines({ differing }: WorkerReport): readonly string[] {
  const [first] = differing
  if (first === undefined) return []
  const { task, received, expected } = first
  const others = differing.length === 1 ? '' : ` and ${plural(differing.length - 1, 'other')}`
  const counted = expected === null ? '' : ` where the source counts ${count(expected)}`
  return [`${fullLabelOf(task)}${others} ended with ${plural(received, 'row')}${counted}; run "backfill verify"`]
}

function deathLines(report: WorkerReport): readonly string[] {
  const [first] = report.died
  if (first === undefined) return []
  const codes = new Map<string, number>()
  for (const { code } of report.died) codes.set(code, (codes.get(code) ?? 0) + 1)
  const what = [...codes].map(([code, times]) => `${code} ${count(times)}`).join(', ')
  const example = report.died.length === 1 ? `: ${fullLabelOf(first.task)}: ${clean(first.message)}` : ''
  return [`${plural(report.died.length, 'task')} died (${what})${example}; run "backfill status --dead"`]
}
