/**
 * What follows what: streams whose partitions are rows of another stream, and streams that are asked for their changes. The database knows both: which rows there
 * are, and when each partition was walked last (`backfill.watermark`). Types only.
 */
import type { Partition } from './partition.js'
import type { Stream } from './source-model.js'
import type { Proof } from './task.js'
import type { RowDimension } from './walk-model.js'

/** What a finished walk says of the partitions that it walked. Written in the transaction that ends it. */
export interface Mark {
  /** One each, without names of walks; of a walk over many values one for each value that was answered. */
  readonly partitions: readonly Partition[]
  /** Lower bound of the walk, Unix ms; null: it asked for everything. */
  readonly since: number | null
  /** Everything changed before then was brought, Unix ms; null: the walk does not know. */
  readonly until: number | null
  readonly proof: Proof
  /** The dimension whose values the partitions are, and the column that holds it, for counting each one's rows; null: not counted. */
  readonly countBy: { readonly dimension: string; readonly column: string } | null
}

/** Which partitions of a stream are due. */
export interface DueQuery {
  readonly stream: Stream
  /** null: partitions that were walked before, from `backfill.watermark` alone. */
  readonly rows: { readonly name: string; readonly dimension: RowDimension } | null
  /** The other dimensions' values, which all partitions of the answer have. */
  readonly rest: Partition
  /** A partition is due so long after its last walk; null: never by age. */
  readonly everyMs: number | null
  /** A partition is due for a full walk so long after its last one; null: never. */
  readonly fullEveryMs: number | null
}
/**
 * `new`: never walked; `changed`: its row in the other stream changed since; `old`: its last walk is older than `everyMs`; `full`: so is its last full walk.
 */
export type DueReason = 'new' | 'changed' | 'old' | 'full'
export interface DuePartition {
  readonly partition: Partition
  readonly reason: DueReason
  /** Unix ms; null: none yet. */
  readonly watermark: number | null
}
export interface DueReport {
  /** New ones first, then changed, old and full ones; within a reason by watermark. A partition that is due for both comes as `full` as well. */
  readonly due: readonly DuePartition[]
  /** When the next one will be due by age, Unix ms of our clock; null: none will. */
  readonly nextAt: number | null
  /** Partitions that there are, walked or not. */
  readonly total: number
  /** The least watermark of those that were walked (where they have none, when they were walked), Unix ms; null: none was. */
  readonly oldest: number | null
}

/** The part of the destination that knows who follows whom. */
export interface FollowDestination {
  /** Reads nothing but the two tables; a table that does not exist has no row. */
  due(query: DueQuery): Promise<DueReport>
  /** The least watermark of the partitions, Unix ms; null where one of them has none. */
  watermark(stream: Stream, partitions: readonly Partition[]): Promise<number | null>
  /** Those values that no row of the dimension has, with at most `limit` values that there are; `rows`: how many there are. */
  strangers(
    dimension: RowDimension,
    values: readonly string[],
    limit: number,
  ): Promise<{ readonly strangers: readonly string[]; readonly known: readonly string[]; readonly rows: number }>
  /**
   * Those values whose rows a proven walk deleted (`backfill.pruned`), and that have not come again since: not in the table, whatever the dimension leaves out of it,
   * nor set aside. What was deleted otherwise, or never there, is none of them.
   */
  gone(source: string, dimension: RowDimension, values: readonly string[]): Promise<readonly string[]>
  /** All values of a dimension, ascending. */
  values(dimension: RowDimension): Promise<readonly string[]>
}

/** A stream whose tasks the worker makes by itself: it was seeded once. */
export interface Followed {
  readonly source: string
  readonly stream: string
  /** True: every row of the other stream, or whatever dates the calendar brings; false: only partitions that were walked before. */
  readonly isAll: boolean
  /** When it is to be looked at again, Unix ms; null: when what it follows has moved. */
  readonly planAt: number | null
  /**
   * What the streams that it follows had moved when it was looked at last: any change of this text is a reason to look again. Of a stream that follows the calendar
   * the day up to which its partitions were made, `YYYY-MM-DD`.
   */
  readonly seen: string
  /** A full walk of everything that was walked before then is asked for, Unix ms; null: no. */
  readonly fullBefore: number | null
  /** What the last look found; null: it was never looked at. */
  readonly found: FollowFound | null
}
/** How fresh a stream is, as the last look found it. */
export interface FollowFound {
  /** Unix ms. */
  readonly at: number
  readonly partitions: number
  /** Partitions that were due. */
  readonly behind: number
  /** Everything changed before then is in the table, Unix ms; null: not everything was walked yet. */
  readonly freshTo: number | null
}

/** The queue's part: which streams follow, and when each is to be looked at. */
export interface FollowQueue {
  /** The stream's tasks are made by the worker from now on. A narrower wish never takes a wider one back. */
  follow(
    stream: { readonly source: string; readonly stream: string },
    how: { readonly isAll: boolean; readonly fullBefore: number | null },
  ): Promise<void>
  followed(): Promise<readonly Followed[]>
  planned(stream: { readonly source: string; readonly stream: string }, plan: FollowPlan): Promise<void>
  /** When the partition finished that was finished longest ago, Unix ms; null: none was. */
  oldestDone(stream: { readonly source: string; readonly stream: string }): Promise<number | null>
  /** Partitions of the stream's open tasks. */
  openPartitions(stream: { readonly source: string; readonly stream: string }): Promise<readonly Partition[]>
}
/** What is left out stays as it is. */
export type FollowPlan = Partial<Pick<Followed, 'planAt' | 'seen' | 'found' | 'fullBefore'>>
