/**
 * The parts of a stream that say how its partitions are walked: rows of another stream as partitions, many of them in one request, windows of change, windows
 * of a full walk. Canonical, JSON-serialisable data; made by `src/definition`.
 */
import type { JsonPath } from './json.js'
import type { HourRange, TableName, Template } from './source-model.js'

/** Values are a column of another stream's table: only the database knows them. */
export interface RowDimension {
  readonly kind: 'rows'
  /** Stream of the same source that fills the table. */
  readonly stream: string
  readonly table: TableName
  readonly column: string
  /** Time at which a row of that table changed last, by the source; null: it has no such column. */
  readonly changed: string | null
  /** Only rows whose columns hold these values, as text. */
  readonly where: Readonly<Record<string, string>>
  /** Only these values, where backfill.yaml names any. */
  readonly only: readonly string[]
}

/** Values of a filter that must be rows of another stream: a value that is none would bring nothing, or everything. */
export interface RequiredRows {
  /** Of the filter. */
  readonly name: string
  readonly values: readonly string[]
  readonly dimension: RowDimension
}

/** The dimension of a stream whose values are rows of another stream. */
export interface FanOut {
  readonly dimension: string
  /** Several values in one request; null: one request (and one task) each. */
  readonly many: ManyValues | null
}
export interface ManyValues {
  /** Query parameter that takes the values. */
  readonly param: string
  readonly join: string
  /** How each value is written, with `{value}`; absent: as it is. */
  readonly form?: string
  /** True: they are a list in the body, not one text. */
  readonly isList?: true
  /** Values in one request, at most. */
  readonly max: number
  /** Statuses that say "too many values": asked again with half of them. */
  readonly shrinkOn: readonly number[]
}

/** How changes are asked for without a walk of everything. */
export interface Incremental {
  /** Asked one after the other in each walk: a stream may show its changes in several fields. */
  readonly passes: readonly IncrementalPass[]
  /** A walk begins so much before the watermark. */
  readonly overlapMs: number
  /** When everything is walked again, for what windows cannot see; null: only by hand. */
  readonly fullWalk: FullWalk | null
}
export interface IncrementalPass {
  /** Place of the changing field in a record. */
  readonly field: JsonPath
  /** Query parameter that takes the window. */
  readonly param: string
  /** Its value; `{from}` is the lower bound, and the upper end stays open. */
  readonly form: string
  readonly format: TimeFormat
  /** Further parameters of this pass, over the stream's own: a sort, say. */
  readonly query: Readonly<Record<string, Template>>
  /** True: rows come in ascending order of the field, so that a walk goes on from the last value instead of a page number. */
  readonly isAscending: boolean
}
/** How a moment is written in a request: RFC 3339 with milliseconds, or Unix time. */
export type TimeFormat = 'iso' | 'seconds' | 'milliseconds'
export interface FullWalk {
  readonly everyMs: number
  /** Begun only in these hours of the workspace's zone; null: at any time. */
  readonly hours: readonly HourRange[] | null
  readonly priority: number
}

/** A full walk in windows of time, halved until each holds few enough rows. */
export interface Windows {
  /** Query parameter that takes a window. */
  readonly param: string
  /** Its value; `{from}` and `{to}` are the bounds. */
  readonly form: string
  readonly format: TimeFormat
  /** `YYYY-MM-DD`: nothing is older. */
  readonly from: string
  /** Rows in one window, at most, where it can still be halved. */
  readonly rows: number
  /** No window is shorter, ms. */
  readonly leastMs: number
}

/** Numbered pages from the last to the first, where new rows come last: a row that is there all the time is never passed over. */
export interface Backwards {
  /** Place in a record of what the rows are sorted by, ascending. */
  readonly by: JsonPath
}
