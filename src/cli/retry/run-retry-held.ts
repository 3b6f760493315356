/** Runs `backfill retry --held`: takes the worker's lock, puts held rows back, prints what went in and what is still held. */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../clock/system-clock.js'
import { TemporaryFailure } from '../../domain/errors.js'
import type { HeldList, HeldRetried } from '../../domain/held.js'
import { redactor } from '../../log/redact.js'
import { type RetryHeldReport, retryHeld, sumOf } from '../../retry/retry-held.js'
import type { Asked } from '../asked.js'
import { checkQueueFile, openDestination, openWorkspaceLock, openWorkspaceLog, readHeldList } from '../compose.js'
import { type OpenQueue, openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes, failureOf } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { complainOf, say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { groupDocument } from '../status/held-document.js'
import { heldHints, heldLines, heldSentence } from '../status/held-view.js'
import { taskNumbers } from '../status/show-held.js'
import { count, plural } from '../text.js'

export interface RetryHeldFlags {
  readonly json: boolean | undefined
  readonly code: readonly string[] | undefined
}

/** Answers the exit code: 3 where a tried row is still held for an operator, 2 where a stream's definition does not fit. */
export async function runRetryHeld(asked: Asked<RetryHeldFlags>, stop: Stop): Promise<number> {
  const { workspace } = asked
  checkQueueFile(workspace)
  return withOpened(async (opened) => {
    const lock = await openWorkspaceLock(workspace)
    const held = await lock.acquire('retry')
    if (held === null) throw atWork((await lock.holder())?.pid ?? null)
    opened.keep(held, (one) => one.release())
    const { log } = openWorkspaceLog(workspace, opened, { command: 'retry', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'hold'), (one) => one.close())
    const signal = AbortSignal.any([stop.signal, held.lost])
    const destination = await openDestination(workspace, { opened, queue, log, signal })
    opened.keep(destination, (one) => one.close())
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
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const query = { streams, partitions: asked.filter, rowLimit: 0, withRaw: false }
    const still = await readHeldList(workspace, query, { opened, queue, signal })
    const exitCode = exitCodeOf(report)
    if (asked.flags.json === true) sayJson(await documentOf({ report, still, exitCode }, queue))
    else await tell({ report, still }, queue, asked)
    return exitCode
  })
}

/** Its worker may be reading the definition as it was before it was mended. */
function atWork(pid: number | null): TemporaryFailure {
  const who = pid === null ? 'another command' : `process ${pid}`
  return new TemporaryFailure('worker_at_work', `take the lock of the workspace found ${who} at work`, {
    hint: 'run it again when that has ended; nothing was changed',
  })
}

function exitCodeOf({ tried, refused }: RetryHeldReport): number {
  const codes = refused.map(({ error }) => failureOf(error).exitCode)
  if (codes.length > 0) return codes.includes(exitCodes.usage) ? exitCodes.usage : (codes[0] ?? exitCodes.usage)
  const { held, waiting } = sumOf(tried)
  return held > waiting ? exitCodes.attention : exitCodes.done
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
  if (still.total === 0) return
  const columns = columnsOf(process.stdout)
  const look = {
    ink: inkFor(process.stdout),
    columns,
    now: systemClock.now(),
    numberOf: await taskNumbers(still, queue),
  }
  say(['', heldSentence(still), ...heldHints(still, columns), '', ...heldLines(still, look)].join('\n'))
}

/** `12 of 14 rows went in (10 new, 2 changed), 1 was there already, 1 is still held`. */
function retriedText({ tried, created, updated, unchanged, duplicates, held }: HeldRetried): string {
  const wentIn = created + updated
  const parts = [
    `${count(wentIn)} of ${plural(tried, 'row')} went in (${count(created)} new, ${count(updated)} changed)`,
  ]
  if (unchanged > 0) parts.push(`${count(unchanged)} in the table already, as they are or newer`)
  if (duplicates > 0) parts.push(`${count(duplicates)} twice`)
  if (held > 0) parts.push(`${count(held)} still held`)
  return parts.join(', ')
}

async function documentOf({ report, still, exitCode }: Told & { readonly exitCode: number }, queue: OpenQueue) {
  const numberOf = await taskNumbers(still, queue)
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
    held: { total: still.total, groups: still.groups.map((group) => groupDocument(group, numberOf)) },
    exit_code: exitCode,
  }
}
