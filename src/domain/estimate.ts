import type { BudgetState } from './ports.js'
import type { BudgetRules } from './source-model.js'

/**
 * How long a budget makes so many requests take, ms: the slowest of its windows and its delay. What a window has left now is sent at once. A lower bound:
 * answers take time too.
 */
export function timeForRequests(requests: number, rules: BudgetRules, state?: BudgetState): number {
  if (requests <= 0) return 0
  const byDelay = rules.delayMs * (requests - 1)
  const byWindow = rules.limits.map((limit, index) => {
    const usable = Math.max(1, Math.floor(limit.requests * (1 - rules.reserve)))
    const left = state?.windows[index]?.left ?? usable
    const rest = requests - Math.min(requests, left)
    return Math.ceil(rest / usable) * limit.periodMs
  })
  return Math.max(byDelay, ...byWindow, 0)
}
