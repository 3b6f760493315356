/** A task in one sentence, as `seed` and `retry` name it. Pure. */
import { pageOfTask, wholePartition } from '../domain/page-task.js'
import { partitionLabel } from '../domain/partition.js'
import type { Stream } from '../domain/source-model.js'
import type { Task } from '../domain/task.js'
import { clean, plural } from './text.js'
import { clockText } from './zone.js'

/** `oakland.ca minutes is running since 14:02, task 17, 3,200 rows so far`. */
export function openTaskText(
  task: Task,
  now: number,
  {
    stream,
    isNamed = false,
  }: { readonly stream?: Pick<Stream, 'dimensions'> | undefined; readonly isNamed?: boolean } = {},
): string {
  const label = isNamed ? fullLabelOf(task, stream) : labelOf(task, stream)
  const rows = task.totals.received > 0 ? `, ${plural(task.totals.received, 'row')} so far` : ''
  return `${label} ${stateClause(task, now)}, task ${task.number}${rows}`
}

/** `city.pages oakland.ca minutes`: where tasks of several streams stand side by side, or nothing else names the stream. */
export function fullLabelOf(
  task: Pick<Task, 'source' | 'stream' | 'partition'>,
  stream?: Pick<Stream, 'dimensions'>,
): string {
  const name = `${task.source}.${task.stream}`
  const label = labelOf(task, stream)
  return label === name || label.startsWith(`${name} `) ? label : `${name} ${label}`
}

/** `oakland.ca minutes`; for a stream without dimensions its name. */
export function labelOf(
  task: Pick<Task, 'source' | 'stream' | 'partition'>,
  stream?: Pick<Stream, 'dimensions'>,
): string {
  const names = Object.keys(wholePartition(task.partition))
  const label = clean(partitionLabel(task.partition, stream?.dimensions ?? names))
  if (names.length > 0) return label
  const page = pageOfTask(task.partition)
  return `${task.source}.${task.stream}${page === null ? '' : ` ${label}`}`
}

function stateClause(task: Task, now: number): string {
  if (task.state === 'leased') return `is running since ${clockText(task.leasedAt ?? task.createdAt, now)}`
  if (task.state === 'dead') return `is dead (${task.code ?? 'unknown'})`
  if (task.readyAt !== null && task.readyAt > now) return `is due at ${clockText(task.readyAt, now)}`
  return `is waiting for a worker since ${clockText(task.createdAt, now)}`
}
