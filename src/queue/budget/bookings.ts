/**
 * Owns the rows of `budget_booking`: what was sent under a key, when it ended, what is still under way. Times are whole monotonic milliseconds of
 * this boot, ends rounded up. A kill leaves a booking open; it then ends when its process is found gone, at the latest at its time-out:
 * both close the connection, and what the server judges later than that no client can know.
 */
import type { BookingRequest, Clock } from '../../domain/ports.js'
import { isGone } from '../process-identity.js'
import type { Store } from '../store.js'

const bookingInsert = `
  insert into budget_booking (key, purpose, process, weight, is_open, boot, sent_at, ends_at, ends_at_wall) values (?, ?, ?, ?, 1, ?, ?, ?, ?)`
const bookingEnd = `
  update budget_booking set is_open = 0, ends_at = max(sent_at, ?), ends_at_wall = ? where number = ? and is_open = 1`
const bookingSentAt = `select sent_at from budget_booking where number = ?`
const bookingLastSent = `select max(sent_at) from budget_booking where key = ?`
const bookingUnderWay = `
  select number, process, sent_at as sentAt from budget_booking where key = ? and is_open = 1 and ends_at > ?`
const bookingPrune = `
  delete from budget_booking where number in (
    select number from budget_booking where key = ? and ends_at < ? order by ends_at limit 8)`
const bookingByWorker = `
  select 1 from budget_booking where key = ? and sent_at >= ? and purpose = 'worker' limit 1`
const bookingAdopt = `
  update budget_booking set is_open = 0, boot = @boot,
    sent_at = @mono - max(0, @wall - ends_at_wall), ends_at = @mono - max(0, @wall - ends_at_wall), ends_at_wall = min(@wall, ends_at_wall)
  where boot <> @boot`

/** Statements that run once a request, for the test that looks at their plans. */
export const bookingStatements = {
  bookingEnd,
  bookingSentAt,
  bookingLastSent,
  bookingUnderWay,
  bookingPrune,
  bookingByWorker,
}

export interface UnderWay {
  readonly number: number
  readonly process: string
  readonly sentAt: number
}

/** Whole monotonic ms. */
export function monotonicMs(clock: Clock): number {
  return Math.floor(clock.monotonic())
}

export function insertBooking(
  store: Store,
  booking: { key: string; purpose: BookingRequest['purpose']; process: string; weight: number; timeoutMs: number },
): number {
  const sentAt = monotonicMs(store.clock)
  const timeoutMs = Math.ceil(booking.timeoutMs) + 1
  const wall = Math.ceil(store.clock.now()) + timeoutMs
  const { key, purpose, process, weight } = booking
  const values = [key, purpose, process, weight, store.clock.bootId, sentAt, sentAt + timeoutMs, wall]
  return Number(store.sql(bookingInsert).run(...values).lastInsertRowid)
}

/** The request was answered, failed or timed out now. Twice is once. */
export function endBooking(store: Store, number: number): void {
  store.sql(bookingEnd).run(Math.ceil(store.clock.monotonic()), Math.ceil(store.clock.now()), number)
}

/** null where it was pruned. */
export function sentAtOf(store: Store, number: number): number | null {
  return (store.sql(bookingSentAt).pluck().get(number) as number | undefined) ?? null
}

export function lastSentAt(store: Store, key: string): number | null {
  return store.sql(bookingLastSent).pluck().get(key) as number | null
}

/** Sent, not answered, not timed out. */
export function underWay(store: Store, key: string): UnderWay[] {
  return store.sql(bookingUnderWay).all(key, monotonicMs(store.clock)) as UnderWay[]
}

/** A worker, of whichever workspace, has sent something since then (monotonic ms). */
export function hasWorkerSince(store: Store, key: string, since: number): boolean {
  return store.sql(bookingByWorker).get(key, since) !== undefined
}

export function pruneBookings(store: Store, key: string, keptMs: number): void {
  store.sql(bookingPrune).run(key, monotonicMs(store.clock) - keptMs)
}

/** Ends what processes that are gone left open. Answers whether there was any. */
export function endBookingsOfGone(store: Store, own: { readonly key: string; readonly process: string }): boolean {
  const strangers = underWay(store, own.key).filter(({ process }) => process !== own.process)
  const gone = strangers.filter(({ process }) => isGone(process))
  for (const { number } of gone) endBooking(store, number)
  return gone.length > 0
}

/** Brings what another boot booked to this boot's clock, by the wall clock; a stamp in the future counts as now. */
export function adoptBookings(store: Store): void {
  const { clock } = store
  store.sql(bookingAdopt).run({ boot: clock.bootId, mono: monotonicMs(clock), wall: Math.floor(clock.now()) })
}
