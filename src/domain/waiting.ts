/** How rows that wait for their parent are tried again: which streams, how often, and when to stop. Knows Postgres by its port only. */
import { BackfillError, InvariantError } from './errors.js'
import { addRetried, type HeldRetried, noneRetried } from './held.js'
import type { Destination } from './ports.js'
import type { Stream } from './source-model.js'

export interface WaitingDeps {
  readonly destination: Pick<Destination, 'openTable' | 'retryHeld' | 'heldCounts'>
  readonly signal: AbortSignal
  /** A stream whose rows could not be tried: the others go on. */
  readonly onProblem: (stream: Stream, error: BackfillError) => void
}

/** A row let in may be the parent of others: generations in a row, before they are left to the next time. */
const mostPasses = 20

/** Tries the waiting rows of these streams until a pass lets none in. Answers what came of it, by stream; streams without such rows are left out. */
export async function tryWaiting(
  streams: readonly Stream[],
  deps: WaitingDeps,
): Promise<ReadonlyMap<Stream, HeldRetried>> {
  const results = new Map<Stream, HeldRetried>()
  const refused = new Set<Stream>()
  for (let pass = 0; pass < mostPasses; pass += 1) {
    let wentIn = 0
    for (const stream of await streamsThatWait(streams, deps)) {
      if (refused.has(stream)) continue
      if (deps.signal.aborted) return results
      const retried = await tryStream(stream, deps)
      if (retried === null) refused.add(stream)
      else {
        results.set(stream, addRetried(results.get(stream) ?? noneRetried, retried))
        wentIn += retried.created + retried.updated
      }
    }
    if (wentIn === 0) break
  }
  return results
}

async function streamsThatWait(streams: readonly Stream[], { destination }: WaitingDeps): Promise<readonly Stream[]> {
  // Also those that were given up: that silences the alarm, it keeps nobody out.
  const counts = (await destination.heldCounts()).filter(
    ({ waiting, dismissed }) => waiting + (dismissed?.waiting ?? 0) > 0,
  )
  return streams.filter(({ source, name }) => counts.some((one) => one.source === source && one.stream === name))
}

async function tryStream(stream: Stream, { destination, signal, onProblem }: WaitingDeps): Promise<HeldRetried | null> {
  try {
    const table = await destination.openTable(stream)
    return await destination.retryHeld(table, { partitions: {}, codes: null, isWaiting: true }, signal)
  } catch (error) {
    if (!(error instanceof BackfillError) || error instanceof InvariantError) throw error
    onProblem(stream, error)
    return null
  }
}

/** Streams of the same sources whose rows refer to the table of `parent`. */
export function childrenOf(parent: Stream, streams: readonly Stream[]): readonly Stream[] {
  const { schema, name } = parent.table
  return streams.filter(({ references }) =>
    references.some(({ table }) => table.schema === schema && table.name === name),
  )
}
