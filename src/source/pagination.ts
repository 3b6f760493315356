// Owns which pager serves which kind of pagination.
import type { Cursor, PassedPage } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { numberedPager, passOver } from './numbered-pager.js'
import type { Pager, PagerOptions } from './pager.js'
import { tokenPager } from './token-pager.js'

/** The pager of a stream. A cursor that another kind of pagination wrote makes it throw InvariantError. */
export function pagerOf(options: PagerOptions): Pager {
  const { pagination } = options.stream
  return pagination.kind === 'page' || pagination.kind === 'offset'
    ? numberedPager(pagination, options)
    : tokenPager(pagination, options)
}

/** {@link SourceClient.passOver}: only numbered pages can be passed over; where the others go on is in the answer. */
export function passOverPage(stream: Stream, cursor: Cursor | null): PassedPage | null {
  const { pagination } = stream
  return pagination.kind === 'page' || pagination.kind === 'offset' ? passOver(pagination, stream, cursor) : null
}
