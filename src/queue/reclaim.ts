/** Owns what becomes of the tasks of the dead: back to ready, or dead after ten times without progress; and of dead tasks that an operator puts back. */
import type { ReclaimResult, RetrySelection } from '../domain/ports.js'
import type { Task } from '../domain/task.js'
import type { Names } from './names.js'
import { restrictPartitions } from './partition-filter.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'
import { loadTask } from './task-row.js'

/** Times in a row that a task may outlive its worker's death without progress. */
const reclaimsAllowed = 10

const taskLeftLeased = `select number, stream from task where state = 'leased' and run is not ? order by number`
const taskTakeBack = `
  update task set state = 'ready', leased_at = null, reclaims = reclaims + 1 where number = ? and state = 'leased'`
const taskGiveUp = `
  update task set state = 'dead', leased_at = null, finished_at = ?, reclaims = reclaims + 1, code = 'crash_loop', message = ?, hint = ?
  where number = ? and state = 'leased'`
const taskPutBack = `
  update task set state = 'ready', finished_at = null, attempts = 0, reclaims = 0 where number = ? and state = 'dead'`

const taskDismiss = `update task set state = 'cancelled', is_current = 0, finished_at = ? where number = ? and state = 'dead'`
const dismissalInsert = `insert into dismissal (task, stream, dismissed_at, note) values (?, ?, ?, ?)`

/** Takes back what runs other than `runId` left leased. */
export function reclaimTasks(store: Store, runId: string, context: TaskContext): ReclaimResult {
  const left = store.sql(taskLeftLeased).all(context.names.runNumber(runId)) as TaskPlace[]
  const tasks = left.map((place) => {
    const before = loadTask(store, context.names, place.number)
    if (before.reclaims + 1 < reclaimsAllowed) store.sql(taskTakeBack).run(place.number)
    else giveUp(store, place.number)
    return moved(store, context, { place, before })
  })
  return {
    reclaimed: tasks.filter(({ state }) => state === 'ready'),
    dead: tasks.filter(({ state }) => state === 'dead'),
  }
}

interface TaskContext {
  readonly names: Names
  readonly tally: Tally
}

interface TaskPlace {
  readonly number: number
  readonly stream: number
}

function giveUp(store: Store, number: number): void {
  const message = `run task ${number} ended with the death of its worker ${reclaimsAllowed} times in a row, without a new row`
  const hint = `read .backfill/log, then run "backfill retry --task ${number}"`
  store.sql(taskGiveUp).run(store.clock.now(), message, hint, number)
}

function moved(store: Store, context: TaskContext, { place, before }: { place: TaskPlace; before: Task }): Task {
  const after = loadTask(store, context.names, place.number)
  context.tally.move(place.stream, before, after)
  return after
}

/** Puts the selected dead tasks back to ready, as new. */
export function retryTasks(store: Store, selection: RetrySelection, context: TaskContext): Task[] {
  return selectDead(store, selection, context).map((place) => {
    const before = loadTask(store, context.names, place.number)
    store.sql(taskPutBack).run(place.number)
    return moved(store, context, { place, before })
  })
}

/** Cancels the selected dead tasks for good, and keeps why. */
export function dismissTasks(
  store: Store,
  { selection, note }: { readonly selection: RetrySelection; readonly note: string | null },
  context: TaskContext,
): Task[] {
  const now = store.clock.now()
  return selectDead(store, selection, context).map((place) => {
    const before = loadTask(store, context.names, place.number)
    store.sql(taskDismiss).run(now, place.number)
    store.sql(dismissalInsert).run(place.number, place.stream, now, note)
    return moved(store, context, { place, before })
  })
}

function selectDead(store: Store, selection: RetrySelection, context: TaskContext): TaskPlace[] {
  const restriction = restrictPartitions(selection.filter.partitions)
  const tasks = selection.tasks === null ? null : JSON.stringify(selection.tasks)
  const codes = selection.codes === null ? null : JSON.stringify(selection.codes)
  return store
    .sql(taskDeadSelected(restriction.condition))
    .all(
      JSON.stringify(context.names.streamNumbers(selection.filter.streams)),
      ...[tasks, tasks, tasks],
      ...[codes, codes],
      ...restriction.values,
    ) as TaskPlace[]
}

/** Tasks are named by id or by number. */
function taskDeadSelected(condition: string): string {
  return `
  select number, stream from task
  where state = 'dead' and stream in (select value from json_each(?))
    and (? is null or id in (select value from json_each(?)) or cast(number as text) in (select value from json_each(?)))
    and (? is null or code in (select value from json_each(?)))${condition}
  order by number`
}
