/**
 * Owns how tasks come into the queue: backfills and their tasks, one open task per partition. Inside the transaction of its caller.
 * A seed that died is resumed by the same call: what this backfill has made already, in whatever state, is not made again.
 */
import { randomUUID } from 'node:crypto'
import { InvariantError } from '../domain/errors.js'
import { isFullWalk, pageOfTask } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import { partitionKey } from '../domain/partition.js'
import type { BackfillPlan, EnqueueOptions, EnqueueResult, NewTask } from '../domain/ports.js'
import { noTotals, type Task, type TaskState } from '../domain/task.js'
import type { Names, StreamName } from './names.js'
import { ownIdentity } from './process-identity.js'
import type { Store } from './store.js'
import type { CountedFacts, Tally } from './tally.js'
import { loadTask } from './task-row.js'
import { timeOrderedUuid } from './uuid.js'

const openTasksAnswered = 1_000

/** A forced seed that was cut off longer ago is begun anew: what it got done since is what the operator wants again. */
const forcedGoesOnMs = 86_400_000

const backfillUnplanned = `
  select id from backfill where fingerprint = ? and planned_at is null and (is_forced = 0 or created_at > ?) order by number desc limit 1`
const backfillInsert = `
  insert into backfill (id, scope, fingerprint, reason, created_at, planner, is_forced) values (?, ?, ?, ?, ?, ?, ?)`
const backfillTakeOver = `update backfill set planner = ? where id = ?`
const backfillPlanned = `update backfill set planned_at = ? where id = ? and planned_at is null`
const backfillNumber = `select number from backfill where id = ?`
const taskCurrent = `select number, state, backfill from task where stream = ? and partition = ? and is_current = 1`
const taskInsert = `insert into task (id, stream, partition, backfill, priority, created_at, renewed_at) values (?, ?, ?, ?, ?, ?, ?)`
const taskStepAside = `update task set is_current = 0 where number = ?`
const taskCancel = `
  update task set state = 'cancelled', is_current = 0, ready_at = null, leased_at = null, finished_at = ? where number = ?`
const roundDue = `
  select partition from task where stream = ? and is_current = 1 and state = 'done' and finished_at <= ? order by finished_at`
/** The clock was set back since: a partition that ended in the future would not come round for as long. */
const roundOfFuture = `
  select partition from task where stream = ? and is_current = 1 and state = 'done' and finished_at > ? order by finished_at`

/** Statements that run once a task, for the test that looks at their plans. */
export const enqueueStatements = { taskCurrent, taskStepAside, taskCancel, roundDue, roundOfFuture, backfillUnplanned }

/** The unfinished backfill with this fingerprint, or a new one. */
export function beginBackfill(store: Store, plan: BackfillPlan): string {
  const now = store.clock.now()
  const found = store
    .sql(backfillUnplanned)
    .pluck()
    .get(plan.fingerprint, now - forcedGoesOnMs) as string | undefined
  if (found !== undefined) {
    store.sql(backfillTakeOver).run(ownIdentity(), found)
    return found
  }
  const id = randomUUID()
  const { scope, fingerprint, reason, isForced } = plan
  store.sql(backfillInsert).run(id, scope, fingerprint, reason, now, ownIdentity(), isForced ? 1 : 0)
  return id
}

export function finishPlanning(store: Store, backfillId: string): void {
  store.sql(backfillPlanned).run(store.clock.now(), backfillId)
}

interface Current {
  readonly number: number
  readonly state: TaskState
  readonly backfill: number
}
type Verdict = 'create' | 'supersede' | 'open' | 'done'

export interface EnqueueRequest {
  readonly backfillId: string
  readonly tasks: readonly NewTask[]
  readonly options: EnqueueOptions
}

/** Makes a task for each partition that may have one. @throws InvariantError where the backfill was not begun. */
export function enqueueTasks(
  store: Store,
  request: EnqueueRequest,
  { names, tally }: { names: Names; tally: Tally },
): EnqueueResult {
  const backfill = store.sql(backfillNumber).pluck().get(request.backfillId) as number | undefined
  if (backfill === undefined)
    throw new InvariantError(`enqueue into backfill ${request.backfillId} found that it was not begun`)
  const counts: Record<Verdict, number> = { create: 0, supersede: 0, open: 0, done: 0 }
  const open: Task[] = []
  const numberOf = streamNumbers(names)
  const now = store.clock.now()
  for (const task of request.tasks) {
    const stream = numberOf(task)
    const partition = partitionKey(task.partition)
    const current = store.sql(taskCurrent).get(stream, partition) as Current | undefined
    const verdict = judge(current, backfill, request.options)
    counts[verdict] += 1
    if (verdict === 'open' && current !== undefined && open.length < openTasksAnswered)
      open.push(loadTask(store, names, current.number))
    if (verdict !== 'create' && verdict !== 'supersede') continue
    if (current !== undefined) makeWay(store, { names, tally }, { current, stream })
    store.sql(taskInsert).run(timeOrderedUuid(now), stream, partition, backfill, task.priority, now, now)
    tally.move(stream, null, newTask)
  }
  const superseded = counts.supersede
  return { created: counts.create + superseded, superseded, alreadyDone: counts.done, open, openCount: counts.open }
}

function judge(current: Current | undefined, backfill: number, options: EnqueueOptions): Verdict {
  if (current === undefined || current.state === 'cancelled') return 'create'
  const isOwn = current.backfill === backfill
  if (current.state === 'done') return isOwn || options.skipDone ? 'done' : 'create'
  return options.supersede && !isOwn ? 'supersede' : 'open'
}

const newTask: CountedFacts = {
  state: 'ready',
  attempts: 0,
  reclaims: 0,
  readyAt: null,
  proof: null,
  totals: noTotals,
  requests: 0,
}

/** Must come first: the unique index allows one current task per partition. */
function makeWay(
  store: Store,
  { names, tally }: { names: Names; tally: Tally },
  { current, stream }: { current: Current; stream: number },
): void {
  if (current.state === 'done' || current.state === 'cancelled') {
    store.sql(taskStepAside).run(current.number)
    return
  }
  const before = loadTask(store, names, current.number)
  store.sql(taskCancel).run(store.clock.now(), current.number)
  tally.move(stream, before, loadTask(store, names, current.number))
}

function streamNumbers(names: Names): (name: StreamName) => number {
  const known = new Map<string, number>()
  return (name) => {
    const text = `${name.source}\n${name.stream}`
    const number = known.get(text) ?? names.ensureStream(name)
    known.set(text, number)
    return number
  }
}

/** Clocks of machines are off by so much without anybody having set them. */
const clockSlackMs = 60_000

/** Partitions whose newest task is done and finished at `before` (Unix ms) or earlier, or in the future. */
export function dueRounds(store: Store, stream: number, before: number): Partition[] {
  const keys = [
    ...(store.sql(roundDue).pluck().all(stream, before) as string[]),
    ...(store
      .sql(roundOfFuture)
      .pluck()
      .all(stream, store.clock.now() + clockSlackMs) as string[]),
  ]
  // A single page comes round with the walk of its partition, and a full walk by its own rhythm.
  return keys
    .map((key) => JSON.parse(key) as Partition)
    .filter((partition) => pageOfTask(partition) === null && !isFullWalk(partition))
}
