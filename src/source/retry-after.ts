// Owns the `Retry-After` header. Pure: the time of day is an argument.

/** No source is left alone for longer on its own word: an absurd value must not park it for years. */
const longestMs = 86_400_000

/** Milliseconds from `now` (Unix ms) that a `Retry-After` asks for, at most a day; null where it is absent or unreadable. */
export function readRetryAfter(header: string | undefined, now: number): number | null {
  if (header === undefined) return null
  const text = header.trim()
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, longestMs)
  // Date.parse takes "-5" for a year; HTTP dates begin with a weekday.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : Math.min(Math.max(at - now, 0), longestMs)
}
