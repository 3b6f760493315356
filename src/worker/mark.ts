/**
 * What a walk of a stream with watermarks begins from, and what its end says of the partitions it walked. Owns the rule which walks may say anything; knows no SQL.
 */
import { ConfigError, ParentMissing, PartitionGone, SourceRejected } from '../domain/errors.js'
import { singlePartitions } from '../domain/fan-out.js'
import type { Mark } from '../domain/follow.js'
import { didYouMean, listNames } from '../domain/nearest.js'
import type { Partition } from '../domain/partition.js'
import { rowsOf } from '../domain/plan.js'
import type { Destination, Walk } from '../domain/ports.js'
import type { Source, Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import type { RowDimension } from '../domain/walk-model.js'

interface PartitionOfStream {
  readonly source: Source
  readonly stream: Stream
  readonly partition: Partition
  readonly destination: Pick<Destination, 'watermark' | 'strangers' | 'gone'>
}

/** True for a stream of which the database keeps what was walked when. */
export function keepsWatermarks({ incremental, fanOut }: Pick<Stream, 'incremental' | 'fanOut'>): boolean {
  return incremental !== null || fanOut !== null
}

/** Lower bound of a walk that begins now: the least watermark of its partitions less the overlap, Unix ms; null: everything is asked for. */
export async function sinceOf(
  deps: PartitionOfStream & { readonly isFull: boolean; readonly page: unknown },
): Promise<number | null> {
  const { stream, partition, destination, isFull, page } = deps
  if (stream.incremental === null || isFull || page !== null) return null
  const watermark = await destination.watermark(stream, singlePartitions(stream, partition))
  return watermark === null ? null : watermark - stream.incremental.overlapMs
}

/** What the end of a walk says; undefined: nothing, for nobody keeps it, or it is contradicted. */
export function markOf({
  stream,
  partition,
  walk,
  proof,
  isShrunk,
}: {
  readonly stream: Stream
  readonly partition: Partition
  readonly walk: Walk
  readonly proof: Proof
  /** It brought far fewer rows than the partition's last proven walk. */
  readonly isShrunk: boolean
}): Mark | undefined {
  if (!keepsWatermarks(stream) || proof === 'differs') return undefined
  const { since } = walk
  // A walk of everything that came nearly empty was walked, but says nothing of what changed meanwhile: the next walk of changes still asks for that. (Without
  // changes to ask for, the same would be walked whole for ever.)
  const until = isShrunk && proof === 'unproven' && since === null && stream.incremental !== null ? null : walk.until
  const dimension = stream.fanOut?.dimension ?? ''
  const column = stream.match[dimension]
  const countBy = since === null && column !== undefined ? { dimension, column } : null
  return { partitions: singlePartitions(stream, partition), since, until, proof, countBy }
}

/**
 * Before a request is spent: the rows that a partition is made for must be there.
 * @throws PartitionGone where they went for good, all of them; ParentMissing where their table is still empty; SourceRejected `unknown_partition` where it has others,
 * but not one of these.
 */
export async function requirePartition({ source, stream, partition, destination }: PartitionOfStream): Promise<void> {
  for (const { name, values, dimension } of stream.requires ?? []) {
    const what = `filter ${name} of ${source.name}.${stream.name}`
    await requireRows(dimension, values, { source, destination, what })
  }
  const rows = rowsOf(stream, source)
  if (rows === null) return
  const { name, dimension } = rows
  const values = singlePartitions(stream, partition).map((single) => single[name] ?? '')
  const found = await destination.strangers(dimension, values, 1000)
  if (found.strangers.length < values.length) return
  const [first = ''] = found.strangers
  const parent = `${source.name}.${dimension.stream}`
  const gone = await destination.gone(source.name, dimension, found.strangers)
  if (gone.length === found.strangers.length) {
    throw new PartitionGone(
      `ask for ${name} "${first}" found its row in ${parent} deleted: the source no longer has it`,
    )
  }
  if (found.rows === 0) throw stillEmpty(parent, `${name} "${first}"`)
  throw new SourceRejected(
    'unknown_partition',
    `ask for ${name} "${first}" found no such row in ${parent}${didYouMean(first, found.known)}`,
    {
      hint: `${name} is one of ${listNames(found.known.slice(0, 20))}`,
    },
  )
}

/**
 * The values that a configuration names must be rows of their stream.
 * @throws ConfigError `unknown_value`, naming what there is; ParentMissing where the table is still empty.
 */
export async function requireRows(
  dimension: RowDimension,
  values: readonly string[],
  {
    source,
    destination,
    what,
  }: Pick<PartitionOfStream, 'source'> & {
    readonly destination: Pick<Destination, 'strangers'>
    readonly what: string
  },
): Promise<void> {
  const { strangers, known, rows } = await destination.strangers(dimension, values, 1000)
  const [first] = strangers
  if (first === undefined) return
  const parent = `${source.name}.${dimension.stream}`
  if (rows === 0) throw stillEmpty(parent, what)
  throw new ConfigError(
    'unknown_value',
    `read ${what} found "${first}", which is no row of ${parent}${didYouMean(first, known)}`,
    {
      hint: `it is one of ${listNames(known.slice(0, 20))}`,
      context: { value: first },
    },
  )
}

function stillEmpty(parent: string, what: string): ParentMissing {
  return new ParentMissing('parent_missing', `ask for ${what} found ${parent} still empty`, {
    hint: `load ${parent} first: run "backfill seed ${parent}"`,
  })
}
