/** Hours of the day in which something may be begun. Pure. */

/** Spans of local time, in minutes since midnight; a span whose end is not later than its beginning goes over midnight. */
export interface HourRange {
  readonly from: number
  readonly to: number
}
export type Hours = readonly HourRange[]

/** True where work may be begun now; no hours mean any time. */
export function isWithinHours(hours: Hours, now: number, timezone: string): boolean {
  if (hours.length === 0) return true
  const time = new Intl.DateTimeFormat('en-GB', { timeZone: timezone, hour: '2-digit', minute: '2-digit' }).format(now)
  const [hour = 0, minutes = 0] = time.split(':').map(Number)
  const minute = hour * 60 + minutes
  return hours.some(({ from, to }) => (from < to ? minute >= from && minute < to : minute >= from || minute < to))
}

/** `22:00-06:00`; null for text that is none. */
export function readHours(text: string): Hours | null {
  const parts = /^\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*$/.exec(text)
  if (parts === null) return null
  const [from, to] = [[1, 2] as const, [3, 4] as const].map(([h, m]) => Number(parts[h]) * 60 + Number(parts[m]))
  return from === undefined || to === undefined || from >= 1440 || to > 1440 || from === to ? null : [{ from, to }]
}
