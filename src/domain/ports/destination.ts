/** The destination as the use cases see it: claims, batches, flushes, the ends of walks, what is there. Postgres today. */
import type { FollowDestination, Mark } from '../follow.js'
import type { HeldCount, HeldDismissal, HeldDismissed, HeldRetried, HeldSelection } from '../held.js'
import type { Json } from '../json.js'
import type { SplitPage } from '../page-task.js'
import type { Partition } from '../partition.js'
import type { Stream, TableName } from '../source-model.js'
import type { Lease, Proof, Totals } from '../task.js'
import type { RowDimension } from '../walk-model.js'
import type { Cursor, Page, SourceCount } from './source.js'

/** The ledger's word on a task: the truth about what is loaded and where its walk stands. */
export interface Checkpoint {
  readonly taskId: string
  readonly epoch: number
  readonly sequence: number
  readonly done: boolean
  readonly proof: Proof | null
  readonly walk: Walk | null
  /** Of all walks of the task. */
  readonly totals: Totals
  readonly requests: number
  /** Rows of the last walk of the same partition, by an earlier task, that ended proven; null where there was none. Absent where the ledger was not asked. */
  readonly lastProven?: number | null
}
/** One pass through a partition. */
export interface Walk {
  readonly id: string
  readonly startedAt: number
  readonly pageSize: number | null
  readonly requestHash: string
  /** Only what changed since then, Unix ms (the watermark less the overlap); null: everything. */
  readonly since: number | null
  /** The source's clock at the walk's first answer, Unix ms; null: it has none yet. */
  readonly until: number | null
  readonly cursor: Cursor | null
  readonly loop: Json
  readonly pages: number
  /** Raw rows of this walk. */
  readonly received: number
  /** Distinct keys promoted or held in this walk, as far as known. */
  readonly distinct: number
  readonly expected: SourceCount | null
  /** Pages that it passed over, each a task of its own; absent: none. */
  readonly split?: readonly SplitPage[]
}

/** A stream's table, checked against the catalog. Made once per run. */
export interface StreamTable {
  readonly stream: Stream
  /** A fresh buffer of encoded rows for one task. */
  newBatch(partition: Partition): Batch
}
/** Encoded rows of one task that wait for their flush; bounded by the worker. */
export interface Batch {
  readonly rows: number
  /** What the rows take in memory: their encoded text or the answers they came in, whichever is more. */
  readonly bytes: number
  readonly held: number
  /** Maps, checks and encodes the page's records; a row that cannot be stored is set aside with its reason. Lets I/O go on in between. */
  add(page: Page): Promise<PageDigest>
}
/** What the destination saw in a page. */
export interface PageDigest {
  /** Hash over the keys of the page's rows in order; equal for a page that repeats; null for an empty page. */
  readonly fingerprint: string | null
  /** Fields that no column names, new since this table was opened. */
  readonly unknownFields: readonly string[]
}
export interface Advance {
  readonly walk: Walk
  readonly done: boolean
  readonly proof: Proof | null
  readonly requests: number
  /** What the flush does beside promoting: nothing where absent. */
  readonly end?: WalkEnd
  /** Partitions that the walk brought up to date; absent: nobody keeps watermarks of the stream, or the walk proves nothing. */
  readonly mark?: Mark
}
/**
 * `prune`: deletes what the scope's walks no longer bring, as far as it is confirmed. `keep`: ends the walk without deleting. `again`: the walk is proven, and
 * `walk` is a new one that begins. With `replace`, the rows that were held back are promoted in both of the first two.
 */
export type WalkEnd =
  | { readonly kind: 'prune'; readonly scope: PruneScope }
  | { readonly kind: 'keep' }
  | { readonly kind: 'again' }

/** Which rows a walk's end may delete, and which walks must agree. */
export interface PruneScope {
  readonly partition: Partition
  /** Every partition of the stream as its definition has it, of dimensions that are rows of another stream any value (left out); asked for only where a key may belong to several, and all must have been walked. */
  readonly partitions: () => readonly Partition[]
  /** The dimension whose values are rows of another stream: all its values must have been walked as well; null: there is none. */
  readonly rows: { readonly name: string; readonly dimension: RowDimension } | null
  /** Columns of other tables that name a row of this one, by definition: a row that is referred to is kept. */
  readonly referrers: readonly { readonly table: TableName; readonly column: string; readonly targetColumn: string }[]
}
/** Rows in scope that no walk has brought since the task's walk began. */
export interface Missing {
  /** Rows that the share of {@link PruneRules} is of: those in scope, missing ones too; where the scope is one of very many, those of the whole table. */
  readonly rows: number
  /** Rows that went within the last day, where the scope is one of very many, or shared: together they may be too many, too. */
  readonly recent: number
  /** The scope is one of very many small ones, and each row is asked about before it goes: an empty one is nothing special. */
  readonly isSmallPart: boolean
  /** The scope is what many walks together answer for, of which this one is the last: that it was empty says nothing of the others. */
  readonly isShared: boolean
  readonly missing: number
  /** Of the missing ones: those that a walk before, or a request of their own, did not find either. */
  readonly confirmed: number
  /** Rows that an operator agreed to delete. */
  readonly agreed: number
  /** Partitions that must be walked to a proven end first; until then nothing may be deleted. */
  readonly waitsFor: readonly string[]
  /** Tables whose rows would go with deleted ones. */
  readonly cascades: readonly string[]
  /** A second walk of this task may confirm what is missing: the first was not the second already, and no other partition has a say. */
  readonly mayConfirmAgain: boolean
}
/** Values of a key's columns, by name, as text. */
export type KeyText = Readonly<Record<string, string>>

/** Rows deleted before, as `backfill.pruned` has them. */
export interface PrunedRow {
  readonly id: number
  readonly source: string
  readonly stream: string
  readonly partition: string
  readonly task: string
  readonly table: TableName
  readonly key: Json
  readonly record: Json
  /** Unix ms. */
  readonly prunedAt: number
  readonly restoredAt: number | null
}
export interface PrunedQuery {
  readonly streams: readonly { readonly source: string; readonly stream: string }[]
  /** Ids of tasks; null: not restricted. */
  readonly tasks: readonly string[] | null
  /** Numbers of `backfill.pruned`; null: not restricted. */
  readonly ids: readonly number[] | null
  /** Unix ms; null: not restricted. */
  readonly since: number | null
  readonly limit: number
}
export interface FlushResult {
  readonly checkpoint: Checkpoint
  /** Of this flush. */
  readonly totals: Totals
}
/** A partition's row count in the stable table, and what the ledger knew when its last walk ended. */
export interface PartitionActual {
  /** Rows in the table; null where no column holds the partition. */
  readonly rows: number | null
  readonly held: number
  /**
   * Of the held rows, those that an operator gave up; and of these, the ones that the last finished walk of everything brought, or a later one: what that walk did
   * not bring is no longer at the source, and accounts for nothing. `inTable` of those are not among them: the table has their key already, in another form. Absent:
   * none.
   */
  readonly dismissed?: { readonly rows: number; readonly met: number; readonly inTable?: number }
  /** Rows held of requests that asked for some of its values and for others: whose they are is not known. Absent: none. */
  readonly heldBeside?: number
  readonly lastWalk: {
    readonly finishedAt: number
    readonly received: number
    readonly distinct: number
    readonly expected: SourceCount | null
    readonly proof: Proof
    /** Rows of the partition that were in the table at its end for certain: there may have been more. Absent: not known. */
    readonly leastStored?: number
  } | null
}

/** Who fills the database. */
export interface Binding {
  /** Its folder. */
  readonly workspace: string
  /** Whatever it was bound to before. */
  readonly adopt: boolean
  /** What tells a copy of the queue from the queue; absent: not compared. */
  readonly origin?: {
    /** Name of this machine. */
    readonly machine: string
    /** Whether the queue, or one that it was before it was moved, made this run. */
    readonly knowsRun: (runId: string) => Promise<boolean>
  }
}

/**
 * The database. @throws DestinationUnavailable where time may heal it, PromotionConflict or ConfigError where it may not, FencedError when a newer epoch holds the task.
 */
export interface Destination extends FollowDestination {
  /** UUID of the database (backfill.meta). */
  readonly databaseId: string
  /**
   * Binds the database to a queue for good. @throws ConfigError, unless `adopt`: `second_workspace` where it is bound to another one, `copied_queue` where another
   * place fills it with a queue of the same id.
   */
  bindQueue(queueId: string, binding: Binding): Promise<void>
  lastRunId(): Promise<string | null>
  setLastRunId(runId: string): Promise<void>
  /** Reads or creates the stable table, creates the delta table. @throws ConfigError where the definition does not fit the table, before any request is spent. */
  openTable(stream: Stream): Promise<StreamTable>
  /** Whether the stream's table is there. Makes and changes nothing. @throws ConfigError where the definition does not fit it. */
  checkTable(stream: Stream): Promise<boolean>
  /** The beginning of every claim: raises the epoch in the ledger and answers what is promoted. */
  openTasks(leases: readonly Lease[]): Promise<ReadonlyMap<string, Checkpoint>>
  /** One transaction: COPY, compare-and-set on (epoch, sequence), checks, merge, own delta rows deleted, commit. An empty batch moves the ledger only. */
  flush(checkpoint: Checkpoint, batch: Batch, advance: Advance): Promise<FlushResult>
  /** Keys that the checkpoint's walk brought, for a stream that may delete; `hasUnreadable`: it held a row whose key cannot be read, so it proves nothing. */
  walked(
    checkpoint: Checkpoint,
    table: StreamTable,
    partition: Partition,
  ): Promise<{ readonly distinct: number; readonly hasUnreadable: boolean }>
  /** What the end of the checkpoint's walk leaves to delete. Deletes nothing. */
  missing(checkpoint: Checkpoint, table: StreamTable, scope: PruneScope): Promise<Missing>
  /** Missing keys that nothing confirms yet. */
  unconfirmed(
    checkpoint: Checkpoint,
    table: StreamTable,
    scope: PruneScope & { readonly limit: number },
  ): Promise<readonly KeyText[]>
  /** Writes down what the source answered about a key of its own; durable when it resolves. */
  confirm(
    table: StreamTable,
    answers: readonly { readonly key: KeyText; readonly isGone: boolean }[],
    partition: Partition,
  ): Promise<void>
  /** Writes down how many rows wait for an operator's word. */
  askOperator(checkpoint: Checkpoint, missing: number): Promise<void>
  /** The operator's word on tasks of {@link askOperator}: answers for how many rows, task by task. */
  agree(taskIds: readonly string[]): Promise<ReadonlyMap<string, number>>
  pruned(query: PrunedQuery): Promise<readonly PrunedRow[]>
  /** Puts rows back that their table lacks; a row that is there stays as it is. Answers the numbers of those put back. */
  restore(query: PrunedQuery): Promise<readonly number[]>
  /** Puts held rows of a table through today's mapping again, a transaction every few hundred. Ends early, between two of them, by the signal. */
  retryHeld(table: StreamTable, selection: HeldSelection, signal: AbortSignal): Promise<HeldRetried>
  /** Gives held rows up, all or none: they stay, and are no alarm any more. Answers the streams that had a selected row. */
  dismissHeld(dismissal: HeldDismissal): Promise<readonly HeldDismissed[]>
  /** What is held now, of every stream that has any. */
  heldCounts(): Promise<readonly HeldCount[]>
  /** What the table and the ledger say about a partition. */
  actual(stream: Stream, partition: Partition): Promise<PartitionActual>
  close(): Promise<void>
}
