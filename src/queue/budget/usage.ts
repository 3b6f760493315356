/**
 * Owns what counts in a sliding window now, and when enough of it will have left: our requests by purpose, and what others use as far as the source told.
 * A request stays until the window's length after its answer, because the server may have judged it at any moment before.
 */
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'

/** What is used of a limit. */
export interface Usage {
  readonly worker: number
  /** By those that somebody waits for at a terminal. */
  readonly interactive: number
  /** By programs that book nothing here. */
  readonly others: number
}

const ownUsed = `
  select coalesce(sum(weight), 0), coalesce(sum(weight) filter (where purpose = 'worker'), 0)
  from budget_booking where key = ? and ends_at >= ?`
const ownUsedByWall = `
  select coalesce(sum(weight), 0), coalesce(sum(weight) filter (where purpose = 'worker'), 0)
  from budget_booking where key = ? and ends_at_wall >= ?`
const strangersUsed = `
  select coalesce(sum(requests), 0) from budget_stranger where key = ? and period_ms = ? and noticed_at >= ?`
const strangersUsedByWall = `
  select coalesce(sum(requests), 0) from budget_stranger where key = ? and period_ms = ? and noticed_at_wall >= ?`
const ownLeaving = `select ends_at, purpose, weight from budget_booking where key = ? and ends_at >= ? order by ends_at`
const strangersLeaving = `
  select noticed_at, requests from budget_stranger where key = ? and period_ms = ? and noticed_at >= ? order by noticed_at`
const bookingLastBoot = `select boot from budget_booking order by number desc limit 1`
const ownPossible = `
  select coalesce(sum(weight), 0) from budget_booking where key = ? and ends_at >= ?`
const ownCertain = `
  select coalesce(sum(weight), 0) from budget_booking where key = ? and is_open = 0 and ends_at >= @from and ends_at < @to and sent_at > @from`

/** Statements that run once a request, for the test that looks at their plans. */
export const usageStatements = { ownUsed, strangersUsed, ownLeaving, strangersLeaving, bookingLastBoot, ownPossible }

export interface WindowAt {
  readonly key: string
  readonly periodMs: number
  /** Monotonic ms: what ended before does not count, whatever the window's length. */
  readonly emptiedAt: number | null
}

/** What counts now. Before this boot's first booking the rows are read by the wall clock, for a reader may not adopt them. */
export function usageIn(store: Store, window: WindowAt): Usage {
  const { key, periodMs } = window
  if (!isOfThisBoot(store)) {
    const since = Math.floor(store.clock.now()) - periodMs
    const others = store.sql(strangersUsedByWall).pluck().get(key, periodMs, since) as number
    return split(store.sql(ownUsedByWall).raw().get(key, since) as [number, number], others)
  }
  const since = countedSince(store, window)
  const others = store.sql(strangersUsed).pluck().get(key, periodMs, since) as number
  return split(store.sql(ownUsed).raw().get(key, since) as [number, number], others)
}

/**
 * The moment (monotonic ms) from which `fits` holds, as a lower bound: what is under way is taken to end now. At or before now: at once.
 */
export function windowOpensAt(store: Store, window: WindowAt, fits: (usage: Usage) => boolean): number {
  const now = monotonicMs(store.clock)
  let usage = usageIn(store, window)
  if (fits(usage)) return now
  for (const { at, part, weight } of leaving(store, window)) {
    usage = { ...usage, [part]: usage[part] - weight }
    if (fits(usage)) return Math.min(at, now) + window.periodMs + 1
  }
  return now
}

/** Requests of ours that the source can have counted at most since a moment (monotonic ms): sent by now, ended after it. */
export function ownPossiblyCounted(store: Store, key: string, since: number): number {
  return store.sql(ownPossible).pluck().get(key, since) as number
}

/** Requests of ours that the source has counted for certain between two moments: sent after the one, answered before the other. */
export function ownCertainlyCounted(store: Store, key: string, between: { from: number; to: number }): number {
  return store.sql(ownCertain).pluck().get(key, between) as number
}

/** Only those, and since when, that a window still counts. */
function countedSince(store: Store, { periodMs, emptiedAt }: WindowAt): number {
  return Math.max(monotonicMs(store.clock) - periodMs, emptiedAt ?? Number.NEGATIVE_INFINITY)
}

interface Leaving {
  readonly at: number
  readonly part: keyof Usage
  readonly weight: number
}

/** What counts, in the order in which it leaves. */
function* leaving(store: Store, window: WindowAt): Generator<Leaving> {
  const { key, periodMs } = window
  const since = countedSince(store, window)
  const strangers = (store.sql(strangersLeaving).raw().all(key, periodMs, since) as [number, number][]).map(
    ([at, weight]): Leaving => ({ at, part: 'others', weight }),
  )
  let next = 0
  for (const row of store.sql(ownLeaving).raw().iterate(key, since)) {
    const [at, purpose, weight] = row as [number, string, number]
    while (next < strangers.length && (strangers[next]?.at ?? at) <= at) {
      yield* strangers.slice(next, next + 1)
      next += 1
    }
    yield { at, part: purpose === 'worker' ? 'worker' : 'interactive', weight }
  }
  yield* strangers.slice(next)
}

function split([all, worker]: readonly [number, number], others: number): Usage {
  return { worker, interactive: all - worker, others }
}

/** False before this boot's first booking. */
function isOfThisBoot(store: Store): boolean {
  const lastBoot = store.sql(bookingLastBoot).pluck().get() as string | undefined
  return lastBoot === undefined || lastBoot === store.clock.bootId
}
