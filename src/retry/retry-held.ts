/**
 * Puts held rows back: their raw text through today's mapping, without a request to the source; then the rows that waited for them. The caller holds the workspace's
 * lock. What was promoted before a failure is durable.
 */
import { BackfillError, DestinationUnavailable, InvariantError } from '../domain/errors.js'
import { addRetried, type HeldCount, type HeldRetried, noneRetried } from '../domain/held.js'
import type { PartitionFilter } from '../domain/partition.js'
import type { Destination, Queue } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { tryWaiting } from '../domain/waiting.js'

export interface RetryHeldRequest {
  /** Streams whose held rows are tried. */
  readonly streams: readonly Stream[]
  /** All streams of the workspace: their rows may wait for the ones that go in. */
  readonly family: readonly Stream[]
  readonly partitions: PartitionFilter
  /** null: not restricted. */
  readonly codes: readonly string[] | null
  readonly signal: AbortSignal
}

export interface RetryHeldReport {
  /** Streams that had rows to try. */
  readonly tried: readonly { readonly stream: Stream; readonly retried: HeldRetried }[]
  /** Other rows, which had waited for their parent. */
  readonly followed: readonly { readonly stream: Stream; readonly retried: HeldRetried }[]
  /** Streams whose definition does not fit their table, or whose table could not be written. */
  readonly refused: readonly { readonly stream: Stream; readonly error: BackfillError }[]
  /** What is held now, of all streams. */
  readonly held: readonly HeldCount[]
}

interface RetryHeldDeps {
  readonly destination: Pick<Destination, 'openTable' | 'retryHeld' | 'heldCounts'>
  readonly queue: Pick<Queue, 'noteHeld'>
}

/** @throws DestinationUnavailable. */
export async function retryHeld(request: RetryHeldRequest, deps: RetryHeldDeps): Promise<RetryHeldReport> {
  const before = await deps.destination.heldCounts()
  const tried: RetryHeldReport['tried'][number][] = []
  const refused: RetryHeldReport['refused'][number][] = []
  for (const stream of request.streams) {
    if (!before.some((one) => one.source === stream.source && one.stream === stream.name)) continue
    try {
      const retried = await retryStream(stream, request, deps)
      if (retried.tried > 0) tried.push({ stream, retried })
    } catch (error) {
      const isOne =
        error instanceof BackfillError && !(error instanceof InvariantError || error instanceof DestinationUnavailable)
      if (!isOne) throw error
      refused.push({ stream, error })
    }
  }
  const wentIn = tried.some(({ retried }) => retried.created + retried.updated > 0)
  const followers = wentIn
    ? await tryWaiting(request.family, {
        destination: deps.destination,
        signal: request.signal,
        onProblem: (stream, error) => refused.push({ stream, error }),
      })
    : new Map<Stream, HeldRetried>()
  const held = await deps.destination.heldCounts()
  await deps.queue.noteHeld(held)
  const followed = [...followers].flatMap(([stream, retried]) =>
    retried.created + retried.updated + retried.unchanged > 0 ? [{ stream, retried }] : [],
  )
  return { tried, followed, refused, held }
}

async function retryStream(stream: Stream, request: RetryHeldRequest, deps: RetryHeldDeps): Promise<HeldRetried> {
  const table = await deps.destination.openTable(stream)
  const { partitions, codes, signal } = request
  return await deps.destination.retryHeld(table, { partitions, codes, isWaiting: false }, signal)
}

/** All that was tried, together. */
export function sumOf(parts: RetryHeldReport['tried']): HeldRetried {
  return parts.reduce((sum, { retried }) => addRetried(sum, retried), noneRetried)
}
