/** Owns what `status` reads of a budget: every window and quota, used and left, the gate, the line. Writes nothing; reads files of older versions. */
import type { BudgetState } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'
import { readGate } from './gate.js'
import { allowedRequests, limitsInForce, quotasInForce, usedOfAll, usedOfWorkers } from './limits.js'
import { findOpening } from './opening.js'
import { countPlaces } from './places.js'
import { quotaUsage } from './quotas.js'
import { isCountedAsSpent } from './spent.js'
import { type Usage, usageIn } from './usage.js'

const hasGateTable = `select 1 from sqlite_schema where name = 'budget_gate'`
const hasBudgetTables = `select 1 from sqlite_schema where name = 'budget_place'`

export function readState(store: Store, rules: BudgetRules): BudgetState {
  if (store.sql(hasBudgetTables).get() === undefined) return olderState(store, rules)
  const now = Math.ceil(store.clock.now())
  const gate = readGate(store, rules.key)
  const opening = findOpening(store, {
    ...{ rules, purpose: 'worker' as const, isWorkOpen: true, weight: 1 },
    ...{ ownUnderWay: 0, aheadWeight: 0 },
  })
  const windows = limitsInForce(store, rules).map(({ requests, periodMs, isTold, emptiedAt }) => {
    const usage = usageIn(store, { key: rules.key, periodMs, emptiedAt })
    const isSpent = isCountedAsSpent(store, periodMs)
    return { requests, periodMs, isTold, ...usedAndLeft(rules, requests, { usage, isSpent }) }
  })
  const quotas = quotasInForce(store, rules).map(({ quota, requests, isTold }) => {
    const { period, usage } = quotaUsage(store, rules.key, quota)
    const amounts = usedAndLeft(rules, requests, { usage, isSpent: false })
    return { requests, per: quota.per, isTold, ...amounts, resetsAt: period.endsAt }
  })
  const isClosed = gate !== null && gate.opensAt > monotonicMs(store.clock)
  return {
    ...{ key: rules.key, windows, quotas },
    waiting: countPlaces(store, rules.key),
    closedUntil: isClosed ? wallOf(store, gate.opensAt) : null,
    opensAt: Math.max(now, wallOf(store, opening.at)),
  }
}

/** Of a file from before this version only the gate is read: the next worker brings it to this one. */
function olderState(store: Store, rules: BudgetRules): BudgetState {
  const now = Math.ceil(store.clock.now())
  const unused = unusedState(rules, now)
  if (store.sql(hasGateTable).get() === undefined) return unused
  const gate = readGate(store, rules.key)
  const opensAt = gate === null ? now : wallOf(store, gate.opensAt)
  return { ...unused, closedUntil: opensAt > now ? opensAt : null, opensAt: Math.max(now, opensAt) }
}

/** Of a budget that nobody has used yet. */
export function unusedState(rules: BudgetRules, now: number): BudgetState {
  const amounts = { used: 0, others: 0, isTold: false }
  return {
    key: rules.key,
    windows: rules.limits.map(({ requests, periodMs }) => ({
      ...{ requests, periodMs, ...amounts },
      left: allowedRequests(rules, requests),
    })),
    quotas: [],
    ...{ waiting: 0, closedUntil: null, opensAt: now },
  }
}

function usedAndLeft(
  rules: BudgetRules,
  requests: number,
  { usage, isSpent }: { readonly usage: Usage; readonly isSpent: boolean },
): { used: number; left: number; others: number } {
  const allowed = allowedRequests(rules, requests)
  const used = isSpent ? Math.max(usedOfAll(usage), allowed) : usedOfAll(usage)
  const left = isSpent ? 0 : Math.max(0, allowed - usedOfWorkers(rules, requests, usage))
  return { used, left, others: usage.others }
}

/** Unix ms of a monotonic moment of this boot. */
export function wallOf(store: Store, monotonic: number): number {
  return Math.ceil(store.clock.now() + (monotonic - store.clock.monotonic()))
}
