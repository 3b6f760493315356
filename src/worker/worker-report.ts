/** What a run says of itself at its end. Never throws: a run whose queue or database is gone still says what it did. */
import type { CappedBudget } from './capped-budget.js'
import { filterOf, holdBacksOf } from './next-work.js'
import type { Run } from './run.js'
import { totalsOf, touch } from './run-timers.js'
import type { StreamCaps } from './stream-caps.js'
import type { WorkerDeps, WorkerOptions, WorkerReport } from './types.js'
import { heldBackText } from './workable.js'

export async function reportOf(
  run: Run,
  options: WorkerOptions,
  deps: Pick<WorkerDeps, 'queue' | 'controls' | 'clock' | 'log'> & {
    readonly budget: CappedBudget
    readonly caps: StreamCaps
  },
): Promise<WorkerReport> {
  const closed = run.closedAt(deps.clock.now())
  const nextDueAt =
    run.failure === null ? await deps.queue.nextDueAt(filterOf(options, options.streams)).catch(() => null) : null
  const end =
    run.end ?? (closed.length > 0 ? 'budget' : nextDueAt === null && run.claimed > 0 ? 'empty' : 'nothing due')
  const held =
    run.failure === null
      ? await holdBacksOf(options, deps).then(
          (all) => heldBackText(all, options.streams),
          () => '',
        )
      : ''
  const reason = run.reason ?? [reasonOf(end, closed), held].filter((text) => text !== '').join(': ')
  await touch(options.runId, totalsOf(run, deps), deps)
  return {
    end,
    reason,
    requests: deps.budget.sent,
    rows: run.rows,
    done: run.done,
    died: run.died,
    differing: run.differing,
    shrunk: run.shrunk,
    retrying: run.retrying,
    putBack: run.putBack,
    refused: run.refused,
    closed,
    parked: run.parked,
    failure: run.failure,
    nextDueAt,
  }
}

function reasonOf(
  end: WorkerReport['end'],
  closed: readonly { readonly source: string; readonly opensAt: number }[],
): string {
  if (end !== 'budget') return end === 'empty' ? 'the queue has nothing left to do' : 'nothing is due'
  const named = closed.map(({ source, opensAt }) => `${source} until ${new Date(opensAt).toISOString()}`)
  return `budget closed: ${named.join(', ')}`
}
