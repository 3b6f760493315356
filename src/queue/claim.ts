/**
 * Owns the claim: which ready tasks come next, and the right to them. Inside the transaction of its caller.
 * One probe of an index per stream, merged here: a claim costs the same at ten thousand tasks and at a million.
 */
import type { ClaimRequest } from '../domain/ports.js'
import type { Lease } from '../domain/task.js'
import type { Names } from './names.js'
import { restrictPartitions } from './partition-filter.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'
import { readTask, type TaskRow, taskColumns } from './task-row.js'

/**
 * Tasks whose time has come are made claimable at most so many a call and stream, the longest due first: a claim after a night in which half a million
 * came due must not take a second. What is claimed is the best of those moved so far.
 */
const dueMovedPerCall = 256

const taskDue = `
  select 1 from task where stream = ? and state = 'ready' and ready_at is not null and ready_at <= ? limit 1`
const taskMakeDue = `
  update task set ready_at = null where number in (
    select number from task where stream = ? and state = 'ready' and ready_at is not null and ready_at <= ? order by ready_at limit ?)`
const taskClaim = `
  update task set state = 'leased', epoch = epoch + 1, leased_at = ?, renewed_at = ?, run = ? where number in (select value from json_each(?))
  returning ${taskColumns}`

/** Statements that run at every claim, for the test that looks at their plans. */
export const claimStatements = {
  taskDue,
  taskMakeDue,
  taskClaim,
  taskClaimable: taskClaimable(''),
  taskSuspect: taskSuspect(''),
}

/** A task that may be claimed: its number and priority. */
type Candidate = readonly [number: number, priority: number]

/** Claims up to `limit` due tasks: highest priority first, then oldest. */
export function claimTasks(
  store: Store,
  request: ClaimRequest,
  { names, tally }: { names: Names; tally: Tally },
): Lease[] {
  if (request.limit <= 0) return []
  const streams = names.streamNumbers(request.filter.streams)
  for (const stream of streams) moveDue(store, tally, stream)
  const turn = chooseTasks(store, streams, request)
  if (turn.length === 0) return []
  const now = store.clock.now()
  const rows = store
    .sql(taskClaim)
    .raw()
    .all(now, now, names.ensureRun(request.runId, now), JSON.stringify(turn)) as TaskRow[]
  const leases = new Map(rows.map((row) => [row[0], leaseOf(row, { names, tally })]))
  return turn.map((number) => leases.get(number)).filter((lease) => lease !== undefined)
}

function leaseOf(row: TaskRow, { names, tally }: { names: Names; tally: Tally }): Lease {
  const task = readTask(row, names)
  tally.move(row[2], { ...task, state: 'ready' }, task)
  return { task, epoch: task.epoch }
}

function moveDue(store: Store, tally: Tally, stream: number): void {
  const now = store.clock.now()
  if (store.sql(taskDue).get(stream, now) === undefined) return
  tally.makeDue(stream, store.sql(taskMakeDue).run(stream, now, dueMovedPerCall).changes)
}

/** Numbers of the tasks to claim, in their order. */
function chooseTasks(store: Store, streams: readonly number[], request: ClaimRequest): number[] {
  const { condition, values } = restrictPartitions(request.filter.partitions)
  const candidates = streams.flatMap((stream) =>
    probe(store, taskClaimable(condition), [stream, ...values, request.limit]),
  )
  if (!request.hasSuspect) {
    const suspects = streams.flatMap((stream) => probe(store, taskSuspect(condition), [stream, ...values, 1]))
    candidates.push(...suspects.sort(byTurn).slice(0, 1))
  }
  const inOrder = candidates.sort(byTurn).slice(0, request.limit)
  return inOrder.map(([number]) => number)
}

function probe(store: Store, statement: string, values: readonly (number | string)[]): Candidate[] {
  return store
    .sql(statement)
    .raw()
    .all(...values) as Candidate[]
}

function byTurn(a: Candidate, b: Candidate): number {
  return b[1] - a[1] || a[0] - b[0]
}

function taskClaimable(condition: string): string {
  return `
  select number, priority from task
  where stream = ? and state = 'ready' and ready_at is null and reclaims = 0${condition}
  order by priority desc, number limit ?`
}

function taskSuspect(condition: string): string {
  return `
  select number, priority from task
  where stream = ? and state = 'ready' and ready_at is null and reclaims > 0${condition}
  order by priority desc, number limit ?`
}
