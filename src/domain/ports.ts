import type { ControlName, ControlState, Parking, ParkRules, Pause } from './controls.js'
import type { FollowDestination, Mark } from './follow.js'
import type { HeldCount, HeldNote, HeldRetried, HeldSelection } from './held.js'
import type { Json } from './json.js'
import type { SplitPage } from './page-task.js'
import type { Partition, PartitionFilter } from './partition.js'
import type { BudgetRules, Quota, Source, Stream, TableName } from './source-model.js'
import type { Lease, Outcome, Progress, Proof, Task, TaskState, Totals } from './task.js'
import type { RowDimension } from './walk-model.js'

// Time and log ---------------------------------------------------------------------------------------------------------

/** Time comes from here only, so that policies are pure and tests exact. */
export interface Clock {
  /** Wall clock, Unix ms. */
  now(): number
  /** Monotonic since boot, ms; comparable between processes of one boot. */
  monotonic(): number
  /** Identifies the boot that `monotonic` counts from. */
  readonly bootId: string
  /** Resolves after `ms`; rejects with StoppedError when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
/** One event a line, JSON, in `.backfill/log/`. `fields` hold no secret. */
export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>) => void

// Queue (SQLite today; nothing above may assume it) ------------------------------------------------------------------

/** Streams of which tasks may be claimed, and a restriction on partitions. */
export interface TaskFilter {
  readonly streams: readonly { readonly source: string; readonly stream: string }[]
  readonly partitions: PartitionFilter
}

export interface NewTask {
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  readonly priority: number
}

export interface BackfillPlan {
  /** What the operator asked for, as text for `status`. */
  readonly scope: string
  /** sha-256 of scope and options: the same seed that died while planning is resumed. */
  readonly fingerprint: string
  readonly reason: 'seed' | 'every'
}

export interface EnqueueOptions {
  /** An open task of the partition is cancelled for the new one; else nothing is made and it is answered in `open`. */
  readonly supersede: boolean
  /** A partition that has a finished (done) task gets no new one. */
  readonly skipDone: boolean
}
export interface EnqueueResult {
  readonly created: number
  readonly superseded: number
  /** Partitions left alone because of `skipDone`. */
  readonly alreadyDone: number
  /** Open tasks that were met, at most the first 1,000. */
  readonly open: readonly Task[]
  readonly openCount: number
}

export interface RunRecord {
  readonly id: string
  readonly command: string
  readonly pid: number
  readonly startedAt: number
  /** Last sign of life (`beginRun`, `touchRun`, `endRun`), Unix ms: an unfinished run that is silent for ten minutes is stuck. */
  readonly touchedAt: number
  readonly finishedAt: number | null
  readonly exitCode: number | null
  /** Why it ended: `nothing due`, `deadline`, `signal SIGTERM`, `budget closed: acme until …`. */
  readonly reason: string | null
  readonly requests: number
  readonly done: number
  readonly dead: number
  readonly rows: number
}

/** Counters of one stream, kept up to date in constant time; nothing here scans tasks. */
export interface StreamCounts {
  readonly source: string
  readonly stream: string
  readonly ready: number
  /** Of the ready ones: those that failed at least once since their last progress. */
  readonly retrying: number
  /** Of the ready ones: those whose time has not come. */
  readonly waiting: number
  readonly leased: number
  readonly done: number
  readonly dead: number
  readonly cancelled: number
  readonly doneToday: number
  readonly totals: Totals
  readonly requests: number
  /** Done tasks whose walk is not proven, or differs from the source's count. */
  readonly unproven: number
  readonly differs: number
  /** Median of the last hundred done tasks' working time, ms; null before the first. */
  readonly medianWorkedMs: number | null
  /** Earliest ready time of a waiting task, Unix ms. */
  readonly nextDueAt: number | null
}

export interface TaskQuery {
  readonly states?: readonly TaskState[]
  readonly filter?: TaskFilter
  readonly id?: string
  readonly number?: number
  readonly codes?: readonly string[]
  /** Of the ready ones only those that failed and wait for their next try, the earliest first; one whose moment a claim has met is not among them. */
  readonly isRetrying?: true
  readonly limit: number
}

export interface RetrySelection {
  readonly filter: TaskFilter
  /** null: not restricted. */
  readonly tasks: readonly string[] | null
  readonly codes: readonly string[] | null
}

export interface ReclaimResult {
  readonly reclaimed: readonly Task[]
  /** Those that were taken back ten times in a row without progress: dead, `crash_loop`. */
  readonly dead: readonly Task[]
}

/**
 * The queue. At-least-once: a task is claimed until it is settled. Every method is atomic and durable when it resolves.
 * @throws QueueUnavailable when the store is busy or full; ConfigError when the store is of another version or another database's.
 */
export interface Queue {
  /** UUID of this queue; minted when the file is first used, not in queue.db.example. */
  readonly id: string
  /** Binds the queue to a database for good. @throws ConfigError `wrong_database` where it is bound to another one. */
  bindDatabase(databaseId: string): Promise<void>
  boundDatabase(): Promise<string | null>

  /** Begins a backfill, or finds the unfinished one with the same fingerprint (its id comes back). */
  beginBackfill(plan: BackfillPlan): Promise<string>
  /** One transaction. At most one open task per stream and partition; with `supersede` the open one is cancelled (a leased one at its next flush). */
  enqueue(backfillId: string, tasks: readonly NewTask[], options: EnqueueOptions): Promise<EnqueueResult>
  /** Marks the backfill planned: from now on it is complete in the queue. */
  finishPlanning(backfillId: string): Promise<void>

  /** Settles, then claims, in one transaction: highest priority first, then oldest; due tasks only. Raises each task's epoch. */
  settleAndClaim(request: ClaimRequest): Promise<readonly Lease[]>
  /** Writes progress and says whether the lease still holds: false when the task was cancelled or fenced. */
  renew(lease: Lease, progress: Progress): Promise<boolean>
  /** Takes back what other runs left leased. Only the lock's holder may call it. */
  reclaim(runId: string): Promise<ReclaimResult>
  /** Partitions of a stream whose last finished task is older than `everyMs` and that have no open task. */
  dueRounds(
    stream: { readonly source: string; readonly stream: string },
    everyMs: number,
  ): Promise<readonly Partition[]>

  /** dead → ready with attempts and reclaims 0. Answers the tasks that moved. */
  retry(selection: RetrySelection): Promise<readonly Task[]>
  /** dead → cancelled, the note kept. Answers the tasks that moved. */
  dismiss(selection: RetrySelection, note: string | null): Promise<readonly Task[]>
  /** Dismissed tasks, newest first, and how many there are of each stream. */
  dismissals(limit: number): Promise<Dismissals>
  /** Why a task was dismissed; null where it was not. */
  dismissal(taskId: string): Promise<Dismissal | null>
  counts(): Promise<readonly StreamCounts[]>
  tasks(query: TaskQuery): Promise<readonly Task[]>
  /** For each partition its open task, else its newest done one, else null. */
  latestTasks(
    stream: { readonly source: string; readonly stream: string },
    partitions: readonly Partition[],
  ): Promise<readonly (Task | null)[]>
  /** Earliest moment at which a task matching the filter becomes due: now or earlier for ready ones; null when none is open. */
  nextDueAt(filter: TaskFilter): Promise<number | null>

  beginRun(run: { readonly id: string; readonly command: string; readonly pid: number }): Promise<void>
  /** Progress of the run, at most every few seconds: what `status` shows and what the next run calls stuck. */
  touchRun(
    runId: string,
    totals: { readonly requests: number; readonly done: number; readonly dead: number; readonly rows: number },
  ): Promise<void>
  endRun(runId: string, end: { readonly exitCode: number; readonly reason: string }): Promise<void>
  runs(limit: number): Promise<readonly RunRecord[]>
  /** Keeps what is held now, for `status`. */
  noteHeld(counts: readonly HeldCount[]): Promise<void>
  /** What was held when it was counted last; null: it never was. */
  heldNote(): Promise<HeldNote | null>
  /** The last run that wrote rows: also in the database, so that a restored store is recognised. */
  lastRunId(): Promise<string | null>
  setLastRunId(runId: string): Promise<void>
  close(): void
}

export interface Dismissal {
  readonly at: number
  readonly note: string | null
}
export interface Dismissals {
  readonly tasks: readonly { readonly task: Task; readonly dismissal: Dismissal }[]
  readonly counts: readonly { readonly source: string; readonly stream: string; readonly count: number }[]
}

export interface ClaimRequest {
  readonly settle: readonly Outcome[]
  /** 0: settle only. */
  readonly limit: number
  readonly filter: TaskFilter
  readonly runId: string
  /** Tasks that were reclaimed run alone: at most one such task is claimed, and none while `hasSuspect`. */
  readonly hasSuspect: boolean
}

// Budget -------------------------------------------------------------------------------------------------------------

export interface Booking {
  readonly id: number
  readonly key: string
}
export interface BookingRequest {
  readonly rules: BudgetRules
  readonly purpose: 'worker' | 'verify' | 'seed'
  readonly timeoutMs: number
  /** Unix ms; a wait that would end later is refused with OverBudgetError. */
  readonly deadlineAt: number | null
  readonly signal: AbortSignal
  /** What it costs of each limit; absent: 1. */
  readonly weight?: number
  /** In the line of those that wait: the higher first, until a lower one has waited for long. Absent: 0. */
  readonly priority?: number
  /** Whose request it is, `source.stream`, for caps of a run. */
  readonly stream?: string
}
/** What an answer said about the budget. */
export interface BudgetAnswer {
  readonly isRefusal: boolean
  /** From `Retry-After` (seconds or date), ms from now; null where absent or unreadable. */
  readonly retryAfterMs: number | null
  /** What its headers said of windows; absent: nothing. */
  readonly windows?: readonly ToldWindow[]
}
/** A window as an answer's headers tell of it; null: they do not say. */
export interface ToldWindow {
  readonly periodMs: number
  readonly limit: number | null
  readonly remaining: number | null
  /** From the answer, ms. */
  readonly resetMs: number | null
}
export interface BudgetState {
  readonly key: string
  readonly windows: readonly {
    /** The limit that holds: the source's own word, else the declared one. */
    readonly requests: number
    readonly periodMs: number
    /** Of all: ours, of every process, and what others use as far as headers tell. */
    readonly used: number
    /** For the worker. */
    readonly left: number
    /** Part of `used` that is somebody else's. */
    readonly others: number
    /** True: the source's headers say this limit. */
    readonly isTold: boolean
  }[]
  readonly quotas: readonly {
    readonly requests: number
    readonly per: Quota['per']
    readonly used: number
    readonly left: number
    readonly others: number
    readonly isTold: boolean
    /** Unix ms. */
    readonly resetsAt: number
  }[]
  /** Requests that wait in line, of all processes. */
  readonly waiting: number
  /** The gate is shut until then (a refusal or Retry-After), Unix ms. */
  readonly closedUntil: number | null
  /** Earliest moment a request may be sent, Unix ms. */
  readonly opensAt: number
}
/**
 * Request limits of all processes of a workspace, or of all workspaces that name one file. A request is booked durably before it is sent and stays in each
 * window until that window's length after its answer or time-out. Who waits has a place in line: first come, first served, over all processes, but for
 * priorities and for what is kept free for a purpose.
 */
export interface Budget {
  /** Waits for a slot and books it. @throws OverBudgetError past the deadline; StoppedError when the signal aborts. */
  book(request: BookingRequest): Promise<Booking>
  /** The request was answered, failed or timed out. A refusal closes the gate. Returns when the gate opens, where it closed (Unix ms). */
  answered(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): Promise<number | null>
  state(rules: BudgetRules): Promise<BudgetState>
  /** Since when it is refused without an answer between, Unix ms; null: it is not. */
  refusedSince(rules: BudgetRules): Promise<number | null>
  /** Requests of this process so far. */
  readonly sent: number
}

/** Why a source is to be parked, or nearly. */
export interface SourceFailure {
  readonly reason: Parking['reason']
  readonly code: string
  readonly message: string
  readonly hint: string | null
  readonly rules: Pick<ParkRules, 'after' | 'firstMs' | 'longestMs'>
  /** Unix ms before which asking again makes no sense; null: none. */
  readonly notBefore: number | null
}
/** What holds sources back beside their budgets: parked by their failures, paused by hand. Durable when it resolves. */
export interface Controls {
  read(): Promise<ControlState>
  /** Pauses sources or streams; an earlier pause of the same name is replaced. `until` null: until it is resumed. */
  pause(
    names: readonly ControlName[],
    how: { readonly until: number | null; readonly note: string | null },
  ): Promise<readonly Pause[]>
  /** Ends what holds them back: of a source, the pauses of its streams and its parking, too. Answers what ended. */
  resume(
    names: readonly ControlName[],
  ): Promise<{ readonly pauses: readonly Pause[]; readonly parkings: readonly Parking[] }>
  /** A task failed because of its source. Parks the source where its rules say so; `isNew`: it was not parked before. */
  failed(source: string, failure: SourceFailure): Promise<{ readonly parking: Parking | null; readonly isNew: boolean }>
  /** The source answered: its failures are forgotten, a parking ends. */
  answered(source: string): Promise<void>
  /** At the start of a run: pauses, parkings and waits of tasks that seem to have begun in the future (the clock was set back) begin now. */
  adjustToClock(): Promise<void>
}

/** For whoever put the store back from a copy, or made it anew. */
export interface BudgetKeeper {
  /** What was sent before now is not known: from now on every window shorter than a day counts as used up until its length has passed. */
  countAsSpent(): Promise<void>
}

// Source (HTTP) ------------------------------------------------------------------------------------------------------

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

// Destination (Postgres) ---------------------------------------------------------------------------------------------

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
  /** Rows that went within the last day, where the scope is one of very many: together they may be too many, too. */
  readonly recent: number
  /** The scope is one of very many small ones, and each row is asked about before it goes: an empty one is nothing special. */
  readonly isSmallPart: boolean
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
  readonly lastWalk: {
    readonly finishedAt: number
    readonly received: number
    readonly distinct: number
    readonly expected: SourceCount | null
    readonly proof: Proof
  } | null
}

/**
 * The database. @throws DestinationUnavailable where time may heal it, PromotionConflict or ConfigError where it may not, FencedError when a newer epoch holds the task.
 */
export interface Destination extends FollowDestination {
  /** UUID of the database (backfill.meta). */
  readonly databaseId: string
  /** Binds the database to a queue for good. @throws ConfigError `second_workspace` where it is bound to another one and `adopt` is false. */
  bindQueue(queueId: string, options: { readonly workspace: string; readonly adopt: boolean }): Promise<void>
  lastRunId(): Promise<string | null>
  setLastRunId(runId: string): Promise<void>
  /** Reads or creates the stable table, creates the delta table. @throws ConfigError where the definition does not fit the table, before any request is spent. */
  openTable(stream: Stream): Promise<StreamTable>
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
  /** What is held now, of every stream that has any. */
  heldCounts(): Promise<readonly HeldCount[]>
  /** What the table and the ledger say about a partition. */
  actual(stream: Stream, partition: Partition): Promise<PartitionActual>
  close(): Promise<void>
}

// Lock ---------------------------------------------------------------------------------------------------------------

export interface LockHolder {
  readonly pid: number
  readonly command: string
  readonly since: number
}
/** One worker per workspace. */
export interface WorkspaceLock {
  /** null: a living holder has it (never taken over, however late). A dead holder's is taken at once. */
  acquire(command: string): Promise<{ release(): Promise<void>; readonly lost: AbortSignal } | null>
  /** Who holds it, as far as known. */
  holder(): Promise<LockHolder | null>
}
