/**
 * Compares the source's own count with the table, partition by partition, and says what the difference means. Deletes and changes nothing, takes no lock, spends
 * only its share of the budget. Owns the verdicts; knows neither SQL nor HTTP.
 */
import {
  type BackfillError,
  CredentialsRefused,
  DestinationUnavailable,
  OverBudgetError,
  QueueUnavailable,
  StoppedError,
  TerminalError,
  TransientError,
} from '../domain/errors.js'
import { joinPartitions, singlePartitions } from '../domain/fan-out.js'
import { wholePartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
import { isOpenDimension, partitionsOf, restPartitions, rowsOf } from '../domain/plan.js'
import type { PartitionActual, SourceCount } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import { explainChanges, type Judgement, judge } from './judge.js'
import type { PartitionVerdict, Verdict, VerifyDeps, VerifyReport, VerifyRequest } from './types.js'

/** Longest wait for the budget before one question; then the rest is left out and said so. */
const patienceMs = 120_000
const lookupSize = 200
/** Tasks looked through for the partitions of an open dimension. */
const mostSeeded = 100_000

interface Found {
  readonly expected: SourceCount | null
  readonly actual: PartitionActual
}

/** @throws DestinationUnavailable and the like: what concerns every partition. What concerns one is in the report's `failed`. */
export async function verify(request: VerifyRequest, deps: VerifyDeps): Promise<VerifyReport> {
  const verdicts: PartitionVerdict[] = []
  const budget = { requests: 0, notAsked: 0, opensAt: null as number | null }
  const failed: VerifyReport['failed'][number][] = []
  const refused = new Map<string, CredentialsRefused>()
  for (const selected of request.streams) {
    await deps.destination.openTable(selected.stream)
    for (const { partition, task } of await partitionsWithTasks(selected, request, deps)) {
      if (request.signal.aborted) throw new StoppedError()
      if (budget.opensAt !== null) {
        budget.notAsked += 1
        continue
      }
      try {
        // Its credentials are the same for every partition: asking on would only make it angry.
        const refusal = refused.get(selected.source.name)
        if (refusal !== undefined) throw refusal
        const verdict = await verifyPartition({ selected, partition, task, request, budget }, deps)
        verdicts.push(verdict)
        deps.onVerdict(verdict)
      } catch (error) {
        if (error instanceof CredentialsRefused) refused.set(selected.source.name, error)
        if (isOfOnePartition(error)) {
          const verdict = couldNotAsk({ selected, partition, task }, error)
          failed.push({ partition, error })
          verdicts.push(verdict)
          deps.onVerdict(verdict)
          continue
        }
        if (!(error instanceof OverBudgetError)) throw error
        budget.opensAt = error.opensAt
        budget.notAsked += 1
      }
    }
  }
  return { partitions: verdicts, byVerdict: countVerdicts(verdicts), failed, ...budget }
}

/** What the source said about one partition stops only that one; a database that is gone stops all. */
function isOfOnePartition(error: unknown): error is BackfillError {
  if (error instanceof DestinationUnavailable || error instanceof QueueUnavailable) return false
  return error instanceof TerminalError || error instanceof TransientError || error instanceof CredentialsRefused
}

function couldNotAsk(
  { selected, partition, task }: Pick<PartitionContext, 'selected' | 'partition' | 'task'>,
  error: BackfillError,
): PartitionVerdict {
  const { source, stream } = selected
  return {
    source: source.name,
    stream: stream.name,
    partition,
    verdict: 'unproven',
    sentence: `could not be asked: ${error.message}`,
    expected: null,
    actual: { rows: null, held: 0, lastWalk: null },
    owedBy: task !== null && task.state !== 'done' ? task.number : null,
  }
}

async function partitionsWithTasks(
  { source, stream }: SelectedStream,
  request: VerifyRequest,
  deps: VerifyDeps,
): Promise<readonly { readonly partition: Partition; readonly task: Task | null }[]> {
  const followed = await followedPartitions({ source, stream }, request, deps)
  if (followed !== null) return await withOpenTasks({ source, stream }, followed, deps)
  const partitions = await partitionsToVerify({ source, stream }, request, deps)
  const found: { partition: Partition; task: Task | null }[] = []
  for (let at = 0; at < partitions.length; at += lookupSize) {
    const some = partitions.slice(at, at + lookupSize)
    const tasks = await deps.queue.latestTasks({ source: source.name, stream: stream.name }, some)
    some.forEach((partition, index) => found.push({ partition, task: tasks[index] ?? null }))
  }
  return found
}

/** Every partition of the definition; of a stream with an open dimension, those that were ever seeded. */
async function partitionsToVerify(
  { source, stream }: SelectedStream,
  request: VerifyRequest,
  deps: VerifyDeps,
): Promise<readonly Partition[]> {
  const { filter, today } = request
  if (!stream.dimensions.some((name) => isOpenDimension(source.dimensions[name])))
    return [...partitionsOf(stream, source, { filter, today, order: 'oldest' })]
  const streams = [{ source: source.name, stream: stream.name }]
  const tasks = await deps.queue.tasks({ filter: { streams, partitions: filter }, limit: mostSeeded })
  const wholes = tasks.map(({ partition }) => wholePartition(partition))
  return [...new Map(wholes.map((partition) => [partitionKey(partition), partition])).values()]
}

/** Every partition of a stream that follows all rows of another, many to a question where a request takes many; null for other streams. */
async function followedPartitions(
  { source, stream }: SelectedStream,
  { filter, today }: VerifyRequest,
  deps: VerifyDeps,
): Promise<readonly Partition[] | null> {
  const rows = rowsOf(stream, source)
  const followed = (await deps.follows.followed()).find(
    (one) => one.source === source.name && one.stream === stream.name,
  )
  if (rows === null || followed?.isAll !== true) return null
  const wanted = filter[rows.name]
  const values = (await deps.destination.values(rows.dimension)).filter((value) => wanted?.includes(value) ?? true)
  const singles: Partition[] = []
  for (const rest of restPartitions(stream, source, { filter, today, order: 'oldest' }))
    for (const value of values) singles.push({ ...rest, [rows.name]: value })
  const { full, short } = joinPartitions(stream, singles)
  return [...full, ...short]
}

/** Each partition with an open task of any of its values, else its newest one. */
async function withOpenTasks(
  { source, stream }: SelectedStream,
  partitions: readonly Partition[],
  { queue }: VerifyDeps,
): Promise<readonly { readonly partition: Partition; readonly task: Task | null }[]> {
  const name = { source: source.name, stream: stream.name }
  const states = ['ready', 'leased', 'dead'] as const
  const open = await queue.tasks({ states, filter: { streams: [name], partitions: {} }, limit: mostSeeded })
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

interface PartitionContext {
  readonly selected: SelectedStream
  readonly partition: Partition
  readonly task: Task | null
  readonly request: VerifyRequest
  readonly budget: { requests: number }
}

async function verifyPartition(context: PartitionContext, deps: VerifyDeps): Promise<PartitionVerdict> {
  const { selected, partition, task } = context
  const first = await look(context, deps)
  let found = first
  let judged = judge({ ...first, selected, partition, task })
  if (judged.verdict === 'discrepancy') {
    // A worker may have promoted between the two questions: a difference is real only if both sides say it twice.
    found = await look(context, deps)
    judged = judge({ ...found, selected, partition, task })
  }
  if (judged.verdict === 'discrepancy') judged = (await explain(context, found, deps)) ?? judged
  const owedBy = task !== null && task.state !== 'done' ? task.number : null
  const { source, stream } = selected
  return { source: source.name, stream: stream.name, partition, ...judged, ...found, owedBy }
}

/** A stream that is asked for its changes is behind by what changed since: that is no discrepancy. */
async function explain(
  { selected, partition, request, budget }: PartitionContext,
  { expected, actual }: Found,
  deps: VerifyDeps,
): Promise<Judgement | null> {
  const { stream } = selected
  if (stream.incremental === null || expected === null || actual.rows === null) return null
  const freshTo = await deps.destination.watermark(stream, singlePartitions(stream, partition))
  if (freshTo === null) return null
  const isFewer = actual.rows < expected.value
  const changedSince = freshTo - stream.incremental.overlapMs
  const asked = isFewer
    ? await deps.client.count({ ...questionOf({ selected, partition, request, budget }), changedSince })
    : null
  return explainChanges({
    expected: expected.value,
    stored: actual.rows,
    changed: asked?.count?.value ?? null,
    freshTo,
  })
}

function questionOf({ selected, partition, request, budget }: Omit<PartitionContext, 'task'>) {
  return {
    ...selected,
    partition,
    purpose: 'verify' as const,
    deadlineAt: null,
    maxWaitMs: patienceMs,
    readsAhead: false,
    signal: request.signal,
    // Also those of a question that failed: they were sent, and counted by the source.
    onRequest: () => {
      budget.requests += 1
    },
  }
}

async function look({ selected, partition, request, budget }: PartitionContext, deps: VerifyDeps): Promise<Found> {
  const { count } = await deps.client.count(questionOf({ selected, partition, request, budget }))
  return { expected: count, actual: await deps.destination.actual(selected.stream, partition) }
}

function countVerdicts(verdicts: readonly PartitionVerdict[]): Record<Verdict, number> {
  const counts: Record<Verdict, number> = { equal: 0, discrepancy: 0, unproven: 0, moved: 0 }
  for (const { verdict } of verdicts) counts[verdict] += 1
  return counts
}
