/**
 * Owns the queue port over one SQLite file: which calls are transactions, and that each is durable when it resolves.
 * Must not know: HTTP, Postgres, who calls. What survives a kill: every call that resolved, and nothing of one that did not.
 */
import type { FindingKeeper } from '../domain/finding.js'
import type { FollowQueue } from '../domain/follow.js'
import type { Budget, BudgetKeeper, Clock, Controls, Queue } from '../domain/ports.js'
import type { QueueRepair } from '../domain/repair-ports.js'
import { createBudgets } from './budget/budgets.js'
import { openBudgetFile } from './budget/open-budget-file.js'
import { claimTasks } from './claim.js'
import { createControls } from './controls.js'
import { readCounts, readNextDueAt } from './counts.js'
import { readCutOffSeeds } from './cut-off-seeds.js'
import { createDayOf } from './day.js'
import { readDismissal, readDismissals } from './dismissals.js'
import { beginBackfill, dueRounds, enqueueTasks, finishPlanning } from './enqueue.js'
import { countFindings, keepFinding, readFindings, takeBackFindings } from './findings.js'
import { follow, readFollowed, readOldestDone, readOpenPartitions, writePlan } from './follow.js'
import { readHeldNote, writeHeldNote } from './held-note.js'
import { bindDatabase, queueId, readMeta, writeMeta } from './meta.js'
import { createNames } from './names.js'
import { openQueueFile, type QueueFile } from './open-file.js'
import { keepPlace, takePlace } from './place.js'
import { dismissTasks, reclaimTasks, retryTasks } from './reclaim.js'
import {
  compareRuns,
  doneTasksAfter,
  judgeTasks,
  lastDone,
  reopenTasks,
  restoreTasks,
  splitRestored,
} from './repair.js'
import { beginRun, endRun, lastRuns, touchRun } from './runs.js'
import { type LateSettle, renewTask, settleTasks } from './settle.js'
import { createStore, type Store } from './store.js'
import { createTally, type Tally } from './tally.js'
import { listTasks, newestTasks } from './task-list.js'

export interface QueueOptions extends QueueFile {
  readonly clock: Clock
  /** IANA zone in which "today" is counted. */
  readonly timezone: string
  /** Called, after the commit, for each settle whose task was cancelled or claimed anew meanwhile. Replays are not reported. */
  readonly onLateSettle?: (late: LateSettle) => void
  /** Opened wherever it was used last: only for who is about to call {@link OpenQueue.takeOver}. */
  readonly ignorePlace?: boolean
  /** 0 to below 1, for jitter; `Math.random` where nothing else is meant. */
  readonly random?: () => number
}

/** The queue and the budget that live in the same file. */
export interface OpenQueue extends Queue {
  readonly budget: Budget & BudgetKeeper
  readonly controls: Controls
  readonly repair: QueueRepair
  readonly follows: FollowQueue
  readonly findings: FindingKeeper
  /** The file where it was used before, where it was moved from there; null where it was not. */
  readonly movedFrom: string | null
  /** Makes this file the queue from now on: it gets an id that no copy has. Its database must be bound to that id already. */
  takeOver(id: string): Promise<void>
}

/**
 * Opens queue.db.
 * @throws ConfigError where the file is missing (`no_queue`), not ours, of another version, another user's, on a network file system, or a copy (`copied_queue`);
 * QueueUnavailable where it is busy or the disk is full.
 */
export function openQueue(options: QueueOptions): OpenQueue {
  const db = openQueueFile(options)
  try {
    const store = createStore(db, options)
    const hasPlace = options.mode !== 'read' && options.ignorePlace !== true
    const movedFrom = hasPlace ? keepPlace(store, options.file) : null
    const id = queueId(store, options.mode)
    const { clock, mode, random = Math.random } = options
    const openFile = (file: string) => openBudgetFile(file, { clock, isReader: mode === 'read' })
    const budget = createBudgets(store, { openFile, random })
    const close = () => {
      budget.close()
      db.close()
    }
    const takeOver = async (own: string) => {
      takePlace(store, options.file, own)
    }
    return { ...createQueue(store, options), id, movedFrom, takeOver, budget, close }
  } catch (error) {
    db.close()
    throw error
  }
}

function createQueue(
  store: Store,
  options: QueueOptions,
): Omit<OpenQueue, 'id' | 'movedFrom' | 'takeOver' | 'budget' | 'close'> {
  const names = createNames(store)
  const dayOf = createDayOf(options.timezone)
  const today = (): string => dayOf(store.clock.now())
  /** A transaction that changes tasks: their counters are written with them. */
  const change = <T>(action: (tally: Tally) => T): T => {
    try {
      return store.write(() => {
        const tally = createTally()
        const result = action(tally)
        tally.write(store, today())
        return result
      })
    } catch (error) {
      names.forget()
      throw error
    }
  }

  return {
    bindDatabase: async (databaseId) => bindDatabase(store, databaseId),
    boundDatabase: async () => store.read(() => readMeta(store, 'database_id')),
    beginBackfill: async (plan) => store.write(() => beginBackfill(store, plan)),
    enqueue: async (backfillId, tasks, how) =>
      change((tally) => enqueueTasks(store, { backfillId, tasks, options: how }, { names, tally })),
    finishPlanning: async (backfillId) => store.write(() => finishPlanning(store, backfillId)),
    cutOffSeeds: async () => store.read(() => readCutOffSeeds(store)),
    settleAndClaim: async (request) => {
      const { late, leases } = change((tally) => ({
        late: settleTasks(store, request.settle, { names, tally }),
        leases: claimTasks(store, request, { names, tally }),
      }))
      for (const settle of late) options.onLateSettle?.(settle)
      return leases
    },
    renew: async (lease, progress) => change((tally) => renewTask(store, tally, { lease, progress })),
    reclaim: async (runId) => change((tally) => reclaimTasks(store, runId, { names, tally })),
    dueRounds: async (name, everyMs) =>
      store.read(() => {
        const stream = names.streamNumber(name)
        return stream === null ? [] : dueRounds(store, stream, store.clock.now() - everyMs)
      }),
    dismiss: async (selection, note) => change((tally) => dismissTasks(store, { selection, note }, { names, tally })),
    dismissals: async (limit) => store.read(() => readDismissals(store, names, limit)),
    dismissal: async (taskId) => store.read(() => readDismissal(store, taskId)),
    retry: async (selection) => change((tally) => retryTasks(store, selection, { names, tally })),
    counts: async () => store.read(() => readCounts(store, today())),
    tasks: async (query) => store.read(() => listTasks(store, names, query)),
    latestTasks: async (name, partitions) =>
      store.read(() => newestTasks({ store, names }, names.streamNumber(name), partitions)),
    nextDueAt: async (filter) => store.read(() => readNextDueAt(store, names, filter)),
    beginRun: async (run) => store.write(() => beginRun(store, run)),
    touchRun: async (id, totals) => store.write(() => touchRun(store, id, totals)),
    endRun: async (id, end) => store.write(() => endRun(store, id, end)),
    runs: async (limit) => store.read(() => lastRuns(store, limit)),
    noteHeld: async (counts) => store.write(() => writeHeldNote(store, counts)),
    heldNote: async () => store.read(() => readHeldNote(store)),
    lastRunId: async () => store.read(() => readMeta(store, 'last_run_id')),
    knowsRun: async (runId) =>
      store.read(() => runId === readMeta(store, 'last_run_id') || compareRuns(store, runId, runId) !== null),
    setLastRunId: async (runId) => store.write(() => writeMeta(store, 'last_run_id', runId)),
    controls: createControls(store, { change }),
    follows: {
      follow: async (name, how) => store.write(() => follow(store, name, how)),
      followed: async () => store.read(() => readFollowed(store)),
      planned: async (name, plan) => store.write(() => writePlan(store, name, plan)),
      oldestDone: async (name) => store.read(() => readOldestDone(store, names, name)),
      openPartitions: async (name) => store.read(() => readOpenPartitions(store, names, name)),
    },
    findings: {
      of: async (name) => store.read(() => readFindings(store, names, name)),
      keep: async (finding) => change(() => keepFinding(store, names, finding)),
      takeBack: async (name, partitions) =>
        store.write(() => takeBackFindings(store, names.streamNumber(name), partitions)),
      counts: async () => store.read(() => countFindings(store, names)),
    },
    repair: {
      judge: async (tasks) => store.read(() => judgeTasks(store, names, tasks)),
      restore: async (backfillId, tasks) =>
        change((tally) => restoreTasks(store, { backfillId, tasks }, { names, tally, dayOf })),
      splitPages: async (tasks) => {
        change((tally) => {
          splitRestored(store, tasks, { names, tally, dayOf })
        })
      },
      lastDone: async (limit) => store.read(() => lastDone(store, limit)),
      doneAfter: async (after, limit) => store.read(() => doneTasksAfter(store, after, limit)),
      reopen: async (ids) => change((tally) => reopenTasks(store, ids, { names, tally, dayOf })),
      comparedAt: async () => store.read(() => Number(readMeta(store, 'stores_compared_at') ?? Number.NaN) || null),
      noteCompared: async () =>
        store.write(() => writeMeta(store, 'stores_compared_at', String(Math.floor(store.clock.now())))),
      compareRuns: async (a, b) => store.read(() => compareRuns(store, a, b)),
    },
  }
}
