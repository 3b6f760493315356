/**
 * Decides when streams that follow others are looked at: their time has come, or what they follow has moved. What is made of that it has computed from the database
 * each time, so that nothing is lost with a process and nothing is made twice: a partition with an open task is left alone.
 */
import type { FollowQueue } from '../domain/follow.js'
import { rowsOf } from '../domain/plan.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Stream } from '../domain/source-model.js'
import { keepsWatermarks } from './mark.js'
import {
  type FollowedStream,
  movementOf,
  nameOf,
  roundsMs,
  StreamPlanner,
  type StreamPlannerDeps,
} from './plan-stream.js'

export interface PlannerDeps extends StreamPlannerDeps {
  /** The run ends when nothing is left to do: what comes round meanwhile is the next one's. */
  readonly untilEmpty: boolean
}

/** Tables move with every flush: their followers are looked at this often at most. */
const pauseMs = 2000

/** True where a stream that follows is to be looked at: its time has come, or what it follows has moved. Reads the queue alone. */
export async function isPlanDue(
  streams: readonly SelectedStream[],
  deps: Pick<PlannerDeps, 'queue' | 'follows' | 'clock'>,
): Promise<boolean> {
  const followed = await followedAmong(streams, deps.follows)
  if (followed.length === 0) return false
  const counts = await deps.queue.counts()
  const now = deps.clock.now()
  return followed.some((one) => isTimeToLook(one, now) || one.followed.seen !== movementOf(one.selected, counts))
}

/** Its moment has come, or a shorter rhythm was set since it was fixed. */
function isTimeToLook({ selected: { stream }, followed: { planAt, found } }: FollowedStream, now: number): boolean {
  if (planAt !== null && planAt <= now) return true
  return stream.everyMs !== null && found !== null && found.at + stream.everyMs <= now
}

/** Those of the streams that follow others. */
export async function followingStreams(
  streams: readonly SelectedStream[],
  follows: FollowQueue,
): Promise<readonly SelectedStream[]> {
  return (await followedAmong(streams, follows)).map(({ selected }) => selected)
}

async function followedAmong(
  streams: readonly SelectedStream[],
  follows: FollowQueue,
): Promise<readonly FollowedStream[]> {
  const followed = await follows.followed()
  return streams.flatMap((selected) => {
    const { source, stream } = selected
    const found = followed.find((one) => one.source === source.name && one.stream === stream.name)
    return found === undefined || !keepsWatermarks(stream) ? [] : [{ selected, followed: found }]
  })
}

export class Planner {
  readonly #streams: readonly SelectedStream[]
  readonly #deps: PlannerDeps
  readonly #planner: StreamPlanner
  /** Names of streams whose tables moved since their followers were looked at. */
  readonly #moved = new Set<string>()
  /** Streams of which a request that is not full waits for more rows. */
  readonly #waiting = new Set<string>()
  #plannedAt = Number.NEGATIVE_INFINITY
  #roundsAt = Number.NEGATIVE_INFINITY
  #mayWait = true
  #running: Promise<number> | null = null

  constructor(streams: readonly SelectedStream[], deps: PlannerDeps) {
    this.#streams = streams
    this.#deps = deps
    this.#planner = new StreamPlanner(deps)
  }

  /** A flush of this stream was promoted, or one of its tasks ended. */
  moved(stream: Stream): void {
    this.#moved.add(nameOf(stream))
  }

  /** Looks at every stream whose time has come. Answers how many tasks were made. */
  async plan(): Promise<number> {
    this.#roundsAt = this.#deps.clock.monotonic()
    const now = this.#deps.clock.now()
    const counts = await this.#deps.queue.counts()
    return await this.#planWhere(
      (one) => isTimeToLook(one, now) || one.followed.seen !== movementOf(one.selected, counts),
    )
  }

  /** Looks at what follows streams that moved; not more often than every few seconds, unless `isLast`. */
  async planMoved({ isLast }: { readonly isLast: boolean }): Promise<number> {
    if (this.#running !== null) return await this.#running
    if (!isLast && !this.#deps.untilEmpty && this.#deps.clock.monotonic() - this.#roundsAt >= roundsMs)
      return await this.#comeRound()
    if (this.#moved.size + this.#waiting.size === 0) return 0
    if (!isLast && this.#deps.clock.monotonic() - this.#plannedAt < pauseMs) return 0
    const moved = new Set(this.#moved)
    this.#moved.clear()
    // Nothing of the source can go on in this run: whoever waits for more rows of a stream that is paused or put off would wait for nothing.
    this.#mayWait = !isLast
    this.#running = this.#planWhere(({ selected: { source, stream } }) => {
      const parent = rowsOf(stream, source)?.dimension.stream
      return (parent !== undefined && moved.has(`${source.name}.${parent}`)) || this.#waiting.has(nameOf(stream))
    }).finally(() => {
      this.#mayWait = true
      this.#running = null
    })
    return await this.#running
  }

  /** The end of a run: how fresh each stream is now, for `status`. A failure here costs the figures, not the run. */
  async finish(): Promise<void> {
    const { follows, log } = this.#deps
    for (const one of await followedAmong(this.#streams, follows)) {
      const { source, stream } = one.selected
      try {
        await follows.planned({ source: source.name, stream: stream.name }, { found: await this.#planner.found(one) })
      } catch (error) {
        log('warn', 'freshness not noted', { stream: nameOf(stream), reason: String(error) })
      }
    }
  }

  /** A long run lets in what comes round meanwhile: a nightly walk must not hold up the changes of every five minutes. */
  async #comeRound(): Promise<number> {
    this.#running = this.plan().finally(() => {
      this.#running = null
    })
    return await this.#running
  }

  async #planWhere(isWanted: (one: FollowedStream) => boolean): Promise<number> {
    this.#plannedAt = this.#deps.clock.monotonic()
    let made = 0
    for (const one of await followedAmong(this.#streams, this.#deps.follows)) {
      if (isWanted(one) && (await this.#planner.isConfigured(one))) made += await this.#planStream(one)
    }
    return made
  }

  async #planStream(one: FollowedStream): Promise<number> {
    const { tasks, isWaiting } = await this.#planner.plan(one, this.#mayWait)
    const name = nameOf(one.selected.stream)
    if (isWaiting) this.#waiting.add(name)
    else this.#waiting.delete(name)
    return tasks
  }
}
