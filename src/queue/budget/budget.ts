/**
 * Owns the budget of one SQLite file: waiting for a place, booking it durably before the request leaves, ending it with the answer.
 * Must not know: HTTP, tasks. What survives a kill: every request that may have left.
 *
 * A source without limits, delay and refusal books nothing: asking for its gate is one read of 3 microseconds. Its first refusal writes the gate,
 * and from then on it is booked like any other until it has answered again. What is under way is then counted in this process only.
 */
import { OverBudgetError, StoppedError } from '../../domain/errors.js'
import type { Booking, BookingRequest, Budget, BudgetAnswer, BudgetKeeper } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import { ownIdentity } from '../process-identity.js'
import type { Store } from '../store.js'
import {
  adoptBookings,
  endBooking,
  endBookingsOfGone,
  insertBooking,
  monotonicMs,
  pruneBookings,
  sentAtOf,
} from './bookings.js'
import { adoptGates, isRefusal, openGate, readGate, refusedSince, shutGate } from './gate.js'
import { createLine, type Line, type Waiter } from './line.js'
import { findOpening, type Opening } from './opening.js'
import { aheadOf, leavePlace, leavePlacesOfBoots, leavePlacesOfGone, renewPlace, takePlace } from './places.js'
import { bookQuotas } from './quotas.js'
import { adoptSpent, markSpent } from './spent.js'
import { readState, wallOf } from './state.js'
import { adoptTold, hearWindows } from './told.js'

/** How often a place that frees when another process gets its answer is looked for, at least. */
const lookAgainMs = 100
/** How soon it is looked whether another process has gone whose send time has come; it doubles up to the above. */
const firstLookMs = 2
/** Bookings are kept for the longest window and so much longer: a header may tell of what an answer on its way still found. */
const keptLongerMs = 3_600_000

export interface BudgetOptions {
  /** Whether a worker may need the budget of this key, so that others keep to their share. */
  readonly isWorkOpen: (key: string) => boolean
  /** 0 to below 1. */
  readonly random: () => number
}

interface Waiting {
  readonly line: Line
  readonly waiter: Waiter
  /** Its place in the file; null: it has none (yet). */
  place: number | null
  looks: number
}
/** Why it could not be booked, and whether it waits for another process's turn. */
interface Shut extends Opening {
  readonly isBehindStrangers: boolean
}

/** The budget of `store`. A reader of a file from before budgets sees an unused one. */
export function createBudget(store: Store, options: BudgetOptions): Budget & BudgetKeeper {
  const identity = ownIdentity()
  const lines = new Map<string, Line>()
  const keysSeen = new Set<string>()
  const ownPlaces = new Set<number>()
  /** Requests that no row stands for: when they were sent. */
  const unbooked = new Map<number, number>()
  let sent = 0

  function lineOf(key: string): Line {
    const line = lines.get(key) ?? createLine()
    lines.set(key, line)
    return line
  }

  /** Once per key and process, before its first booking: what came before is brought to this boot, and the dead are buried. */
  function meetKey(key: string): void {
    if (keysSeen.has(key)) return
    store.write(() => {
      if (keysSeen.size === 0) {
        adoptBookings(store)
        adoptGates(store)
        adoptSpent(store)
        adoptTold(store)
        leavePlacesOfBoots(store)
      }
      buryGone(key)
    })
    keysSeen.add(key)
  }

  function buryGone(key: string): boolean {
    const gone = { key, process: identity }
    const hadBookings = endBookingsOfGone(store, gone)
    return leavePlacesOfGone(store, gone) || hadBookings
  }

  function tryToBook(request: BookingRequest, waiting: Waiting): Booking | Shut {
    const { rules } = request
    if (isUnbooked(store, rules)) return tryUnbooked(rules, waiting)
    meetKey(rules.key)
    const result = store.write(() => {
      let shut = findShut(request, waiting)
      if (shut !== null && buryGone(rules.key)) shut = findShut(request, waiting)
      return shut ?? bookNow(request, waiting)
    })
    if ('id' in result) return result
    // Before it takes a place: whoever will not wait must not hold up others.
    refuseLate(request, result)
    keepPlace(request, waiting, result)
    return result
  }

  /** null: it may go now. */
  function findShut(request: BookingRequest, { line, place }: Waiting): Shut | null {
    const { rules, purpose, priority = 0, weight = 1 } = request
    const hasReserve = rules.reserve > 0
    const ahead = aheadOf(store, { key: rules.key, place, purpose, priority, hasReserve, own: ownPlaces })
    const isWorkOpen = purpose !== 'worker' && options.isWorkOpen(rules.key)
    const opening = findOpening(store, {
      ...{ rules, purpose, isWorkOpen, weight },
      ownUnderWay: line.underWay,
      aheadWeight: ahead.weight,
    })
    if (ahead.weight === 0 && !isShut(store, opening)) return null
    const reason = opening.reason === '' ? 'others are first' : opening.reason
    return { ...opening, reason, isBehindStrangers: ahead.hasStrangers }
  }

  function bookNow(request: BookingRequest, waiting: Waiting): Booking {
    const { rules, purpose, timeoutMs, weight = 1 } = request
    bookQuotas(store, rules, { purpose, weight })
    const id = insertBooking(store, { key: rules.key, purpose, process: identity, weight, timeoutMs })
    const periods = [...rules.limits, ...(rules.headers ?? [])].map(({ periodMs }) => periodMs)
    pruneBookings(store, rules.key, Math.max(0, ...periods) + keptLongerMs)
    if (waiting.place !== null) leavePlace(store, waiting.place)
    return { id, key: rules.key }
  }

  /** Takes a place in line, or tells the others that it is still there. */
  function keepPlace(request: BookingRequest, waiting: Waiting, shut: Shut): void {
    const { rules, purpose, priority = 0, weight = 1 } = request
    const send = { at: Math.max(shut.at, monotonicMs(store.clock)), isShare: shut.isShare === true }
    store.note(() => {
      if (waiting.place !== null) return renewPlace(store, waiting.place, send)
      waiting.place = takePlace(store, { key: rules.key, process: identity, purpose, priority, weight }, send)
      ownPlaces.add(waiting.place)
    })
  }

  function tryUnbooked(rules: BudgetRules, { line, waiter }: Waiting): Booking | Shut {
    if (waiter.isFirst() && line.underWay < rules.concurrency) return passUnbooked(rules.key)
    const reason = `${rules.concurrency} requests are under way`
    return { at: monotonicMs(store.clock), awaitsAnswer: true, reason, isBehindStrangers: false }
  }

  function passUnbooked(key: string): Booking {
    const id = -1 - sent
    unbooked.set(id, monotonicMs(store.clock))
    return { id, key }
  }

  async function book(request: BookingRequest): Promise<Booking> {
    const line = lineOf(request.rules.key)
    const waiting: Waiting = { line, waiter: line.join(request.priority ?? 0), place: null, looks: 0 }
    let isBooked = false
    try {
      for (;;) {
        if (request.signal.aborted) throw new StoppedError('stopped while waiting for the budget')
        const result = tryToBook(request, waiting)
        if ('id' in result) {
          isBooked = true
          line.underWay += 1
          sent += 1
          return result
        }
        await waitForChange(request, waiting, result)
      }
    } finally {
      giveUpPlace(waiting, isBooked)
      waiting.waiter.leave()
    }
  }

  function giveUpPlace({ place }: Waiting, isBooked: boolean): void {
    if (place === null) return
    ownPlaces.delete(place)
    if (isBooked) return
    try {
      store.note(() => leavePlace(store, place))
    } catch {
      // A queue that is busy: the place is passed over when its send time is past.
    }
  }

  /** @throws OverBudgetError where the send time lies behind the deadline. */
  function refuseLate({ rules, deadlineAt }: BookingRequest, shut: Shut): void {
    const { clock } = store
    const opensAt = Math.ceil(Math.max(clock.now() + 1, clock.now() + shut.at - clock.monotonic()))
    if (deadlineAt !== null && opensAt > deadlineAt)
      throw new OverBudgetError(`book a request of "${rules.key}" found that ${shut.reason}`, opensAt)
  }

  /** Sleeps until the send time, the deadline, or a change. @throws OverBudgetError as {@link refuseLate}. */
  async function waitForChange(request: BookingRequest, waiting: Waiting, shut: Shut): Promise<void> {
    const { clock } = store
    refuseLate(request, shut)
    const leftMs = request.deadlineAt === null ? Infinity : request.deadlineAt - clock.now()
    const change = new AbortController()
    waiting.waiter.onChange = () => change.abort()
    try {
      const sleepMs = Math.max(1, Math.min(leftMs, lookAgainIn(waiting, shut)))
      await clock.sleep(sleepMs, AbortSignal.any([change.signal, request.signal]))
    } catch (error) {
      if (!(error instanceof StoppedError)) throw error
    } finally {
      waiting.waiter.onChange = () => undefined
    }
  }

  /** Nobody of another process wakes this one: where it waits behind them it looks by itself, the more often the nearer its turn. */
  function lookAgainIn(waiting: Waiting, shut: Shut): number {
    const openingMs = shut.at - store.clock.monotonic()
    if (openingMs > 0 && !shut.awaitsAnswer) {
      waiting.looks = 0
      return shut.isBehindStrangers ? Math.min(openingMs, Math.max(lookAgainMs, openingMs / 8)) : openingMs
    }
    if (!shut.isBehindStrangers) return lookAgainMs
    waiting.looks += 1
    return Math.min(lookAgainMs, firstLookMs * 2 ** (waiting.looks - 1))
  }

  function endRequest(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): number | null {
    const sentUnbooked = unbooked.get(booking.id)
    if (sentUnbooked !== undefined && !isRefusal(answer) && readGate(store, rules.key) === null) return null
    return store.write(() => {
      const sentAt = sentUnbooked ?? sentAtOf(store, booking.id) ?? 0
      if (sentUnbooked === undefined) endBooking(store, booking.id)
      if (answer.windows !== undefined) hearWindows(store, rules, { sentAt, windows: answer.windows })
      if (isRefusal(answer)) return shutGate(store, { rules, sentAt, answer, jitter: options.random() })
      openGate(store, rules.key, sentAt)
      return null
    })
  }

  async function answered(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): Promise<number | null> {
    const line = lineOf(booking.key)
    let opensAt: number | null = null
    try {
      opensAt = endRequest(booking, rules, answer)
    } finally {
      // A queue that is busy must not keep the place: nobody would ever free it.
      unbooked.delete(booking.id)
      line.underWay = Math.max(0, line.underWay - 1)
      if (opensAt === null) line.wakeFirst()
      else line.wakeAll()
    }
    return opensAt === null ? null : wallOf(store, opensAt)
  }

  return {
    book,
    answered,
    state: async (rules) => store.read(() => readState(store, rules)),
    refusedSince: async (rules) => store.read(() => refusedSince(store, rules.key)),
    countAsSpent: async () => store.write(() => markSpent(store)),
    get sent() {
      return sent
    },
  }
}

function isShut(store: Store, opening: Opening): boolean {
  return opening.awaitsAnswer || opening.at > monotonicMs(store.clock)
}

/** No limit, no delay, no refusal: nothing to keep. */
function isUnbooked(store: Store, rules: BudgetRules): boolean {
  const isLimited = rules.limits.length > 0 || rules.quotas !== undefined || rules.headers !== undefined
  return !isLimited && rules.delayMs <= 0 && readGate(store, rules.key) === null
}
