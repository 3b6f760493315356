import type { Partition } from './partition.js'

export const taskStates = ['ready', 'leased', 'done', 'dead', 'cancelled'] as const
export type TaskState = (typeof taskStates)[number]

/** What a task has moved so far, as its ledger row says. Counts of rows; raw rows: received = created + updated + unchanged + held + duplicates. */
export interface Totals {
  readonly pages: number
  readonly received: number
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly held: number
  /** Rows whose key came more than once in the walk, beyond the first. */
  readonly duplicates: number
}
export const noTotals: Totals = { pages: 0, received: 0, created: 0, updated: 0, unchanged: 0, held: 0, duplicates: 0 }

export function addTotals(a: Totals, b: Totals): Totals {
  return {
    pages: a.pages + b.pages,
    received: a.received + b.received,
    created: a.created + b.created,
    updated: a.updated + b.updated,
    unchanged: a.unchanged + b.unchanged,
    held: a.held + b.held,
    duplicates: a.duplicates + b.duplicates,
  }
}

/** How far the end of a walk is proven against the source's own count. */
export type Proof =
  /** The source's exact count equals the rows received. */
  | 'proven'
  /** The source gave no count, or only "at least". */
  | 'unproven'
  /** The source's exact count differs from the rows received. */
  | 'differs'

/** One row of queue.db: one partition of one stream to move. Instants are Unix milliseconds. */
export interface Task {
  /** UUID minted at creation, never reused. */
  readonly id: string
  /** Small number for people: `--task 17`. */
  readonly number: number
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  readonly backfillId: string
  readonly state: TaskState
  readonly priority: number
  readonly epoch: number
  /** Attempts since the last progress. */
  readonly attempts: number
  /** Times it was taken back from a dead worker since the last progress. */
  readonly reclaims: number
  readonly createdAt: number
  /** null: at once. */
  readonly readyAt: number | null
  readonly leasedAt: number | null
  readonly renewedAt: number | null
  readonly finishedAt: number | null
  readonly runId: string | null
  /** Of the last failure; kept while the task is ready again. */
  readonly code: string | null
  readonly message: string | null
  readonly hint: string | null
  readonly totals: Totals
  readonly requests: number
  readonly expected: number | null
  readonly proof: Proof | null
  /** Copy for `status`; never to resume from. */
  readonly cursor: string | null
  /** Time spent leased, ms. */
  readonly workedMs: number
}

/** The right that a claim gives. A settle with another epoch is refused. */
export interface Lease {
  readonly task: Task
  readonly epoch: number
}

/** What a worker reports of a task that goes on (and what a settle writes of it). */
export interface Progress {
  readonly totals: Totals
  readonly requests: number
  readonly expected: number | null
  readonly cursor: string | null
}

/** Tasks for single pages that a walk passed over. */
export interface SplitTasks {
  /** One each (`pageTaskPartition`). */
  readonly partitions: readonly Partition[]
  /** Beginning of the walk, Unix ms: a task for the page that was made since then is the one. */
  readonly since: number
}

/** How a lease ends. */
export type Outcome = {
  readonly lease: Lease
  readonly progress: Progress
  readonly attempts: number
  readonly workedMs: number
  /** Pages that its walk passed over, for which there is to be a task each; absent: none. */
  readonly split?: SplitTasks
} & (
  | { readonly kind: 'done'; readonly proof: Proof }
  /** Transient failure, or over budget (attempts unchanged then). */
  | {
      readonly kind: 'later'
      readonly readyAt: number
      readonly code: string
      readonly message: string
      readonly hint: string | null
    }
  /** Given back unspent. */
  | { readonly kind: 'released' }
  | { readonly kind: 'dead'; readonly code: string; readonly message: string; readonly hint: string | null }
  /** There is nothing left to do, by proof. */
  | { readonly kind: 'cancelled'; readonly code: string; readonly message: string; readonly hint: string | null }
)
