/**
 * What all sources of one run share: its totals, its end, its deadline. One object per run, handed to every source's loop.
 */
import type { Parking } from '../domain/controls.js'
import { StoppedError } from '../domain/errors.js'
import type { Clock } from '../domain/ports.js'
import type { Task } from '../domain/task.js'
import type { WorkerOptions, WorkerReport } from './types.js'

type Died = WorkerReport['died'][number]

export class Run {
  readonly startedAt: number
  readonly deadlineAt: number | null
  readonly died: Died[] = []
  readonly differing: WorkerReport['differing'][number][] = []
  readonly shrunk: WorkerReport['shrunk'][number][] = []
  readonly refused: WorkerReport['refused'][number][] = []
  readonly closed = new Map<string, number>()
  /** Tasks that their budget put off, by id: a neighbour that still got through opens the source for others, and does not make these due. */
  readonly #putOff = new Map<string, { readonly source: string; readonly opensAt: number }>()
  /** Sources that were newly parked. */
  readonly parked: Parking[] = []
  done = 0
  retrying = 0
  rows = 0
  /** Held rows that went in because their parent came. */
  putBack = 0
  /** Tasks claimed so far, against `--max-tasks`. */
  claimed = 0
  failure: Error | null = null
  /** The run sleeps on purpose, until a task is due or a budget opens. */
  isWaiting = false
  /** Flushes that were promoted. */
  flushed = 0
  #end: WorkerReport['end'] | null = null
  #reason: string | null = null
  readonly #stop = new AbortController()

  constructor(options: WorkerOptions, clock: Clock) {
    this.startedAt = clock.now()
    this.deadlineAt = options.maxRuntimeMs === null ? null : this.startedAt + options.maxRuntimeMs
    if (options.signal.aborted) this.stop('signal', String(options.signal.reason))
    options.signal.addEventListener('abort', () => {
      this.stop('signal', String(options.signal.reason))
    })
  }

  /** Aborted when the run must end: signal, deadline, cap, or a failure. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get end(): WorkerReport['end'] | null {
    return this.#end
  }

  get reason(): string | null {
    return this.#reason
  }

  /** Ends the run at once: waits and requests are broken off. The first reason stays. */
  stop(end: WorkerReport['end'], reason: string): void {
    this.close(end, reason)
    this.#stop.abort(new StoppedError(reason))
  }

  /** Ends the run gently: nothing more is claimed, what runs goes on. The first reason stays. */
  close(end: WorkerReport['end'], reason: string): void {
    if (this.#end !== null) return
    this.#end = end
    this.#reason = reason
  }

  /** A failure that concerns every task. */
  fail(error: Error): void {
    this.failure ??= error
    this.stop('database', error.message)
  }

  /** A task ended. `opensAt`: its budget puts it off until then (Unix ms); null: something else became of it. */
  noteBudget({ id, source }: Pick<Task, 'id' | 'source'>, opensAt: number | null): void {
    if (opensAt === null) this.#putOff.delete(id)
    else this.#putOff.set(id, { source, opensAt })
  }

  /** Sources that are closed at this moment, or whose budget put a task off that waits still, and when each goes on. */
  closedAt(now: number): WorkerReport['closed'] {
    const closed = new Map([...this.closed].filter(([, opensAt]) => opensAt > now))
    const known = new Set(closed.keys())
    for (const { source, opensAt } of this.#putOff.values()) {
      if (known.has(source) || opensAt <= now) continue
      closed.set(source, Math.min(closed.get(source) ?? opensAt, opensAt))
    }
    return [...closed].map(([source, opensAt]) => ({ source, opensAt }))
  }

  recordDeath(task: Task, died: Omit<Died, 'task'>): void {
    this.died.push({ task, ...died })
  }
}
