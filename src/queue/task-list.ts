/**
 * Owns lists of tasks for people. Each state is read through its own index and cut off there, so that a list of twenty costs twenty rows:
 * at work and dead ones by number, ready ones in the order in which they will be claimed, finished ones latest first.
 */

import { type Partition, partitionKey } from '../domain/partition.js'
import type { TaskQuery } from '../domain/ports.js'
import { type Task, type TaskState, taskStates } from '../domain/task.js'
import type { Names } from './names.js'
import { restrictPartitions } from './partition-filter.js'
import { openPageTasks } from './split.js'
import type { Store } from './store.js'
import { loadTask, readTask, type TaskRow, taskColumns } from './task-row.js'

const taskWhere = `select ${taskColumns} from task where`
const streamAll = `select number from stream`

export interface TaskSource {
  readonly store: Store
  readonly names: Names
}

/** Tasks of the states asked for (all by default), state by state in the order of {@link taskStates}. */
export function listTasks(store: Store, names: Names, query: TaskQuery): Task[] {
  if (query.id !== undefined)
    return readTasks({ store, names }, `${taskWhere} task.id = ?`, [query.id]).filter((task) => fits(task, query))
  if (query.number !== undefined) {
    return readTasks({ store, names }, `${taskWhere} task.number = ?`, [query.number]).filter((task) =>
      fits(task, query),
    )
  }
  const numbers = query.filter === undefined ? allStreams(store) : names.streamNumbers(query.filter.streams)
  const wanted = new Set(query.states ?? taskStates)
  const tasks: Task[] = []
  for (const state of taskStates) {
    if (!wanted.has(state) || tasks.length >= query.limit) continue
    tasks.push(...listState({ store, names }, { state, streams: numbers, query, limit: query.limit - tasks.length }))
  }
  return tasks
}

/** For each partition its newest task: the open one where there is one (of the whole partition, or of a page of it), else the last done one. */
export function newestTasks(
  source: TaskSource,
  stream: number | null,
  partitions: readonly Partition[],
): (Task | null)[] {
  if (stream === null) return partitions.map(() => null)
  const statement = `${taskWhere} task.stream = ? and task.partition = ? and task.is_current = 1`
  const pages = openPageTasks(source.store, stream)
  return partitions.map((partition) => {
    const task = readTasks(source, statement, [stream, partitionKey(partition)])[0] ?? null
    const page = task === null || task.state === 'done' ? pages.get(partitionKey(partition)) : undefined
    return page === undefined ? task : loadTask(source.store, source.names, page)
  })
}

function allStreams(store: Store): number[] {
  return store.sql(streamAll).pluck().all() as number[]
}

/** A task asked for by name is still held against the states asked for. */
function fits(task: Task, query: TaskQuery): boolean {
  return query.states === undefined || query.states.includes(task.state)
}

interface StateList {
  readonly state: TaskState
  readonly streams: readonly number[]
  readonly query: TaskQuery
  readonly limit: number
}

function listState(source: TaskSource, list: StateList): Task[] {
  const { condition, values } = restrict(list.query)
  const read = (where: string, order: string, stream: number): Task[] =>
    readTasks(source, `${taskWhere} task.stream = ? and ${where}${condition} order by ${order} limit ?`, [
      stream,
      ...values,
      list.limit,
    ])
  const each = (where: string, order: string): Task[] => list.streams.flatMap((stream) => read(where, order, stream))
  const tasks = list.query.isRetrying === true && list.state === 'ready' ? retrying(each) : tasksOf(list.state, each)
  return tasks.slice(0, list.limit)
}

type Each = (where: string, order: string) => Task[]

/** Not of the claimable ones, of which there may be a million. */
function retrying(each: Each): Task[] {
  const waiting = each(`task.state = 'ready' and task.ready_at is not null and task.attempts > 0`, 'task.ready_at')
  return waiting.sort((a, b) => (a.readyAt ?? 0) - (b.readyAt ?? 0))
}

function tasksOf(state: TaskState, each: Each): Task[] {
  switch (state) {
    case 'ready': {
      const claimable = ['= 0', '> 0'].flatMap((reclaims) =>
        each(
          `task.state = 'ready' and task.ready_at is null and task.reclaims ${reclaims}`,
          'task.priority desc, task.number',
        ),
      )
      const waiting = each(`task.state = 'ready' and task.ready_at is not null`, 'task.ready_at')
      return [
        ...claimable.sort((a, b) => b.priority - a.priority || a.number - b.number),
        ...waiting.sort((a, b) => (a.readyAt ?? 0) - (b.readyAt ?? 0)),
      ]
    }
    case 'done': {
      const halves = ['1', '0'].flatMap((isCurrent) =>
        each(`task.state = 'done' and task.is_current = ${isCurrent}`, 'task.finished_at desc'),
      )
      return halves.sort((a, b) => (b.finishedAt ?? 0) - (a.finishedAt ?? 0) || b.number - a.number)
    }
    case 'leased':
    case 'dead':
      return each(`task.state = '${state}'`, 'task.number').sort((a, b) => a.number - b.number)
    case 'cancelled':
      return each(`task.state = 'cancelled'`, 'task.number desc').sort((a, b) => b.number - a.number)
  }
}

function restrict(query: TaskQuery): { readonly condition: string; readonly values: readonly string[] } {
  const partitions = restrictPartitions(query.filter?.partitions ?? {})
  if (query.codes === undefined) return partitions
  return {
    condition: `${partitions.condition} and task.code in (select value from json_each(?))`,
    values: [...partitions.values, JSON.stringify(query.codes)],
  }
}

function readTasks({ store, names }: TaskSource, statement: string, values: readonly (string | number)[]): Task[] {
  const rows = store
    .sql(statement)
    .raw()
    .all(...values) as TaskRow[]
  return rows.map((row) => readTask(row, names))
}
