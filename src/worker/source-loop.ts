/**
 * Works through one source's due tasks: claims in batches, keeps up to `concurrency` of them running, settles what ended together with the next claim. Owns the
 * leases between claim and settle. If the process dies, the next run reclaims them, and the ledger says what was promoted.
 */
import type { Parking } from '../domain/controls.js'
import { InvariantError, ParentMissing, StoppedError, TerminalError } from '../domain/errors.js'
import { isFullWalk, pageOfTask, wholePartition } from '../domain/page-task.js'
import { rowsOf } from '../domain/plan.js'
import type { Checkpoint, Destination, SourceClient, StreamTable, TaskFilter } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { StreamSettings } from '../domain/source-model.js'
import type { Lease, Outcome, Progress } from '../domain/task.js'
import { childrenOf } from '../domain/waiting.js'
import { asError, describe, type Fate, isOwnFault } from './fate.js'
import { type LinkedAbort, linkAbort } from './linked-abort.js'
import { concludeTask, progressOf, released } from './outcome.js'
import type { Planner } from './planner.js'
import type { Run } from './run.js'
import { runTask } from './run-task.js'
import { SourceGate } from './source-gate.js'
import type { StreamCaps } from './stream-caps.js'
import type { TaskEnd, WorkerDeps, WorkerOptions } from './types.js'
import type { WaitingRows } from './waiting-rows.js'

export interface LoopDeps extends WorkerDeps {
  readonly run: Run
  readonly destination: Destination
  readonly client: SourceClient
  readonly waiting: Pick<WaitingRows, 'moved'>
  readonly planner: Pick<Planner, 'moved' | 'planMoved'>
  readonly caps: StreamCaps
}

/** Wait at most this long for a closed budget, where the run is not to wait until the queue is empty. */
const patienceMs = 120_000
/** How long a task is left alone whose ledger row somebody holds; the server gives an idle transaction up after about two minutes. */
const lockedMs = 60_000
/** Progress and outcomes reach queue.db this often. */
const tickMs = 1000

export class SourceLoop {
  readonly #name: string
  readonly #streams: Map<string, { readonly selected: SelectedStream; readonly table: StreamTable }>
  /** Of all its streams, those refused since too. */
  readonly #settings: ReadonlyMap<string, StreamSettings>
  readonly #options: WorkerOptions
  readonly #deps: LoopDeps
  readonly #gate: SourceGate | null
  #pending: { readonly lease: Lease; readonly checkpoint: Checkpoint }[] = []
  readonly #running = new Map<string, Promise<void>>()
  readonly #progress = new Map<string, { readonly lease: Lease; readonly progress: Progress }>()
  #outcomes: Outcome[] = []
  #isSuspectRunning = false
  /** The task that was asked for last, alone, was locked. */
  #isLockedOut = false
  /** Stops one task, for what the queue says of it. */
  readonly #stops = new Map<string, { readonly lease: Lease; readonly stop: LinkedAbort }>()
  /** Wakes whoever waits for the next end of a task. */
  #onEnd: () => void = () => undefined

  constructor(
    name: string,
    streams: readonly { readonly selected: SelectedStream; readonly table: StreamTable }[],
    loop: {
      readonly options: WorkerOptions
      readonly deps: LoopDeps
    },
  ) {
    this.#name = name
    this.#streams = new Map(streams.map((entry) => [entry.selected.stream.name, entry]))
    this.#settings = new Map(streams.map(({ selected: { stream } }) => [stream.name, stream.settings]))
    this.#options = loop.options
    this.#deps = loop.deps
    const source = streams[0]?.selected.source
    this.#gate = source === undefined ? null : new SourceGate(source, { ...loop.deps, timezone: loop.options.timezone })
  }

  /** Until nothing of this source is due, or the run ends. Always settles or releases what it claimed. */
  async work(): Promise<void> {
    try {
      for (;;) {
        await this.#deps.planner.planMoved({ isLast: false })
        await this.#fill()
        if (this.#running.size > 0) await this.#waitForOne()
        else if (!(await this.#hasMore())) break
      }
    } catch (error) {
      this.#run.fail(asError(error))
    }
    await Promise.all(this.#running.values())
    await this.#releasePending()
  }

  /** What ended last may have made work for streams that follow it: its outcome comes first, so that nobody waits for it any more. */
  async #hasMore(): Promise<boolean> {
    if (this.#run.end !== null) return false
    if (this.#outcomes.length > 0) await this.#exchange(0)
    return (await this.#deps.planner.planMoved({ isLast: true })) > 0
  }

  get #run(): Run {
    return this.#deps.run
  }

  get #slots(): number {
    const first = [...this.#streams.values()][0]
    return this.#options.concurrency ?? first?.selected.source.budget.concurrency ?? 1
  }

  /** Starts tasks until the slots are full, claiming more when none is at hand. */
  async #fill(): Promise<void> {
    while (this.#running.size < this.#slots && this.#run.end === null) {
      if (this.#pending.length === 0 && !(await this.#claim())) return
      const next = this.#pending[0]
      // A task that was taken back from a dead worker runs alone, so that it takes no neighbour with it.
      if (next === undefined || this.#isSuspectRunning || (isSuspect(next.lease) && this.#running.size > 0)) return
      this.#pending.shift()
      this.#start(next.lease, next.checkpoint)
    }
  }

  async #claim(): Promise<boolean> {
    const opensAt = this.#run.closed.get(this.#name)
    if (opensAt !== undefined && opensAt > this.#deps.clock.now()) return false
    const allowed = await this.#gate?.look([...this.#streams.keys()])
    const streams = allowed?.streams.filter((stream) => !this.#isCapped(stream)) ?? []
    if (allowed === undefined || streams.length === 0) return false
    // A source that was parked is asked by one task alone, whether it answers again.
    if (allowed.isProbe && this.#running.size > 0) return false
    return this.#claimFrom(streams, allowed.isProbe ? 1 : this.#claimSize())
  }

  async #claimFrom(streams: readonly string[], limit: number): Promise<boolean> {
    const { maxTasks } = this.#options
    const allowed = maxTasks === null ? limit : Math.min(limit, maxTasks - this.#run.claimed)
    if (allowed <= 0) {
      this.#run.close('max tasks', `${String(maxTasks)} tasks were claimed`)
      return false
    }
    const leases = await this.#claimUpTo(allowed, streams)
    if (leases.length === 0) return false
    const { taken, over } = this.#deps.caps.takeTasks(leases)
    for (const lease of over) this.#giveBack(lease)
    if (taken.length > 0) await this.#openAll(taken)
    this.#pending.sort((a, b) => Number(isSuspect(a.lease)) - Number(isSuspect(b.lease)))
    return true
  }

  #isCapped(stream: string): boolean {
    return this.#deps.caps.reached.has(`${this.#name}.${stream}`)
  }

  #giveBack(lease: Lease): void {
    this.#run.claimed -= 1
    this.#outcomes.push(released(lease))
  }

  async #claimUpTo(allowed: number, streams: readonly string[]): Promise<readonly Lease[]> {
    // Reserved before the wait, so that two sources cannot both take the last of --max-tasks.
    this.#run.claimed += allowed
    let count = 0
    try {
      const leases = await this.#exchange(allowed, streams)
      count = leases.length
      return leases
    } finally {
      this.#run.claimed -= allowed - count
    }
  }

  async #openAll(leases: readonly Lease[]): Promise<void> {
    const checkpoints = await this.#open(leases)
    for (const [at, lease] of leases.entries()) {
      try {
        const checkpoint = checkpoints.get(lease.task.id) ?? (await this.#openAlone(lease))
        if (checkpoint !== null) this.#pending.push({ lease, checkpoint })
      } catch (error) {
        for (const rest of leases.slice(at)) this.#outcomes.push(released(rest))
        throw error
      }
    }
  }

  #claimSize(): number {
    const sizes = [...this.#streams.values()].map(({ selected }) => selected.stream.settings.claim)
    return this.#options.claim ?? Math.min(...sizes)
  }

  /** The beginning of every claim is in the ledger: it fences whoever held the task and says where its walk stands. */
  async #open(leases: readonly Lease[]): Promise<ReadonlyMap<string, Checkpoint>> {
    try {
      return await this.#deps.destination.openTasks(leases)
    } catch (error) {
      // One task's own fault: each is then asked for alone.
      if (error instanceof TerminalError || isOwnFault(error)) return new Map()
      for (const lease of leases) this.#outcomes.push(released(lease))
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
      const end = {
        error,
        proof: null,
        progress: progressOf(lease),
        sent: 0,
        hasProgress: false,
        received: 0,
        fresh: 0,
        shrunkFrom: null,
      }
      this.#conclude(lease, end, { workedMs: 0, parking: null })
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
    this.#outcomes.push({ ...unspent, kind: 'later', readyAt, ...said })
    this.#run.retrying += 1
    this.#deps.log('warn', 'task locked', { task: lease.task.id, code: said.code, message: said.message })
    return null
  }

  async #exchange(limit: number, streams: readonly string[] = []): Promise<readonly Lease[]> {
    const settle = this.#outcomes
    this.#outcomes = []
    try {
      const hasSuspect = this.#isSuspectRunning || this.#pending.some(({ lease }) => isSuspect(lease))
      return await this.#deps.queue.settleAndClaim({
        settle,
        limit,
        filter: this.#filter(streams),
        runId: this.#options.runId,
        hasSuspect,
      })
    } catch (error) {
      this.#outcomes = [...settle, ...this.#outcomes]
      throw error
    }
  }

  #filter(names: readonly string[]): TaskFilter {
    const streams = names.map((stream) => ({ source: this.#name, stream }))
    return { streams, partitions: this.#options.filter }
  }

  #start(lease: Lease, checkpoint: Checkpoint): void {
    this.#isSuspectRunning = isSuspect(lease)
    this.#deps.onEvent({ type: 'started', task: lease.task })
    this.#deps.log('debug', 'task started', {
      task: lease.task.id,
      stream: `${this.#name}.${lease.task.stream}`,
      partition: lease.task.partition,
    })
    const running = this.#runOne(lease, checkpoint)
      .catch((error: unknown) => {
        this.#outcomes.push(released(lease))
        this.#run.fail(asError(error))
      })
      .finally(() => {
        this.#running.delete(lease.task.id)
        this.#progress.delete(lease.task.id)
        this.#stops.get(lease.task.id)?.stop.release()
        this.#stops.delete(lease.task.id)
        if (isSuspect(lease)) this.#isSuspectRunning = false
        this.#onEnd()
      })
    this.#running.set(lease.task.id, running)
  }

  async #runOne(lease: Lease, checkpoint: Checkpoint): Promise<void> {
    const startedAt = this.#deps.clock.monotonic()
    const entry = this.#streams.get(lease.task.stream)
    if (entry === undefined) {
      // Its stream was refused after the claim.
      this.#outcomes.push(released(lease))
      return
    }
    const stop = linkAbort(this.#run.signal)
    this.#stops.set(lease.task.id, { lease, stop })
    const end = await runTask(lease, checkpoint, {
      ...this.#deps,
      source: entry.selected.source,
      stream: entry.selected.stream,
      today: this.#options.today,
      partition: wholePartition(lease.task.partition),
      page: pageOfTask(lease.task.partition),
      isFull: isFullWalk(lease.task.partition),
      table: entry.table,
      signal: stop.signal,
      deadlineAt: this.#run.deadlineAt,
      maxWaitMs: this.#options.untilEmpty ? null : patienceMs,
      priority: lease.task.priority,
      onProgress: (progress) => {
        this.#run.flushed += 1
        this.#gate?.noteAnswer(startedAt)
        this.#deps.waiting.moved(entry.selected.stream)
        this.#deps.planner.moved(entry.selected.stream)
        this.#progress.set(lease.task.id, { lease, progress })
        this.#deps.onEvent({ type: 'progress', task: lease.task, progress })
      },
      onUnknownFields: (fields) => {
        this.#reportUnknownFields(lease.task.stream, fields)
      },
    })
    const workedMs = this.#deps.clock.monotonic() - startedAt
    const parking = (await this.#gate?.end(end, startedAt)) ?? null
    const hasOpenParent = end.error instanceof ParentMissing && (await this.#hasOpenParent(entry.selected))
    this.#conclude(lease, { ...end, hasOpenParent }, { workedMs, parking })
    await this.#obeyGate()
  }

  /** Gives back what is at hand or at work of streams that are paused or parked, or whose hours are over, since it was claimed. */
  async #obeyGate(): Promise<void> {
    this.#obeyCaps()
    const allowed = await this.#gate?.look([...this.#settings.keys()])
    if (allowed === undefined || allowed.streams.length === this.#settings.size) return
    const isAllowed = (lease: Lease): boolean => allowed.streams.includes(lease.task.stream)
    const held = this.#pending.filter(({ lease }) => !isAllowed(lease))
    this.#pending = this.#pending.filter(({ lease }) => isAllowed(lease))
    for (const { lease } of held) this.#outcomes.push(released(lease))
    for (const { lease, stop } of this.#stops.values()) {
      if (!isAllowed(lease))
        stop.abort(new StoppedError('its source or stream is paused or parked, or its hours are over'))
    }
  }

  /** A stream that has sent its requests keeps nothing at hand; what runs of it ends at its next request. */
  #obeyCaps(): void {
    const isSpent = ({ task }: Lease): boolean => this.#deps.caps.hasSpentRequests(`${task.source}.${task.stream}`)
    const held = this.#pending.filter(({ lease }) => isSpent(lease))
    this.#pending = this.#pending.filter(({ lease }) => !isSpent(lease))
    for (const { lease } of held) this.#giveBack(lease)
  }

  /** What fills the tables that this stream refers to still has tasks to do. */
  async #hasOpenParent({ source, stream }: SelectedStream): Promise<boolean> {
    const followed = rowsOf(stream, source)?.dimension.stream
    const parents = Object.values(source.streams).filter(
      (one) => one.name !== stream.name && (one.name === followed || childrenOf(one, [stream]).length > 0),
    )
    const streams = parents.map(({ name }) => ({ source: source.name, stream: name }))
    const filter = { streams, partitions: {} }
    return (await this.#deps.queue.tasks({ states: ['ready', 'leased'], filter, limit: 1 })).length > 0
  }

  #reportUnknownFields(stream: string, fields: readonly string[]): void {
    this.#deps.log('warn', 'unknown fields', { stream: `${this.#name}.${stream}`, fields })
    this.#deps.onEvent({ type: 'unknown fields', source: this.#name, stream, fields })
  }

  #conclude(lease: Lease, end: TaskEnd, how: { readonly workedMs: number; readonly parking: Parking | null }): void {
    const settings = this.#settings.get(lease.task.stream)
    if (settings === undefined) throw new InvariantError(`task ${lease.task.number} is of no stream of this loop`)
    const context = {
      settings,
      now: this.#deps.clock.now(),
      jitter: this.#deps.random(),
      workedMs: Math.round(how.workedMs),
      parkedUntil: how.parking?.until ?? null,
    }
    const { outcome, fate } = concludeTask(lease, end, context)
    this.#outcomes.push(outcome)
    if (fate !== null) this.#apply(fate, lease, end)
    this.#count(outcome, end)
    this.#deps.onEvent({ type: 'ended', task: lease.task, outcome })
    const { kind } = outcome
    const failure = 'code' in outcome ? { code: outcome.code, message: outcome.message } : {}
    const level = kind === 'dead' ? 'error' : kind === 'later' ? 'warn' : 'info'
    const { totals, requests } = end.progress
    this.#deps.log(level, `task ${kind}`, {
      task: lease.task.id,
      stream: `${this.#name}.${lease.task.stream}`,
      partition: lease.task.partition,
      ...failure,
      rows: totals.received,
      requests,
      stack: kind === 'later' && failure.code === 'bug' && end.error instanceof Error ? end.error.stack : undefined,
    })
  }

  /** What an end means beyond its task. */
  #apply(fate: Fate, lease: Lease, end: TaskEnd): void {
    const { stream } = lease.task
    switch (fate.kind) {
      case 'over budget':
        this.#close(fate.opensAt)
        return
      case 'refused':
        if (this.#streams.delete(stream))
          this.#run.refused.push({ source: this.#name, stream, error: asError(end.error) })
        return
      case 'database':
      case 'bug':
        this.#run.fail(asError(end.error))
        return
      case 'later':
      case 'dead':
      case 'released':
        return
    }
  }

  #close(opensAt: number): void {
    const known = this.#run.closed.get(this.#name) ?? 0
    this.#run.closed.set(this.#name, Math.max(known, opensAt))
  }

  #count(outcome: Outcome, end: TaskEnd): void {
    this.#run.rows += end.fresh
    const isPutOff = outcome.kind === 'later' && outcome.code === 'over_budget'
    this.#run.noteBudget(outcome.lease.task, isPutOff ? outcome.readyAt : null)
    if (outcome.kind === 'done') {
      this.#run.done += 1
      const { expected } = outcome.progress
      if (outcome.proof === 'differs')
        this.#run.differing.push({ task: outcome.lease.task, received: end.received, expected })
      if (end.shrunkFrom !== null)
        this.#run.shrunk.push({ task: outcome.lease.task, received: end.received, before: end.shrunkFrom })
      this.#run.closed.delete(this.#name)
    }
    if (outcome.kind === 'later' && !isPutOff) this.#run.retrying += 1
    if (outcome.kind === 'dead') this.#run.recordDeath(outcome.lease.task, describe(end.error))
  }

  /** Until a task ends; meanwhile, once a second, progress and outcomes go to the queue. */
  async #waitForOne(): Promise<void> {
    const size = this.#running.size
    while (this.#running.size === size && size > 0) {
      const timer = new AbortController()
      const ended = new Promise<void>((resolve) => {
        this.#onEnd = resolve
      })
      const tick = this.#deps.clock.sleep(tickMs, timer.signal).catch(() => undefined)
      await Promise.race([ended, tick])
      timer.abort()
      if (this.#running.size === size) await this.#report()
    }
  }

  async #report(): Promise<void> {
    if (this.#outcomes.length > 0) await this.#exchange(0)
    for (const { lease, stop } of this.#stops.values()) {
      // Cancelled by `seed --force`, or fenced: its requests would be spent for nothing.
      if (!(await this.#holds(lease))) stop.abort(new StoppedError('the task was cancelled'))
    }
    this.#progress.clear()
    await this.#gate?.tick()
    await this.#obeyGate()
  }

  /** Writes what is new of a task and says whether it is still ours; one that waits for a slow answer is only looked at. */
  async #holds(lease: Lease): Promise<boolean> {
    const fresh = this.#progress.get(lease.task.id)
    if (fresh !== undefined) return this.#deps.queue.renew(lease, fresh.progress)
    const [task] = await this.#deps.queue.tasks({ id: lease.task.id, limit: 1 })
    return task?.state === 'leased' && task.epoch === lease.epoch
  }

  async #releasePending(): Promise<void> {
    for (const { lease } of this.#pending.splice(0)) this.#outcomes.push(released(lease))
    if (this.#outcomes.length === 0) return
    try {
      await this.#exchange(0)
    } catch (error) {
      this.#run.fail(asError(error))
    }
  }
}

function isSuspect(lease: Lease): boolean {
  return lease.task.reclaims > 0
}
