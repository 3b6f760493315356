/**
 * Owns the end of a lease and the signs of life in between. Inside the transaction of its caller.
 * A settle that finds its lease gone changes nothing: it was done before (a replay), or the task was cancelled or claimed anew since.
 */
import type { Lease, Outcome, Progress, Proof, Task, TaskState } from '../domain/task.js'
import type { Store } from './store.js'
import type { CountedFacts, Tally } from './tally.js'

/** A settle that came too late: what the task is now; null where the queue knows no such task. */
export interface LateSettle {
  readonly lease: Lease
  readonly kind: Outcome['kind']
  readonly found: { readonly state: TaskState; readonly epoch: number } | null
}

const taskHeld = `
  select number, id, stream, state, epoch, attempts, reclaims, pages, received, created, updated, unchanged, held, duplicates, requests, code, message, hint
  from task where number in (select value from json_each(?))`
const progressSet = `
  pages = ?, received = ?, created = ?, updated = ?, unchanged = ?, held = ?, duplicates = ?, requests = ?, expected = ?, cursor = ?`
const taskSettle = `
  update task set state = ?, leased_at = null, renewed_at = ?, ready_at = ?, finished_at = ?, attempts = ?, reclaims = ?, proof = ?,
    code = ?, message = ?, hint = ?, worked_ms = worked_ms + ?,${progressSet}
  where number = ? and epoch = ? and state = 'leased'`
const taskRenew = `
  update task set renewed_at = ?, attempts = ?, reclaims = ?,${progressSet}
  where number = ? and epoch = ? and state = 'leased'`
const dayAdd = `
  insert into stream_day (stream, day, done) values (?, ?, ?) on conflict (stream, day) do update set done = done + excluded.done`

/** Statements that run once a task, for the test that looks at their plans. */
export const settleStatements = { taskHeld, taskSettle, taskRenew, dayAdd }

interface HeldRow {
  readonly number: number
  readonly id: string
  readonly stream: number
  readonly state: TaskState
  readonly epoch: number
  readonly attempts: number
  readonly reclaims: number
  readonly pages: number
  readonly received: number
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly held: number
  readonly duplicates: number
  readonly requests: number
  readonly code: string | null
  readonly message: string | null
  readonly hint: string | null
}

/** Settles every outcome that still holds its lease and answers the others, but for replays. */
export function settleTasks(
  store: Store,
  outcomes: readonly Outcome[],
  context: { tally: Tally; today: string },
): LateSettle[] {
  const late: LateSettle[] = []
  const finished = new Map<number, number>()
  if (outcomes.length === 0) return late
  const settled = new Set<number>()
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
    writeOutcome(store, context.tally, { row, outcome })
    settled.add(row.number)
    if (outcome.kind === 'done') finished.set(row.stream, (finished.get(row.stream) ?? 0) + 1)
  }
  for (const [stream, count] of finished) store.sql(dayAdd).run(stream, context.today, count)
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
  const before = leasedFacts(row)
  const hasMoved = distinctRows(progress) > row.received - row.duplicates
  const after = { ...before, ...progress, attempts: hasMoved ? 0 : row.attempts, reclaims: hasMoved ? 0 : row.reclaims }
  const values = [store.clock.now(), after.attempts, after.reclaims, ...progressValues(progress)]
  store.sql(taskRenew).run(...values, lease.task.number, lease.epoch)
  tally.move(row.stream, before, after)
  return true
}

function readHeld(store: Store, leases: readonly Lease[]): Map<number, HeldRow> {
  const rows = store.sql(taskHeld).all(JSON.stringify(leases.map(({ task }) => task.number))) as HeldRow[]
  return new Map(rows.map((row) => [row.number, row]))
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
  const { state, readyAt, finishedAt, proof, code, message, hint } = endingOf(outcome, row, now)
  // Progress is a row whose key is new to the walk: only then does the count of crashes begin again.
  const hasMoved = state === 'done' || distinctRows(progress) > row.received - row.duplicates
  const reclaims = hasMoved ? 0 : row.reclaims
  const ending = [state, now, readyAt, finishedAt, attempts, reclaims, proof, code, message, hint, workedMs]
  store.sql(taskSettle).run(...ending, ...progressValues(progress), lease.task.number, lease.epoch)
  tally.move(row.stream, leasedFacts(row), {
    state,
    readyAt,
    proof,
    attempts,
    reclaims,
    totals: progress.totals,
    requests: progress.requests,
  })
}

function endingOf(outcome: Outcome, row: HeldRow, now: number): Ending {
  switch (outcome.kind) {
    case 'done':
      return { ...unfailed, state: 'done', finishedAt: now, proof: outcome.proof }
    case 'later': {
      const { code, message, hint } = outcome
      const readyAt = outcome.readyAt > now ? Math.ceil(outcome.readyAt) : null
      return { state: 'ready', readyAt, finishedAt: null, proof: null, code, message, hint }
    }
    case 'released': {
      const { code, message, hint } = row
      return { state: 'ready', readyAt: null, finishedAt: null, proof: null, code, message, hint }
    }
    case 'dead': {
      const { code, message, hint } = outcome
      return { state: 'dead', readyAt: null, finishedAt: now, proof: null, code, message, hint }
    }
  }
}
const unfailed = { readyAt: null, code: null, message: null, hint: null }

function leasedFacts(row: HeldRow): CountedFacts {
  return {
    state: 'leased',
    attempts: row.attempts,
    reclaims: row.reclaims,
    readyAt: null,
    proof: noProof,
    totals: row,
    requests: row.requests,
  }
}
const noProof: Proof | null = null

function distinctRows({ totals }: Progress): number {
  return totals.received - totals.duplicates
}

function progressValues({ totals, requests, expected, cursor }: Progress): (number | string | null)[] {
  const { pages, received, created, updated, unchanged, held, duplicates } = totals
  return [pages, received, created, updated, unchanged, held, duplicates, requests, expected, cursor]
}
