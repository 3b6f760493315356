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

/** Which held rows of which streams an operator gives up, and why. */
export interface HeldDismissal extends Pick<HeldSelection, 'partitions' | 'codes'> {
  readonly streams: readonly { readonly source: string; readonly stream: string }[]
  readonly note: string | null
}

/** What was given up of one stream. */
export interface HeldDismissed {
  readonly source: string
  readonly stream: string
  /** Rows that are given up now, and were not before. */
  readonly rows: number
  /** Of these, rows that wait for a parent. They still go in by themselves should it come. */
  readonly waiting: number
  /** Rows that were selected and had been given up before. */
  readonly before: number
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
  /** Of the held ones: those that wait for their parent and are not given up. */
  readonly waiting: number
  /** Of the held ones: those that an operator gave up, which they stay. */
  readonly dismissed: number
  /** Rows that had been given up and are not held any more. */
  readonly revived: number
}
export const noneRetried: HeldRetried = {
  tried: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  duplicates: 0,
  held: 0,
  waiting: 0,
  dismissed: 0,
  revived: 0,
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
    dismissed: a.dismissed + b.dismissed,
    revived: a.revived + b.revived,
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
  /** Rows beside those that an operator gave up, and how many of them wait for a parent. Absent: none. */
  readonly dismissed?: { readonly rows: number; readonly waiting: number }
}

/** What was held of all streams when that was counted, Unix ms. */
export interface HeldNote {
  readonly countedAt: number
  readonly counts: readonly HeldCount[]
}

/** That an operator gave a held row up. */
export interface HeldGivenUp {
  /** Unix ms. */
  readonly at: number
  readonly note: string | null
}

/** Held rows of one stream with one code and reason, values left out of the reason; those that were given up at one time are a group of their own. */
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
  /** null: they are not given up. */
  readonly dismissal: HeldGivenUp | null
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
  readonly dismissal: HeldGivenUp | null
  /** The record as JSON text; null where it was not asked for. */
  readonly raw: string | null
}

export interface HeldList {
  /** The largest first, those that were given up behind all others. */
  readonly groups: readonly HeldGroup[]
  /** Groups beyond those listed. */
  readonly moreGroups: number
  /** All held rows, also those that were given up. */
  readonly total: number
  /** Of these, the ones that were given up. */
  readonly dismissed: number
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
