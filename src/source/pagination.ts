// Owns which pager serves which kind of pagination.
import { numberedPager } from './numbered-pager.js'
import type { Pager, PagerOptions } from './pager.js'
import { tokenPager } from './token-pager.js'

/** The pager of a stream. A cursor that another kind of pagination wrote makes it throw InvariantError. */
export function pagerOf(options: PagerOptions): Pager {
  const { pagination } = options.stream
  return pagination.kind === 'page' || pagination.kind === 'offset'
    ? numberedPager(pagination, options)
    : tokenPager(pagination, options)
}
