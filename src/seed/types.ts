import type { FollowQueue } from '../domain/follow.js'
import type { Partition, PartitionFilter } from '../domain/partition.js'
import type { Budget, Clock, Log, Queue, SourceClient } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'

/** What `backfill seed` was asked for. */
export interface SeedRequest {
  readonly streams: readonly SelectedStream[]
  readonly filter: PartitionFilter
  /** Lines of `--from-file`: a value per line, or one JSON object of dimensions per line; null without that flag. */
  readonly lines: AsyncIterable<string> | Iterable<string> | null
  readonly order: 'newest' | 'oldest'
  /** Higher goes first; null: what each stream's settings say, else 0. */
  readonly priority: number | null
  /** Supersedes open tasks and makes new ones for finished partitions too. */
  readonly force: boolean
  /** The day it is in the workspace's zone, `YYYY-MM-DD`. */
  readonly today: string
  /** What was asked for, as the command line says it: shown by `status`. */
  readonly scope: string
  readonly signal: AbortSignal
}

export interface SeedDeps {
  readonly queue: Queue
  readonly follows: FollowQueue
  readonly clock: Clock
  readonly log: Log
}

export interface SeedReport {
  readonly created: number
  readonly superseded: number
  /** Partitions that are done already and were left alone. */
  readonly alreadyDone: number
  /** Partitions with an open task, which was left alone. */
  readonly alreadyOpen: number
  /** The first of them, to be named: `oakland.ca minutes is running since 14:02, task 17, 3,200 rows so far`. */
  readonly open: readonly Task[]
  readonly byStream: readonly {
    readonly source: string
    readonly stream: string
    readonly created: number
    readonly alreadyDone: number
    readonly alreadyOpen: number
    /** The stream whose rows its tasks are made for, by the worker; null: its tasks were made here. */
    readonly follows: string | null
  }[]
}

/** What a dry run asks the sources for: one first page a partition, to learn count and page size, until `maxRequests`. */
export interface DryRunDeps {
  readonly queue: Queue | null
  readonly budget: Budget
  readonly client: SourceClient
  readonly clock: Clock
  readonly log: Log
  readonly maxRequests: number
}

export interface PartitionEstimate {
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  readonly state: 'new' | 'done' | 'open'
  /** Requests that its walk takes at least. */
  readonly requests: number
  /** Rows by the source's count; null where it gives none or was not asked. */
  readonly rows: number | null
  readonly trust: 'exact' | 'at least' | 'not asked' | 'absent'
}
export interface DryRunReport {
  readonly wouldCreate: number
  readonly alreadyDone: number
  readonly alreadyOpen: number
  /** Requests at least; equal to those that will be sent where `isExact`. */
  readonly requests: number
  readonly isExact: boolean
  readonly rows: number | null
  /** Requests that the dry run itself sent. */
  readonly asked: number
  /** Partitions that were not asked for, because `maxRequests` was reached or the budget closed. */
  readonly notAsked: number
  /** How long the budget makes it take, ms, per source and in all (the longest). */
  readonly takesMs: number
  readonly bySource: readonly { readonly source: string; readonly requests: number; readonly takesMs: number }[]
  /** At most the first thousand. */
  readonly partitions: readonly PartitionEstimate[]
}
