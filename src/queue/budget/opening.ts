/** Owns the rule when the next request of a key may be sent: gate, delay, requests under way, windows, quotas. All must allow it. */
import type { BookingRequest } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { lastSentAt, monotonicMs, underWay } from './bookings.js'
import { readGate } from './gate.js'
import { limitsInForce, quotasInForce, type Room, roomsOf } from './limits.js'
import { quotaUsage } from './quotas.js'
import { spentUntil } from './spent.js'
import { windowOpensAt } from './usage.js'

export interface Opening {
  /** Monotonic ms; now or earlier: at once. A lower bound: look again then. */
  readonly at: number
  /** True: it opens when a request under way ends, whenever that is. */
  readonly awaitsAnswer: boolean
  /** What holds it back, for people. */
  readonly reason: string
  /** Only the purpose's own share holds it back. */
  readonly isShare?: boolean
}

export interface OpeningQuestion {
  readonly rules: BudgetRules
  readonly purpose: BookingRequest['purpose']
  /** A worker may need the budget: others keep to their share. */
  readonly isWorkOpen: boolean
  /** Requests of this process under way; they count where the source declares no limits. */
  readonly ownUnderWay: number
  /** What the request costs of each limit. */
  readonly weight: number
  /** What those in line before it cost. */
  readonly aheadWeight: number
}

/** The latest of all openings. */
export function findOpening(store: Store, question: OpeningQuestion): Opening {
  const { rules } = question
  const now = monotonicMs(store.clock)
  const openings = [
    gateOpening(store, rules),
    placeOpening(store, question),
    ...windowOpenings(store, question),
    ...quotaOpenings(store, question),
  ]
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
  const isCounted = rules.limits.length > 0 || rules.quotas !== undefined || rules.headers !== undefined
  const count = isCounted ? underWay(store, rules.key).length : ownUnderWay
  return {
    at: monotonicMs(store.clock),
    awaitsAnswer: count >= rules.concurrency,
    reason: `${count} requests are under way`,
  }
}

function windowOpenings(store: Store, question: OpeningQuestion): Opening[] {
  const { rules, purpose } = question
  const openings: Opening[] = []
  for (const { requests, periodMs, emptiedAt } of limitsInForce(store, rules)) {
    for (const room of roomsOf(rules, requests, question)) {
      const { need, turns } = needOf(question, room)
      const window = { key: rules.key, periodMs, emptiedAt }
      const opensAt = windowOpensAt(store, window, (usage) => room.used(usage) + need <= room.most)
      const at = opensAt + turns * (periodMs + 1)
      const share = room.isShare ? `the ${purpose} share of ` : ''
      const reason = `${share}${requests} per ${periodMs / 1_000} s ${share === '' ? 'are' : 'is'} used up`
      openings.push({ at, awaitsAnswer: false, reason, isShare: room.isShare })
    }
    const known = spentUntil(store, periodMs)
    if (known === null) continue
    const reason = 'what was sent before the queue was put back is not known'
    openings.push({ at: known, awaitsAnswer: false, reason })
  }
  return openings
}

function quotaOpenings(store: Store, question: OpeningQuestion): Opening[] {
  const { rules, purpose } = question
  const now = monotonicMs(store.clock)
  const openings: Opening[] = []
  for (const { quota, requests } of quotasInForce(store, rules)) {
    const { period, usage } = quotaUsage(store, rules.key, quota)
    for (const room of roomsOf(rules, requests, question)) {
      const { need, turns } = needOf(question, room)
      if (turns === 0 && room.used(usage) + need <= room.most) continue
      const at = now + Math.ceil(period.endsAt - store.clock.now())
      const share = room.isShare ? `the ${purpose} share of ` : ''
      const reason = `${share}${requests} per ${quota.per} ${share === '' ? 'are' : 'is'} used up`
      openings.push({ at, awaitsAnswer: false, reason, isShare: room.isShare })
    }
  }
  return openings
}

/** A request that costs more than all that is allowed goes alone; where those before it take several turns of a window, it goes in the last. */
function needOf({ weight, aheadWeight }: OpeningQuestion, { most }: Room): { need: number; turns: number } {
  const all = Math.min(weight, most) + aheadWeight
  const turns = Math.floor((all - 1) / most)
  return { need: all - turns * most, turns }
}
