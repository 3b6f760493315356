/** Owns the question which day it is in the workspace's zone. */

/** The day of `now` (Unix ms) as `YYYY-MM-DD`; the same minute is formatted once. */
export function createDayOf(timezone: string): (now: number) => string {
  // en-CA writes ISO order; no zone begins a day inside a minute.
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  })
  let minute = Number.NaN
  let day = ''
  return (now) => {
    const asked = Math.floor(now / 60_000)
    if (asked !== minute) {
      minute = asked
      day = format.format(now)
    }
    return day
  }
}
