/**
 * Cancels dead tasks of a stream that follows another where the rows that they were made for went for good: nobody needs to look at a failure to ask for what is not
 * there. Must not know SQL. Ready ones need no look: their next claim finds the same before it asks for anything. Everything here may be repeated.
 */
import { singlePartitions } from '../domain/fan-out.js'
import { wholePartition } from '../domain/page-task.js'
import { rowsOf } from '../domain/plan.js'
import type { Destination, Log, Queue } from '../domain/ports.js'
import { pruneCodes } from '../domain/prune.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'

/** More wait for the next look. */
const lookedAt = 1000

export async function cancelGone(
  { source, stream }: SelectedStream,
  {
    queue,
    destination,
    log,
  }: {
    readonly queue: Pick<Queue, 'tasks' | 'dismiss'>
    readonly destination: Pick<Destination, 'gone'>
    readonly log: Log
  },
): Promise<void> {
  const rows = rowsOf(stream, source)
  if (rows === null) return
  const filter = { streams: [{ source: source.name, stream: stream.name }], partitions: {} }
  const dead = await queue.tasks({ states: ['dead'], filter, limit: lookedAt })
  // One that asks whether rows may go still waits for its answer: they are in the table.
  const open = dead.filter(({ code }) => code === null || !pruneCodes.has(code))
  if (open.length === 0) return
  const valuesOf = ({ partition }: Task) =>
    singlePartitions(stream, wholePartition(partition)).map((single) => single[rows.name] ?? '')
  const gone = new Set(await destination.gone(source.name, rows.dimension, [...new Set(open.flatMap(valuesOf))]))
  const over = open.filter((task) => valuesOf(task).every((value) => gone.has(value)))
  if (over.length === 0) return
  const note = `the source no longer has its row of ${source.name}.${rows.dimension.stream}`
  const cancelled = await queue.dismiss({ filter, tasks: over.map(({ id }) => id), codes: null }, note)
  for (const { id, partition, code } of cancelled)
    log('info', 'task cancelled', { task: id, stream: `${source.name}.${stream.name}`, partition, code, reason: note })
}
