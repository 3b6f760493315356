/** Partitions that are rows of another stream: which there are, what is owed of each, and which the next worker asks about anyway. Knows neither SQL nor HTTP. */
import { joinPartitions, singlePartitions } from '../domain/fan-out.js'
import { wholePartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
import { restPartitions, rowsOf } from '../domain/plan.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import type { Judgement } from './judge.js'
import type { VerifyDeps, VerifyRequest } from './types.js'

/** Open tasks looked through. */
const mostOpen = 100_000

/** Every partition of a stream that follows all rows of another, many to a question where a request takes many; null for other streams. */
export async function followedPartitions(
  { source, stream }: SelectedStream,
  { filter, today }: VerifyRequest,
  deps: VerifyDeps,
): Promise<readonly Partition[] | null> {
  const rows = rowsOf(stream, source)
  if (rows === null || !(await followsAll({ source, stream }, deps))) return null
  const wanted = filter[rows.name]
  const values = (await deps.destination.values(rows.dimension)).filter((value) => wanted?.includes(value) ?? true)
  const singles: Partition[] = []
  for (const rest of restPartitions(stream, source, { filter, today, order: 'oldest' }))
    for (const value of values) singles.push({ ...rest, [rows.name]: value })
  const { full, short } = joinPartitions(stream, singles)
  return [...full, ...short]
}

async function followsAll(
  { source, stream }: SelectedStream,
  { follows }: Pick<VerifyDeps, 'follows'>,
): Promise<boolean> {
  const followed = await follows.followed()
  return followed.some((one) => one.source === source.name && one.stream === stream.name && one.isAll)
}

/** Each partition with an open task of any of its values, else its newest one. */
export async function withOpenTasks(
  { source, stream }: SelectedStream,
  partitions: readonly Partition[],
  { queue }: Pick<VerifyDeps, 'queue'>,
): Promise<readonly { readonly partition: Partition; readonly task: Task | null }[]> {
  const name = { source: source.name, stream: stream.name }
  const states = ['ready', 'leased', 'dead'] as const
  const open = await queue.tasks({ states, filter: { streams: [name], partitions: {} }, limit: mostOpen })
  const owing = new Map(
    open.flatMap((task) =>
      singlePartitions(stream, wholePartition(task.partition)).map((single) => [partitionKey(single), task] as const),
    ),
  )
  const newest = await queue.latestTasks(name, partitions)
  return partitions.map((partition, index) => {
    const owed = singlePartitions(stream, partition).map((single) => owing.get(partitionKey(single)))
    return { partition, task: owed.find((task) => task !== undefined) ?? newest[index] ?? null }
  })
}

/** Partitions of one value, by their text, that no task was made for yet although their row came or changed. */
export type DueSingles = ReadonlyMap<string, 'new' | 'changed'>

/** What the next worker makes tasks for by itself; nothing where the stream does not follow all rows of another. Asks the database. */
export async function dueSingles(
  { source, stream }: SelectedStream,
  { today }: Pick<VerifyRequest, 'today'>,
  deps: VerifyDeps,
): Promise<DueSingles> {
  const found = new Map<string, 'new' | 'changed'>()
  const rows = rowsOf(stream, source)
  if (rows === null || !(await followsAll({ source, stream }, deps))) return found
  for (const rest of restPartitions(stream, source, { filter: {}, today, order: 'oldest' })) {
    const { due } = await deps.destination.due({ stream, rows, rest, everyMs: null, fullEveryMs: null })
    for (const { partition, reason } of due)
      if (reason === 'new' || reason === 'changed') found.set(partitionKey(partition), reason)
  }
  return found
}

/** A difference of a partition of which some values are not walked yet, or changed since: it is owed. null where none is. */
export function explainDue(
  { source, stream }: SelectedStream,
  partition: Partition,
  due: DueSingles,
): Judgement | null {
  const rows = rowsOf(stream, source)
  const singles = singlePartitions(stream, partition)
  const waiting = singles.filter((single) => due.has(partitionKey(single)))
  const [first] = waiting
  if (rows === null || first === undefined) return null
  const parent = `${source.name}.${rows.dimension.stream}`
  const isNew = waiting.some((single) => due.get(partitionKey(single)) === 'new')
  const why = isNew ? 'not walked yet' : `not walked since ${parent} changed`
  const values = waiting.map((single) => single[rows.name] ?? '')
  const which =
    singles.length === 1
      ? 'it is'
      : `${waiting.length} of its ${singles.length} values of ${rows.name} ${waiting.length === 1 ? 'is' : 'are'}`
  const named = singles.length === 1 ? '' : ` (${values.slice(0, 3).join(', ')}${values.length > 3 ? ', …' : ''})`
  return { verdict: 'unproven', sentence: `owed: ${which} ${why}${named}; the next worker asks by itself` }
}
