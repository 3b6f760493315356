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

  recordDeath(task: Task, died: Omit<Died, 'task'>): void {
    this.died.push({ task, ...died })
  }
}
