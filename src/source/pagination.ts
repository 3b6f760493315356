// Owns which pager serves which walk: the pagination of one request, and around it what the stream says of its walks: changes or windows, many values.
import { manyOf } from '../domain/fan-out.js'
import type { Cursor, PassedPage } from '../domain/ports.js'
import type { Pagination, Stream } from '../domain/source-model.js'
import { backwardsPager } from './backwards-pager.js'
import { changesPager } from './changes-pager.js'
import { lastRowPager } from './last-row-pager.js'
import { manyPager } from './many-pager.js'
import { numberedPager, passOver, totalOf } from './numbered-pager.js'
import type { Pager, PagerOptions } from './pager.js'
import { tokenPager } from './token-pager.js'
import { windowsPager } from './windows-pager.js'

/** The pager of a walk. A cursor that another kind of pagination wrote makes it throw InvariantError. */
export function pagerOf(options: PagerOptions): Pager {
  const { stream } = options
  return withMany(partPager(options), stream, options)
}

/** A pager whose first answer holds the source's count of the partition. */
export function countPager(options: PagerOptions): Pager {
  return withMany(plainPager(options), options.stream, options)
}

function withMany(inner: Pager, stream: Stream, options: PagerOptions): Pager {
  const many = manyOf(stream)
  return many === null ? inner : manyPager(many, inner, options)
}

/** Over changes, over windows, or over everything at once. */
function partPager(options: PagerOptions): Pager {
  const { stream, since } = options
  const { pagination, incremental, windows } = stream
  if (since !== null && incremental !== null)
    return changesPager(incremental, plainPager(options), { ...options, since })
  const inner = wholePager(options)
  if (windows === null || !isNumbered(pagination)) return inner
  return windowsPager(windows, inner, (reply) => totalOf(reply, { pagination, stream }))
}

function wholePager(options: PagerOptions): Pager {
  const { pagination } = options.stream
  if (!isNumbered(pagination) || pagination.backwards === undefined) return plainPager(options)
  return backwardsPager(pagination, pagination.backwards, options)
}

function plainPager(options: PagerOptions): Pager {
  const { pagination } = options.stream
  if (pagination.kind === 'lastRow') return lastRowPager(pagination, options)
  return isNumbered(pagination) ? numberedPager(pagination, options) : tokenPager(pagination, options)
}

function isNumbered(pagination: Pagination): pagination is Pagination & { readonly kind: 'page' | 'offset' } {
  return pagination.kind === 'page' || pagination.kind === 'offset'
}

/** {@link SourceClient.passOver}: only plain numbered pages can be passed over; where the others go on is in the answer. */
export function passOverPage(stream: Stream, cursor: Cursor | null): PassedPage | null {
  const { pagination, windows, incremental } = stream
  const isPlain = manyOf(stream) === null && windows === null && incremental === null
  if (!isNumbered(pagination) || pagination.backwards !== undefined || !isPlain) return null
  return passOver(pagination, stream, cursor)
}
