/**
 * Owns tasks for single pages in the queue: made with the settle of the walk that passed them over, and cancelled when a later whole walk did not. Inside the
 * transaction of its caller, which may be repeated: what was made for a walk once is not made again.
 */
import { pageTaskRange, wholePartition } from '../domain/page-task.js'
import { parsePartitionKey, partitionKey } from '../domain/partition.js'
import { noTotals, type Outcome, type SplitTasks, type TaskState } from '../domain/task.js'
import type { Names } from './names.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'
import { loadTask } from './task-row.js'
import { timeOrderedUuid } from './uuid.js'

const pageTaskCurrent = `select number, state, created_at from task where stream = ? and partition = ? and is_current = 1`
const pageTaskInsert = `
  insert into task (id, stream, partition, backfill, priority, created_at, renewed_at)
  select ?, stream, ?, backfill, priority, ?, ? from task where number = ?`
const pageTaskStepAside = `update task set is_current = 0 where number = ?`
const pageTasks = `
  select number, state, partition, created_at from task where stream = ? and partition >= ? and partition < ? and is_current = 1`
const pageTaskCancel = `
  update task set state = 'cancelled', is_current = 0, ready_at = null, finished_at = ? where number = ?`

/** Statements that run once a task, for the test that looks at their plans. */
export const splitStatements = { pageTaskCurrent, pageTasks }

interface PageTaskRow {
  readonly number: number
  readonly state: TaskState
  readonly created_at: number
}
interface PlacedRow extends PageTaskRow {
  readonly partition: string
}

/** The walk's task. */
interface Walked {
  readonly number: number
  readonly stream: number
}
interface SplitContext {
  readonly names: Names
  readonly tally: Tally
}
interface SettleContext extends SplitContext {
  /** Streams that were found without current tasks for single pages in this transaction, as nearly all are: not asked for again at each task. */
  readonly unsplit: Set<number>
}

/** Makes a task for each page that the walk passed over; at the walk's end, cancels those that its partition had from earlier walks. */
export function settleSplit(
  store: Store,
  { walked, outcome }: { readonly walked: Walked; readonly outcome: Outcome },
  context: SettleContext,
): void {
  const { split } = outcome
  if (split !== undefined) {
    context.unsplit.delete(walked.stream)
    makePageTasks(store, { walked, split }, context)
  }
  if (outcome.kind === 'done') cancelOvertaken(store, { walked, outcome }, context)
}

/** Makes a task for each page that the queue has none for. */
export function makePageTasks(
  store: Store,
  { walked, split }: { readonly walked: Walked; readonly split: SplitTasks },
  context: SplitContext,
): void {
  for (const partition of split.partitions)
    makePageTask(store, { walked, split, key: partitionKey(partition) }, context)
}

function makePageTask(
  store: Store,
  { walked, split, key }: { readonly walked: Walked; readonly split: SplitTasks; readonly key: string },
  { tally }: SplitContext,
): void {
  const current = store.sql(pageTaskCurrent).get(walked.stream, key) as PageTaskRow | undefined
  if (current !== undefined && (current.state !== 'done' || current.created_at >= split.since)) return
  if (current !== undefined) store.sql(pageTaskStepAside).run(current.number)
  const now = store.clock.now()
  store.sql(pageTaskInsert).run(timeOrderedUuid(now), key, now, now, walked.number)
  tally.move(walked.stream, null, {
    ...{ state: 'ready', attempts: 0, reclaims: 0, readyAt: null, proof: null },
    ...{ totals: noTotals, requests: 0 },
  })
}

/** A whole walk that got the page has what its task would bring. One that runs just now is left to its end. */
function cancelOvertaken(
  store: Store,
  { walked, outcome }: { readonly walked: Walked; readonly outcome: Outcome },
  { names, tally, unsplit }: SettleContext,
): void {
  if (unsplit.has(walked.stream)) return
  const rows = readPageTasks(store, walked.stream)
  if (rows.length === 0) {
    unsplit.add(walked.stream)
    return
  }
  const own = partitionKey(outcome.lease.task.partition)
  if (own !== partitionKey(wholePartition(outcome.lease.task.partition))) return
  const kept = new Set(outcome.split?.partitions.map(partitionKey))
  for (const row of rows) {
    const isOpen = row.state === 'ready' || row.state === 'dead'
    const isOfWalk = partitionKey(wholePartition(parsePartitionKey(row.partition))) === own
    if (!isOpen || !isOfWalk || kept.has(row.partition)) continue
    const before = loadTask(store, names, row.number)
    store.sql(pageTaskCancel).run(store.clock.now(), row.number)
    tally.move(walked.stream, before, loadTask(store, names, row.number))
  }
}

function readPageTasks(store: Store, stream: number): readonly PlacedRow[] {
  return store.sql(pageTasks).all(stream, pageTaskRange.from, pageTaskRange.before) as PlacedRow[]
}

/** Numbers of the tasks for single pages that are open, by the text of their whole partition. */
export function openPageTasks(store: Store, stream: number): ReadonlyMap<string, number> {
  const open = readPageTasks(store, stream).filter(({ state }) => state !== 'done' && state !== 'cancelled')
  return new Map(
    open.map(({ partition, number }) => [partitionKey(wholePartition(parsePartitionKey(partition))), number]),
  )
}
