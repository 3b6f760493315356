// The ports by which one store is mended from the other (DESIGN.md §4.1): the ledger's word on all tasks, and what the queue does with it.
import type { Json } from './json.js'
import type { Partition } from './partition.js'
import type { Proof, SplitTasks, Task, Totals } from './task.js'

/** A row of the ledger as the queue needs it to know the task again. Instants are Unix ms. */
export interface LedgerTask {
  readonly id: string
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  readonly epoch: number
  readonly done: boolean
  readonly proof: Proof | null
  readonly claimedAt: number
  /** When its last flush was promoted; null before the first. */
  readonly movedAt: number | null
  readonly finishedAt: number | null
  readonly totals: Totals
  readonly requests: number
  /** The source's exact count; null where it gave none. */
  readonly expected: number | null
  readonly cursor: Json
  /** Pages that its walk passed over: a task each. */
  readonly split: SplitTasks | null
  /** No later task of its partition is in the ledger. */
  readonly isNewest: boolean
}

/** The database's side. @throws as Destination. */
export interface LedgerReader {
  /** Every task of the ledger in the order of their claims, a thousand at a time, as of one moment. */
  eachLedgerTask(take: (tasks: readonly LedgerTask[]) => Promise<void>): Promise<void>
  /** Of these tasks, those that the ledger calls done. */
  doneTasks(ids: readonly string[]): Promise<ReadonlySet<string>>
  /** Which queue the database is bound to, and the folder of its workspace; null: to none. */
  boundQueue(): Promise<{ readonly queue: string; readonly workspace: string } | null>
}

/** What becomes of a ledger row in the queue. */
export type RestoreVerdict =
  /** Its partition has moved whole. */
  | 'done'
  /** Its walk goes on where the ledger says. */
  | 'ready'
  /** A later task of its partition stands for it: kept as history. */
  | 'past'
  /** The queue has it. */
  | 'known'
  | 'contradiction'

export interface Contradiction {
  readonly ledger: LedgerTask
  /** The queue's task that it cannot stand beside. */
  readonly queued: Task
  /** `other task`: the same id is another partition's. `other walk`: both are open for one partition. */
  readonly kind: 'other task' | 'other walk'
}

export interface RestoreCounts {
  readonly source: string
  readonly stream: string
  readonly done: number
  readonly ready: number
  readonly past: number
  readonly known: number
}

export interface RestoreResult {
  readonly streams: readonly RestoreCounts[]
  readonly contradictions: readonly Contradiction[]
}

/** The queue's side. Every call is one transaction. @throws as Queue. */
export interface QueueRepair {
  /** What `restore` would do with these rows, without doing it. */
  judge(tasks: readonly LedgerTask[]): Promise<RestoreResult>
  /** Puts tasks back as the ledger has them; what the queue has already is left alone. Idempotent. */
  restore(backfillId: string, tasks: readonly LedgerTask[]): Promise<RestoreResult>
  /** Makes the tasks for single pages that these tasks' walks passed over and that the queue lacks, once all tasks are restored. Idempotent. */
  splitPages(tasks: readonly LedgerTask[]): Promise<void>
  /** Ids of tasks that the queue calls done, the newest of their partitions: the last finished first, or all by number after `after`. */
  lastDone(limit: number): Promise<readonly string[]>
  doneAfter(after: number, limit: number): Promise<readonly { readonly number: number; readonly id: string }[]>
  /** done → ready, for tasks whose rows the database does not have any more. Answers how many moved. */
  reopen(ids: readonly string[]): Promise<number>
  /** When the queue was last held against the database, Unix ms; null: never. */
  comparedAt(): Promise<number | null>
  noteCompared(): Promise<void>
  /** Which of two runs began first, as far as the queue knows them: negative where `a` did; null where it does not know one. */
  compareRuns(a: string, b: string): Promise<number | null>
}
