/**
 * Says what a seed would create and what that costs, and changes nothing. It asks each new partition for its first page, through the budget, because only an
 * answer tells the page size that the server really uses; what it did not ask counts as one request.
 */
import { OverBudgetError } from '../domain/errors.js'
import { timeForRequests } from '../domain/estimate.js'
import { pageOfTask } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import type { Page, SourceCount } from '../domain/ports.js'
import { requestsOfWalk } from '../domain/request-count.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import { plan } from './seed.js'
import type { DryRunDeps, DryRunReport, PartitionEstimate, SeedRequest } from './types.js'

const namedPartitions = 1000
const lookupSize = 500
/** A dry run waits this long for a slot, then says what it could not ask. */
const patienceMs = 120_000

interface Sums {
  wouldCreate: number
  alreadyDone: number
  alreadyOpen: number
  requests: number
  rows: number
  hasRows: boolean
  isExact: boolean
  asked: number
  notAsked: number
  isClosed: boolean
  readonly bySource: Map<string, number>
  readonly partitions: PartitionEstimate[]
}

/** @throws the source's own errors where it refuses: a seed would meet them too. */
export async function dryRun(request: SeedRequest, deps: DryRunDeps): Promise<DryRunReport> {
  const sums: Sums = {
    wouldCreate: 0,
    alreadyDone: 0,
    alreadyOpen: 0,
    requests: 0,
    rows: 0,
    hasRows: true,
    isExact: true,
    asked: 0,
    notAsked: 0,
    isClosed: false,
    bySource: new Map(),
    partitions: [],
  }
  for (const { selected, partitions } of await plan(request)) {
    for (const batch of batches(partitions)) await estimateBatch({ selected, batch, request, sums }, deps)
  }
  return report(request, sums, deps)
}

function* batches(partitions: Iterable<Partition>): Generator<readonly Partition[]> {
  let batch: Partition[] = []
  for (const partition of partitions) {
    batch.push(partition)
    if (batch.length < lookupSize) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

interface BatchContext {
  readonly selected: SelectedStream
  readonly batch: readonly Partition[]
  readonly request: SeedRequest
  readonly sums: Sums
}

async function estimateBatch({ selected, batch, request, sums }: BatchContext, deps: DryRunDeps): Promise<void> {
  const name = { source: selected.source.name, stream: selected.stream.name }
  const known = deps.queue === null ? batch.map(() => null) : await deps.queue.latestTasks(name, batch)
  for (const [index, partition] of batch.entries()) {
    const state = request.force ? 'new' : stateOf(known[index] ?? null)
    if (state === 'done') sums.alreadyDone += 1
    if (state === 'open') sums.alreadyOpen += 1
    const estimate =
      state === 'new'
        ? await ask({ selected, partition, request, sums }, deps)
        : { requests: 0, rows: null, trust: 'not asked' as const }
    if (sums.partitions.length < namedPartitions) sums.partitions.push({ ...name, partition, state, ...estimate })
  }
}

function stateOf(task: Task | null): PartitionEstimate['state'] {
  if (task === null) return 'new'
  // Of a page that was split off: the walk of the partition is done.
  return task.state === 'done' || pageOfTask(task.partition) !== null ? 'done' : 'open'
}

type Estimate = Pick<PartitionEstimate, 'requests' | 'rows' | 'trust'>
type AskContext = Omit<BatchContext, 'batch'> & { readonly partition: Partition }

async function ask(context: AskContext, deps: DryRunDeps): Promise<Estimate> {
  const { selected, sums } = context
  sums.wouldCreate += 1
  const estimate = await firstPage(context, deps)
  sums.requests += estimate.requests
  sums.bySource.set(selected.source.name, (sums.bySource.get(selected.source.name) ?? 0) + estimate.requests)
  sums.isExact &&= estimate.trust === 'exact'
  sums.hasRows &&= estimate.rows !== null
  sums.rows += estimate.rows ?? 0
  return estimate
}

const unasked: Estimate = { requests: 1, rows: null, trust: 'not asked' }

async function firstPage(context: AskContext, deps: DryRunDeps): Promise<Estimate> {
  const { selected, sums, partition, request } = context
  if (sums.isClosed || sums.asked >= deps.maxRequests) {
    sums.notAsked += 1
    return unasked
  }
  const start = {
    ...selected,
    partition,
    purpose: 'seed' as const,
    deadlineAt: null,
    maxWaitMs: patienceMs,
    readsAhead: false,
    signal: request.signal,
    onRequest: () => {
      sums.asked += 1
    },
  }
  const pages = deps.client.walk({
    ...start,
    cursor: null,
    since: null,
    until: null,
    loop: null,
    pages: 0,
    received: 0,
  })
  try {
    const first = await pages.next()
    if (first.done === true) return unasked
    return estimateFrom(selected, first.value, await finerCount(first.value, start, deps))
  } catch (error) {
    if (!(error instanceof OverBudgetError)) throw error
    sums.isClosed = true
    sums.notAsked += 1
    return unasked
  } finally {
    await pages.return?.()
  }
}

/** The page's own count, or, where that is capped or absent, the one that has a request of its own. */
async function finerCount(
  page: Page,
  start: Parameters<DryRunDeps['client']['count']>[0],
  deps: DryRunDeps,
): Promise<SourceCount | null> {
  if (page.next === null) return { value: page.records.length, trust: 'exact' }
  if (page.count?.trust === 'exact') return page.count
  if (!start.stream.count.some((rule) => rule.request !== null)) return page.count
  return (await deps.client.count(start)).count ?? page.count
}

function estimateFrom({ stream }: SelectedStream, page: Page, count: SourceCount | null): Estimate {
  // A walk whose pages carry no exact count asks for one at its end, where the source has a request for it.
  const proof = page.count?.trust !== 'exact' && stream.count.some((rule) => rule.request !== null) ? 1 : 0
  if (page.next === null) return { requests: 1 + proof, rows: page.records.length, trust: 'exact' }
  if (count === null) return { requests: 2 + proof, rows: null, trust: 'absent' }
  const requests = requestsOfWalk(stream, { rows: count.value, pageRows: page.records.length })
  return { requests: Math.max(2, requests) + proof, rows: count.value, trust: count.trust }
}

async function report(request: SeedRequest, sums: Sums, deps: DryRunDeps): Promise<DryRunReport> {
  const bySource = await Promise.all(
    [...sums.bySource].map(async ([source, requests]) => {
      const rules = request.streams.find((one) => one.source.name === source)?.source.budget
      const takesMs = rules === undefined ? 0 : timeForRequests(requests, rules, await deps.budget.state(rules))
      return { source, requests, takesMs }
    }),
  )
  const { wouldCreate, alreadyDone, alreadyOpen, requests, isExact, asked, notAsked, partitions } = sums
  const takesMs = Math.max(0, ...bySource.map((one) => one.takesMs))
  const rows = sums.hasRows && wouldCreate > 0 ? sums.rows : null
  return {
    wouldCreate,
    alreadyDone,
    alreadyOpen,
    requests,
    isExact,
    rows,
    asked,
    notAsked,
    takesMs,
    bySource,
    partitions,
  }
}
