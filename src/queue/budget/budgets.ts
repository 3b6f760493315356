/**
 * Owns which file keeps a budget: queue.db, or the file that the source names, opened at its first use and shared with other workspaces.
 * Must not know: what a budget is.
 */
import type { Budget, BudgetKeeper } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { hasWorkerSince, monotonicMs } from './bookings.js'
import { type BudgetOptions, createBudget } from './budget.js'
import { unusedState } from './state.js'

export interface BudgetsOptions {
  /** Opens a file of budgets; null where there is none and none may be made (a reader). */
  readonly openFile: (file: string) => { readonly store: Store; close(): void } | null
  /** 0 to below 1. */
  readonly random: () => number
}
export interface Budgets extends Budget, BudgetKeeper {
  close(): void
}
interface FileBudget {
  readonly budget: Budget
  readonly close: () => void
}

const workOpen = `select 1 from stream where ready + leased > 0 limit 1`
/** A worker of another workspace that sent nothing for so long needs the shared budget no more. */
const workSeenMs = 60_000

export function createBudgets(store: Store, options: BudgetsOptions): Budgets {
  const isWorkOpen = (): boolean => store.sql(workOpen).get() !== undefined
  const own = createBudget(store, { isWorkOpen, random: options.random })
  const others = new Map<string, FileBudget>()

  /** null: there is no such file yet, and this one may not make it. */
  function budgetOf({ file }: BudgetRules): Budget | null {
    if (file === undefined) return own
    const known = others.get(file)
    if (known !== undefined) return known.budget
    const opened = options.openFile(file)
    if (opened === null) return null
    const shared: BudgetOptions = {
      isWorkOpen: (key) => isWorkOpen() || hasWorkerSince(opened.store, key, monotonicMs(store.clock) - workSeenMs),
      random: options.random,
    }
    const budget = createBudget(opened.store, shared)
    others.set(file, { budget, close: () => opened.close() })
    return budget
  }

  return {
    book: async (request) => {
      return await (budgetOf(request.rules) ?? own).book(request)
    },
    answered: async (booking, rules, answer) => (budgetOf(rules) ?? own).answered(booking, rules, answer),
    state: async (rules) => budgetOf(rules)?.state(rules) ?? unusedState(rules, Math.ceil(store.clock.now())),
    refusedSince: async (rules) => budgetOf(rules)?.refusedSince(rules) ?? null,
    countAsSpent: async () => own.countAsSpent(),
    get sent() {
      return [...others.values()].reduce((sum, { budget }) => sum + budget.sent, own.sent)
    },
    close: () => {
      for (const budget of others.values()) budget.close()
    },
  }
}
