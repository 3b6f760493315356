// Owns moments as a source writes them: how a bound is written in a request, and how two values of a record compare. Pure.
import { AnswerInvalid } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { ExactDecimal } from '../domain/json.js'
import type { TimeFormat } from '../domain/walk-model.js'

/** A moment (Unix ms) in a request. Rounded down: a bound must not come too late. */
export function writeMoment(ms: number, format: TimeFormat): string {
  switch (format) {
    case 'iso':
      return new Date(ms).toISOString()
    case 'seconds':
      return String(Math.floor(ms / 1000))
    case 'milliseconds':
      return String(Math.floor(ms))
  }
}

/** A record's value as it goes into the next request: as the source wrote it, so that no digit is lost. null where it is none. */
function momentText(value: Json | undefined): string | null {
  if (typeof value === 'string') return value === '' ? null : value
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof ExactDecimal) return String(value)
  return null
}

/** Unix ms of a value; null where it is no time. Beyond milliseconds it is rounded down. */
export function momentOf(text: string, format: TimeFormat): number | null {
  if (format === 'iso') {
    const at = Date.parse(text)
    return Number.isNaN(at) ? null : at
  }
  const number = Number(text)
  if (!Number.isFinite(number)) return null
  return Math.floor(format === 'seconds' ? number * 1000 : number)
}

/** Below 0 where `a` comes before `b`. Equal milliseconds of one spelling are compared by their text. */
export function compareMoments(a: string, b: string, format: TimeFormat): number {
  if (a === b) return 0
  const [first, second] = [momentOf(a, format), momentOf(b, format)]
  if (first !== null && second !== null && first !== second) return first - second
  return a.length === b.length ? (a < b ? -1 : 1) : 0
}

/** @throws AnswerInvalid `change_missing` where a record does not say when it changed. */
export function requireMoment(
  value: Json | undefined,
  place: { readonly address: string; readonly field: string },
): string {
  const text = momentText(value)
  if (text !== null) return text
  throw new AnswerInvalid('change_missing', `read ${place.address} found a row without "${place.field}"`, {
    hint: 'the field of "incremental" must be in every row that its request brings',
  })
}
