/** How streams that follow others are seeded: without values the worker makes their tasks, with values they are made here, many to a request. Pure. */
import { fullWalkPartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
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
  for (const partition of batched(stream, partitions)) yield isFull ? fullWalkPartition(partition) : partition
}

function* batched({ fanOut }: Pick<Stream, 'fanOut'>, partitions: Iterable<Partition>): Generator<Partition> {
  if (fanOut?.many == null) {
    yield* partitions
    return
  }
  const { dimension, many } = fanOut
  const waiting = new Map<string, { readonly rest: Partition; values: string[] }>()
  for (const partition of partitions) {
    const { [dimension]: value = '', ...rest } = partition
    const key = partitionKey(rest)
    const group = waiting.get(key) ?? { rest, values: [] }
    waiting.set(key, group)
    group.values.push(value)
    if (group.values.length < many.max) continue
    yield { ...rest, [dimension]: group.values.join(',') }
    group.values = []
  }
  for (const { rest, values } of waiting.values()) {
    if (values.length > 0) yield { ...rest, [dimension]: values.join(',') }
  }
}
