// Owns what a seed is made of: every partition of a stream, in order, without holding them all. Pure: "today" is an argument.
import type { DateOrder } from './dates.js'
import { dateValues } from './dates.js'
import type { Partition, PartitionFilter } from './partition.js'
import type { Dimension, Source, Stream } from './source-model.js'
import type { RowDimension } from './walk-model.js'

export interface PlanOptions {
  readonly filter: PartitionFilter
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** Of date dimensions; lists keep the order in which they are written. */
  readonly order: DateOrder
}

/**
 * The partitions of a stream that the filter lets through: the product of its dimensions in the stream's order, the last one fastest. Excluded
 * values never come. A stream without dimensions has the one partition `{}`, unless the filter names a dimension.
 */
export function* partitionsOf(stream: Stream, source: Source, options: PlanOptions): Generator<Partition> {
  if (Object.keys(options.filter).some((name) => !stream.dimensions.includes(name))) return
  const axes = stream.dimensions.map((name): Axis => ({ name, values: axisValues(source, name, options) }))
  if (axes.every(({ values }) => values.length > 0)) yield* product(axes, {})
}

/** The dimension of a stream whose values are rows of another stream; null: it has none. */
export function rowsOf(
  stream: Pick<Stream, 'fanOut'>,
  source: Pick<Source, 'dimensions'>,
): { readonly name: string; readonly dimension: RowDimension } | null {
  const name = stream.fanOut?.dimension
  const dimension = name === undefined ? undefined : source.dimensions[name]
  return name === undefined || dimension?.kind !== 'rows' ? null : { name, dimension }
}

/** As {@link partitionsOf}, over the dimensions that are no rows of another stream. */
export function restPartitions(stream: Stream, source: Source, options: PlanOptions): Generator<Partition> {
  const dimensions = stream.dimensions.filter((name) => source.dimensions[name]?.kind !== 'rows')
  const filter = Object.fromEntries(Object.entries(options.filter).filter(([name]) => dimensions.includes(name)))
  return partitionsOf({ ...stream, dimensions }, source, { ...options, filter })
}

/** Number of partitions that {@link partitionsOf} yields, without making them. */
export function partitionCount(stream: Stream, source: Source, options: PlanOptions): number {
  if (Object.keys(options.filter).some((name) => !stream.dimensions.includes(name))) return 0
  return stream.dimensions.reduce((count, name) => count * axisValues(source, name, options).length, 1)
}

/** The values of a dimension, excluded ones left out, in the given order. Of rows of another stream only those that backfill.yaml names are known here. */
export function dimensionValues(dimension: Dimension, today: string, order: DateOrder): readonly string[] {
  const values = ownValues(dimension, today, order)
  if (dimension.exclude.length === 0) return values
  const excluded = new Set(dimension.exclude)
  return values.filter((value) => !excluded.has(value))
}

function ownValues(dimension: Dimension, today: string, order: DateOrder): readonly string[] {
  switch (dimension.kind) {
    case 'list':
      return dimension.values
    case 'rows':
      return dimension.only
    case 'dates':
      return dateValues(dimension, today, order)
  }
}

/** A list without values, not from the configuration, is open: whatever `seed --from-file` or a selection names is a value of it. */
export function isOpenDimension(dimension: Dimension | undefined): boolean {
  if (dimension?.kind === 'rows') return dimension.only.length === 0
  return dimension?.kind === 'list' && dimension.values.length === 0 && dimension.fromConfig === null
}

interface Axis {
  readonly name: string
  readonly values: readonly string[]
}

function axisValues(source: Source, name: string, options: PlanOptions): readonly string[] {
  const dimension = source.dimensions[name]
  const values = dimension === undefined ? [] : dimensionValues(dimension, options.today, options.order)
  const selected = Object.hasOwn(options.filter, name) ? options.filter[name] : undefined
  if (selected === undefined) return values
  // Whether there is such a row, only the database can say.
  if (dimension?.kind === 'rows') return selected.filter((value) => !dimension.exclude.includes(value))
  const wanted = new Set(selected)
  return values.filter((value) => wanted.has(value))
}

function* product(axes: readonly Axis[], chosen: Partition): Generator<Partition> {
  const [axis, ...rest] = axes
  if (axis === undefined) {
    yield chosen
    return
  }
  for (const value of axis.values) yield* product(rest, { ...chosen, [axis.name]: value })
}
