/** What a stream's fan-out makes of its partitions: one value each, or many that share a request, joined by commas. Pure. */
import type { Partition } from './partition.js'
import type { Stream } from './source-model.js'
import type { ManyValues } from './walk-model.js'

type FanningOut = Pick<Stream, 'fanOut'>

/** How a stream asks for many values at once, and of which dimension; null: it does not. */
export function manyOf({ fanOut }: FanningOut): (ManyValues & { readonly dimension: string }) | null {
  const many = fanOut?.many ?? null
  return fanOut === null || many === null ? null : { ...many, dimension: fanOut.dimension }
}

/** The values that a partition's requests ask for; empty where they ask for one, by its own name. */
export function manyValues(stream: FanningOut, partition: Partition): readonly string[] {
  const many = manyOf(stream)
  const text = many === null ? '' : (partition[many.dimension] ?? '')
  return text === '' ? [] : text.split(',')
}

/** A partition of many values as one for each; any other as it is. */
export function singlePartitions(stream: FanningOut, partition: Partition): readonly Partition[] {
  const many = manyOf(stream)
  if (many === null) return [partition]
  return manyValues(stream, partition).map((value) => ({ ...partition, [many.dimension]: value }))
}

/** Single partitions as those of tasks: as many values share one as a request takes. Only whole ones, and what is left, come from each `rest`. */
export function joinPartitions(
  stream: FanningOut,
  partitions: Iterable<Partition>,
): { readonly full: readonly Partition[]; readonly short: readonly Partition[] } {
  const many = manyOf(stream)
  if (many === null) return { full: [...partitions], short: [] }
  const groups = new Map<string, { readonly rest: Partition; readonly values: string[] }>()
  for (const partition of partitions) {
    const { [many.dimension]: value = '', ...rest } = partition
    const key = JSON.stringify(rest)
    const group = groups.get(key) ?? { rest, values: [] }
    groups.set(key, group)
    group.values.push(value)
  }
  const full: Partition[] = []
  const short: Partition[] = []
  for (const { rest, values } of groups.values()) {
    for (let at = 0; at < values.length; at += many.max) {
      const some = values.slice(at, at + many.max)
      const target = some.length < many.max ? short : full
      target.push({ ...rest, [many.dimension]: some.join(',') })
    }
  }
  return { full, short }
}
