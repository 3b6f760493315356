import type { SecretEnd } from '../domain/auth.js'
import type { ControlState, Parking } from '../domain/controls.js'
import type { FindingCount, FindingKeeper } from '../domain/finding.js'
import type { FollowQueue } from '../domain/follow.js'
import type { HeldCount } from '../domain/held.js'
import type { PartitionFilter } from '../domain/partition.js'
import type {
  Budget,
  BudgetState,
  Clock,
  Controls,
  CutOffSeed,
  Dismissals,
  Queue,
  RunRecord,
  StreamCounts,
} from '../domain/ports.js'
import type { BudgetRules, Source, Stream } from '../domain/source-model.js'
import type { Task } from '../domain/task.js'

/** What `backfill status` was asked for. */
export interface StatusRequest {
  /** The streams that are configured, or those of them that were selected. */
  readonly streams: readonly { readonly source: Source; readonly stream: Stream }[]
  /** What the command line restricts partitions to; empty: the tasks of single partitions are not listed. */
  readonly filter: PartitionFilter
  /** True where nothing was selected: streams that only the queue knows are shown, too. */
  readonly isEverything: boolean
  /** IANA zone of the workspace: hours of the day are told in it. */
  readonly timezone: string
  /** At most so many dead tasks are listed. */
  readonly deadLimit: number
  /** At most so many runs are read. */
  readonly runLimit: number
}

export interface StatusDeps {
  readonly queue: Pick<Queue, 'counts' | 'tasks' | 'latestTasks' | 'runs' | 'dismissals' | 'heldNote' | 'cutOffSeeds'>
  /** Absent: nothing is said of freshness. */
  readonly follows?: Pick<FollowQueue, 'followed' | 'oldestDone'>
  readonly findings: Pick<FindingKeeper, 'counts'>
  readonly controls: Pick<Controls, 'read'>
  readonly budget: Pick<Budget, 'state' | 'refusedSince'>
  readonly clock: Pick<Clock, 'now'>
  /** True where a process of this number lives on this machine. */
  readonly isAlive: (pid: number) => boolean
  /** When client secrets end, as far as their sources said so; absent: not known. */
  readonly secretEnds?: () => readonly SecretEnd[]
}

export interface StatusReport {
  readonly at: number
  readonly verdict: Verdict
  /** What an operator has to look at, the worst first; `--check` is about these. */
  readonly problems: readonly StatusProblem[]
  /** Tasks that failed and are tried again by themselves; null: none. No problem, and not all well either. */
  readonly retrying: Retrying | null
  /** Budgets that are owed requests and whose source refuses every one. */
  readonly refusing: readonly Refusing[]
  readonly worker: WorkerSight | null
  readonly streams: readonly StreamStatus[]
  readonly finish: Finish
  readonly running: readonly Task[]
  readonly dead: readonly Task[]
  readonly deadCount: number
  /** Dead tasks that were dismissed, the last first; at most as many as dead ones are listed. */
  readonly dismissed: Dismissals['tasks']
  readonly dismissedCount: number
  /** What is paused by hand and parked by its failures. */
  readonly controls: ControlState
  /** Tasks of the partitions that the command line names; empty without such a restriction. */
  readonly selected: readonly Task[]
  readonly budgets: readonly BudgetStatus[]
  readonly runs: readonly RunRecord[]
}

/**
 * `empty` nothing was ever queued; `done` no open task; `working` a worker moves tasks; `waiting` everything open is due later or its budget is closed;
 * `due` tasks could run and no worker does; `attention` there is a problem (what goes on beside it is in `activity`).
 */
export interface Verdict {
  readonly state: 'attention' | 'working' | 'due' | 'waiting' | 'done' | 'empty'
  /** What goes on, whatever the problems. */
  readonly activity: Exclude<Verdict['state'], 'attention'>
}

export interface Retrying {
  readonly count: number
  /** The one that is tried next, else one that is being tried again; null where its moment has come and nobody has claimed it yet. */
  readonly task: Task | null
}

export interface Refusing {
  readonly key: string
  readonly sources: readonly string[]
  /** Since when it has answered nothing but refusals, Unix ms. */
  readonly since: number
  /** When it is asked again, Unix ms. */
  readonly until: number
}

export interface StatusProblem {
  readonly code:
    | 'dead_tasks'
    | 'run_failed'
    | 'run_cut_off'
    | 'stuck_worker'
    | 'count_differs'
    | 'no_worker'
    | 'source_parked'
    | 'secret_ends'
    | 'seed_cut_off'
    | 'verify_differs'
    | 'unknown_stream'
  readonly count: number
  /** The run it is about; null: none, or no worker ever ran. */
  readonly run: RunRecord | null
  /** What verify found, of each stream that it is about. */
  readonly findings?: readonly FindingCount[]
  /** One of the tasks it is about. */
  readonly task?: Task
  /** The parked source it is about. */
  readonly parking?: Parking
  /** The client secret it is about. */
  readonly secret?: SecretEnd
  /** The seed it is about. */
  readonly seed?: CutOffSeed
}

/** A worker run that has not ended, as its last sign of life tells. */
export interface WorkerSight {
  readonly run: RunRecord
  /** `working`: a sign of life in the last ten minutes. `stuck`: alive, but silent. `gone`: its process does not exist any more. */
  readonly state: 'working' | 'stuck' | 'gone'
}

export interface StreamStatus {
  readonly source: string
  readonly stream: string
  /** False: the queue has tasks of it, the workspace does not know it (any more). */
  readonly isConfigured: boolean
  readonly counts: StreamCounts
  /** done ÷ (done + dead); null before the first. */
  readonly successRate: number | null
  /** Mean requests of a done task; null before the first. */
  readonly requestsPerTask: number | null
  readonly finish: Finish
  /** Outside of its hours of the day: when they begin, Unix ms; null: it may be at work now. */
  readonly opensAt: number | null
  /** How fresh it is; null: nothing brings it round by itself, or it was not walked yet. */
  readonly freshness: Freshness | null
  /** What was held of it when that was counted last; null: it never was. */
  readonly held:
    | (Pick<HeldCount, 'waiting' | 'rejected'> & {
        /** Rows beside those that were given up. */
        readonly dismissed: number
        readonly countedAt: number
      })
    | null
}

/** Up to when a stream's changes are in its table, and what is still to be asked for. */
export interface Freshness {
  /** Everything changed before then is in the table, Unix ms; null: not everything was walked yet. */
  readonly freshTo: number | null
  /** Partitions that there are, and those of them that were due when they were looked at last; null: only tasks tell. */
  readonly partitions: number | null
  readonly behind: number | null
  /** Unix ms. */
  readonly lookedAt: number
  /** When it comes round next, Unix ms; null: when what it follows has moved. */
  readonly nextAt: number | null
}

/** When the open tasks will be done at the present budget: an estimate, or why there is none. */
export type Finish =
  | { readonly kind: 'nothing open' }
  | { readonly kind: 'at'; readonly at: number; readonly requests: number }
  | {
      readonly kind: 'unknown'
      readonly why: 'no task is done yet' | 'not configured' | `it waits for "backfill resume ${string}"`
    }

export interface BudgetStatus {
  readonly key: string
  readonly sources: readonly string[]
  readonly rules: BudgetRules
  readonly state: BudgetState
  /** Requests that the open tasks still need; null where unknown. */
  readonly owed: number | null
}
