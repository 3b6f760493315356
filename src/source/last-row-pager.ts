// Owns walks that go on behind the last row of a page. What ends them, in this order: a declared error, the answer's own word that there is no more, a page
// without rows, and a short page only where the source says so. Pure.
import { InvariantError } from '../domain/errors.js'
import { type Json, type JsonPath, valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination } from '../domain/source-model.js'
import {
  badAnswer,
  type NextStep,
  type PageReply,
  type Pager,
  type PagerOptions,
  scalarOf,
  sizeParams,
} from './pager.js'
import { firstStep, type Step } from './request.js'
import { extract, pathText, textOf } from './rows.js'

type LastRowPagination = Pagination & { readonly kind: 'lastRow' }

const end: NextStep = { cursor: null, fingerprint: null }

/** A pager by the last row's own value. */
export function lastRowPager(pagination: LastRowPagination, { stream }: PagerOptions): Pager {
  const first: Step = { ...firstStep, params: sizeParams(pagination, stream) }
  const { pageSize } = stream.settings
  return {
    stepAt: (cursor) => (cursor === null ? first : stepBehind(cursor, first, pagination)),
    after: (_, reply) => {
      if (reply.isPastEnd) return end
      const hasMore =
        pagination.more === null ? null : readMore(extract(reply, pagination.more), pagination.more, reply)
      const last = reply.rows.at(-1)
      if (hasMore === true && last === undefined) throw badAnswer(reply, 'more to come, and no row to go on behind')
      const isShort = pagination.end.shortPage && reply.rows.length < (pageSize ?? 0)
      if (last === undefined || hasMore === false || (hasMore === null && isShort)) return end
      const cursor = { behind: valueOf(last, pagination.row, reply) }
      return { cursor, fingerprint: JSON.stringify(cursor) }
    },
    guessAfter: () => null,
  }
}

function stepBehind(cursor: Cursor, first: Step, { param }: LastRowPagination): Step {
  const value = scalarOf(valueAt(cursor, ['behind']))
  if (value === null) throw new InvariantError('read cursor found no position of a walk by last row')
  const own = param === '' ? {} : { [param]: value }
  return { ...first, cursor: String(value), params: { ...first.params, ...own } }
}

function valueOf(row: Json, path: JsonPath, reply: PageReply): string | number {
  const value = scalarOf(valueAt(row, path))
  if (value !== null && value !== '') return value
  throw badAnswer(reply, `that the last row has no text or number at "${pathText(path)}"`)
}

/** An answer that usually says whether there is more, and this time does not, must not pass for the last one. */
function readMore(value: Json | undefined, from: NonNullable<LastRowPagination['more']>, reply: PageReply): boolean {
  const place = 'header' in from ? `header ${from.header}` : pathText(from.path)
  if (value === undefined || value === null)
    throw badAnswer(reply, `nothing at "${place}", which says whether there is more`)
  const word = textOf(value).trim().toLowerCase()
  if (word === 'true' || word === '1') return true
  if (word === 'false' || word === '0') return false
  throw badAnswer(reply, `neither true nor false at "${place}"`)
}
