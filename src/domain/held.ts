/** Held rows as commands speak of them: what is held, which of it to try again, and what came of that. Shapes only. */
import type { PartitionFilter } from './partition.js'

/** Which held rows of one stream. */
export interface HeldSelection {
  readonly partitions: PartitionFilter
  /** null: not restricted. */
  readonly codes: readonly string[] | null
  /** True: only rows that wait for a parent which may be there by now. */
  readonly isWaiting: boolean
}

/** What came of trying held rows again: tried = created + updated + unchanged + duplicates + held. */
export interface HeldRetried {
  readonly tried: number
  readonly created: number
  readonly updated: number
  /** The table had them already, as they are or newer. */
  readonly unchanged: number
  /** Turned out to be the record of another held row. */
  readonly duplicates: number
  /** Still held, with today's reason. */
  readonly held: number
  /** Of the held ones: those that wait for their parent. */
  readonly waiting: number
}
export const noneRetried: HeldRetried = {
  tried: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  duplicates: 0,
  held: 0,
  waiting: 0,
}

export function addRetried(a: HeldRetried, b: HeldRetried): HeldRetried {
  return {
    tried: a.tried + b.tried,
    created: a.created + b.created,
    updated: a.updated + b.updated,
    unchanged: a.unchanged + b.unchanged,
    duplicates: a.duplicates + b.duplicates,
    held: a.held + b.held,
    waiting: a.waiting + b.waiting,
  }
}

/** What is held of a stream at one moment. */
export interface HeldCount {
  readonly source: string
  readonly stream: string
  /** Rows that wait for a parent and are tried again by themselves. */
  readonly waiting: number
  /** Rows that only an operator, or a later walk, takes out. */
  readonly rejected: number
}

/** What was held of all streams when that was counted, Unix ms. */
export interface HeldNote {
  readonly countedAt: number
  readonly counts: readonly HeldCount[]
}

/** Held rows of one stream with one code and reason, values left out of the reason. */
export interface HeldGroup {
  readonly source: string
  readonly stream: string
  readonly code: string
  readonly reason: string
  readonly count: number
  /** Unix ms. */
  readonly oldestAt: number
  readonly newestAt: number
  /** The newest of them. */
  readonly example: HeldPlace
}

/** Where a held row came from. */
export interface HeldPlace {
  readonly partition: Readonly<Record<string, string>>
  readonly taskId: string
  /** Page of the walk, and the row's place in it, from 1. */
  readonly page: number
  readonly position: number
  /** Text of the key's columns, with tabs between; null where it cannot be read. */
  readonly key: string | null
}

export interface HeldRecord extends HeldPlace {
  readonly source: string
  readonly stream: string
  readonly code: string
  readonly reason: string
  readonly version: string | null
  readonly heldAt: number
  readonly retriedAt: number | null
  /** The record as JSON text; null where it was not asked for. */
  readonly raw: string | null
}

export interface HeldList {
  /** The largest first. */
  readonly groups: readonly HeldGroup[]
  /** Groups beyond those listed. */
  readonly moreGroups: number
  readonly total: number
  /** The newest rows, as many as were asked for. */
  readonly rows: readonly HeldRecord[]
}

export interface HeldQuery {
  readonly streams: readonly { readonly source: string; readonly stream: string }[]
  readonly partitions: PartitionFilter
  /** Single rows listed at most. */
  readonly rowLimit: number
  readonly withRaw: boolean
}
