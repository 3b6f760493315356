/**
 * Owns the budget port over the queue's file: waiting for a place, booking it durably before the request leaves, ending it with the answer.
 * Must not know: HTTP, tasks (but for "is any open"). What survives a kill: every request that may have left.
 *
 * A source without limits, delay and refusal books nothing: asking for its gate is one read of 3 microseconds. Its first refusal writes the gate,
 * and from then on it is booked like any other until it has answered again. What is under way is then counted in this process only.
 */
import { OverBudgetError, StoppedError } from '../../domain/errors.js'
import type { Booking, BookingRequest, Budget, BudgetAnswer, BudgetKeeper, BudgetState } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import {
  adoptBookings,
  endBooking,
  endBookingsOfGone,
  insertBooking,
  monotonicMs,
  pruneBookings,
  sentAtOf,
  windowUsed,
} from './bookings.js'
import { adoptGates, isRefusal, openGate, readGate, shutGate } from './gate.js'
import { createLine, type Line, type Place } from './line.js'
import { allowedRequests, findOpening, type Opening } from './opening.js'
import { ownIdentity } from './process-identity.js'
import { adoptSpent, isCountedAsSpent, markSpent } from './spent.js'

/** How often a place that frees when another process gets its answer is looked for. */
const lookAgainMs = 100
/** Bookings are kept for the longest window, and at least so long. */
const leastKeptMs = 3_600_000

const workOpen = `select 1 from stream where ready + leased > 0 limit 1`
const hasBudgetTables = `select 1 from sqlite_schema where name = 'budget_gate'`

/** The budget of `store`. A reader of a file from before budgets sees an unused one. */
export function createBudget(store: Store): Budget & BudgetKeeper {
  const identity = ownIdentity()
  const lines = new Map<string, Line>()
  const keysSeen = new Set<string>()
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
      }
      endBookingsOfGone(store, { key, process: identity })
    })
    keysSeen.add(key)
  }

  function tryToBook(request: BookingRequest, line: Line): Booking | Opening {
    const { rules } = request
    if (isUnbooked(store, rules))
      return line.underWay < rules.concurrency ? passUnbooked(rules.key) : placesTaken(store, rules)
    meetKey(rules.key)
    return store.write(() => {
      const isWorkOpen = store.sql(workOpen).get() !== undefined
      const question = { rules, purpose: request.purpose, isWorkOpen, ownUnderWay: line.underWay }
      let opening = findOpening(store, question)
      if (isShut(store, opening) && endBookingsOfGone(store, { key: rules.key, process: identity }))
        opening = findOpening(store, question)
      if (isShut(store, opening)) return opening
      const { purpose, timeoutMs } = request
      const id = insertBooking(store, { key: rules.key, purpose, process: identity, timeoutMs })
      pruneBookings(store, rules.key, Math.max(leastKeptMs, ...rules.limits.map(({ periodMs }) => periodMs + 1)))
      return { id, key: rules.key }
    })
  }

  function passUnbooked(key: string): Booking {
    const id = -1 - sent
    unbooked.set(id, monotonicMs(store.clock))
    return { id, key }
  }

  async function book(request: BookingRequest): Promise<Booking> {
    const line = lineOf(request.rules.key)
    const place = line.join()
    try {
      for (;;) {
        if (request.signal.aborted) throw new StoppedError('stopped while waiting for the budget')
        const result = place.isFirst() ? tryToBook(request, line) : null
        if (result !== null && 'id' in result) {
          line.underWay += 1
          sent += 1
          return result
        }
        await waitForChange(request, { line, place, opening: result })
      }
    } finally {
      place.leave()
    }
  }

  /** Sleeps until the opening, the deadline, or a change in the line. @throws OverBudgetError where the opening lies behind the deadline. */
  async function waitForChange(
    request: BookingRequest,
    wait: { line: Line; place: Place; opening: Opening | null },
  ): Promise<void> {
    const { clock } = store
    const { opening, line } = wait
    if (opening !== null) line.setOpensAt(clock.now() + Math.max(0, opening.at - clock.monotonic()))
    const leftMs = request.deadlineAt === null ? Infinity : request.deadlineAt - clock.now()
    const opensAt = Math.ceil(Math.max(line.opensAt, clock.now() + 1))
    if (request.deadlineAt !== null && opensAt > request.deadlineAt) {
      const reason = opening === null ? 'others are first' : opening.reason
      throw new OverBudgetError(`book a request of "${request.rules.key}" found that ${reason}`, opensAt)
    }
    const openingMs = opening === null ? Infinity : opening.awaitsAnswer ? lookAgainMs : opening.at - clock.monotonic()
    const change = new AbortController()
    wait.place.onChange = () => change.abort()
    try {
      await clock.sleep(Math.max(1, Math.min(leftMs, openingMs)), AbortSignal.any([change.signal, request.signal]))
    } catch (error) {
      if (!(error instanceof StoppedError)) throw error
    }
  }

  function endRequest(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): number | null {
    const sentUnbooked = unbooked.get(booking.id)
    if (sentUnbooked !== undefined && !isRefusal(answer) && readGate(store, rules.key) === null) return null
    return store.write(() => {
      const sentAt = sentUnbooked ?? sentAtOf(store, booking.id) ?? 0
      if (sentUnbooked === undefined) endBooking(store, booking.id)
      if (isRefusal(answer)) return shutGate(store, { rules, sentAt, retryAfterMs: answer.retryAfterMs })
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
      line.wakeFirst()
    }
    return opensAt === null ? null : wallOf(store, opensAt)
  }

  return {
    book,
    answered,
    state: async (rules) => store.read(() => readState(store, rules)),
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
  return rules.limits.length === 0 && rules.delayMs <= 0 && readGate(store, rules.key) === null
}

function placesTaken(store: Store, rules: BudgetRules): Opening {
  return { at: monotonicMs(store.clock), awaitsAnswer: true, reason: `${rules.concurrency} requests are under way` }
}

function readState(store: Store, rules: BudgetRules): BudgetState {
  const now = Math.ceil(store.clock.now())
  if (store.sql(hasBudgetTables).get() === undefined)
    return { key: rules.key, windows: [], closedUntil: null, opensAt: now }
  const gate = readGate(store, rules.key)
  const opening = findOpening(store, { rules, purpose: 'worker', isWorkOpen: true, ownUnderWay: 0 })
  const windows = rules.limits.map(({ requests, periodMs }) => {
    const booked = windowUsed(store, { key: rules.key, periodMs })
    const used = isCountedAsSpent(store, periodMs) ? Math.max(booked, allowedRequests(rules, requests)) : booked
    return { requests, periodMs, used, left: Math.max(0, allowedRequests(rules, requests) - used) }
  })
  const isClosed = gate !== null && gate.opensAt > monotonicMs(store.clock)
  return {
    key: rules.key,
    windows,
    closedUntil: isClosed ? wallOf(store, gate.opensAt) : null,
    opensAt: Math.max(now, wallOf(store, opening.at)),
  }
}

/** Unix ms of a monotonic moment of this boot. */
function wallOf(store: Store, monotonic: number): number {
  return Math.ceil(store.clock.now() + (monotonic - store.clock.monotonic()))
}
