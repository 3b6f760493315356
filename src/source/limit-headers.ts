// Owns what an answer's headers say of the limits of its source. Pure: the time of day is an argument.
import type { IncomingHttpHeaders } from 'node:http'
import type { ToldWindow } from '../domain/ports.js'
import type { LimitHeaders } from '../domain/source-model.js'

/** Seconds since 1970 are more than this in every year since 2001, and no reset is 30 years away. */
const leastUnixSeconds = 1_000_000_000
const leastUnixMs = leastUnixSeconds * 1000
/** No window is longer; an absurd value must not close one for years. */
const longestMs = 32 * 86_400_000

/** The windows that these headers tell of; those of which they say nothing are left out. */
export function readLimitHeaders(
  headers: IncomingHttpHeaders,
  rules: readonly LimitHeaders[],
  now: number,
): readonly ToldWindow[] {
  const read = rules.map((names): ToldWindow => {
    const limit = readAmount(headers[names.limit])
    const remaining = readAmount(headers[names.remaining])
    return {
      periodMs: names.periodMs,
      // A limit of none would be no limit that anybody may try.
      limit: limit === 0 ? null : limit,
      remaining,
      resetMs: names.reset === null ? null : readReset(headers[names.reset], theirNow(headers, now)),
    }
  })
  return read.filter(({ limit, remaining }) => limit !== null || remaining !== null)
}

/** `1200`, also the first of `1200, 1200;window=3600`; null for anything else. */
function readAmount(header: string | string[] | undefined): number | null {
  const digits = /^\s*(\d{1,12})\s*(?:[,;]|$)/.exec(String(header ?? ''))?.[1]
  return digits === undefined ? null : Number(digits)
}

/** Seconds from now, Unix seconds or Unix ms, told apart by their size; ms from now. */
function readReset(header: string | string[] | undefined, now: number): number | null {
  const digits = /^\s*(\d{1,15}(?:\.\d+)?)\s*$/.exec(String(header ?? ''))?.[1]
  if (digits === undefined) return null
  const value = Number(digits)
  const at = value >= leastUnixMs ? value : value >= leastUnixSeconds ? value * 1000 : now + value * 1000
  return Math.min(Math.max(0, at - now), longestMs)
}

/** A time of day counts from the answer's own `Date`: their clock may differ from ours. */
function theirNow(headers: IncomingHttpHeaders, now: number): number {
  const date = Date.parse(headers.date ?? '')
  return Number.isNaN(date) ? now : date
}
