import type { Parking } from '../domain/controls.js'
import type { FollowQueue } from '../domain/follow.js'
import type { PageOfWalk } from '../domain/page-task.js'
import type { Partition, PartitionFilter } from '../domain/partition.js'
import type { Budget, Clock, Controls, Destination, Log, Queue, SourceClient, StreamTable } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Source, Stream } from '../domain/source-model.js'
import type { Outcome, Progress, Proof, SplitTasks, Task } from '../domain/task.js'

export interface WorkerOptions {
  readonly runId: string
  readonly streams: readonly SelectedStream[]
  readonly filter: PartitionFilter
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** IANA zone of the workspace: hours of the day are told in it. */
  readonly timezone: string
  /** null: no limit. */
  readonly maxRuntimeMs: number | null
  readonly maxRequests: number | null
  readonly maxTasks: number | null
  /** Tasks per claim; null: the smallest `claim` setting of a source's streams. */
  readonly claim: number | null
  /** Tasks of one source at a time; null: the source's own. */
  readonly concurrency: number | null
  /** How often the run's figures are logged; null: never. */
  readonly metricsIntervalMs: number | null
  /** Wait for what becomes due, and for the budget, until the queue has nothing left to do (or the run's end). */
  readonly untilEmpty: boolean
  /** Aborted by the first signal: flush, release, return. `signal.reason` names it. */
  readonly signal: AbortSignal
}

export interface WorkerDeps {
  readonly queue: Queue
  readonly follows: FollowQueue
  readonly budget: Budget
  readonly controls: Controls
  readonly clock: Clock
  readonly log: Log
  /** Loads the HTTP client and connects to Postgres; called only when something is due. The given budget is the one to use. */
  readonly open: (budget: Budget) => Promise<{ readonly destination: Destination; readonly client: SourceClient }>
  /** Holds the queue against the database where nothing is due; true: it made tasks ready. Absent: never. */
  readonly compareStores?: () => Promise<boolean>
  readonly onEvent: (event: WorkerEvent) => void
  /** 0 to below 1, for jitter. */
  readonly random: () => number
  /** A fresh UUID. */
  readonly uuid: () => string
}

export type WorkerEvent =
  | { readonly type: 'reclaimed'; readonly tasks: readonly Task[] }
  | { readonly type: 'started'; readonly task: Task }
  | { readonly type: 'progress'; readonly task: Task; readonly progress: Progress }
  | { readonly type: 'ended'; readonly task: Task; readonly outcome: Outcome }
  /** Waiting for a budget or for the next due task until then, Unix ms. */
  | { readonly type: 'waiting'; readonly source: string | null; readonly until: number }
  | {
      readonly type: 'unknown fields'
      readonly source: string
      readonly stream: string
      readonly fields: readonly string[]
    }

export interface WorkerReport {
  /** Why the run ended. */
  readonly end: 'nothing due' | 'empty' | 'deadline' | 'signal' | 'max requests' | 'max tasks' | 'budget' | 'database'
  readonly reason: string
  readonly requests: number
  readonly rows: number
  readonly done: number
  /** Tasks that newly died in this run. */
  readonly died: readonly {
    readonly task: Task
    readonly code: string
    readonly message: string
    readonly hint: string | null
  }[]
  /** Walks that ended in this run with other rows than the source counts (`backfill verify` says which side lacks what). */
  readonly differing: readonly { readonly task: Task; readonly received: number; readonly expected: number | null }[]
  /** Walks that ended unproven because they brought far fewer rows than the partition's last proven walk (`max_shrink`). */
  readonly shrunk: readonly { readonly task: Task; readonly received: number; readonly before: number }[]
  readonly retrying: number
  /** Rows that waited for their parent and went into their table. */
  readonly putBack: number
  /** Streams that could not be worked on because their definition does not fit (exit 2). */
  readonly refused: readonly { readonly source: string; readonly stream: string | null; readonly error: Error }[]
  /** Sources whose budget is closed, and until when (Unix ms). */
  readonly closed: readonly { readonly source: string; readonly opensAt: number }[]
  /** Sources that were newly parked in this run, because they failed or refused (exit 3). */
  readonly parked: readonly Parking[]
  /** A temporary failure of Postgres or the queue that ended the run (exit 75), or our bug (exit 1). */
  readonly failure: Error | null
  readonly nextDueAt: number | null
}

/** What the run of one task needs. */
export interface TaskDeps {
  readonly source: Source
  readonly stream: Stream
  /** The whole partition, also where the task is for a page of it. */
  readonly partition: Partition
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** The one page that the task asks for; null: the whole partition. */
  readonly page: PageOfWalk | null
  /** It walks everything, also where only changes are asked for otherwise. */
  readonly isFull: boolean
  readonly table: StreamTable
  readonly client: SourceClient
  readonly destination: Destination
  readonly clock: Clock
  readonly log: Log
  readonly uuid: () => string
  readonly signal: AbortSignal
  readonly deadlineAt: number | null
  readonly maxWaitMs: number | null
  /** Of its requests, where they wait in line; absent: 0. */
  readonly priority?: number
  readonly onProgress: (progress: Progress) => void
  readonly onUnknownFields: (fields: readonly string[]) => void
}

/** How a task's run ended; `error` null: it is done. Nothing is thrown: what was promoted counts either way. */
export interface TaskEnd {
  readonly error: unknown
  readonly proof: Proof | null
  readonly progress: Progress
  /** Requests of this lease. */
  readonly sent: number
  /** A page was promoted in this lease. */
  readonly hasProgress: boolean
  /** Raw rows of its last walk. */
  readonly received: number
  /** Raw rows that were promoted in this lease. */
  readonly fresh: number
  /** Rows of the partition's last proven walk, where this one ended unproven with far fewer; null otherwise. */
  readonly shrunkFrom: number | null
  /** Pages that its walk passed over. */
  readonly split?: SplitTasks | undefined
  /** What becomes of the walk, for an operator who reads why the task died. */
  readonly note?: string | undefined
  /** Of a flush that was refused for a missing parent: what fills the parent's table still has tasks to do. */
  readonly hasOpenParent?: boolean
}
