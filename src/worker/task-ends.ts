/**
 * What the end of a task means beyond the task: for the queue, the run, its source and whoever watches. Owns the order in which they are told; must not know how a
 * task runs. An outcome lives in memory until the next exchange with the queue; the ledger has what it is about.
 */
import type { Parking } from '../domain/controls.js'
import { InvariantError } from '../domain/errors.js'
import type { Clock, Log } from '../domain/ports.js'
import type { StreamSettings } from '../domain/source-model.js'
import type { Lease, Outcome } from '../domain/task.js'
import { asError, describe, type Fate } from './fate.js'
import { concludeTask } from './outcome.js'
import type { Run } from './run.js'
import type { TaskEnd, WorkerEvent } from './types.js'

export interface TaskEndsDeps {
  readonly source: string
  /** Of all its streams, those refused since too. */
  readonly settings: ReadonlyMap<string, StreamSettings>
  readonly run: Run
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly onEvent: (event: WorkerEvent) => void
  readonly onOutcome: (outcome: Outcome) => void
  /** A stream does not fit its table: nothing more of it is to run. False: that was known. */
  readonly refuse: (stream: string) => boolean
}

export class TaskEnds {
  readonly #deps: TaskEndsDeps

  constructor(deps: TaskEndsDeps) {
    this.#deps = deps
  }

  /** `workedMs`: how long it ran; `parking`: of its source, where it is parked by now. */
  conclude(
    lease: Lease,
    end: TaskEnd,
    { workedMs, parking }: { readonly workedMs: number; readonly parking: Parking | null },
  ): void {
    const { clock, random } = this.#deps
    const settings = this.#deps.settings.get(lease.task.stream)
    if (settings === undefined) throw new InvariantError(`task ${lease.task.number} is of no stream of this loop`)
    const context = {
      settings,
      now: clock.now(),
      jitter: random(),
      workedMs: Math.round(workedMs),
      parkedUntil: parking?.until ?? null,
    }
    const { outcome, fate } = concludeTask(lease, end, context)
    this.#deps.onOutcome(outcome)
    if (fate !== null) this.#apply(fate, lease, end)
    this.#count(outcome, end)
    this.#deps.onEvent({ type: 'ended', task: lease.task, outcome })
    this.#log(outcome, end)
  }

  #apply(fate: Fate, lease: Lease, end: TaskEnd): void {
    const { run, source, refuse } = this.#deps
    const { stream } = lease.task
    switch (fate.kind) {
      case 'over budget':
        run.closed.set(source, Math.max(run.closed.get(source) ?? 0, fate.opensAt))
        return
      case 'refused':
        if (refuse(stream)) run.refused.push({ source, stream, error: asError(end.error) })
        return
      case 'database':
      case 'bug':
        run.fail(asError(end.error))
        return
      case 'later':
      case 'dead':
      case 'cancelled':
      case 'released':
        return
    }
  }

  #count(outcome: Outcome, end: TaskEnd): void {
    const { run, source } = this.#deps
    const { task } = outcome.lease
    run.rows += end.fresh
    const isPutOff = outcome.kind === 'later' && outcome.code === 'over_budget'
    run.noteBudget(task, isPutOff ? outcome.readyAt : null)
    if (outcome.kind === 'done') {
      run.done += 1
      const { expected } = outcome.progress
      if (outcome.proof === 'differs') run.differing.push({ task, received: end.received, expected })
      if (end.shrunkFrom !== null) run.shrunk.push({ task, received: end.received, before: end.shrunkFrom })
      run.closed.delete(source)
    }
    if (outcome.kind === 'later' && !isPutOff) run.retrying += 1
    if (outcome.kind === 'dead') run.recordDeath(task, describe(end.error))
  }

  #log(outcome: Outcome, end: TaskEnd): void {
    const { kind, lease } = outcome
    const failure = 'code' in outcome ? { code: outcome.code, message: outcome.message } : {}
    const level = kind === 'dead' ? 'error' : kind === 'later' ? 'warn' : 'info'
    const { totals, requests } = end.progress
    this.#deps.log(level, `task ${kind}`, {
      task: lease.task.id,
      stream: `${this.#deps.source}.${lease.task.stream}`,
      partition: lease.task.partition,
      ...failure,
      rows: totals.received,
      requests,
      stack: kind === 'later' && failure.code === 'bug' && end.error instanceof Error ? end.error.stack : undefined,
    })
  }
}
