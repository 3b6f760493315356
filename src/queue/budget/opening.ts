/** Owns the rule when the next request of a key may be sent: gate, delay, requests under way, windows. All must allow it. */
import type { BookingRequest } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { lastSentAt, monotonicMs, underWay, windowOpensAt } from './bookings.js'
import { readGate } from './gate.js'
import { spentUntil } from './spent.js'

export interface Opening {
  /** Monotonic ms; now or earlier: at once. A lower bound: look again then. */
  readonly at: number
  /** True: it opens when a request under way ends, whenever that is. */
  readonly awaitsAnswer: boolean
  /** What holds it back, for people. */
  readonly reason: string
}

export interface OpeningQuestion {
  readonly rules: BudgetRules
  readonly purpose: BookingRequest['purpose']
  /** A worker may need the budget: others keep to their share. */
  readonly isWorkOpen: boolean
  /** Requests of this process under way; they count where the source declares no limits. */
  readonly ownUnderWay: number
}

/** The latest of all openings. */
export function findOpening(store: Store, question: OpeningQuestion): Opening {
  const { rules } = question
  const now = monotonicMs(store.clock)
  const openings = [gateOpening(store, rules), placeOpening(store, question), ...windowOpenings(store, question)]
  const sentAt = rules.delayMs > 0 ? lastSentAt(store, rules.key) : null
  if (sentAt !== null)
    openings.push({
      at: sentAt + Math.ceil(rules.delayMs),
      awaitsAnswer: false,
      reason: `${rules.delayMs} ms lie between two requests`,
    })
  const free: Opening = { at: now, awaitsAnswer: false, reason: '' }
  return openings.reduce((latest, opening) => (isLater(opening, latest) ? opening : latest), free)
}

function isLater(a: Opening, b: Opening): boolean {
  return a.at > b.at || (a.at === b.at && a.awaitsAnswer && !b.awaitsAnswer)
}

/** What of a limit may be used: the reserve never is, one request always. */
export function allowedRequests(rules: BudgetRules, requests: number, share = 1): number {
  return Math.max(1, Math.floor(requests * (1 - rules.reserve) * share + 1e-9))
}

function gateOpening(store: Store, { key }: BudgetRules): Opening {
  const now = monotonicMs(store.clock)
  const gate = readGate(store, key)
  if (gate === null) return { at: now, awaitsAnswer: false, reason: '' }
  if (gate.opensAt > now)
    return { at: gate.opensAt, awaitsAnswer: false, reason: `it refused ${gate.refusals} times in a row` }
  const isProbed = underWay(store, key).some(({ sentAt }) => sentAt > gate.shutAt)
  return { at: now, awaitsAnswer: isProbed, reason: 'one request at a time asks whether it answers again' }
}

function placeOpening(store: Store, { rules, ownUnderWay }: OpeningQuestion): Opening {
  const count = rules.limits.length === 0 ? ownUnderWay : underWay(store, rules.key).length
  return {
    at: monotonicMs(store.clock),
    awaitsAnswer: count >= rules.concurrency,
    reason: `${count} requests are under way`,
  }
}

function windowOpenings(store: Store, { rules, purpose, isWorkOpen }: OpeningQuestion): Opening[] {
  const { key } = rules
  const openings: Opening[] = []
  for (const { requests, periodMs } of rules.limits) {
    const reason = `${requests} per ${periodMs / 1_000} s are used up`
    const allowed = allowedRequests(rules, requests)
    openings.push({
      at: windowOpensAt(store, { key, periodMs, allowed, besideWorker: false }),
      awaitsAnswer: false,
      reason,
    })
    const known = spentUntil(store, periodMs)
    if (known !== null)
      openings.push({
        at: known,
        awaitsAnswer: false,
        reason: 'what was sent before the queue was put back is not known',
      })
    if (purpose === 'worker' || !isWorkOpen) continue
    const share = allowedRequests(rules, requests, rules.verifyShare)
    const at = windowOpensAt(store, { key, periodMs, allowed: share, besideWorker: true })
    openings.push({
      at,
      awaitsAnswer: false,
      reason: `the ${purpose} share of ${requests} per ${periodMs / 1_000} s is used up`,
    })
  }
  return openings
}
