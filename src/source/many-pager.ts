// Owns walks over many values of a dimension, several in one request: which values the next request asks for, and fewer of them where the source says that they
// were too many. Pure but for the size that it learns.
import { InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Proof } from '../domain/task.js'
import type { ManyValues } from '../domain/walk-model.js'
import type { NextStep, Pager, PagerOptions } from './pager.js'
import type { Step } from './request.js'
import { wholeNumber } from './rows.js'
import { readVerdict, weaker } from './verdict.js'

interface Place {
  /** Position of the first value of the request. */
  readonly at: number
  readonly size: number
  readonly inner: Json
  readonly verdict: Proof
}

/** Characters of values in one address: with everything else it stays below 8 kB. */
const mostCharacters = 6000

/** A pager over the values of `options`; `inner` walks the pages of one request. */
export function manyPager(rules: ManyValues, inner: Pager, options: PagerOptions): Pager {
  const { values, sizes, stream } = options
  const name = `${stream.source}.${stream.name}`
  const fitting = (at: number, size: number): number => fit(values, rules, { at, size })
  const begin = (at: number, size: number): Place => ({ at, size: fitting(at, size), inner: null, verdict: 'proven' })
  // Fixed for the walk: another task may learn a smaller size while the first answer is awaited, and the pages behind it must be of the same values.
  const first = begin(0, Math.min(rules.max, sizes.get(name) ?? rules.max))
  const placeAt = (cursor: Cursor | null): Place => (cursor === null ? first : readPlace(cursor))
  return {
    judges: true,
    isPartial: true,
    stepAt: (cursor): Step => {
      const { at, size, inner: position } = placeAt(cursor)
      const step = inner.stepAt(position)
      const surfaces = size > 1 ? rules.shrinkOn : []
      if (step.url !== null) return { ...step, surfaces }
      const asked = values.slice(at, at + size)
      // An empty filter is none: the answer would be everybody's rows.
      if (asked.length === 0) throw new InvariantError(`ask for ${name} found no value to ask for`)
      return { ...step, surfaces, params: { ...step.params, [rules.param]: writeMany(rules, asked) } }
    },
    after: (cursor, reply): NextStep => {
      const place = placeAt(cursor)
      const next = inner.after(place.inner, reply)
      if (next.cursor !== null) {
        return { cursor: writePlace({ ...place, inner: next.cursor }), fingerprint: next.fingerprint }
      }
      const verdict = weaker(place.verdict, next.verdict ?? 'unproven')
      const at = place.at + place.size
      if (at >= values.length) return { cursor: null, fingerprint: null, verdict }
      const size = Math.min(rules.max, sizes.get(name) ?? place.size)
      return { cursor: writePlace({ ...begin(at, size), verdict }), fingerprint: null }
    },
    guessAfter: (cursor, reply) => {
      const place = readPlace(cursor)
      const guess = place.inner === null ? null : inner.guessAfter(place.inner, reply)
      return guess === null ? null : writePlace({ ...place, inner: guess })
    },
    shrink: (cursor, status) => {
      const place = placeAt(cursor)
      if (place.size <= 1 || !rules.shrinkOn.includes(status)) return null
      const size = Math.floor(place.size / 2)
      sizes.set(name, size)
      return writePlace({ ...place, size, inner: null })
    },
  }
}

/** How many of the first values one request asks for. `learned`: what the source took last; undefined: nothing is known of it. */
export function fittingValues(values: readonly string[], rules: ManyValues, learned: number | undefined): number {
  return fit(values, rules, { at: 0, size: Math.min(rules.max, learned ?? rules.max) })
}

/** The values as one parameter takes them. */
export function writeMany({ join, form, isList }: ManyValues, values: readonly string[]): string | readonly string[] {
  const written = form === undefined ? values : values.map((value) => writeValue(form, value))
  return isList === true ? written : written.join(join)
}

function writeValue(form: string, value: string): string {
  return form.replaceAll('{value}', () => value)
}

/** As many of `size` values as an address takes; a body takes all. */
function fit(
  values: readonly string[],
  { join, form = '{value}', isList }: ManyValues,
  place: Pick<Place, 'at' | 'size'>,
): number {
  const { at, size } = place
  if (isList === true) return Math.max(1, Math.min(size, values.length - at))
  const separator = encodeURIComponent(join).length
  let length = 0
  for (let count = 0; count < size; count += 1) {
    const value = values[at + count]
    if (value === undefined) return Math.max(1, count)
    length += encodeURIComponent(writeValue(form, value)).length + separator
    if (length > mostCharacters && count > 0) return count
  }
  return size
}

function writePlace({ at, size, inner, verdict }: Place): Cursor {
  return { value: at, size, inner, verdict }
}

function readPlace(cursor: Json): Place {
  const [at, size] = ['value', 'size'].map((name) => wholeNumber(valueAt(cursor, [name])))
  if (typeof at !== 'number' || typeof size !== 'number')
    throw new InvariantError('read cursor found no place of a walk over many values')
  return { at, size, inner: valueAt(cursor, ['inner']) ?? null, verdict: readVerdict(valueAt(cursor, ['verdict'])) }
}
