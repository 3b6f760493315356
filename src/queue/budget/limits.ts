/**
 * Owns which limits hold for a key: the declared ones, corrected by what the source says of them, and who may use how much of each.
 */
import type { BookingRequest } from '../../domain/ports.js'
import type { BudgetRules, Quota } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { isTellingOfQuota } from './quotas.js'
import { readTold } from './told.js'
import type { Usage } from './usage.js'

export interface LimitInForce {
  readonly requests: number
  readonly periodMs: number
  readonly isTold: boolean
  /** Monotonic ms: the source has shown that it forgot what came before. */
  readonly emptiedAt: number | null
}
export interface QuotaInForce {
  readonly quota: Quota
  readonly requests: number
  readonly isTold: boolean
}

const dayMs = 86_400_000

/** The source's word replaces the declared limit, in both directions; a window that only headers name is a limit as soon as one came. */
export function limitsInForce(store: Store, rules: BudgetRules): LimitInForce[] {
  const told = rules.headers === undefined ? [] : readTold(store, rules.key)
  const limits = rules.limits.map(({ requests, periodMs }): LimitInForce => {
    const word = told.find((one) => one.periodMs === periodMs)
    return {
      requests: word?.requests ?? requests,
      periodMs,
      isTold: word !== undefined,
      emptiedAt: word?.emptiedAt ?? null,
    }
  })
  const undeclared = told.filter(
    ({ periodMs }) =>
      !rules.limits.some((limit) => limit.periodMs === periodMs) &&
      !isTellingOfQuota(rules, periodMs) &&
      isAsked(rules, periodMs),
  )
  return [
    ...limits,
    ...undeclared.map(({ requests, periodMs, emptiedAt }) => ({ requests, periodMs, isTold: true, emptiedAt })),
  ]
}

export function quotasInForce(store: Store, rules: BudgetRules): QuotaInForce[] {
  if (rules.quotas === undefined) return []
  const word =
    rules.headers === undefined ? undefined : readTold(store, rules.key).find(({ periodMs }) => periodMs === dayMs)
  return rules.quotas.map((quota) =>
    word !== undefined && quota.per === 'day' && isTellingOfQuota(rules, dayMs)
      ? { quota, requests: word.requests, isTold: true }
      : { quota, requests: quota.requests, isTold: false },
  )
}

function isAsked(rules: BudgetRules, periodMs: number): boolean {
  return (rules.headers ?? []).some((headers) => headers.periodMs === periodMs)
}

/** What of a limit the worker may use: not the reserve, one request always. */
export function allowedRequests(rules: BudgetRules, requests: number, share = 1): number {
  return Math.max(1, Math.floor(requests * (1 - rules.reserve) * share + 1e-9))
}

/** The worker's part of a limit that is used: interactive requests use up the reserve first. */
export function usedOfWorkers(rules: BudgetRules, requests: number, usage: Usage): number {
  const reserve = requests - allowedRequests(rules, requests)
  return usage.worker + usage.others + Math.max(0, usage.interactive - reserve)
}

export function usedOfAll({ worker, interactive, others }: Usage): number {
  return worker + interactive + others
}

/** How much of a limit a purpose may have, and the rule by which it is used up. */
export interface Room {
  readonly most: number
  readonly used: (usage: Usage) => number
  /** Only its own share holds it back: nobody else waits for that. */
  readonly isShare: boolean
}

/** All of them must have room. Interactive requests may use the reserve, and while work is open they keep to their share beside it. */
export function roomsOf(
  rules: BudgetRules,
  requests: number,
  { purpose, isWorkOpen }: { readonly purpose: BookingRequest['purpose']; readonly isWorkOpen: boolean },
): readonly Room[] {
  const allowed = allowedRequests(rules, requests)
  if (purpose === 'worker')
    return [{ most: allowed, used: (usage) => usedOfWorkers(rules, requests, usage), isShare: false }]
  const whole: Room = { most: Math.max(1, requests), used: usedOfAll, isShare: false }
  if (!isWorkOpen) return [whole]
  const share = allowedRequests(rules, requests, rules.verifyShare) + (requests - allowed)
  return [whole, { most: Math.max(1, share), used: ({ interactive }) => interactive, isShare: true }]
}
