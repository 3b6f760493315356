/** What is neither wrong nor well: tasks that failed and will be tried again by themselves, and sources that refuse. Reads the queue alone. */
import type { Task } from '../domain/task.js'
import type { BudgetStatus, Refusing, Retrying, StatusDeps, StatusReport, StreamStatus } from './types.js'

const claimableLook = 100

/** Tasks that failed since their last progress, and the one of them that is tried next; null: there are none. */
export async function retryingOf(
  { streams, running }: Pick<StatusReport, 'streams' | 'running'>,
  queue: StatusDeps['queue'],
): Promise<Retrying | null> {
  const waiting = streams.filter(({ counts }) => counts.retrying > 0)
  const again = running.filter(({ attempts }) => attempts > 0)
  const count = waiting.reduce((sum, { counts }) => sum + counts.retrying, again.length)
  if (count === 0) return null
  return { count, task: (await nextOf(waiting, queue)) ?? again[0] ?? null }
}

/** One whose moment has come is claimed by priority and age, so it is among the first; to look through all that wait would take too long. */
async function nextOf(streams: readonly StreamStatus[], queue: StatusDeps['queue']): Promise<Task | null> {
  if (streams.length === 0) return null
  const filter = { streams: streams.map(({ source, stream }) => ({ source, stream })), partitions: {} }
  const [waits] = await queue.tasks({ states: ['ready'], isRetrying: true, filter, limit: 1 })
  if (waits !== undefined) return waits
  const first = await queue.tasks({ states: ['ready'], filter, limit: claimableLook })
  return first.find(({ attempts }) => attempts > 0) ?? null
}

/** Budgets whose source has answered nothing but refusals since some moment, and whose gate is shut. */
export async function refusingOf(
  budgets: readonly BudgetStatus[],
  deps: Pick<StatusDeps, 'budget'>,
): Promise<readonly Refusing[]> {
  const found: Refusing[] = []
  for (const { key, sources, rules, state, owed } of budgets) {
    const since = state.closedUntil === null || owed === 0 ? null : await deps.budget.refusedSince(rules)
    if (since !== null && state.closedUntil !== null) found.push({ key, sources, since, until: state.closedUntil })
  }
  return found
}
