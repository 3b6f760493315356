/**
 * Compares the source's own count with the table, partition by partition, and says what the difference means. Changes no row, takes no lock, spends
 * only its share of the budget. Owns the verdicts; knows neither SQL nor HTTP.
 */
import {
  type BackfillError,
  ConfigError,
  CredentialsRefused,
  DestinationUnavailable,
  OverBudgetError,
  QueueUnavailable,
  StoppedError,
  TerminalError,
  TransientError,
} from '../domain/errors.js'
import { singlePartitions } from '../domain/fan-out.js'
import { wholePartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
import { isOpenDimension, partitionsOf } from '../domain/plan.js'
import type { PartitionActual, SourceCount } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import { openFindings } from './findings.js'
import { type DueSingles, dueSingles, explainDue, followedPartitions, withOpenTasks } from './followed.js'
import { accountedFor, explainChanges, type Judgement, judge } from './judge.js'
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
  const plans: { readonly selected: SelectedStream; readonly asked: readonly Asked[] }[] = []
  for (const selected of request.streams)
    plans.push({ selected, asked: await partitionsWithTasks(selected, request, deps) })
  checkFilter(request, plans)
  for (const { selected, asked } of plans) {
    const hasTable = await deps.destination.checkTable(selected.stream)
    const findings = await openFindings(selected, request, deps)
    if (Object.keys(request.filter).length === 0) await findings.keepOnly(asked.map(({ partition }) => partition))
    let due: Promise<DueSingles> | null = null
    const dueOfStream = () => (due ??= dueSingles(selected, request, deps))
    for (const { partition, task } of asked) {
      if (request.signal.aborted) throw new StoppedError()
      if (budget.opensAt !== null) {
        budget.notAsked += 1
        continue
      }
      try {
        // Its credentials are the same for every partition: asking on would only make it angry.
        const refusal = refused.get(selected.source.name)
        if (refusal !== undefined) throw refusal
        const verdict = await verifyPartition(
          { selected, partition, task, request, budget, hasTable, dueOfStream },
          deps,
        )
        verdicts.push(verdict)
        deps.onVerdict(verdict)
        await findings.judged({ verdict, task, failure: null })
      } catch (error) {
        if (error instanceof CredentialsRefused) refused.set(selected.source.name, error)
        if (isOfOnePartition(error)) {
          const verdict = couldNotAsk({ selected, partition, task }, error)
          failed.push({ partition, error })
          verdicts.push(verdict)
          deps.onVerdict(verdict)
          await findings.judged({ verdict, task, failure: error instanceof TransientError ? 'temporary' : 'hopeless' })
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

interface Asked {
  readonly partition: Partition
  readonly task: Task | null
}

async function partitionsWithTasks(
  { source, stream }: SelectedStream,
  request: VerifyRequest,
  deps: VerifyDeps,
): Promise<readonly Asked[]> {
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

/**
 * A value that only the database or the queue knows is a partition of one stream at least: to compare nothing, and say nothing of it, would look like an answer.
 * @throws ConfigError `unknown_partition`
 */
function checkFilter(
  { filter }: VerifyRequest,
  plans: readonly { readonly selected: SelectedStream; readonly asked: readonly Asked[] }[],
): void {
  for (const [name, values] of Object.entries(filter)) {
    const open = plans.filter(({ selected }) => isOpenDimension(selected.source.dimensions[name]))
    const [first] = open
    if (first === undefined) continue
    const known = new Set(
      plans.flatMap(({ selected, asked }) =>
        asked.flatMap(({ partition }) => singlePartitions(selected.stream, partition).map((single) => single[name])),
      ),
    )
    const missing = values.find((value) => !known.has(value))
    if (missing === undefined) continue
    const { source } = first.selected
    const dimension = source.dimensions[name]
    const hint =
      dimension?.kind === 'rows'
        ? `values of ${name} are rows of ${source.name}.${dimension.stream}`
        : `values of ${name} are those that "backfill seed" was given`
    throw new ConfigError('unknown_partition', `verify ${name} "${missing}" found no such partition`, { hint })
  }
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

interface PartitionContext {
  readonly selected: SelectedStream
  readonly partition: Partition
  readonly task: Task | null
  readonly request: VerifyRequest
  readonly budget: { requests: number }
  readonly hasTable: boolean
  /** Asked for where there is a difference to explain, once a stream. */
  readonly dueOfStream: () => Promise<DueSingles>
}

async function verifyPartition(context: PartitionContext, deps: VerifyDeps): Promise<PartitionVerdict> {
  const { selected, partition, task, hasTable } = context
  const first = await look(context, deps)
  let found = first
  let judged = judge({ ...first, selected, partition, task, hasTable })
  if (judged.verdict === 'discrepancy') {
    // A worker may have promoted between the two questions: a difference is real only if both sides say it twice.
    found = await look(context, deps)
    judged = judge({ ...found, selected, partition, task, hasTable })
  }
  if (judged.verdict === 'discrepancy') judged = (await explain(context, found, deps)) ?? judged
  const owedBy = task !== null && task.state !== 'done' ? task.number : null
  const { source, stream } = selected
  return { source: source.name, stream: stream.name, partition, ...judged, ...found, owedBy }
}

/** A stream that follows another, or is asked for its changes, is behind by what came since: that is no discrepancy. */
async function explain(
  { selected, partition, request, budget, dueOfStream }: PartitionContext,
  { expected, actual }: Found,
  deps: VerifyDeps,
): Promise<Judgement | null> {
  const { stream } = selected
  const owed = explainDue(selected, partition, await dueOfStream())
  if (owed !== null) return owed
  if (stream.incremental === null || expected === null || actual.rows === null) return null
  const freshTo = await deps.destination.watermark(stream, singlePartitions(stream, partition))
  if (freshTo === null) return null
  const isFewer = accountedFor(actual) < expected.value
  const changedSince = freshTo - stream.incremental.overlapMs
  const asked = isFewer
    ? await deps.client.count({ ...questionOf({ selected, partition, request, budget }), changedSince })
    : null
  return explainChanges({
    stream,
    expected: expected.value,
    stored: actual.rows,
    givenUp: actual.dismissed?.met ?? 0,
    changed: asked?.count?.value ?? null,
    freshTo,
  })
}

function questionOf({
  selected,
  partition,
  request,
  budget,
}: Omit<PartitionContext, 'task' | 'hasTable' | 'dueOfStream'>) {
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
