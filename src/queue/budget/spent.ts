/**
 * Owns the one row of `budget_spent`: the moment before which it is not known what was sent, because queue.db was put back from a copy or made anew. Windows
 * shorter than a day count as used up from then on; a longer one would stop the source for days, and its own refusals are the brake there.
 */
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'

const dayMs = 86_400_000

const hasSpentTable = `select 1 from sqlite_schema where name = 'budget_spent'`
const spentGet = `select boot, spent_at as spentAt, spent_at_wall as spentAtWall from budget_spent`
const spentSet = `
  insert into budget_spent (only_row, boot, spent_at, spent_at_wall) values (1, ?, ?, ?)
  on conflict (only_row) do update set boot = excluded.boot, spent_at = excluded.spent_at, spent_at_wall = excluded.spent_at_wall`

interface SpentRow {
  readonly boot: string
  readonly spentAt: number
  readonly spentAtWall: number
}

export function markSpent(store: Store): void {
  const { clock } = store
  store.sql(spentSet).run(clock.bootId, monotonicMs(clock), Math.floor(clock.now()))
}

/** Monotonic ms at which a window of this length is known again; null: it is. */
export function spentUntil(store: Store, periodMs: number): number | null {
  if (periodMs >= dayMs || store.sql(hasSpentTable).get() === undefined) return null
  const row = store.sql(spentGet).get() as SpentRow | undefined
  if (row === undefined) return null
  const until = momentOf(store, row) + periodMs + 1
  return until > monotonicMs(store.clock) ? until : null
}

export function isCountedAsSpent(store: Store, periodMs: number): boolean {
  return spentUntil(store, periodMs) !== null
}

/** Brings the moment to this boot's clock, by the wall clock; one in the future counts as now. */
export function adoptSpent(store: Store): void {
  const row = store.sql(spentGet).get() as SpentRow | undefined
  if (row === undefined || row.boot === store.clock.bootId) return
  const at = momentOf(store, row)
  const ageMs = monotonicMs(store.clock) - at
  store.sql(spentSet).run(store.clock.bootId, at, Math.floor(store.clock.now()) - ageMs)
}

function momentOf({ clock }: Store, row: SpentRow): number {
  if (row.boot === clock.bootId) return row.spentAt
  return monotonicMs(clock) - Math.max(0, Math.floor(clock.now()) - row.spentAtWall)
}
