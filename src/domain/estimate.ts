import type { BudgetState } from './ports.js'
import type { BudgetRules } from './source-model.js'

const dayMs = 86_400_000

/**
 * How long a budget makes so many requests take, ms: the slowest of its windows, its quotas and its delay. What is left now is sent at once. A lower bound:
 * answers take time too.
 */
export function timeForRequests(requests: number, rules: BudgetRules, state?: BudgetState): number {
  if (requests <= 0) return 0
  const byDelay = rules.delayMs * (requests - 1)
  const windows: readonly { requests: number; periodMs: number; left?: number }[] = state?.windows ?? rules.limits
  const byWindow = windows.map(
    ({ requests: limit, periodMs, left }) => turns(requests, usableOf(limit, rules), left) * periodMs,
  )
  return Math.max(byDelay, ...byWindow, byQuota(requests, rules, state), 0)
}

/** Of the worker. */
function usableOf(limit: number, { reserve }: BudgetRules): number {
  return Math.max(1, Math.floor(limit * (1 - reserve) + 1e-9))
}

/** How often a limit has to open again before all are sent. */
function turns(requests: number, usable: number, left = usable): number {
  return Math.ceil((requests - Math.min(requests, left)) / usable)
}

/** What a quota has left now, then a whole one at each reset. */
function byQuota(requests: number, rules: BudgetRules, state?: BudgetState): number {
  const quotas: readonly { requests: number; per: 'day' | 'month'; left?: number; resetsAt?: number }[] =
    state?.quotas ?? rules.quotas ?? []
  const times = quotas.map(({ requests: limit, per, left, resetsAt }) => {
    const resets = turns(requests, usableOf(limit, rules), left)
    const periodMs = per === 'day' ? dayMs : 30 * dayMs
    const firstMs = resetsAt === undefined || state === undefined ? periodMs : Math.max(0, resetsAt - state.opensAt)
    return resets === 0 ? 0 : firstMs + (resets - 1) * periodMs
  })
  return Math.max(0, ...times)
}
