// Owns walks by page number from the last page to the first, over rows that are sorted so that new ones come last. While such a walk runs, a row's place only
// ever moves towards the front (rows before it are deleted), and so does the walk: a row that is there all the time cannot be passed over. What it proves, it
// proves page by page: each holds as many rows as the total of its own answer leaves for it. Pure.
import { InvariantError } from '../domain/errors.js'
import type { Json, JsonPath } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import type { Backwards } from '../domain/walk-model.js'
import { numberedPager, stepOf, totalOf, usedSizeOf } from './numbered-pager.js'
import type { NextStep, PageReply, Pager, PagerOptions } from './pager.js'
import { textOf, wholeNumber } from './rows.js'
import { readVerdict, weaker } from './verdict.js'

type Numbered = Pagination & { readonly kind: 'page' | 'offset' }

/** Where such a walk stands: the next page, counted from 0. */
interface Place {
  readonly page: number
  /** Rows a page. */
  readonly size: number
  /** The total of the answer before. */
  readonly total: number
  readonly verdict: Proof
}

/** A pager from the last page to the first. Without a total it goes forward, and proves nothing. `rules` null: nobody checks the order. */
export function backwardsPager(pagination: Numbered, rules: Backwards | null, options: PagerOptions): Pager {
  const { stream } = options
  const forward = numberedPager(pagination, options)
  const first = pagination.kind === 'page' ? pagination.first : 0
  const by = rules?.by ?? null
  return {
    judges: true,
    stepAt: (cursor) => {
      if (cursor === null) return forward.stepAt(null)
      const ahead = valueAt(cursor, ['forward'])
      if (ahead !== undefined) return forward.stepAt(ahead)
      const { page, size } = readPlace(cursor)
      const at = pagination.kind === 'page' ? first + page : page * size
      return stepOf(pagination, stream, at)
    },
    after: (cursor, reply) => {
      const ahead = valueAt(cursor, ['forward'])
      if (cursor === null || ahead !== undefined) {
        const total = totalOf(reply, { pagination, stream })
        const size = usedSizeOf(reply, { pagination, stream })
        if (total === null || size === null) return goForward(forward.after(ahead ?? null, reply))
        const at = ahead === undefined ? first : (wholeNumber(valueAt(ahead, ['at'])) ?? first)
        const page = pagination.kind === 'page' ? at - first : Math.floor(at / size)
        return fromHere({ total, size, page }, reply, { pagination, options, by })
      }
      return before(readPlace(cursor), reply, { pagination, options, by })
    },
    guessAfter: (cursor, reply) => {
      if (valueAt(cursor, ['forward']) !== undefined) return null
      const place = readPlace(cursor)
      return place.page === 0 || reply.rows.length === 0 ? null : writePlace({ ...place, page: place.page - 1 })
    },
  }
}

function goForward({ cursor, fingerprint }: NextStep): NextStep {
  return cursor === null ? { cursor, fingerprint, verdict: 'unproven' } : { cursor: { forward: cursor }, fingerprint }
}

/**
 * An answer that says how many there are. Of several pages its own rows come again at the end, when nothing can move before them any more; where it happens to be
 * the last page, the walk back begins with it.
 */
function fromHere(
  { total, size, page }: { readonly total: number; readonly size: number; readonly page: number },
  reply: PageReply,
  context: Context,
): NextStep {
  const pages = Math.ceil(total / size)
  if (pages <= 1 && page === 0) {
    const verdict = reply.rows.length === total && isAscending(reply.rows, context.by) ? 'proven' : 'differs'
    return { cursor: null, fingerprint: null, verdict: reply.rows.length > total ? 'unproven' : verdict }
  }
  if (page === pages - 1) return before({ page, size, total, verdict: 'proven' }, reply, context)
  return { cursor: lastPage({ total, size }), fingerprint: null }
}

/** The cursor of the last page, for a walk that learned otherwise how many rows there are. */
export function lastPage({ total, size }: { readonly total: number; readonly size: number }): Cursor {
  return writePlace({ page: Math.max(0, Math.ceil(total / size) - 1), size, total, verdict: 'proven' })
}

interface Context {
  readonly pagination: Numbered
  readonly options: PagerOptions
  readonly by: JsonPath | null
}

function before(place: Place, reply: PageReply, context: Context): NextStep {
  const { pagination, options, by } = context
  const numbered = { pagination, stream: options.stream }
  const total = totalOf(reply, numbered)
  const isSameSize = (usedSizeOf(reply, numbered) ?? place.size) === place.size
  const own = isSameSize && isAscending(reply.rows, by) ? judgePage(place, reply.rows.length, total) : 'unproven'
  const verdict = weaker(place.verdict, own)
  if (place.page === 0) return { cursor: null, fingerprint: null, verdict }
  return {
    cursor: writePlace({ ...place, page: place.page - 1, total: total ?? place.total, verdict }),
    fingerprint: null,
  }
}

/** A full page needs no total. A short one must be the end of the total of its own answer; where that moved meanwhile, what is missing may be gone. */
function judgePage(place: Place, rows: number, total: number | null): Proof {
  const left = (of: number): number => Math.min(Math.max(of - place.page * place.size, 0), place.size)
  if (rows === left(total ?? place.total) || rows === place.size) return 'proven'
  return total === null || total !== place.total ? 'unproven' : 'differs'
}

function isAscending(rows: readonly Json[], by: JsonPath | null): boolean {
  if (by === null) return true
  let before: Json | undefined
  for (const row of rows) {
    const value = valueAt(row, by)
    if (value === undefined || value === null) return false
    if (before !== undefined && !isLess(before, value)) return false
    before = value
  }
  return true
}

function isLess(a: Json, b: Json): boolean {
  if ((typeof a === 'number' || typeof a === 'bigint') && (typeof b === 'number' || typeof b === 'bigint')) return a < b
  return textOf(a) < textOf(b)
}

function writePlace(place: Place): Cursor {
  return { back: place.page, size: place.size, total: place.total, verdict: place.verdict }
}

function readPlace(cursor: Json): Place {
  const [page, size, total] = ['back', 'size', 'total'].map((name) => wholeNumber(valueAt(cursor, [name])))
  if (typeof page !== 'number' || typeof size !== 'number' || typeof total !== 'number')
    throw new InvariantError('read cursor found no place of a walk from the last page')
  return { page, size, total, verdict: readVerdict(valueAt(cursor, ['verdict'])) }
}
