/**
 * Works through one source's due tasks: keeps up to `concurrency` of them running while something is due and nothing holds the source back. Owns what runs; leases at
 * hand and outcomes are `Leases`'s. If the process dies, the next run reclaims what ran, and the ledger says what was promoted.
 */
import { ParentMissing, StoppedError } from '../domain/errors.js'
import { isFullWalk, pageOfTask, wholePartition } from '../domain/page-task.js'
import { rowsOf } from '../domain/plan.js'
import type { Checkpoint, Destination, SourceClient, StreamTable } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Lease, Progress } from '../domain/task.js'
import { childrenOf } from '../domain/waiting.js'
import { asError } from './fate.js'
import { isSuspect, Leases } from './leases.js'
import { type LinkedAbort, linkAbort } from './linked-abort.js'
import { patienceMs } from './next-work.js'
import { progressOf, released } from './outcome.js'
import type { Planner } from './planner.js'
import type { Run } from './run.js'
import { runTask } from './run-task.js'
import { SourceGate } from './source-gate.js'
import type { StreamCaps } from './stream-caps.js'
import { TaskEnds } from './task-ends.js'
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

/** Progress and outcomes reach queue.db this often. */
const tickMs = 1000

export class SourceLoop {
  readonly #name: string
  readonly #streams: Map<string, { readonly selected: SelectedStream; readonly table: StreamTable }>
  readonly #options: WorkerOptions
  readonly #deps: LoopDeps
  readonly #gate: SourceGate | null
  readonly #leases: Leases
  readonly #ends: TaskEnds
  /** Those refused since too. */
  readonly #allStreams: readonly string[]
  readonly #running = new Map<string, Promise<void>>()
  readonly #progress = new Map<string, { readonly lease: Lease; readonly progress: Progress }>()
  #isSuspectRunning = false
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
    this.#allStreams = [...this.#streams.keys()]
    this.#options = loop.options
    this.#deps = loop.deps
    const source = streams[0]?.selected.source
    this.#gate = source === undefined ? null : new SourceGate(source, { ...loop.deps, timezone: loop.options.timezone })
    this.#ends = new TaskEnds({
      ...loop.deps,
      source: name,
      settings: new Map(streams.map(({ selected: { stream } }) => [stream.name, stream.settings])),
      onOutcome: (outcome) => {
        this.#leases.add(outcome)
      },
      refuse: (stream) => this.#streams.delete(stream),
    })
    this.#leases = new Leases({
      ...loop.deps,
      source: name,
      options: loop.options,
      onRefused: (lease, error) => {
        this.#ends.conclude(lease, refusedEnd(lease, error), { workedMs: 0, parking: null })
      },
    })
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
    await this.#leases.releaseAll().catch((error: unknown) => {
      this.#run.fail(asError(error))
    })
  }

  /** What ended last may have made work for streams that follow it: its outcome comes first, so that nobody waits for it any more. */
  async #hasMore(): Promise<boolean> {
    if (this.#run.end !== null) return false
    await this.#leases.tell(this.#isSuspectRunning)
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
      if (this.#leases.next === undefined && !(await this.#claim())) return
      const { next } = this.#leases
      // A task that was taken back from a dead worker runs alone, so that it takes no neighbour with it.
      if (next === undefined || this.#isSuspectRunning || (isSuspect(next.lease) && this.#running.size > 0)) return
      this.#leases.shift()
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
    const limit = allowed.isProbe ? 1 : this.#claimSize()
    return this.#leases.claim(streams, { limit, hasSuspect: this.#isSuspectRunning })
  }

  #isCapped(stream: string): boolean {
    return this.#deps.caps.reached.has(`${this.#name}.${stream}`)
  }

  #claimSize(): number {
    const sizes = [...this.#streams.values()].map(({ selected }) => selected.stream.settings.claim)
    return this.#options.claim ?? Math.min(...sizes)
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
        this.#leases.add(released(lease))
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
      this.#leases.add(released(lease))
      return
    }
    if (isSuspect(lease)) await this.#catchUp(lease, checkpoint)
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
    this.#ends.conclude(lease, { ...end, hasOpenParent }, { workedMs, parking })
    await this.#obeyGate()
  }

  /** What its dead worker promoted and could not tell: a task that moves is no crash loop, however short its workers live. */
  async #catchUp(lease: Lease, { totals, requests }: Checkpoint): Promise<void> {
    const known = progressOf(lease)
    await this.#deps.queue.renew(lease, { ...known, totals, requests: Math.max(known.requests, requests) })
  }

  /** Gives back what is at hand or at work of streams that are paused or parked, or whose hours are over, since it was claimed. */
  async #obeyGate(): Promise<void> {
    this.#obeyCaps()
    const allowed = await this.#gate?.look(this.#allStreams)
    if (allowed === undefined || allowed.streams.length === this.#allStreams.length) return
    const isAllowed = (lease: Lease): boolean => allowed.streams.includes(lease.task.stream)
    this.#leases.keepOnly(isAllowed)
    for (const { lease, stop } of this.#stops.values()) {
      if (!isAllowed(lease))
        stop.abort(new StoppedError('its source or stream is paused or parked, or its hours are over'))
    }
  }

  /** A stream that has sent its requests keeps nothing at hand; what runs of it ends at its next request. */
  #obeyCaps(): void {
    this.#leases.keepWithinCaps(({ task }) => !this.#deps.caps.hasSpentRequests(`${task.source}.${task.stream}`))
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
    await this.#leases.tell(this.#isSuspectRunning)
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
}

/** Of a task whose run was over before it began. */
function refusedEnd(lease: Lease, error: Error): TaskEnd {
  return {
    error,
    proof: null,
    progress: progressOf(lease),
    sent: 0,
    hasProgress: false,
    received: 0,
    fresh: 0,
    shrunkFrom: null,
  }
}
