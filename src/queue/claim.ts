/**
 * Owns the claim: which ready tasks come next, and the right to them. Inside the transaction of its caller.
 * One probe of an index per stream, merged here: a claim costs the same at ten thousand tasks and at a million.
 */

import type { Partition } from '../domain/partition.js'
import type { ClaimRequest } from '../domain/ports.js'
import { type Lease, noTotals, type Task } from '../domain/task.js'
import { asJsonRows, readJsonRows } from './json-rows.js'
import type { Names } from './names.js'
import { restrictPartitions } from './partition-filter.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'
import { loadTask } from './task-row.js'

/**
 * Tasks whose time has come are made claimable at most so many a call and stream, the longest due first: a claim after a night in which half a million
 * came due must not take a second. What is claimed is the best of those moved so far.
 */
const dueMovedPerCall = 256

/**
 * `limit +?`: at a bare `limit ?` SQLite plans the statement anew whenever a number is bound to it, at every claim (measured at 55 of the 80 microseconds
 * that the two choices took).
 */
const atMost = 'limit +?'

const taskDue = `
  select 1 from task where stream = ? and state = 'ready' and ready_at is not null and ready_at <= ? limit 1`
const taskMakeDue = `
  update task set ready_at = null where number in (
    select number from task where stream = ? and state = 'ready' and ready_at is not null and ready_at <= ? order by ready_at ${atMost})`
const taskClaim = `
  update task set state = 'leased', epoch = epoch + 1, leased_at = ?, renewed_at = ?, run = ? where number in (select value from json_each(?))`
const taskClaimed = `
  select ${asJsonRows('task.number, epoch, stream, task.id, json(partition), backfill, priority, created_at')}
  from json_each(?) cross join task where task.number = json_each.value`

const orderBegins = '\n  order by'
const taskClaimable = `
  select number, priority from task where stream = ? and state = 'ready' and ready_at is null and reclaims = 0${orderBegins} priority desc, number ${atMost}`
const taskSuspect = `
  select number, priority from task where stream = ? and state = 'ready' and ready_at is null and reclaims > 0${orderBegins} priority desc, number ${atMost}`

/** Statements that run at every claim, for the test that looks at their plans. */
export const claimStatements = {
  taskDue,
  taskMakeDue,
  taskClaim,
  taskClaimed,
  taskClaimable,
  taskSuspect,
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
  const run = names.ensureRun(request.runId, now)
  const numbers = JSON.stringify(turn)
  store.sql(taskClaim).run(now, now, run, numbers)
  const leases = new Map<number, Lease>()
  for (const row of readJsonRows<ClaimedRow>(store, taskClaimed, [numbers])) {
    const task = row[1] === 1 ? firstClaimed(row, names, { now, runId: request.runId }) : loadTask(store, names, row[0])
    tally.claim(row[2], task)
    leases.set(row[0], { task, epoch: row[1] })
  }
  return turn.map((number) => leases.get(number)).filter((lease) => lease !== undefined)
}

type ClaimedRow = readonly [
  number: number,
  epoch: number,
  stream: number,
  id: string,
  partition: Partition,
  backfill: number,
  priority: number,
  createdAt: number,
]

/** A task that nobody held before has nothing to read but its beginning: 8 columns instead of 31. */
function firstClaimed(row: ClaimedRow, names: Names, claim: { readonly now: number; readonly runId: string }): Task {
  const { source, stream } = names.streamName(row[2])
  // Written out: spreading the constant part and adding the rest took 32 microseconds a task (Node 20), this takes 2.
  return {
    id: row[3],
    number: row[0],
    source,
    stream,
    partition: row[4],
    backfillId: names.backfillId(row[5]),
    state: 'leased',
    priority: row[6],
    epoch: 1,
    attempts: 0,
    reclaims: 0,
    createdAt: row[7],
    readyAt: null,
    leasedAt: claim.now,
    renewedAt: claim.now,
    finishedAt: null,
    runId: claim.runId,
    code: null,
    message: null,
    hint: null,
    totals: noTotals,
    requests: 0,
    expected: null,
    proof: null,
    cursor: null,
    workedMs: 0,
  }
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
    probe(store, restricted(taskClaimable, condition), [stream, ...values, request.limit]),
  )
  if (!request.hasSuspect) {
    const suspects = streams.flatMap((stream) =>
      probe(store, restricted(taskSuspect, condition), [stream, ...values, 1]),
    )
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

/** The very statement where there is no condition, so that its text is hashed once and not at every claim. */
function restricted(statement: string, condition: string): string {
  return condition === '' ? statement : statement.replace(orderBegins, `${condition}${orderBegins}`)
}
