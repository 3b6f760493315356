// Owns walks that go on behind the last row of a page. What ends them, in this order: a declared error, the answer's own word that there is no more, a page
// without rows, and a short page only where the source says so. Pure.
import { InvariantError } from '../domain/errors.js'
import { type Json, valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination } from '../domain/source-model.js'
import { hasMore } from './more.js'
import {
  badAnswer,
  type NextStep,
  type PageReply,
  type Pager,
  type PagerOptions,
  plainOf,
  scalarOf,
  sizeParams,
} from './pager.js'
import { firstStep, type Step, takesJson } from './request.js'
import { pathText, textOf } from './rows.js'

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
      const more = hasMore(pagination, reply)
      const last = reply.rows.at(-1)
      if (more === true && last === undefined) throw badAnswer(reply, 'more to come, and no row to go on behind')
      const isShort = pagination.end.shortPage && reply.rows.length < (pageSize ?? 0)
      if (last === undefined || more === false || (more === null && isShort)) return end
      const cursor = {
        behind: valueOf(last, pagination, { reply, mayBeJson: takesJson(stream.request, pagination.param) }),
      }
      return { cursor, fingerprint: JSON.stringify(cursor) }
    },
    guessAfter: () => null,
  }
}

function stepBehind(cursor: Cursor, first: Step, { param }: LastRowPagination): Step {
  const value = valueAt(cursor, ['behind'])
  if (value === undefined || value === null)
    throw new InvariantError('read cursor found no position of a walk by last row')
  const own = param === '' ? {} : { [param]: value }
  return { ...first, cursor: textOf(value), value, params: { ...first.params, ...own } }
}

interface LastRowContext {
  readonly reply: PageReply
  readonly mayBeJson: boolean
}

function valueOf(row: Json, { row: path }: LastRowPagination, { reply, mayBeJson }: LastRowContext): Json {
  const found = valueAt(row, path)
  const isPlain = typeof found === 'number' || (Array.isArray(found) && found.length > 0)
  const value = mayBeJson && isPlain ? plainOf(found) : scalarOf(found)
  if (value !== null && value !== '') return value
  throw badAnswer(reply, `that the last row has no text or number at "${pathText(path)}"`)
}
