/** Runs `backfill retry --held`: takes the worker's lock, puts held rows back, prints what went in and what is still held. */
import type { HeldList, HeldRetried } from '../../domain/held.js'
import { redactor } from '../../log/redact.js'
import { type RetryHeldReport, retryHeld, sumOf } from '../../retry/retry-held.js'
import type { Asked } from '../asked.js'
import type { OpenQueue } from '../compose-queue.js'
import { exitCodes, failureOf } from '../exit.js'
import { complainOf, say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { count, plural } from '../text.js'
import { stillDocument, tellStill, withHeldRun } from './held-run.js'

export interface RetryHeldFlags {
  readonly json: boolean | undefined
  readonly code: readonly string[] | undefined
}

/** Answers the exit code: 3 where a tried row is still held for an operator, 2 where a stream's definition does not fit. */
export async function runRetryHeld(asked: Asked<RetryHeldFlags>, stop: Stop): Promise<number> {
  return withHeldRun(asked, stop, async ({ queue, destination, log, signal, readStill }) => {
    const { workspace } = asked
    const report = await retryHeld(
      {
        streams: asked.streams.map(({ stream }) => stream),
        family: Object.values(workspace.sources).flatMap((source) => Object.values(source.streams)),
        partitions: asked.filter,
        codes: asked.flags.code ?? null,
        signal,
      },
      { destination, queue },
    )
    log('info', 'held rows tried', { ...sumOf(report.tried) })
    const still = await readStill()
    const exitCode = exitCodeOf(report)
    if (asked.flags.json === true) sayJson(await documentOf({ report, still, exitCode }, queue))
    else await tell({ report, still }, queue, asked)
    return exitCode
  })
}

function exitCodeOf({ tried, refused }: RetryHeldReport): number {
  const codes = refused.map(({ error }) => failureOf(error).exitCode)
  if (codes.length > 0) return codes.includes(exitCodes.usage) ? exitCodes.usage : (codes[0] ?? exitCodes.usage)
  const { held, waiting, dismissed } = sumOf(tried)
  return held > waiting + dismissed ? exitCodes.attention : exitCodes.done
}

interface Told {
  readonly report: RetryHeldReport
  readonly still: HeldList
}

async function tell({ report, still }: Told, queue: OpenQueue, { workspace }: Asked<RetryHeldFlags>): Promise<void> {
  const redact = redactor(workspace.environment)
  if (report.tried.length === 0) say('No held row matches')
  for (const { stream, retried } of report.tried) say(`${stream.source}.${stream.name}: ${retriedText(retried)}`)
  for (const { stream, retried } of report.followed)
    say(`${stream.source}.${stream.name}, which waited for them: ${retriedText(retried)}`)
  for (const { error } of report.refused) complainOf(failureOf(error), redact)
  await tellStill(still, queue)
}

/** `12 of 14 rows went in (10 new, 2 changed), 1 was there already, 1 is still held`. */
function retriedText({
  tried,
  created,
  updated,
  unchanged,
  duplicates,
  held,
  dismissed,
  revived,
}: HeldRetried): string {
  const wentIn = created + updated
  const parts = [
    `${count(wentIn)} of ${plural(tried, 'row')} went in (${count(created)} new, ${count(updated)} changed)`,
  ]
  if (unchanged > 0) parts.push(`${count(unchanged)} in the table already, as they are or newer`)
  if (duplicates > 0) parts.push(`${count(duplicates)} twice`)
  if (held > dismissed) parts.push(`${count(held - dismissed)} still held`)
  if (dismissed > 0) parts.push(`${count(dismissed)} still held and given up`)
  if (revived > 0) parts.push(`${count(revived)} no longer held that had been given up`)
  return parts.join(', ')
}

async function documentOf({ report, still, exitCode }: Told & { readonly exitCode: number }, queue: OpenQueue) {
  const entry = ({ stream, retried }: RetryHeldReport['tried'][number]) => ({
    source: stream.source,
    stream: stream.name,
    ...retried,
  })
  return {
    tried: report.tried.map(entry),
    followed: report.followed.map(entry),
    refused: report.refused.map(({ stream, error }) => {
      const { code, message, hint } = failureOf(error)
      return { source: stream.source, stream: stream.name, code, message, hint }
    }),
    held: await stillDocument(still, queue),
    exit_code: exitCode,
  }
}
