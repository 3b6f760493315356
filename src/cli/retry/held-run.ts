/** What the two runs on held rows share: the worker's lock, both stores, and how they tell what is still held. */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../clock/system-clock.js'
import { TemporaryFailure } from '../../domain/errors.js'
import type { HeldList } from '../../domain/held.js'
import type { Destination, Log } from '../../domain/ports.js'
import type { Asked } from '../asked.js'
import { checkQueueFile, openDestination, openWorkspaceLock, openWorkspaceLog, readHeldList } from '../compose.js'
import { type OpenQueue, openWorkspaceQueue } from '../compose-queue.js'
import { columnsOf, inkFor } from '../ink.js'
import { type Opened, withOpened } from '../opened.js'
import { say } from '../say.js'
import type { Stop } from '../signals.js'
import { groupDocument } from '../status/held-document.js'
import { heldHints, heldLines, heldSentence } from '../status/held-view.js'
import { taskNumbers } from '../status/show-held.js'

export interface HeldRun {
  readonly queue: OpenQueue
  readonly destination: Destination
  readonly log: Log
  readonly signal: AbortSignal
  /** What is held now of what the command line names. */
  readonly readStill: () => Promise<HeldList>
}

/** Does its work under the worker's lock. @throws TemporaryFailure `worker_at_work`. */
export async function withHeldRun(
  asked: Asked<unknown>,
  stop: Stop,
  work: (run: HeldRun) => Promise<number>,
): Promise<number> {
  const { workspace } = asked
  checkQueueFile(workspace)
  return withOpened(async (opened: Opened) => {
    const lock = await openWorkspaceLock(workspace)
    const held = await lock.acquire('retry')
    if (held === null) throw atWork((await lock.holder())?.pid ?? null)
    opened.keep(held, (one) => one.release())
    const { log } = openWorkspaceLog(workspace, opened, { command: 'retry', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'hold'), (one) => one.close())
    const signal = AbortSignal.any([stop.signal, held.lost])
    const destination = await openDestination(workspace, { opened, queue, log, signal })
    opened.keep(destination, (one) => one.close())
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const query = { streams, partitions: asked.filter, rowLimit: 0, withRaw: false }
    const readStill = () => readHeldList(workspace, query, { opened, queue, signal })
    return await work({ queue, destination, log, signal, readStill })
  })
}

/** Its worker may be reading the definition as it was before it was mended. */
function atWork(pid: number | null): TemporaryFailure {
  const who = pid === null ? 'another command' : `process ${pid}`
  return new TemporaryFailure('worker_at_work', `take the lock of the workspace found ${who} at work`, {
    hint: 'run it again when that has ended; nothing was changed',
  })
}

/** Nothing where no row is held. */
export async function tellStill(still: HeldList, queue: OpenQueue): Promise<void> {
  if (still.total === 0) return
  const columns = columnsOf(process.stdout)
  const numberOf = await taskNumbers(still, queue)
  const look = { ink: inkFor(process.stdout), columns, now: systemClock.now(), numberOf }
  say(['', heldSentence(still), ...heldHints(still, columns), '', ...heldLines(still, look)].join('\n'))
}

/** The part of a document that says what is still held. */
export async function stillDocument(still: HeldList, queue: OpenQueue): Promise<unknown> {
  const numberOf = await taskNumbers(still, queue)
  const groups = still.groups.map((group) => groupDocument(group, numberOf))
  return { total: still.total, dismissed: still.dismissed, groups }
}
