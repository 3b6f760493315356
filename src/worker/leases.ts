/**
 * Owns one source's leases from the claim to the start of their task, and the outcomes that the queue has not been told yet: both go in one exchange. If the process
 * dies, the next run reclaims the leases, and the ledger says what the untold outcomes would have.
 */
import { TerminalError } from '../domain/errors.js'
import type { Checkpoint, Clock, Destination, Log, Queue } from '../domain/ports.js'
import type { Lease, Outcome } from '../domain/task.js'
import { describe, isOwnFault } from './fate.js'
import { progressOf, released } from './outcome.js'
import type { Run } from './run.js'
import type { StreamCaps } from './stream-caps.js'
import type { WorkerOptions } from './types.js'

/** A lease that is ready to be worked on: its claim is in the ledger, which says where its walk stands. */
export interface OpenedLease {
  readonly lease: Lease
  readonly checkpoint: Checkpoint
}

export interface LeasesDeps {
  readonly source: string
  readonly options: Pick<WorkerOptions, 'runId' | 'filter' | 'maxTasks'>
  readonly run: Run
  readonly queue: Pick<Queue, 'settleAndClaim'>
  readonly destination: Pick<Destination, 'openTasks'>
  readonly caps: Pick<StreamCaps, 'takeTasks'>
  readonly clock: Clock
  readonly log: Log
  /** The ledger says that this task's run is over before it began. */
  readonly onRefused: (lease: Lease, error: TerminalError) => void
}

/** How long a task is left alone whose ledger row somebody holds; the server gives an idle transaction up after about two minutes. */
const lockedMs = 60_000

export class Leases {
  readonly #deps: LeasesDeps
  #opened: OpenedLease[] = []
  #outcomes: Outcome[] = []
  /** The task that was asked for last, alone, was locked. */
  #isLockedOut = false

  constructor(deps: LeasesDeps) {
    this.#deps = deps
  }

  /** The lease to start next; undefined: none is at hand. */
  get next(): OpenedLease | undefined {
    return this.#opened[0]
  }

  /** There are outcomes that the queue has not been told. */
  get hasOutcomes(): boolean {
    return this.#outcomes.length > 0
  }

  /** Takes the next lease out, to be started. */
  shift(): void {
    this.#opened.shift()
  }

  /** To be told to the queue with the next exchange. */
  add(outcome: Outcome): void {
    this.#outcomes.push(outcome)
  }

  /** Gives back, as if it had not been claimed, what is not to be started any more. */
  keepOnly(isKept: (lease: Lease) => boolean): void {
    const rest = this.#opened.filter(({ lease }) => !isKept(lease))
    this.#opened = this.#opened.filter(({ lease }) => isKept(lease))
    for (const { lease } of rest) this.add(released(lease))
  }

  /** As {@link keepOnly}; what is given back does not count for `--max-tasks`. */
  keepWithinCaps(isKept: (lease: Lease) => boolean): void {
    const before = this.#opened.length
    this.keepOnly(isKept)
    this.#deps.run.claimed -= before - this.#opened.length
  }

  /** Claims up to `limit` tasks of these streams and opens them in the ledger; tells what ended before. False: nothing was claimed. */
  async claim(
    streams: readonly string[],
    { limit, hasSuspect }: { readonly limit: number; readonly hasSuspect: boolean },
  ): Promise<boolean> {
    const { run, options, caps } = this.#deps
    const { maxTasks } = options
    const allowed = maxTasks === null ? limit : Math.min(limit, maxTasks - run.claimed)
    if (allowed <= 0) {
      run.close('max tasks', `${String(maxTasks)} tasks were claimed`)
      return false
    }
    const leases = await this.#claimUpTo(allowed, streams, hasSuspect)
    if (leases.length === 0) return false
    const { taken, over } = caps.takeTasks(leases)
    run.claimed -= over.length
    for (const lease of over) this.add(released(lease))
    if (taken.length > 0) await this.#openAll(taken)
    this.#opened.sort((a, b) => Number(isSuspect(a.lease)) - Number(isSuspect(b.lease)))
    return true
  }

  /** Tells the queue what ended. What it could not be told stays. */
  async tell(hasSuspect: boolean): Promise<void> {
    if (this.hasOutcomes) await this.#exchange(0, [], hasSuspect)
  }

  /** Gives everything back that was not started, and tells what ended. */
  async releaseAll(): Promise<void> {
    this.keepOnly(() => false)
    await this.tell(false)
  }

  async #claimUpTo(allowed: number, streams: readonly string[], hasSuspect: boolean): Promise<readonly Lease[]> {
    const { run } = this.#deps
    // Reserved before the wait, so that two sources cannot both take the last of --max-tasks.
    run.claimed += allowed
    let count = 0
    try {
      const leases = await this.#exchange(allowed, streams, hasSuspect)
      count = leases.length
      return leases
    } finally {
      run.claimed -= allowed - count
    }
  }

  async #exchange(limit: number, names: readonly string[], hasSuspectRunning: boolean): Promise<readonly Lease[]> {
    const { queue, options, source } = this.#deps
    const settle = this.#outcomes
    this.#outcomes = []
    try {
      const streams = names.map((stream) => ({ source, stream }))
      return await queue.settleAndClaim({
        settle,
        limit,
        filter: { streams, partitions: options.filter },
        runId: options.runId,
        hasSuspect: hasSuspectRunning || this.#opened.some(({ lease }) => isSuspect(lease)),
      })
    } catch (error) {
      this.#outcomes = [...settle, ...this.#outcomes]
      throw error
    }
  }

  async #openAll(leases: readonly Lease[]): Promise<void> {
    const checkpoints = await this.#open(leases)
    for (const [at, lease] of leases.entries()) {
      try {
        const checkpoint = checkpoints.get(lease.task.id) ?? (await this.#openAlone(lease))
        if (checkpoint !== null) this.#opened.push({ lease, checkpoint })
      } catch (error) {
        for (const rest of leases.slice(at)) this.add(released(rest))
        throw error
      }
    }
  }

  /** The beginning of every claim is in the ledger: it fences whoever held the task and says where its walk stands. */
  async #open(leases: readonly Lease[]): Promise<ReadonlyMap<string, Checkpoint>> {
    try {
      return await this.#deps.destination.openTasks(leases)
    } catch (error) {
      // One task's own fault: each is then asked for alone.
      if (error instanceof TerminalError || isOwnFault(error)) return new Map()
      for (const lease of leases) this.add(released(lease))
      throw error
    }
  }

  /** Asks for a task that its neighbours' answer left out: its ledger row is another task's, or locked, and alone the ledger says so. */
  async #openAlone(lease: Lease): Promise<Checkpoint | null> {
    try {
      const opened = await this.#deps.destination.openTasks([lease])
      this.#isLockedOut = false
      return opened.get(lease.task.id) ?? null
    } catch (error) {
      if (isOwnFault(error)) return this.#putOff(lease, error)
      if (!(error instanceof TerminalError)) throw error
      this.#deps.onRefused(lease, error)
      return null
    }
  }

  /** A predecessor behind a dead network holds the task's row until the server gives it up; one task waits for that, not the run. */
  #putOff(lease: Lease, error: unknown): null {
    // The second in a row: it is not one task that is locked.
    if (this.#isLockedOut) throw error
    this.#isLockedOut = true
    const readyAt = this.#deps.clock.now() + lockedMs
    const unspent = { lease, progress: progressOf(lease), attempts: lease.task.attempts, workedMs: 0 }
    const said = describe(error)
    this.add({ ...unspent, kind: 'later', readyAt, ...said })
    this.#deps.run.retrying += 1
    this.#deps.log('warn', 'task locked', { task: lease.task.id, code: said.code, message: said.message })
    return null
  }
}

/** It was taken back from a dead worker: it runs alone, so that it takes no neighbour with it. */
export function isSuspect(lease: Lease): boolean {
  return lease.task.reclaims > 0
}
