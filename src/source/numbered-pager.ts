// Owns walks by page number and by offset. What ends them, in this order: a declared error, the answer's own word that there is no more, an empty page, the exact
// total, the number of pages, and a short page only where the source says so: servers clip the page size silently. Pure.
import { InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { isJsonObject, valueAt } from '../domain/json.js'
import type { Cursor, PassedPage } from '../domain/ports.js'
import type { Extract, Pagination, Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import { hasMore } from './more.js'
import type { NextStep, PageReply, Pager, PagerOptions } from './pager.js'
import { badAnswer, sizeParams } from './pager.js'
import { firstStep, type Step } from './request.js'
import { extract, isSameJson, type Reply, wholeNumber } from './rows.js'

type Numbered = Pagination & { readonly kind: 'page' | 'offset' }

/** What the cursor of a numbered walk holds. */
interface Place {
  /** Page number or offset of the next request. */
  readonly at: number
  /** Pages before it. */
  readonly pages: number
  /** Rows before it. */
  readonly seen: number
  /** The last exact total that the source named. */
  readonly total: number | null
  /** Totals of this walk differed. */
  readonly hasMoved: boolean
}

/** A pager by page number or offset. */
export function numberedPager(pagination: Numbered, { stream }: PagerOptions): Pager {
  const first = pagination.kind === 'page' ? pagination.first : 0
  const placeAt = (cursor: Cursor | null): Place =>
    cursor === null ? { at: first, pages: 0, seen: 0, total: null, hasMoved: false } : readPlace(cursor)
  return {
    stepAt: (cursor) => {
      return stepOf(pagination, stream, placeAt(cursor).at)
    },
    after: (cursor, reply) => afterPage(placeAt(cursor), reply, { pagination, stream }),
    guessAfter: (cursor, reply) => {
      const place = readPlace(cursor)
      if (place.total === null || reply.rows.length === 0) return null
      const next = advance(place, reply.rows.length, pagination)
      return next.seen < place.total ? writePlace(next) : null
    },
  }
}

/** The request for a page; without a parameter its number stands where the request names {cursor}. */
export function stepOf(pagination: Numbered, stream: Stream, at: number): Step {
  const own = pagination.param === '' ? {} : { [pagination.param]: at }
  return { ...firstStep, cursor: String(at), value: at, params: { ...sizeParams(pagination, stream), ...own } }
}

/** The page at a cursor, and the place behind it, where that can be told without its answer. */
export function passOver(pagination: Numbered, stream: Stream, cursor: Cursor | null): PassedPage | null {
  const first = pagination.kind === 'page' ? pagination.first : 0
  const place = cursor === null ? { at: first, pages: 0, seen: 0, total: null, hasMoved: false } : readPlace(cursor)
  const size = sizeOf(place, stream)
  if (size === null && pagination.kind === 'offset') return null
  const page = { number: place.pages + 1, at: place.at }
  const next = { ...advance(place, size ?? 0, pagination), total: place.total }
  if (place.total === null) return { page, next: writePlace(next) }
  return { page, next: next.seen >= place.total ? null : writePlace(next) }
}

/** Rows of a page: what the pages before had, where that is one number, but no more than are asked for. A gap would lose rows, an overlap only repeats some. */
function sizeOf(place: Place, stream: Stream): number | null {
  const had = place.pages > 0 && place.seen % place.pages === 0 ? place.seen / place.pages : null
  const asked = stream.settings.pageSize
  if (had === null || asked === null) return had ?? asked
  return Math.min(had, asked)
}

/** The cursor of one page, without anything that came before it. */
export function cursorOf(page: PassedPage['page']): Cursor {
  return writePlace({ at: page.at, pages: page.number - 1, seen: 0, total: null, hasMoved: false })
}

export interface NumberedContext {
  readonly pagination: Numbered
  readonly stream: Stream
}

function afterPage(place: Place, reply: PageReply, context: NumberedContext): NextStep {
  const count = reply.rows.length
  const found = totalOf(reply, context)
  const total = found ?? place.total
  const hasMoved = place.hasMoved || (found !== null && place.total !== null && found !== place.total)
  const next = { ...advance(place, count, context.pagination), total, hasMoved }
  const end: NextStep = { cursor: null, fingerprint: null, verdict: verdictAt(next) }
  if (reply.isPastEnd) return end
  const more = hasMore(context.pagination, reply)
  if (more === true && count === 0) throw badAnswer(reply, 'more to come, and no row')
  if (more === false || count === 0) return end
  if (more !== true && isLast(next, reply, context)) return end
  // A total that counts down the rows cannot run for ever; without one, or beyond it, a server that ignores the parameter repeats itself.
  const canRepeat = total === null || next.seen > total
  return { cursor: writePlace(next), fingerprint: canRepeat ? reply.hashBody() : null }
}

/** What is read of a page says that it is the last one. */
function isLast({ seen, pages, total }: Place, reply: PageReply, context: NumberedContext): boolean {
  if (total !== null && seen === total) return true
  if (total === null && pages === numberOf(reply, context.pagination.pages)) return true
  return isShortEnd(reply, context)
}

/** What a walk from the first page on proves at its end: that as many rows came as the source counted all the time. */
function verdictAt({ total, seen, hasMoved }: Place): Proof {
  if (total === null || hasMoved) return 'unproven'
  return seen === total ? 'proven' : 'differs'
}

function advance(place: Place, rows: number, pagination: Numbered): Place {
  const by = pagination.kind === 'page' ? 1 : rows
  return { ...place, at: place.at + by, pages: place.pages + 1, seen: place.seen + rows }
}

/** Rows a page: what the source used, else what it was asked for; null where neither is known. */
export function usedSizeOf(reply: Reply, { pagination, stream }: NumberedContext): number | null {
  return numberOf(reply, pagination.usedSize) ?? stream.settings.pageSize
}

/** The total of an answer. One that a count rule calls capped says nothing about the end from its cap on. */
export function totalOf(reply: Reply, { pagination, stream }: NumberedContext): number | null {
  const { total } = pagination
  const value = numberOf(reply, total)
  if (value === null || total === null) return null
  const rule = stream.count.find((one) => one.request === null && isSameExtract(one.from, total))
  const cap = rule?.exactBelow ?? null
  return cap === null || value < cap ? value : null
}

function isShortEnd(reply: PageReply, { pagination, stream }: NumberedContext): boolean {
  if (!pagination.end.shortPage) return false
  const size = usedSizeOf(reply, { pagination, stream })
  return size !== null && reply.rows.length < size
}

function numberOf(reply: Reply, from: Extract | null): number | null {
  return from === null ? null : wholeNumber(extract(reply, from))
}

function isSameExtract(a: Extract, b: Extract): boolean {
  if ('header' in a || 'header' in b) {
    return 'header' in a && 'header' in b && a.header.toLowerCase() === b.header.toLowerCase()
  }
  return isSameJson(a.path, b.path)
}

function writePlace(place: Place): Cursor {
  const { at, pages, seen, total } = place
  return { at, pages, seen, total, ...(place.hasMoved ? { moved: true } : {}) }
}

function readPlace(cursor: Json): Place {
  const [at, pages, seen, total] = ['at', 'pages', 'seen', 'total'].map((name) => wholeNumber(valueAt(cursor, [name])))
  if (isJsonObject(cursor) && typeof at === 'number' && typeof pages === 'number' && typeof seen === 'number') {
    return { at, pages, seen, total: total ?? null, hasMoved: cursor.moved === true }
  }
  throw new InvariantError('read cursor found no place of a numbered walk')
}
