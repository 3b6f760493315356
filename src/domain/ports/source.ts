/** The source as the use cases see it: a walk of pages, and the questions beside it. HTTP today. */
import type { Json } from '../json.js'
import type { SplitPage } from '../page-task.js'
import type { Partition } from '../partition.js'
import type { Source, Stream } from '../source-model.js'
import type { Proof } from '../task.js'
import type { BookingRequest } from './budget.js'
import type { KeyText } from './destination.js'

/** Where in a walk the next request stands: opaque to everyone but `src/source`; JSON so that the ledger can keep it. null: the beginning. */
export type Cursor = Json
/** What one answer gave. */
export interface Page {
  /** 1 for the first page of the walk. */
  readonly number: number
  /** Raw rows, as objects. Whoever keeps a page for later keeps `reread` instead: parsed rows take several times the memory of their text. */
  readonly records: readonly Json[]
  /** The same rows, parsed again from the answer. */
  readonly reread: () => readonly Json[]
  /** Size of the answer that `reread` keeps. */
  readonly bytes: number
  /** Position after this page; null: the end was reached by the source's own sign. */
  readonly next: Cursor | null
  /** Loop state after this page (Brent), kept with the cursor in the ledger. */
  readonly loop: Json
  /** The source's own count of the partition as this answer gave it; null, too, where the walk asks for a part of it at a time. */
  readonly count: SourceCount | null
  /** The source's clock at this answer, at the latest: Unix ms; of ours and the `Date` header the earlier. */
  readonly servedAt: number
  /** Of a walk that judges its own pages (backwards, windows, changes, many values): on the last one what they prove. Absent: the counts judge. */
  readonly judged?: { readonly verdict: Proof | null }
  /** Requests sent for this page, retries included. */
  readonly requests: number
  /** Fields that no column names are found by the destination; this is the page's request without secrets, for held rows and messages. */
  readonly address: string
}
export interface SourceCount {
  readonly value: number
  readonly trust: 'exact' | 'at least'
}
export interface WalkStart {
  readonly stream: Stream
  readonly source: Source
  readonly partition: Partition
  readonly cursor: Cursor | null
  /** Only what changed since then, Unix ms; null: everything. */
  readonly since: number | null
  /** The source's clock at the walk's first answer, Unix ms; null: it has none yet. What changed later is the next walk's. */
  readonly until: number | null
  /** Only this page of a numbered walk; absent: from the cursor to the end. */
  readonly page?: Pick<SplitPage, 'number' | 'at'>
  readonly loop: Json
  /** Pages of this walk that are already promoted. */
  readonly pages: number
  /** Rows of this walk that are already promoted. */
  readonly received: number
  readonly purpose: BookingRequest['purpose']
  /** Unix ms after which no request may be sent; null: none. */
  readonly deadlineAt: number | null
  /** Longest wait for the budget before one request; longer: OverBudgetError. null: as long as `deadlineAt` allows. */
  readonly maxWaitMs: number | null
  /** False: the next request is sent only when the next page is asked for (a probe of the first page costs one request). */
  readonly readsAhead: boolean
  readonly signal: AbortSignal
  /** Of its requests, where they wait in line; absent: 0. */
  readonly priority?: number
  /** Called before each request leaves (booked). */
  readonly onRequest: () => void
}
/** A question beside a walk. */
export type QuestionStart = Omit<WalkStart, 'cursor' | 'loop' | 'pages' | 'received' | 'since' | 'until'>
export interface SourceClient {
  /** Pages from the cursor to the end, one request ahead of the consumer. @throws the errors of DESIGN.md §6, classified. */
  walk(start: WalkStart): AsyncIterableIterator<Page>
  /** Asks for the count of a partition, by the finest rule that gives an exact one; null where the source has none. */
  count(
    start: QuestionStart & {
      /** Only what changed since then, Unix ms, by the first field of `incremental`; absent: everything. */
      readonly changedSince?: number
    },
  ): Promise<{ readonly count: SourceCount | null; readonly requests: number }>
  /**
   * Asks whether rows are still there, by the stream's confirming request: an answer for each key, in their order. At most {@link ConfirmRequest.many} keys, or one.
   * @throws as {@link walk}; ConfigError where the stream has no such request.
   */
  areGone(start: QuestionStart, keys: readonly KeyText[]): Promise<readonly boolean[]>
  /** The page at a cursor, and where a walk goes on behind it without its answer (null: there is no page behind it); null where only the answer would say. */
  passOver(stream: Stream, cursor: Cursor | null): PassedPage | null
  close(): Promise<void>
}
export interface PassedPage {
  readonly page: Pick<SplitPage, 'number' | 'at'>
  readonly next: Cursor | null
}
