/**
 * Owns the rows of `budget_place`: who waits for a key, over all processes, and who comes before whom. First come, first served, but for priorities; who waits
 * for long comes first all the same. A kill leaves a place behind: it disappears when its process is found gone, and holds nobody up that long.
 */
import type { BookingRequest } from '../../domain/ports.js'
import { isGone } from '../process-identity.js'
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'

/** After so long a wait priorities count no more. */
const patienceMs = 60_000
/** Whoever lets its own send time pass by so far is asleep (stopped, or busy with a large page) and loses its turn until it looks again. */
const asleepMs = 3_000
/** Places of processes that cannot be asked whether they live. */
const forgottenMs = 600_000

const placesOf = `
  select number, process, purpose, priority, weight, joined_at as joinedAt, sends_at as sendsAt, blocks_from as blocksFrom
  from budget_place where key = ? and boot = ? order by number`
const placeInsert = `
  insert into budget_place (key, process, purpose, priority, weight, boot, joined_at, sends_at, blocks_from) values (?, ?, ?, ?, ?, ?, ?, ?, ?)`
const placeRenew = `update budget_place set sends_at = ?, blocks_from = ? where number = ?`
const placeDelete = `delete from budget_place where number = ?`
const placeDeleteOfBoots = `delete from budget_place where boot <> ?`
const hasPlaceTable = `select 1 from sqlite_schema where name = 'budget_place'`

/** Statements that run once a request, for the test that looks at their plans. */
export const placeStatements = { placesOf, placeInsert, placeRenew, placeDelete }

interface PlaceRow {
  readonly number: number
  readonly process: string
  readonly purpose: BookingRequest['purpose']
  readonly priority: number
  readonly weight: number
  readonly joinedAt: number
  readonly sendsAt: number
  readonly blocksFrom: number
}

/** Who asks how long the line is before it. */
export interface Newcomer {
  readonly key: string
  /** Its own place; null: it has none yet, so that everybody who waits came before it. */
  readonly place: number | null
  readonly purpose: BookingRequest['purpose']
  readonly priority: number
  /** A share is kept free for interactive requests: they do not wait behind workers. */
  readonly hasReserve: boolean
  /** Places of this process; all others are of processes that cannot wake it. */
  readonly own: ReadonlySet<number>
}
export interface Ahead {
  /** What those before it will book. */
  readonly weight: number
  readonly hasStrangers: boolean
}

/** Those that go before it. */
export function aheadOf(store: Store, newcomer: Newcomer): Ahead {
  const now = monotonicMs(store.clock)
  const places = store.sql(placesOf).all(newcomer.key, store.clock.bootId) as PlaceRow[]
  const mine = places.find(({ number }) => number === newcomer.place)
  const ahead = places.filter((other) => other !== mine && isAhead(other, { newcomer, mine, now }))
  return {
    weight: ahead.reduce((sum, { weight }) => sum + weight, 0),
    hasStrangers: ahead.some(({ number }) => !newcomer.own.has(number)),
  }
}

interface Standing {
  readonly newcomer: Newcomer
  readonly mine: PlaceRow | undefined
  readonly now: number
}

function isAhead(other: PlaceRow, { newcomer, mine, now }: Standing): boolean {
  if (other.blocksFrom > now || now - other.sendsAt > asleepMs) return false
  if (newcomer.hasReserve && newcomer.purpose !== 'worker' && other.purpose === 'worker') return false
  const rank = (place: { priority: number; joinedAt: number }): number =>
    now - place.joinedAt >= patienceMs ? Number.POSITIVE_INFINITY : place.priority
  const theirs = rank(other)
  const ours = rank(mine ?? { priority: newcomer.priority, joinedAt: now })
  return theirs > ours || (theirs === ours && other.number < (mine?.number ?? Number.POSITIVE_INFINITY))
}

export interface NewPlace {
  readonly key: string
  readonly process: string
  readonly purpose: BookingRequest['purpose']
  readonly priority: number
  readonly weight: number
}
export interface SendTime {
  /** Monotonic ms. */
  readonly at: number
  /** Nothing but its own share holds it back. */
  readonly isShare: boolean
}

export function takePlace(store: Store, place: NewPlace, send: SendTime): number {
  const { key, process, purpose, priority, weight } = place
  const now = monotonicMs(store.clock)
  const values = [
    key,
    process,
    purpose,
    priority,
    weight,
    store.clock.bootId,
    now,
    Math.ceil(send.at),
    blocksFrom(now, send),
  ]
  return Number(store.sql(placeInsert).run(...values).lastInsertRowid)
}

/** Whoever looks at its place tells the others when it expects to go. */
export function renewPlace(store: Store, place: number, send: SendTime): void {
  store.sql(placeRenew).run(Math.ceil(send.at), blocksFrom(monotonicMs(store.clock), send), place)
}

function blocksFrom(now: number, { at, isShare }: SendTime): number {
  return isShare ? Math.ceil(at) : now
}

export function leavePlace(store: Store, place: number): void {
  store.sql(placeDelete).run(place)
}

/** Buries the places of the dead. Answers whether there was any. */
export function leavePlacesOfGone(store: Store, own: { readonly key: string; readonly process: string }): boolean {
  const gone = livingOrNot(store, own.key).filter((place) => place.process !== own.process && isDead(store, place))
  for (const { number } of gone) leavePlace(store, number)
  return gone.length > 0
}

/** How many wait, as far as they live. */
export function countPlaces(store: Store, key: string): number {
  if (store.sql(hasPlaceTable).get() === undefined) return 0
  return livingOrNot(store, key).filter((place) => !isDead(store, place)).length
}

function livingOrNot(store: Store, key: string): PlaceRow[] {
  return store.sql(placesOf).all(key, store.clock.bootId) as PlaceRow[]
}

function isDead(store: Store, { process, sendsAt }: PlaceRow): boolean {
  return isGone(process) || monotonicMs(store.clock) - sendsAt > forgottenMs
}

/** Nobody waits across a boot. */
export function leavePlacesOfBoots(store: Store): void {
  store.sql(placeDeleteOfBoots).run(store.clock.bootId)
}
