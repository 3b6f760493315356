/**
 * Moves one leased task from the ledger's checkpoint to its end, through lost connections. Owns the order in which a task's rows, its walk and the walk's end
 * become durable; must not know HTTP, SQL or the queue. Whatever dies here, the ledger says where the walk stands: rows that wait in memory are asked for again.
 */
import { DestinationUnavailable, InvariantError, PositionForgotten } from '../domain/errors.js'
import type { Checkpoint, Walk } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Lease, Progress } from '../domain/task.js'
import { beginAnew } from './begin-anew.js'
import { endOfWalk } from './end-of-walk.js'
import { fateOf, isOwnFault } from './fate.js'
import { Flusher } from './flusher.js'
import { requirePartition, sinceOf } from './mark.js'
import { splitTasksOf, walkNote } from './pass-over.js'
import type { TaskDeps, TaskEnd } from './types.js'
import { freshWalk, hasShrunk, walkToGoOn } from './walk.js'
import { type TaskMeter, WalkReader } from './walk-reader.js'

/** Connection losses in a row, without a flush between, before the database counts as gone. */
const maxReconnects = 3
const reconnectMs = 1000

export async function runTask(lease: Lease, opened: Checkpoint, deps: TaskDeps): Promise<TaskEnd> {
  let checkpoint = opened
  let sent = 0
  // The ledger knows of requests that a dead worker could not tell the queue.
  const requestsBefore = Math.max(lease.task.requests, opened.requests)
  const meter: TaskMeter = {
    countRequest: () => {
      sent += 1
    },
    wouldDie: (error, sequence) => {
      const attemptsBefore = sequence > opened.sequence ? 0 : lease.task.attempts
      const { settings } = deps.stream
      return fateOf({ error, attemptsBefore, hasSpent: sent > 0, settings, now: 0, jitter: 0 }).kind === 'dead'
    },
  }
  const end = (error: unknown): TaskEnd => ({
    error,
    split: splitTasksOf(checkpoint.walk, deps.partition),
    note: error === null ? undefined : walkNote(error, checkpoint.walk, deps.stream),
    proof: checkpoint.proof,
    progress: progressOf(checkpoint, requestsBefore + sent),
    sent,
    received: checkpoint.walk?.received ?? 0,
    fresh: checkpoint.totals.received - opened.totals.received,
    hasProgress: checkpoint.sequence > opened.sequence,
    shrunkFrom: shrunkFrom(checkpoint, opened, deps.stream),
  })
  let anew: Walk | null = null
  for (let losses = 1; ; losses += 1) {
    const before = checkpoint.sequence
    let flusher: Flusher | null = null
    let reader: WalkReader | null = null
    try {
      const walk = anew !== null && checkpoint.walk?.id !== anew.id ? anew : await walkOf(checkpoint, deps)
      flusher = flusherOf(checkpoint, walk, { ...deps, requests: () => requestsBefore + sent })
      reader = new WalkReader(walk, deps, { flusher, meter })
      await walkToTheEnd(reader, flusher, deps)
      checkpoint = flusher.checkpoint
      return end(null)
    } catch (error) {
      checkpoint = flusher?.checkpoint ?? checkpoint
      if (checkpoint.sequence > before) losses = 0
      if (error instanceof PositionForgotten && reader !== null) {
        const begun = await beginAnew(lease, { error, walk: reader.walk, isSecond: anew !== null }, deps)
        if (begun instanceof Error) return end(begun)
        anew = begun.walk
        checkpoint = begun.checkpoint
        continue
      }
      if (!isConnectionLost(error) || losses > maxReconnects || deps.signal.aborted) return end(error)
      // A connection lost, perhaps during COMMIT: a new claim in the ledger waits that out and says what was promoted.
      const reopened = await reopen(lease, deps, losses)
      if (reopened instanceof Error) return end(reopened)
      checkpoint = reopened
    }
  }
}

/** Reads the walk, and as many more as its end asks for. */
async function walkToTheEnd(reader: WalkReader, flusher: Flusher, deps: TaskDeps): Promise<void> {
  if (flusher.checkpoint.done) return
  // An earlier run read it, and died of its end.
  let isOld = reader.isAtEnd
  for (;;) {
    await reader.toTheEnd()
    const { walk, lastCount } = reader
    const { lastProven } = flusher.checkpoint
    const drain = () => flusher.drain()
    const ending = await endOfWalk({ walk, lastCount, lastProven, start: reader.start(), isOld, drain }, deps)
    if (ending.kind === 'ended') {
      await flusher.finish(ending.proof, ending.atEnd, ending.beside)
      return
    }
    const second = freshWalk(deps.stream, { id: deps.uuid(), now: deps.clock.now() })
    reader.beginAgain(second)
    if (ending.kind === 'again') await flusher.beginAgain(second)
    else if (isOld) flusher.moveTo(second)
    else throw ending.error
    isOld = false
  }
}

function flusherOf(checkpoint: Checkpoint, walk: Walk, deps: TaskDeps & { readonly requests: () => number }): Flusher {
  return new Flusher(checkpoint, walk, {
    ...deps,
    settings: deps.stream.settings,
    isDear: deps.source.budget.limits.length > 0,
    onFlushed: (flushed) => {
      deps.onProgress(progressOf(flushed, deps.requests()))
    },
  })
}

/** The walk to go on with, or a new one: over what changed since the watermark, where there is one. */
async function walkOf(checkpoint: Checkpoint, deps: TaskDeps): Promise<Walk> {
  const { stream, clock, uuid } = deps
  const known = walkToGoOn(checkpoint, stream, clock.now())
  if (known !== null) return known
  if (!checkpoint.done) await requirePartition(deps)
  return freshWalk(stream, { id: uuid(), now: clock.now(), since: await sinceOf(deps) })
}

function shrunkFrom(checkpoint: Checkpoint, { lastProven }: Checkpoint, { settings }: Stream): number | null {
  const { walk, proof } = checkpoint
  if (walk === null || proof !== 'unproven' || typeof lastProven !== 'number') return null
  return hasShrunk(walk, lastProven, settings.maxShrink) ? lastProven : null
}

/** What one table or row did to its flush is not healed by another connection, nor is a full disk or a database that must not be written. */
function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof DestinationUnavailable) || isOwnFault(error)) return false
  return error.context.sqlstate !== '53100' && error.context.sqlstate !== '25006'
}

async function reopen(lease: Lease, deps: TaskDeps, losses: number): Promise<Checkpoint | Error> {
  try {
    await deps.clock.sleep(reconnectMs * 2 ** losses, deps.signal)
    const checkpoint = (await deps.destination.openTasks([lease])).get(lease.task.id)
    return checkpoint ?? new InvariantError(`open task ${lease.task.number} got no checkpoint`)
  } catch (error) {
    return error instanceof Error ? error : new InvariantError(String(error))
  }
}

function progressOf(checkpoint: Checkpoint, requests: number): Progress {
  const expected = checkpoint.walk?.expected ?? null
  return {
    totals: checkpoint.totals,
    requests,
    expected: expected?.trust === 'exact' ? expected.value : null,
    cursor:
      checkpoint.walk?.cursor === undefined || checkpoint.walk.cursor === null ? null : shortCursor(checkpoint.walk),
  }
}

function shortCursor(walk: Walk): string {
  const text = JSON.stringify(walk.cursor, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}
