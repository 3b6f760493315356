/**
 * Owns the rows of `budget_quota`: what was used since a quota's last reset, by the wall clock, for a reset is a moment of the calendar. Booked with the request; a
 * request that is under way at the reset counts on both sides of it, because the server may judge it on either.
 */
import type { BookingRequest } from '../../domain/ports.js'
import { type QuotaPeriod, quotaName, quotaPeriod } from '../../domain/quota.js'
import type { BudgetRules, Quota } from '../../domain/source-model.js'
import type { Store } from '../store.js'
import type { Usage } from './usage.js'

const hasQuotaTable = `select 1 from sqlite_schema where name = 'budget_quota'`
const quotaGet = `select starts_at_wall as startsAt, worker, interactive, others from budget_quota where key = ? and quota = ?`
const quotaSet = `
  insert into budget_quota (key, quota, starts_at_wall, worker, interactive, others) values (?, ?, ?, ?, ?, ?)
  on conflict (key, quota) do update set starts_at_wall = excluded.starts_at_wall, worker = excluded.worker, interactive = excluded.interactive,
    others = excluded.others`
const endedSince = `
  select coalesce(sum(weight), 0), coalesce(sum(weight) filter (where purpose = 'worker'), 0)
  from budget_booking where key = ? and ends_at >= ? and ends_at_wall >= ?`

/** Statements that run once a request, for the test that looks at their plans. */
export const quotaStatements = { quotaGet, quotaSet }

export interface QuotaUsage {
  readonly period: QuotaPeriod
  readonly usage: Usage
}

/** What counts of a quota now. */
export function quotaUsage(store: Store, key: string, quota: Quota): QuotaUsage {
  const now = store.clock.now()
  const period = quotaPeriod(quota, now)
  if (store.sql(hasQuotaTable).get() === undefined) return { period, usage: none }
  const row = store.sql(quotaGet).get(key, quotaName(quota)) as (Usage & { startsAt: number }) | undefined
  // One that began in the future was written before the wall clock was set back: what it counted still counts.
  if (row !== undefined && row.startsAt >= period.startsAt) return { period, usage: row }
  return { period, usage: usedSince(store, key, period.startsAt) }
}

const none: Usage = { worker: 0, interactive: 0, others: 0 }

/** The first look since the reset: what ended after it, or is under way. */
function usedSince(store: Store, key: string, startsAt: number): Usage {
  // Bookings are read by the monotonic index as far as they can lie behind the reset, then judged by the wall clock.
  const since = Math.floor(store.clock.monotonic() - Math.max(0, store.clock.now() - startsAt)) - 1
  const [all, worker] = store.sql(endedSince).raw().get(key, since, Math.floor(startsAt)) as [number, number]
  return { worker, interactive: all - worker, others: 0 }
}

/** Books a request in every quota, inside its booking's transaction and before its row is written. */
export function bookQuotas(
  store: Store,
  rules: BudgetRules,
  { purpose, weight }: { readonly purpose: BookingRequest['purpose']; readonly weight: number },
): void {
  for (const quota of rules.quotas ?? []) {
    const { period, usage } = quotaUsage(store, rules.key, quota)
    const part = purpose === 'worker' ? 'worker' : 'interactive'
    write(store, rules.key, { quota, startsAt: period.startsAt, usage: { ...usage, [part]: usage[part] + weight } })
  }
}

/** What the source has counted beyond ours is somebody else's, until the reset. */
export function noteOthersInQuota(store: Store, rules: BudgetRules, used: number): void {
  for (const quota of rules.quotas ?? []) {
    if (quota.per !== 'day') continue
    const { period, usage } = quotaUsage(store, rules.key, quota)
    const excess = used - usage.worker - usage.interactive - usage.others
    if (excess <= 0) continue
    write(store, rules.key, { quota, startsAt: period.startsAt, usage: { ...usage, others: usage.others + excess } })
  }
}

const dayMs = 86_400_000

/** A header for a day tells of the daily quota where no sliding day is declared. */
export function isTellingOfQuota(rules: BudgetRules, periodMs: number): boolean {
  return (
    periodMs === dayMs &&
    (rules.quotas ?? []).some(({ per }) => per === 'day') &&
    !rules.limits.some((limit) => limit.periodMs === dayMs)
  )
}

function write(store: Store, key: string, row: { quota: Quota; startsAt: number; usage: Usage }): void {
  const { worker, interactive, others } = row.usage
  store.sql(quotaSet).run(key, quotaName(row.quota), row.startsAt, worker, interactive, others)
}
