/**
 * What goes on beside a run by the clock: its deadline, its heartbeat in queue.db, its figures in the log. Owns these timers; they end with the run.
 */
import { StoppedError } from '../domain/errors.js'
import type { Clock, Log, Queue } from '../domain/ports.js'
import type { CappedBudget } from './capped-budget.js'
import type { Run } from './run.js'
import type { WorkerOptions } from './types.js'

const heartbeatMs = 2000

interface TimerDeps {
  readonly queue: Pick<Queue, 'touchRun'>
  readonly budget: Pick<CappedBudget, 'sent' | 'isWaiting'>
  readonly clock: Clock
  readonly log: Log
}
type Timed = TimerDeps & { readonly signal: AbortSignal }

/** Runs `work` with the run's timers beside it. */
export async function withTimers(
  run: Run,
  { options, deps }: { readonly options: WorkerOptions; readonly deps: TimerDeps },
  work: () => Promise<void>,
): Promise<void> {
  const timers = new AbortController()
  const deadline = stopAtDeadline(run, deps, timers.signal)
  const heartbeat = beat(run, options, { ...deps, signal: timers.signal })
  const metrics = logMetrics(run, options, { ...deps, signal: timers.signal })
  try {
    await work()
  } finally {
    timers.abort()
    await Promise.all([deadline, heartbeat, metrics])
  }
}

async function stopAtDeadline(run: Run, deps: Pick<TimerDeps, 'clock'>, signal: AbortSignal): Promise<void> {
  if (run.deadlineAt === null) return
  try {
    await deps.clock.sleep(run.deadlineAt - deps.clock.now(), signal)
    run.stop('deadline', 'the longest run time was reached')
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error
  }
}

async function beat(run: Run, options: WorkerOptions, deps: Timed): Promise<void> {
  for (let before = ''; ; ) {
    try {
      await deps.clock.sleep(heartbeatMs, deps.signal)
    } catch {
      return
    }
    const totals = totalsOf(run, deps)
    const now = `${JSON.stringify(totals)} ${run.flushed}`
    // A sign of progress, not of life: a run that hangs must look like one to the next.
    if (now === before && !run.isWaiting && !deps.budget.isWaiting) continue
    before = now
    await touch(options.runId, totals, deps)
  }
}

/** A queue that is busy for a moment must not make a run that works look dead. */
export async function touch(
  runId: string,
  totals: ReturnType<typeof totalsOf>,
  deps: Pick<TimerDeps, 'queue' | 'log'>,
): Promise<void> {
  await deps.queue.touchRun(runId, totals).catch((error: unknown) => {
    deps.log('warn', 'heartbeat failed', { reason: String(error) })
  })
}

/** The run's figures so far, every `metrics.interval`, for whoever reads the log. */
async function logMetrics(run: Run, options: WorkerOptions, deps: Timed): Promise<void> {
  if (options.metricsIntervalMs === null) return
  try {
    for (;;) {
      await deps.clock.sleep(options.metricsIntervalMs, deps.signal)
      deps.log('info', 'metrics', {
        ...totalsOf(run, deps),
        retrying: run.retrying,
        seconds: Math.round((deps.clock.now() - run.startedAt) / 1000),
      })
    }
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error
  }
}

/** What a run did so far, as queue.db keeps it. */
export function totalsOf(
  run: Run,
  deps: Pick<TimerDeps, 'budget'>,
): { requests: number; done: number; dead: number; rows: number } {
  return { requests: deps.budget.sent, done: run.done, dead: run.died.length, rows: run.rows }
}
