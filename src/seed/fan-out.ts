/** How streams that follow others are seeded: without values the worker makes their tasks, with values they are made here, many to a request. Pure. */
import { joinPartitions, manyOf } from '../domain/fan-out.js'
import { fullWalkPartition } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import type { Stream } from '../domain/source-model.js'
import type { SeedRequest } from './types.js'

/** True where the stream's partitions are all rows of another stream, which only the worker sees. */
export function followsAll(
  { fanOut }: Pick<Stream, 'fanOut'>,
  request: Pick<SeedRequest, 'filter' | 'lines'>,
): boolean {
  return fanOut !== null && request.lines === null && !Object.hasOwn(request.filter, fanOut.dimension)
}

/** Partitions of tasks: values that share a request together; with `force` everything is walked, also where changes alone are asked for otherwise. */
export function* taskPartitions(
  stream: Pick<Stream, 'fanOut' | 'incremental'>,
  partitions: Iterable<Partition>,
  force: boolean,
): Generator<Partition> {
  const isFull = force && stream.incremental !== null
  for (const partition of joined(stream, partitions)) yield isFull ? fullWalkPartition(partition) : partition
}

function joined(stream: Pick<Stream, 'fanOut'>, partitions: Iterable<Partition>): Iterable<Partition> {
  if (manyOf(stream) === null) return partitions
  const { full, short } = joinPartitions(stream, partitions)
  return [...full, ...short]
}
