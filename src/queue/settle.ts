/**
 * Owns the end of a lease and the signs of life in between. Inside the transaction of its caller.
 * A settle that finds its lease gone changes nothing: it was done before (a replay), or the task was cancelled or claimed anew since.
 */
import type { Lease, Outcome, Progress, Task, TaskState } from '../domain/task.js'
import { asJsonRows, readJsonRows } from './json-rows.js'
import type { Names } from './names.js'
import { settleSplit } from './split.js'
import type { Store } from './store.js'
import type { CountedFacts, Tally } from './tally.js'

/** A settle that came too late: what the task is now; null where the queue knows no such task. */
export interface LateSettle {
  readonly lease: Lease
  readonly kind: Outcome['kind']
  readonly found: { readonly state: TaskState; readonly epoch: number } | null
}

const heldColumns = `
  task.number, task.id, stream, state, epoch, attempts, reclaims, requests, pages, received, created, updated, unchanged, held, duplicates`
const taskHeld = `
  select ${asJsonRows(heldColumns)} from json_each(?) cross join task where task.number = json_each.value`
const taskFailure = `select code, message, hint from task where number = ?`
const progressSet = `
  pages = ?, received = ?, created = ?, updated = ?, unchanged = ?, held = ?, duplicates = ?, requests = ?, expected = ?, cursor = ?`
const taskSettle = `
  update task set state = ?, leased_at = null, renewed_at = ?, ready_at = ?, finished_at = ?, attempts = ?, reclaims = ?, proof = ?,
    code = ?, message = ?, hint = ?, worked_ms = worked_ms + ?,${progressSet}
  where number = ? and epoch = ? and state = 'leased'`
const taskRenew = `
  update task set renewed_at = ?, attempts = ?, reclaims = ?,${progressSet}
  where number = ? and epoch = ? and state = 'leased'`
/** Its partition may have a new task. */
const taskStepAside = `update task set is_current = 0 where number = ?`
/** Statements that run once a task, for the test that looks at their plans. */
export const settleStatements = { taskHeld, taskFailure, taskSettle, taskRenew }

/** In the order of {@link heldColumns}. */
type HeldColumns = readonly [
  number: number,
  id: string,
  stream: number,
  state: TaskState,
  epoch: number,
  attempts: number,
  reclaims: number,
  requests: number,
  pages: number,
  received: number,
  created: number,
  updated: number,
  unchanged: number,
  held: number,
  duplicates: number,
]

/** What a task is before its settle, as far as the settle depends on it. */
interface HeldRow extends CountedFacts {
  readonly number: number
  readonly id: string
  readonly stream: number
  readonly epoch: number
}

function heldRow(row: HeldColumns): HeldRow {
  const [number, id, stream, state, epoch, attempts, reclaims, requests] = row
  const totals = {
    pages: row[8],
    received: row[9],
    created: row[10],
    updated: row[11],
    unchanged: row[12],
    held: row[13],
    duplicates: row[14],
  }
  return { number, id, stream, state, epoch, attempts, reclaims, requests, totals, readyAt: null, proof: null }
}

/** Settles every outcome that still holds its lease and answers the others, but for replays. */
export function settleTasks(
  store: Store,
  outcomes: readonly Outcome[],
  context: { readonly names: Names; readonly tally: Tally },
): LateSettle[] {
  const { tally } = context
  const late: LateSettle[] = []
  if (outcomes.length === 0) return late
  const settled = new Set<number>()
  const splitContext = { ...context, unsplit: new Set<number>() }
  const rows = readHeld(
    store,
    outcomes.map(({ lease }) => lease),
  )
  for (const outcome of outcomes) {
    // Twice in one call is once.
    if (settled.has(outcome.lease.task.number)) continue
    const row = rowOf(rows, outcome.lease)
    if (row === null || !holds(row, outcome.lease)) {
      if (!isReplay(row, outcome.lease)) late.push({ lease: outcome.lease, kind: outcome.kind, found: row })
      continue
    }
    writeOutcome(store, tally, { row, outcome })
    settleSplit(store, { walked: row, outcome }, splitContext)
    settled.add(row.number)
  }
  return late
}

/** Writes progress; false where the lease does not hold any more. */
export function renewTask(
  store: Store,
  tally: Tally,
  { lease, progress }: { lease: Lease; progress: Progress },
): boolean {
  const row = rowOf(readHeld(store, [lease]), lease)
  if (row === null || !holds(row, lease)) return false
  const hasMoved = distinctRows(progress) > distinctRows(row)
  const { readyAt, proof } = row
  const attempts = hasMoved ? 0 : row.attempts
  const reclaims = hasMoved ? 0 : row.reclaims
  const values: (number | string | null)[] = [store.clock.now(), attempts, reclaims]
  pushProgress(values, progress)
  values.push(lease.task.number, lease.epoch)
  store.sql(taskRenew).run(...values)
  const { totals, requests } = progress
  tally.move(row.stream, row, { state: 'leased', attempts, reclaims, readyAt, proof, totals, requests })
  return true
}

function readHeld(store: Store, leases: readonly Lease[]): Map<number, HeldRow> {
  const numbers = JSON.stringify(leases.map(({ task }) => task.number))
  const rows = readJsonRows<HeldColumns>(store, taskHeld, [numbers])
  return new Map(rows.map((row) => [row[0], heldRow(row)]))
}

/** The row of the lease's task; a queue put back from a copy may know its number for another task. */
function rowOf(rows: ReadonlyMap<number, HeldRow>, lease: Lease): HeldRow | null {
  const row = rows.get(lease.task.number)
  return row?.id === lease.task.id ? row : null
}

function holds(row: HeldRow, lease: Lease): boolean {
  return row.state === 'leased' && row.epoch === lease.epoch
}

/** The same lease was settled before, so nothing is missed. */
function isReplay(row: HeldRow | null, lease: Lease): boolean {
  return row !== null && row.epoch === lease.epoch && row.state !== 'cancelled'
}

/** The columns that the end of a lease decides. */
type Ending = Pick<Task, 'state' | 'readyAt' | 'finishedAt' | 'proof' | 'code' | 'message' | 'hint'>

function writeOutcome(store: Store, tally: Tally, { row, outcome }: { row: HeldRow; outcome: Outcome }): void {
  const now = store.clock.now()
  const { lease, progress, attempts, workedMs } = outcome
  const { state, readyAt, finishedAt, proof, code, message, hint } = endingOf(store, outcome, now)
  // Progress is a row whose key is new to the walk: only then does the count of crashes begin again.
  const hasMoved = state === 'done' || distinctRows(progress) > distinctRows(row)
  const reclaims = hasMoved ? 0 : row.reclaims
  const values = [state, now, readyAt, finishedAt, attempts, reclaims, proof, code, message, hint, workedMs]
  pushProgress(values, progress)
  values.push(lease.task.number, lease.epoch)
  store.sql(taskSettle).run(...values)
  if (outcome.kind === 'cancelled') store.sql(taskStepAside).run(lease.task.number)
  tally.move(row.stream, row, {
    state,
    readyAt,
    proof,
    attempts,
    reclaims,
    totals: progress.totals,
    requests: progress.requests,
  })
}

function endingOf(store: Store, outcome: Outcome, now: number): Ending {
  switch (outcome.kind) {
    case 'done':
      return {
        state: 'done',
        readyAt: null,
        finishedAt: now,
        proof: outcome.proof,
        code: null,
        message: null,
        hint: null,
      }
    case 'later': {
      const { code, message, hint } = outcome
      const readyAt = outcome.readyAt > now ? Math.ceil(outcome.readyAt) : null
      return { state: 'ready', readyAt, finishedAt: null, proof: null, code, message, hint }
    }
    case 'released': {
      const failure = store.sql(taskFailure).get(outcome.lease.task.number) as Pick<Task, 'code' | 'message' | 'hint'>
      return { ...failure, state: 'ready', readyAt: null, finishedAt: null, proof: null }
    }
    case 'dead':
    case 'cancelled': {
      const { code, message, hint } = outcome
      return { state: outcome.kind, readyAt: null, finishedAt: now, proof: null, code, message, hint }
    }
  }
}

function distinctRows({ totals }: Pick<Progress, 'totals'>): number {
  return totals.received - totals.duplicates
}

/** In the order of {@link progressSet}. */
function pushProgress(values: (number | string | null)[], { totals, requests, expected, cursor }: Progress): void {
  const { pages, received, created, updated, unchanged, held, duplicates } = totals
  values.push(pages, received, created, updated, unchanged, held, duplicates, requests, expected, cursor)
}
