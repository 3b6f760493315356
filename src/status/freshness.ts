/** How fresh streams are that come round by themselves: from what the worker found when it looked last, and from when their tasks ended. Reads the queue alone. */
import type { Followed } from '../domain/follow.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Freshness, StatusDeps } from './types.js'

/** By `source.stream`; a stream that only comes when it is seeded has none. */
export async function freshnessOf(
  streams: readonly SelectedStream[],
  { follows }: Pick<StatusDeps, 'follows'>,
): Promise<ReadonlyMap<string, Freshness>> {
  const found = new Map<string, Freshness>()
  if (follows === undefined) return found
  const followed = await follows.followed()
  for (const { source, stream } of streams) {
    const name = { source: source.name, stream: stream.name }
    const isFollowing = stream.fanOut !== null || stream.incremental !== null
    const own = isFollowing
      ? followed.find((one) => one.source === name.source && one.stream === name.stream)
      : undefined
    const freshness = own === undefined ? await byRounds(name, stream.everyMs, follows) : byLook(own)
    if (freshness !== null) found.set(`${source.name}.${stream.name}`, freshness)
  }
  return found
}

function byLook({ found, planAt }: Followed): Freshness | null {
  if (found === null) return null
  const { freshTo, partitions, behind, at } = found
  return { freshTo, partitions, behind, lookedAt: at, nextAt: planAt }
}

/** A stream that is walked whole every so often is as fresh as its oldest walk. */
async function byRounds(
  name: { readonly source: string; readonly stream: string },
  everyMs: number | null,
  follows: NonNullable<StatusDeps['follows']>,
): Promise<Freshness | null> {
  const freshTo = everyMs === null ? null : await follows.oldestDone(name)
  if (everyMs === null || freshTo === null) return null
  return { freshTo, partitions: null, behind: null, lookedAt: freshTo, nextAt: freshTo + everyMs }
}
