// Owns the calendar of a zone: which day and minute an instant is there, and when a day's minute comes. Pure; knows gaps and repeats of summer time.

/** A day and a minute of it, as clocks on a wall show them. */
export interface WallTime {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  /** Minutes after midnight. */
  readonly minute: number
}

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    ...{ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' },
  })
  formats.set(zone, format)
  return format
}

/** What clocks of the zone show at an instant (Unix ms). */
export function wallTimeOf(at: number, zone: string): WallTime {
  const parts = new Map(
    formatOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  )
  const part = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0
  return { year: part('year'), month: part('month'), day: part('day'), minute: part('hour') * 60 + part('minute') }
}

/**
 * The first instant (Unix ms) at which clocks of the zone show that time or a later one of that day: a time that summer time leaves out comes when the clocks
 * jump, one that comes twice comes the first time. Days and months beyond their end run on.
 */
export function instantOf(time: WallTime, zone: string): number {
  const wanted = Date.UTC(time.year, time.month - 1, time.day, 0, time.minute)
  // Offsets lie within 15 hours of UTC and change by whole minutes: the first minute that shows it is found by halving.
  let before = wanted - 16 * hourMs
  let at = wanted + 16 * hourMs
  for (const offset of new Set([offsetAt(before, zone), offsetAt(at, zone)])) {
    const guess = wanted - offset
    if (guess > before && guess <= at && shownAt(guess, zone) === wanted) at = Math.min(at, guess)
  }
  if (shownAt(at, zone) === wanted) return at
  while (at - before > minuteMs) {
    const middle = before + Math.floor((at - before) / 2 / minuteMs) * minuteMs
    if (shownAt(middle, zone) >= wanted) at = middle
    else before = middle
  }
  return at
}

/** True for an IANA zone that is known here. */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** What clocks show, as if it were UTC. */
function shownAt(at: number, zone: string): number {
  const { year, month, day, minute } = wallTimeOf(at, zone)
  return Date.UTC(year, month - 1, day, 0, minute)
}

function offsetAt(at: number, zone: string): number {
  return shownAt(at, zone) - Math.floor(at / minuteMs) * minuteMs
}
