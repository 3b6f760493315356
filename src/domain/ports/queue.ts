/** The queue as the use cases see it: tasks, claims, settling, runs. SQLite today; nothing above may assume it. */
import type { HeldCount, HeldNote } from '../held.js'
import type { Partition, PartitionFilter } from '../partition.js'
import type { Lease, Outcome, Progress, Task, TaskState, Totals } from '../task.js'

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

/** A seed that was killed or stopped on its way. The same command goes on with it. */
export interface CutOffSeed {
  /** What the operator asked for, as it was typed. */
  readonly scope: string
  /** Unix ms. */
  readonly begunAt: number
  /** Its process is certainly gone; false: it only has been quiet for long. */
  readonly isGone: boolean
}
export interface BackfillPlan {
  /** What the operator asked for, as text for `status`. */
  readonly scope: string
  /** sha-256 of scope and options: the same seed that died while planning is resumed. */
  readonly fingerprint: string
  readonly reason: 'seed' | 'every'
  /** Partitions that are done get a task, too. */
  readonly isForced: boolean
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

  /** Begins a backfill, or finds the unfinished one with the same fingerprint (its id comes back; a forced one of the last day only); this process is the one that makes its tasks. */
  beginBackfill(plan: BackfillPlan): Promise<string>
  /** One transaction. At most one open task per stream and partition; with `supersede` the open one is cancelled (a leased one at its next flush). */
  enqueue(backfillId: string, tasks: readonly NewTask[], options: EnqueueOptions): Promise<EnqueueResult>
  /** Marks the backfill planned: from now on it is complete in the queue. */
  finishPlanning(backfillId: string): Promise<void>

  /** Seeds that ended before everything they were asked for was in the queue, the last begun first. One that is at work is none. */
  cutOffSeeds(): Promise<readonly CutOffSeed[]>

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
  /** Whether this queue made the run, or what it was before it was moved; of those made long ago, not. */
  knowsRun(runId: string): Promise<boolean>
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
