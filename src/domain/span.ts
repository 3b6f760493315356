// Owns spans of dates on the command line: `2024`, `2024-02`, `2024-02-03`, `2024-01..2024-03`, `2024-06..`, `..2023`. Pure.
import type { DateStep } from './dates.js'

const point = String.raw`\d{4}(?:-\d{2}(?:-\d{2})?)?`
const spanPattern = new RegExp(`^(?:${point}|(?:${point})?\\.\\.(?:${point})?)$`)

/** True for text of the shape of a date or span; `..` alone is none. */
export function isDateSpan(text: string): boolean {
  return text !== '..' && spanPattern.test(text)
}

/**
 * The values that lie in a span, both ends included. A bound may be coarser than the dimension's step (`2024` among days: the whole year) or
 * finer (`2024-02-14` among months: the month that holds it). A point that is exactly a value gives that one.
 */
export function spanValues(text: string, values: readonly string[], step: DateStep): readonly string[] {
  if (!text.includes('..') && values.includes(text)) return [text]
  const [from = '', to = from] = text.includes('..') ? text.split('..') : [text]
  // A Monday stands for its week: the week that holds the first day asked for belongs to the span.
  const first = step === 'week' && from !== '' ? daysBefore(padded(from, '-01'), 6) : from
  return values.filter((value) => (first === '' || isNotBefore(value, first)) && (to === '' || isNotAfter(value, to)))
}

/** Texts of dates sort like the dates; they are compared to the length of the shorter one. */
function isNotBefore(value: string, bound: string): boolean {
  const length = Math.min(value.length, bound.length)
  return value.slice(0, length) >= bound.slice(0, length)
}

function isNotAfter(value: string, bound: string): boolean {
  const length = Math.min(value.length, bound.length)
  return value.slice(0, length) <= bound.slice(0, length)
}

function padded(date: string, part: string): string {
  return (date + part.repeat(2)).slice(0, 10)
}

function daysBefore(day: string, days: number): string {
  const time = Date.parse(`${day}T00:00:00Z`)
  return Number.isNaN(time) ? day : new Date(time - days * 86_400_000).toISOString().slice(0, 10)
}
