// Owns the calendar of date dimensions: which values there are, and how one is written in a request. Pure: no clock, no zone;
// "today" is an argument because it depends on the workspace's zone.
import { ConfigError } from './errors.js'
import type { DateDimension } from './source-model.js'

export type DateStep = DateDimension['step']
/** Which day of a step: its first, its last, the first of the next one (an exclusive upper bound), or the first or last of the month that it begins in. */
export type DatePart = 'start' | 'end' | 'next' | 'month_start' | 'month_end'
/** So many steps later; below zero earlier. From a day that the month there has not to its last. */
export interface DateShift {
  readonly by: number
  readonly step: DateStep
}
export interface DateForm {
  /** Moves the value before its part is looked for; absent: it stays. */
  readonly shift?: DateShift
  readonly part: DatePart
  readonly format: string | null
}
export type DateOrder = 'oldest' | 'newest'

const dayMs = 86_400_000
const monthNames = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const valueShapes: Record<DateStep, RegExp> = {
  day: /^\d{4}-\d{2}-\d{2}$/,
  week: /^\d{4}-\d{2}-\d{2}$/,
  month: /^\d{4}-\d{2}$/,
  year: /^\d{4}$/,
}

/**
 * Every value of a date dimension, from the step that holds `from` to the one that holds `to`, both included. `today` is `YYYY-MM-DD` in the
 * workspace's zone. Empty where `to` lies before `from`.
 * @throws ConfigError where a bound is no date of the calendar.
 */
export function dateValues(dimension: DateDimension, today: string, order: DateOrder = 'oldest'): string[] {
  const last = upperBound(dimension.to, today)
  const values: string[] = []
  let first = startOfStep(parseDay(dimension.from), dimension.step)
  while (first <= last) {
    values.push(valueOf(first, dimension.step))
    first = nextStep(first, dimension.step)
  }
  return order === 'newest' ? values.reverse() : values
}

/**
 * A date value as a request wants it. Formats know `YYYY YY MMM MM M DD D`, and `[text]` for letters that are none of these; null gives the
 * value itself for `start` and `YYYY-MM-DD` for `end` and `next`.
 * @throws ConfigError where the value is no date of that step.
 */
export function formatDate(value: string, step: DateStep, as: DateForm): string {
  const { part, format, shift } = as
  const first = moved(parseDateValue(value, step), shift)
  if (part === 'start' && format === null) return valueOf(first, step)
  return writeDay(new Date(partOf(first, step, part)), format ?? 'YYYY-MM-DD')
}

function partOf(first: number, step: DateStep, part: DatePart): number {
  switch (part) {
    case 'start':
      return first
    case 'next':
      return nextStep(first, step)
    case 'end':
      return nextStep(first, step) - dayMs
    case 'month_start':
      return startOfStep(first, 'month')
    case 'month_end':
      return nextStep(startOfStep(first, 'month'), 'month') - dayMs
  }
}

function moved(day: number, shift: DateShift | undefined): number {
  if (shift === undefined) return day
  const { by, step } = shift
  if (step === 'day' || step === 'week') return day + by * (step === 'day' ? 1 : 7) * dayMs
  const date = new Date(day)
  const month = utcDay(date.getUTCFullYear(), date.getUTCMonth() + by * (step === 'year' ? 12 : 1))
  return Math.min(month + (date.getUTCDate() - 1) * dayMs, nextStep(month, 'month') - dayMs)
}

/** The first day of a dimension value, Unix ms at UTC midnight. @throws ConfigError where the value is none of that step. */
export function parseDateValue(value: string, step: DateStep): number {
  if (!valueShapes[step].test(value)) throw badDate(value, step)
  const first = parseDay(`${value}-01-01`.slice(0, 10))
  if (startOfStep(first, step) !== first) throw badDate(value, step)
  return first
}

function upperBound(to: string, today: string): number {
  if (to === 'today') return parseDay(today)
  if (to === 'yesterday') return parseDay(today) - dayMs
  return parseDay(to)
}

function parseDay(text: string): number {
  const time = valueShapes.day.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // Date.parse takes 2024-02-30 for the first of March.
  if (Number.isNaN(time) || isoDay(time) !== text) throw badDate(text, 'day')
  return time
}

function startOfStep(day: number, step: DateStep): number {
  const date = new Date(day)
  if (step === 'day') return day
  if (step === 'week') return day - ((date.getUTCDay() + 6) % 7) * dayMs
  return utcDay(date.getUTCFullYear(), step === 'year' ? 0 : date.getUTCMonth())
}

function nextStep(first: number, step: DateStep): number {
  const date = new Date(first)
  if (step === 'day') return first + dayMs
  if (step === 'week') return first + 7 * dayMs
  const year = date.getUTCFullYear()
  return step === 'year' ? utcDay(year + 1, 0) : utcDay(year, date.getUTCMonth() + 1)
}

/** First of a month; unlike Date.UTC it does not take the years 0 to 99 for 1900 to 1999. */
function utcDay(year: number, month: number): number {
  const date = new Date(0)
  return date.setUTCFullYear(year, month, 1)
}

function valueOf(first: number, step: DateStep): string {
  const lengths: Record<DateStep, number> = { day: 10, week: 10, month: 7, year: 4 }
  return isoDay(first).slice(0, lengths[step])
}

function isoDay(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}

/** What of a format is no part of a date and looks like one (`yyyy`, `dd`, `HH`); null where all is well. Other letters stand for themselves. */
export function strayDatePart(format: string): string | null {
  const rest = format.replaceAll(dateToken, ' ')
  return /[ymdhs]+/i.exec(rest)?.[0] ?? null
}

const dateToken = /\[([^\]]*)\]|YYYY|YY|MMM|MM|M|DD|D/g

function writeDay(date: Date, format: string): string {
  const year = String(date.getUTCFullYear()).padStart(4, '0')
  const month = date.getUTCMonth()
  const day = date.getUTCDate()
  const tokens: Record<string, string> = {
    YYYY: year,
    YY: year.slice(-2),
    MMM: monthNames[month] ?? '',
    MM: String(month + 1).padStart(2, '0'),
    M: String(month + 1),
    DD: String(day).padStart(2, '0'),
    D: String(day),
  }
  return format.replaceAll(dateToken, (token, literal: string | undefined) => {
    return literal ?? tokens[token] ?? token
  })
}

function badDate(value: string, step: DateStep): ConfigError {
  const shapes: Record<DateStep, string> = {
    day: 'YYYY-MM-DD',
    week: 'YYYY-MM-DD of a Monday',
    month: 'YYYY-MM',
    year: 'YYYY',
  }
  return new ConfigError('bad_date', `read date "${value}" found no ${step} of the calendar`, {
    hint: `write it as ${shapes[step]}`,
    context: { value, step },
  })
}
