/**
 * Makes the tasks of one stream that follows another: for rows that came or changed, for partitions whose time has come, for full walks. Owns which partitions share
 * a task, which of them this run leaves alone, and when the stream is looked at again; knows no SQL.
 */
import { ConfigError, ParentMissing } from '../domain/errors.js'
import { manyOf, singlePartitions } from '../domain/fan-out.js'
import type { DuePartition, DueReport, Followed, FollowFound, FollowQueue } from '../domain/follow.js'
import { isWithinHours } from '../domain/hours.js'
import { fullWalkPartition } from '../domain/page-task.js'
import { partitionKey } from '../domain/partition.js'
import { restPartitions, rowsOf } from '../domain/plan.js'
import type { Clock, Destination, Log, Queue, StreamCounts } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Stream } from '../domain/source-model.js'
import { type Choice, choose } from './choose.js'
import { cancelGone } from './gone-tasks.js'
import { makeTasks } from './make-tasks.js'
import { requireRows } from './mark.js'

export interface StreamPlannerDeps {
  readonly queue: Queue
  readonly follows: FollowQueue
  readonly destination: Pick<Destination, 'due' | 'strangers' | 'gone'>
  readonly clock: Clock
  readonly log: Log
  readonly uuid: () => string
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** IANA zone of hours. */
  readonly timezone: string
  /** A stream whose configuration names rows that are not there: nothing is asked for. */
  readonly onRefused: (selected: SelectedStream, error: ConfigError) => void
}

/** A run that lasts looks this often for what has come round. */
export const roundsMs = 60_000
/** A partition that its walk left due is tried again after this, at the earliest. */
const changedAgainMs = 300_000
/** How far what is only old stands behind what changed. */
const stepBack = 10
/** What could not be made for want of room is looked at again so soon. */
const soonMs = 60_000

export interface FollowedStream {
  readonly selected: SelectedStream
  readonly followed: Followed
}

/** What the stream's parent has moved so far, as a text that changes with it. */
export function movementOf({ source, stream }: SelectedStream, counts: readonly StreamCounts[]): string {
  const parent = rowsOf(stream, source)?.dimension.stream
  const found = counts.find((one) => one.source === source.name && one.stream === parent)
  return found === undefined ? '' : `${found.totals.created} ${found.totals.updated} ${found.done}`
}

export interface StreamPlan {
  /** Tasks that were made. */
  readonly tasks: number
  /** A request that is not full waits for more rows. */
  readonly isWaiting: boolean
}

export class StreamPlanner {
  readonly #deps: StreamPlannerDeps
  /** When this run made a task for a partition, monotonic ms, by stream: one that its walk left due is not tried again at once. */
  readonly #made = new Map<string, Map<string, number>>()

  constructor(deps: StreamPlannerDeps) {
    this.#deps = deps
  }

  /** `mayWait`: a request that is not full may wait for more rows of the other stream. */
  async plan({ selected, followed }: FollowedStream, mayWait: boolean): Promise<StreamPlan> {
    const { source, stream } = selected
    const { clock, follows, queue, log } = this.#deps
    const name = { source: source.name, stream: stream.name }
    // Before the tables are read: what moves meanwhile is a reason to look again.
    const seen = movementOf(selected, await queue.counts())
    await cancelGone(selected, this.#deps)
    const report = await this.#due(selected, followed)
    const made = this.#made.get(nameOf(stream)) ?? new Map<string, number>()
    this.#made.set(nameOf(stream), made)
    const moment = clock.monotonic()
    const fresh = report.due.filter(
      (one) => moment - (made.get(runKey(one)) ?? Number.NEGATIVE_INFINITY) >= againMs(one, stream),
    )
    const choice = choose(fresh, {
      stream,
      open: await follows.openPartitions(name),
      isFullTime: this.#isFullTime(stream, followed),
      isParentOpen: mayWait && (await this.#isParentOpen(selected)),
      room: (stream.settings.maxParentsPerRun ?? Number.POSITIVE_INFINITY) - made.size,
    })
    await this.#enqueue(selected, choice)
    for (const key of runKeys(choice, stream)) made.set(key, moment)
    const tasks = choice.plain.length + choice.old.length + choice.full.length
    const planAt = choice.isLeft ? clock.now() + soonMs : this.#nextLook(stream, report)
    const isFullOver = followed.fullBefore !== null && !report.due.some(({ reason }) => reason === 'full')
    const fullBefore = isFullOver ? null : followed.fullBefore
    await follows.planned(name, { planAt, seen, found: foundOf(report, clock.now()), fullBefore })
    if (tasks > 0) log('info', 'tasks made', { stream: nameOf(stream), tasks, due: report.due.length })
    return { tasks, isWaiting: choice.isWaiting }
  }

  /** The rows that backfill.yaml narrows the stream to must be there, once their table is filled. */
  async isConfigured({ selected }: FollowedStream): Promise<boolean> {
    const { source, stream } = selected
    const rows = rowsOf(stream, source)
    if (rows === null || rows.dimension.only.length === 0) return true
    const what = `"only" of dimension ${rows.name}`
    try {
      await requireRows({ ...rows.dimension, only: [] }, rows.dimension.only, {
        source,
        destination: this.#deps.destination,
        what,
      })
      return true
    } catch (error) {
      if (error instanceof ConfigError) this.#deps.onRefused(selected, error)
      else if (!(error instanceof ParentMissing)) throw error
      return false
    }
  }

  /** How fresh the stream is now. */
  async found({ selected, followed }: FollowedStream): Promise<FollowFound> {
    return foundOf(await this.#due(selected, followed), this.#deps.clock.now())
  }

  async #due({ source, stream }: SelectedStream, followed: Followed): Promise<DueReport> {
    const rows = rowsOf(stream, source)
    const { destination, clock, today } = this.#deps
    const everyFull = stream.incremental?.fullWalk?.everyMs ?? null
    const asked = followed.fullBefore === null ? null : Math.max(0, clock.now() - followed.fullBefore)
    const fullEveryMs = asked === null ? everyFull : Math.min(asked, everyFull ?? asked)
    const query = { stream, everyMs: stream.everyMs, fullEveryMs }
    if (rows === null || !followed.isAll) return await destination.due({ ...query, rows: null, rest: {} })
    const reports: DueReport[] = []
    for (const rest of restPartitions(stream, source, { filter: {}, today, order: 'newest' })) {
      reports.push(await destination.due({ ...query, rows, rest }))
    }
    return joinReports(reports)
  }

  /** What is walked now comes round in its time; what was walked before, in its own. */
  #nextLook({ everyMs, incremental }: Stream, { nextAt }: DueReport): number | null {
    const now = this.#deps.clock.now()
    const fullEveryMs = incremental?.fullWalk?.everyMs ?? null
    const rhythms = [everyMs, fullEveryMs].filter((ms) => ms !== null).map((ms) => now + ms)
    const moments = nextAt === null ? rhythms : [nextAt, ...rhythms]
    return moments.length === 0 ? null : Math.min(...moments)
  }

  #isFullTime({ incremental }: Stream, { fullBefore }: Followed): boolean {
    if (fullBefore !== null) return true
    return isWithinHours(incremental?.fullWalk?.hours ?? undefined, this.#deps.clock.now(), this.#deps.timezone)
  }

  /** More rows of the other stream may come at any moment: a request that is not full yet waits for them. */
  async #isParentOpen({ source, stream }: SelectedStream): Promise<boolean> {
    const parent = rowsOf(stream, source)?.dimension.stream
    if (parent === undefined || manyOf(stream) === null) return false
    const filter = { streams: [{ source: source.name, stream: parent }], partitions: {} }
    const tasks = await this.#deps.queue.tasks({ states: ['ready', 'leased'], filter, limit: 1 })
    return tasks.some(({ readyAt }) => readyAt === null || readyAt <= this.#deps.clock.now())
  }

  async #enqueue({ source, stream }: SelectedStream, { plain, old, full }: Choice): Promise<void> {
    if (plain.length + old.length + full.length === 0) return
    const name = { source: source.name, stream: stream.name }
    const { priority = 0 } = stream.settings
    const fullPriority = stream.incremental?.fullWalk?.priority ?? priority
    // Where everything is asked for each time, what is only old makes room for what changed.
    const oldPriority = stream.incremental === null ? priority - stepBack : priority
    const tasks = [
      ...plain.map((partition) => ({ ...name, partition, priority })),
      ...old.map((partition) => ({ ...name, partition, priority: oldPriority })),
      ...full.map((partition) => ({ ...name, partition, priority: fullPriority })),
    ]
    await makeTasks(`follow ${nameOf(stream)}`, { tasks, skipDone: false }, this.#deps)
  }
}

function runKey({ partition, reason }: Pick<DuePartition, 'partition' | 'reason'>): string {
  return partitionKey(reason === 'full' ? fullWalkPartition(partition) : partition)
}

/** How long one run leaves a partition alone that it made a task for. */
function againMs({ reason }: DuePartition, { everyMs }: Stream): number {
  return reason === 'changed' ? changedAgainMs : Math.max(everyMs ?? Number.POSITIVE_INFINITY, roundsMs)
}

function runKeys({ plain, old, full }: Choice, stream: Stream): readonly string[] {
  return [...plain, ...old, ...full].flatMap((partition) => singlePartitions(stream, partition).map(partitionKey))
}

function joinReports(reports: readonly DueReport[]): DueReport {
  const least = (times: readonly (number | null)[]): number | null =>
    times.reduce<number | null>((a, b) => (a === null || (b !== null && b < a) ? b : a), null)
  return {
    due: reports.flatMap(({ due }) => due),
    nextAt: least(reports.map(({ nextAt }) => nextAt)),
    total: reports.reduce((sum, { total }) => sum + total, 0),
    oldest: least(reports.map(({ oldest }) => oldest)),
  }
}

function foundOf({ due, total, oldest }: DueReport, at: number): FollowFound {
  const behind = new Set(due.map(({ partition }) => partitionKey(partition))).size
  return { at, partitions: total, behind, freshTo: due.some(({ reason }) => reason === 'new') ? null : oldest }
}

/** As people write it. */
export function nameOf({ source, name }: Pick<Stream, 'source' | 'name'>): string {
  return `${source}.${name}`
}
