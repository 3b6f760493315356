/**
 * Owns what the source says of its windows in headers: the limit in force, requests of others (what it has counted beyond ours), and whether a window that was to
 * reset has emptied. Durable with the answer that said it. It corrects what we know, and never erases what we booked.
 */
import type { ToldWindow } from '../../domain/ports.js'
import type { BudgetRules } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import { monotonicMs } from './bookings.js'
import { isTellingOfQuota, noteOthersInQuota } from './quotas.js'
import { ownCertainlyCounted, ownPossiblyCounted } from './usage.js'

const hasToldTable = `select 1 from sqlite_schema where name = 'budget_told'`
const toldAll = `
  select period_ms as periodMs, requests, boot, resets_at as resetsAt, resets_at_wall as resetsAtWall, emptied_at as emptiedAt, emptied_at_wall as emptiedAtWall
  from budget_told where key = ?`
const toldSet = `
  insert into budget_told (key, period_ms, requests, told_at_wall, boot, resets_at, resets_at_wall, emptied_at, emptied_at_wall)
  values (@key, @periodMs, @requests, @wall, @boot, @resetsAt, @resetsAtWall, @emptiedAt, @emptiedAtWall)
  on conflict (key, period_ms) do update set requests = excluded.requests, told_at_wall = excluded.told_at_wall, boot = excluded.boot,
    resets_at = excluded.resets_at, resets_at_wall = excluded.resets_at_wall, emptied_at = excluded.emptied_at, emptied_at_wall = excluded.emptied_at_wall`
const strangerInsert = `
  insert into budget_stranger (key, period_ms, requests, boot, noticed_at, noticed_at_wall) values (?, ?, ?, ?, ?, ?)`
const strangersLatest = `
  select number, requests, noticed_at as noticedAt from budget_stranger where key = ? and period_ms = ? order by noticed_at desc`
const strangerDelete = `delete from budget_stranger where number = ?`
const strangerReduce = `update budget_stranger set requests = requests - ? where number = ?`
const strangerPrune = `delete from budget_stranger where key = ? and period_ms = ? and noticed_at < ?`
const strangerAdopt = `
  update budget_stranger set boot = @boot, noticed_at = @mono - max(0, @wall - noticed_at_wall), noticed_at_wall = min(@wall, noticed_at_wall)
  where boot <> @boot`
const toldAdopt = `
  update budget_told set boot = @boot, emptied_at = @mono - max(0, @wall - emptied_at_wall), emptied_at_wall = min(@wall, emptied_at_wall),
    resets_at = null, resets_at_wall = null
  where boot <> @boot`

/** Statements that run once a request, for the test that looks at their plans. */
export const toldStatements = { toldAll, strangerInsert, strangersLatest, strangerPrune }

/** Monotonic ms of this boot. */
export interface Told {
  readonly periodMs: number
  readonly requests: number
  readonly resetsAt: number | null
  readonly emptiedAt: number | null
}
interface ToldRow extends Told {
  readonly boot: string
  readonly resetsAtWall: number | null
  readonly emptiedAtWall: number | null
}

/** What is remembered of every window of a key. Of another boot's moments a reader makes nothing: they only ever open sooner. */
export function readTold(store: Store, key: string): Told[] {
  if (store.sql(hasToldTable).get() === undefined) return []
  return (store.sql(toldAll).all(key) as ToldRow[]).map((row) =>
    row.boot === store.clock.bootId ? row : { ...row, resetsAt: null, emptiedAt: null },
  )
}

/** Takes in what an answer said, inside the transaction that ends its booking. `sentAt`: monotonic ms at which its request left. */
export function hearWindows(
  store: Store,
  rules: BudgetRules,
  heard: { readonly sentAt: number; readonly windows: readonly ToldWindow[] },
): void {
  const known = readTold(store, rules.key)
  for (const window of heard.windows) {
    const before = known.find(({ periodMs }) => periodMs === window.periodMs) ?? null
    const limit = window.limit ?? before?.requests ?? declared(rules, window.periodMs)
    if (limit === null) continue
    const used = window.remaining === null ? null : Math.max(0, limit - window.remaining)
    if (isTellingOfQuota(rules, window.periodMs)) {
      if (used !== null) noteOthersInQuota(store, rules, used)
      if (before?.requests !== limit)
        remember(store, rules.key, { ...window, requests: limit, resetsAt: null, emptiedAt: null })
      continue
    }
    const own = { store, key: rules.key, window, before, sentAt: heard.sentAt }
    const emptiedAt = used === null ? (before?.emptiedAt ?? null) : emptiedBy(own, used)
    if (used !== null) noteStrangers(own, used, emptiedAt)
    const resetsAt = nextReset(own, emptiedAt)
    const isNew = before?.requests !== limit || before.resetsAt !== resetsAt || before.emptiedAt !== emptiedAt
    if (isNew) remember(store, rules.key, { periodMs: window.periodMs, requests: limit, resetsAt, emptiedAt })
  }
}

interface Hearing {
  readonly store: Store
  readonly key: string
  readonly window: ToldWindow
  readonly before: Told | null
  readonly sentAt: number
}

function declared(rules: BudgetRules, periodMs: number): number | null {
  const limit = rules.limits.find((one) => one.periodMs === periodMs)?.requests
  if (limit !== undefined) return limit
  return isTellingOfQuota(rules, periodMs) ? (rules.quotas?.find(({ per }) => per === 'day')?.requests ?? null) : null
}

/**
 * What the source has used beyond all of ours that it can have counted is somebody else's. The window is taken as of the request's sending: what aged out of ours
 * while the answer was on its way may still have been counted. Any of those others may have come only just now, whenever we first heard of as many: they count anew.
 */
function noteStrangers(
  { store, key, window, sentAt }: Omit<Hearing, 'before'>,
  used: number,
  emptiedAt: number | null,
): void {
  const { periodMs } = window
  const since = Math.max(sentAt - periodMs, emptiedAt ?? Number.NEGATIVE_INFINITY)
  forgetGone({ store, key, window, sentAt }, used)
  const others = used - ownPossiblyCounted(store, key, since)
  if (others <= 0) return
  forgetLatest(store, { key, periodMs, requests: others })
  store.sql(strangerPrune).run(key, periodMs, monotonicMs(store.clock) - 2 * periodMs)
  // Rounded up: it counts until the end of this millisecond.
  const now = { mono: Math.ceil(store.clock.monotonic()), wall: Math.ceil(store.clock.now()) }
  store.sql(strangerInsert).run(key, periodMs, others, store.clock.bootId, now.mono, now.wall)
}

/**
 * Of what was noticed before the request left, the answer leaves room for at most so many beside ours that it counts for certain: the rest has left the window,
 * the earliest first. Without this a burst would count for another whole window after the source forgot it. A window that is used up says nothing of how far.
 */
function forgetGone({ store, key, window, sentAt }: Omit<Hearing, 'before'>, used: number): void {
  const { periodMs, remaining } = window
  const certain = ownCertainlyCounted(store, key, { from: monotonicMs(store.clock) - periodMs, to: sentAt })
  // Fewer than a window that slides would hold: it is none, or has just emptied.
  if (remaining === 0 || used < certain) return
  let room = used - certain
  for (const row of store.sql(strangersLatest).all(key, periodMs) as StrangersRow[]) {
    if (row.noticedAt >= sentAt) continue
    if (room <= 0) store.sql(strangerDelete).run(row.number)
    else if (row.requests > room) store.sql(strangerReduce).run(row.requests - room, row.number)
    room -= row.requests
  }
}

interface StrangersRow {
  readonly number: number
  readonly requests: number
  readonly noticedAt: number
}

/** Takes out of what was noticed as many as are counted anew. The earliest stay: that there were more, an answer with fewer does not deny. */
function forgetLatest(store: Store, { key, periodMs, requests }: { key: string; periodMs: number; requests: number }) {
  let left = requests
  for (const row of store.sql(strangersLatest).all(key, periodMs) as StrangersRow[]) {
    if (left <= 0) return
    if (row.requests <= left) store.sql(strangerDelete).run(row.number)
    else store.sql(strangerReduce).run(left, row.number)
    left -= row.requests
  }
}

/**
 * A reset that was announced has come, this request was sent after it, and the source counts fewer than a window that slides must count: it has emptied. Its
 * announcement alone opens nothing.
 */
function emptiedBy({ store, key, window, before, sentAt }: Hearing, used: number): number | null {
  const known = before?.emptiedAt ?? null
  const resetsAt = before?.resetsAt ?? null
  if (resetsAt === null || sentAt <= resetsAt) return known
  const from = Math.max(monotonicMs(store.clock) - window.periodMs, known ?? Number.NEGATIVE_INFINITY)
  const least = ownCertainlyCounted(store, key, { from, to: sentAt })
  const leastSince = ownCertainlyCounted(store, key, { from: Math.max(from, resetsAt), to: sentAt })
  return used < least && used >= leastSince ? resetsAt : known
}

/** Kept until a request that was sent after it is answered; a source that counts it down in whole seconds moves it by less than two. */
function nextReset({ store, window, before, sentAt }: Hearing, emptiedAt: number | null): number | null {
  const old = before?.resetsAt ?? null
  if (window.resetMs === null) return old === emptiedAt ? null : old
  const said = Math.ceil(store.clock.monotonic() + window.resetMs)
  const isJudged = old === null || sentAt > old || old === emptiedAt
  if (isJudged) return said
  return Math.abs(said - old) < 2_000 ? Math.max(said, old) : said
}

function remember(store: Store, key: string, told: Told): void {
  const { clock } = store
  const wallOf = (at: number | null): number | null =>
    at === null ? null : Math.floor(clock.now() + (at - clock.monotonic()))
  const { periodMs, requests, resetsAt, emptiedAt } = told
  store.sql(toldSet).run({
    ...{ key, periodMs, requests, resetsAt, emptiedAt },
    wall: Math.floor(clock.now()),
    boot: clock.bootId,
    resetsAtWall: wallOf(resetsAt),
    emptiedAtWall: wallOf(emptiedAt),
  })
}

/** Brings what another boot noted to this boot's clock; a reset that was announced then is forgotten, for it could only open sooner. */
export function adoptTold(store: Store): void {
  const { clock } = store
  const now = { boot: clock.bootId, mono: monotonicMs(clock), wall: Math.floor(clock.now()) }
  store.sql(strangerAdopt).run(now)
  store.sql(toldAdopt).run(now)
}
