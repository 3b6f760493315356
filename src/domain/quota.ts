// Owns the time that a quota counts over: from one reset to the next, in the quota's zone. Pure.
import type { Quota } from './source-model.js'
import { instantOf, wallTimeOf } from './zoned-time.js'

/** Unix ms; `endsAt` is the next reset, and not part of it. */
export interface QuotaPeriod {
  readonly startsAt: number
  readonly endsAt: number
}

const lastPeriods = new WeakMap<Quota, QuotaPeriod>()

/** The period that an instant (Unix ms) lies in. The last one is kept: asking a calendar takes 0.1 ms, and every request asks. */
export function quotaPeriod(quota: Quota, now: number): QuotaPeriod {
  const last = lastPeriods.get(quota)
  if (last !== undefined && now >= last.startsAt && now < last.endsAt) return last
  const period = periodOf(quota, now)
  lastPeriods.set(quota, period)
  return period
}

function periodOf(quota: Quota, now: number): QuotaPeriod {
  const today = wallTimeOf(now, quota.zone)
  const resetIn = (steps: number): number =>
    instantOf(
      quota.per === 'day'
        ? { ...today, day: today.day + steps, minute: quota.resetMinute }
        : { ...today, month: today.month + steps, day: 1, minute: quota.resetMinute },
      quota.zone,
    )
  const here = resetIn(0)
  return here <= now ? { startsAt: here, endsAt: resetIn(1) } : { startsAt: resetIn(-1), endsAt: here }
}

/** What a quota is kept under, beside its budget's key. */
export function quotaName({ per, resetMinute, zone }: Quota): string {
  return `${per} ${resetMinute} ${zone}`
}
