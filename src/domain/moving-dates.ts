/** Dates that go on with the calendar: a dimension of dates that ends today or yesterday has more values each day, week, month or year. Pure: "today" is an argument. */
import type { Partition } from './partition.js'
import { dimensionValues, partitionsOf } from './plan.js'
import type { Source, Stream } from './source-model.js'

type Dimensions = Pick<Source, 'dimensions'>

/** True where time alone brings the stream new partitions. */
export function hasMovingDates(stream: Pick<Stream, 'dimensions'>, source: Dimensions): boolean {
  return movingDates(stream, source).length > 0
}

/** The partitions that there are on `today` and were not on `before`, both `YYYY-MM-DD`. None where `before` is not earlier. */
export function* newPartitions(
  stream: Stream,
  source: Source,
  { before, today }: { readonly before: string; readonly today: string },
): Generator<Partition> {
  if (before >= today) return
  for (const name of movingDates(stream, source)) {
    const dimension = source.dimensions[name]
    if (dimension === undefined) continue
    const known = new Set(dimensionValues(dimension, before, 'oldest'))
    const fresh = dimensionValues(dimension, today, 'oldest').filter((value) => !known.has(value))
    if (fresh.length > 0) yield* partitionsOf(stream, source, { filter: { [name]: fresh }, today, order: 'oldest' })
  }
}

function movingDates({ dimensions }: Pick<Stream, 'dimensions'>, source: Dimensions): readonly string[] {
  return dimensions.filter((name) => {
    const dimension = source.dimensions[name]
    return dimension?.kind === 'dates' && (dimension.to === 'today' || dimension.to === 'yesterday')
  })
}
