/**
 * Instants in the workspace's zone. Owns the process's TZ, which the command sets once when the workspace is known: Intl.DateTimeFormat costs 30 ms at its
 * first use, a third of Node's own start, and `Date` under TZ costs none.
 */

/** From now on `Date` speaks this zone. */
export function useZone(timezone: string): void {
  process.env.TZ = timezone
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const dayMs = 86_400_000

/** `2026-03-09`. */
export function dayOf(at: number): string {
  const date = new Date(at)
  return `${String(date.getFullYear())}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

/** `02:31` today, `Fri 14:20` within six days, `2026-03-09 14:20` else. */
export function clockText(at: number, now: number): string {
  const date = new Date(at)
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`
  if (dayOf(at) === dayOf(now)) return time
  if (Math.abs(at - now) < 6 * dayMs) return `${weekdays[date.getDay()] ?? ''} ${time}`
  return `${dayOf(at)} ${time}`
}

/** `2026-03-09 02:31:07`. */
export function fullTime(at: number): string {
  const date = new Date(at)
  return `${dayOf(at)} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** A sentence that names instants in UTC (as reasons are kept) with those of this zone's clock in their place. */
export function localTimes(text: string, now: number): string {
  return text.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (instant) => clockText(Date.parse(instant), now))
}

/** `2026-03-09T01:31:07.000Z`, or null: instants in `--json`. */
export function utc(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}
