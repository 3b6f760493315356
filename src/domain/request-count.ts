import type { Stream } from './source-model.js'

export interface WalkSize {
  /** Rows of the partition, as the source counts them. */
  readonly rows: number
  /** Rows that one full page really holds. */
  readonly pageRows: number
}

/**
 * Requests that a whole walk sends, without retries: exact for sources that say where their end is, and for numbered walks whose end is an empty page,
 * a short page, a total, or the answer's word.
 */
export function requestsOfWalk(stream: Stream, { rows, pageRows }: WalkSize): number {
  const { pagination } = stream
  const full = Math.max(1, Math.ceil(rows / Math.max(1, pageRows)))
  switch (pagination.kind) {
    case 'none':
      return 1
    case 'page':
    case 'offset': {
      if (pagination.total !== null || pagination.pages !== null) return full
      const lastIsShort = rows % Math.max(1, pageRows) !== 0
      // Without a total, the walk ends at a page that is short (where that is a sign) or empty.
      return pagination.end.shortPage && lastIsShort ? full : rows === 0 ? 1 : full + 1
    }
    case 'lastRow': {
      const lastIsShort = pagination.end.shortPage && rows % Math.max(1, pageRows) !== 0
      return pagination.more !== null || lastIsShort || rows === 0 ? full : full + 1
    }
    case 'cursor':
    case 'continue':
    case 'link':
    case 'nextUrl':
      return pagination.end?.emptyPage === true && rows > 0 ? full + 1 : full
  }
}
