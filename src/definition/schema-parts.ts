// Owns the small pieces of the definition schema: each says in its message what was expected, which is what the reader of a mistake gets to see.
import { z } from 'zod'
import { parseDateValue } from '../domain/dates.js'
import type { Json, JsonPath } from '../domain/json.js'
import type { Extract } from '../domain/source-model.js'
import { readExtract, readPath } from './path.js'
import { readDuration, readShare, readSize, writeDuration, writeSize } from './quantity.js'

/** Text that `read` understands; what it gives is the value. */
export function readable<T>(expected: string, read: (text: string) => T | null): z.ZodType<T, string> {
  return z
    .string({ error: expected })
    .transform((text, context): T => {
      const value = read(text)
      if (value !== null) return value
      context.addIssue({ code: 'custom', message: expected })
      return z.NEVER
    })
    .meta({ description: expected })
}

/** One of some words. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(words, { error: `one of ${words.join(', ')}` })
}

/** A whole number with bounds. */
export function count(min: number, max: number): z.ZodInt {
  const error = `a whole number from ${min.toLocaleString('en')} to ${max.toLocaleString('en')}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

/** A duration in ms, with bounds; `0` alone needs no unit. */
export function duration(min: number, max: number): z.ZodType<number, string | 0> {
  const expected = `a duration like 500ms, 2s, 5m, 4h or 7d, from ${writeDuration(min)} to ${writeDuration(max)}`
  const text = readable(expected, (value) => within(readDuration(value), min, max))
  return min > 0 ? text : z.union([text, z.literal(0, { error: expected })], { error: expected })
}

/** A size in bytes, with bounds; a number is bytes. */
export function size(min: number, max: number): z.ZodType<number, string | number> {
  const expected = `a size like 8MiB or 64kB, from ${writeSize(min)} to ${writeSize(max)}`
  const bytes = z.int({ error: expected }).min(min, { error: expected }).max(max, { error: expected })
  return z.union([bytes, readable(expected, (value) => within(readSize(value), min, max))], { error: expected })
}

const shareExpected = 'a share like 5% or 0.05, from 0 to 1'
/** A share of 1. */
export const share = z.union(
  [
    z.number({ error: shareExpected }).min(0, { error: shareExpected }).max(1, { error: shareExpected }),
    readable(shareExpected, readShare),
  ],
  { error: shareExpected },
)

/** Text that is not empty; may hold templates where the model says so. */
export function words(expected: string): z.ZodString {
  return z.string({ error: expected }).min(1, { error: expected })
}

const scalarExpected = 'text, a number, true or false'
/** A plain value, as text. */
export const scalar = z
  .union([z.string(), z.number(), z.boolean(), z.bigint()], { error: scalarExpected })
  .transform(String) as unknown as z.ZodType<string, string | number | boolean>

/** Query parameters or headers: names to templates. */
export const templates = z.record(z.string(), scalar, { error: 'names with their values, like { page: 1 }' })

const pathExpected = 'a path like rows, data.items, tags[0], or a list of steps; $ is the whole'
const steps = z.array(z.union([z.string(), z.int().min(0)], { error: 'a key or a position from 0' }), {
  error: pathExpected,
})
/** A place in an answer or record. */
export const path: z.ZodType<JsonPath, string | (string | number)[]> = z.union(
  [readable(pathExpected, readPath), steps],
  {
    error: pathExpected,
  },
)

const extractExpected = 'a path like meta.total, or "header X-Total"'
/** A place in an answer, or a header of it. */
export const extract: z.ZodType<Extract, string | (string | number)[]> = z.union(
  [
    readable(extractExpected, readExtract),
    // Not empty, and no headers: a list of places to look at is not one place.
    steps
      .min(1, { error: extractExpected })
      .refine((value) => !value.some((step) => /^header\s/i.test(String(step))), { error: extractExpected })
      .transform((value): Extract => ({ path: value })),
  ],
  { error: extractExpected },
)

/** What becomes of a task whose request got such an answer. */
export const fate = oneOf(['retry', 'dead', 'budget'])

/** What becomes of a row whose parent is missing. */
export const missingParent = oneOf(['wait', 'reject', 'refuse'])

/** Any JSON value. */
export const json = z.json({ error: 'a JSON value' }) as unknown as z.ZodType<Json, Json>

/** One or several. */
export function listOf<T extends z.ZodType>(element: T, expected: string): z.ZodArray<T> {
  return z.array(element, { error: expected })
}

/** A bound of a date dimension. */
export const day = readable('a day like 2024-01-01', readDay)
/** The last day of a date dimension. */
export const lastDay = readable('a day like 2024-01-01, today or yesterday', (text) =>
  text === 'today' || text === 'yesterday' ? text : readDay(text),
)

/** Values of a dimension, as text. */
export const valueList = listOf(scalar, 'a list of values')
export const aliases = z.record(z.string(), scalar, {
  error: 'words with the value each stands for, like { oak: oakland.ca }',
})

function readDay(text: string): string | null {
  try {
    parseDateValue(text, 'day')
    return text
  } catch {
    return null
  }
}

function within(value: number | null, min: number, max: number): number | null {
  return value === null || value < min || value > max ? null : value
}
