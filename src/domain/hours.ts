// Owns hours of the day: whether work may be done now, and when it may be next. Pure; summer time makes such a night an hour longer or shorter.
import type { HourRange } from './source-model.js'
import { instantOf, wallTimeOf } from './zoned-time.js'

/** `22:00-06:00` holds from ten in the evening to six in the morning, `00:00-00:00` all day. */
export function isWithinHours(hours: readonly HourRange[] | undefined, now: number, zone: string): boolean {
  if (hours === undefined || hours.length === 0) return true
  const { minute } = wallTimeOf(now, zone)
  return hours.some(({ from, to }) => (from < to ? minute >= from && minute < to : minute >= from || minute < to))
}

/** When work may be done: `now` where it may at once, else the next moment (Unix ms) at which one of the ranges begins. */
export function nextOpening(hours: readonly HourRange[] | undefined, now: number, zone: string): number {
  if (hours === undefined || isWithinHours(hours, now, zone)) return now
  const today = wallTimeOf(now, zone)
  // A beginning that summer time leaves out may lie behind its range's end: the day after has one.
  const begins = [0, 1, 2].flatMap((days) =>
    hours.map(({ from }) => instantOf({ ...today, day: today.day + days, minute: from }, zone)),
  )
  const next = begins.filter((at) => at > now && isWithinHours(hours, at, zone))
  return Math.min(...next)
}

const timePattern = /^([01]?\d|2[0-3]):([0-5]\d)$|^24:00$/

/** Minutes after midnight of `06:30`; `24:00` is the next midnight. null for anything else. */
export function readTimeOfDay(text: string): number | null {
  const parts = timePattern.exec(text.trim())
  if (parts === null) return null
  return parts[1] === undefined ? 0 : Number(parts[1]) * 60 + Number(parts[2])
}

/** `22:00-06:00`; null for anything else. */
export function readHours(text: string): HourRange | null {
  const [first = '', second = '', ...rest] = text.split('-')
  const from = readTimeOfDay(first)
  const to = readTimeOfDay(second)
  return from === null || to === null || rest.length > 0 ? null : { from, to }
}
