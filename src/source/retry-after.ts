// Owns the `Retry-After` header. Pure: the time of day is an argument.

import type { IncomingHttpHeaders } from 'node:http'

/** No source is left alone for longer on its own word: an absurd value must not park it for years. */
const longestMs = 86_400_000

/**
 * Milliseconds that a `Retry-After` asks for, at most a day; null where it is absent or unreadable. A date counts from the answer's own `Date`, because the
 * two are of one clock and ours may be another; from `now` (Unix ms) where there is none.
 */
export function readRetryAfter(headers: IncomingHttpHeaders, now: number): number | null {
  const header = headers['retry-after']
  if (header === undefined) return null
  const text = header.trim()
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, longestMs)
  // Date.parse takes "-5" for a year; HTTP dates begin with a weekday.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  const theirNow = Date.parse(headers.date ?? '')
  return Number.isNaN(at) ? null : Math.min(Math.max(at - (Number.isNaN(theirNow) ? now : theirNow), 0), longestMs)
}
