/**
 * Lets in the dates that came since a stream was seeded: one that comes round by itself and was seeded whole goes on with the calendar. Owns when that is looked at:
 * once a day, at the start of a run. A kill in between repeats it, and finds what it made.
 */
import { hasMovingDates, newPartitions } from '../domain/moving-dates.js'
import type { NewTask } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import { makeTasks } from './make-tasks.js'
import { keepsWatermarks } from './mark.js'
import type { WorkerDeps, WorkerOptions } from './types.js'

/** The days of two runs are held against each other: `seen` of a followed stream is the day up to which its partitions were made. */
export async function letInNewDates(
  { streams, today }: Pick<WorkerOptions, 'streams' | 'today'>,
  deps: Pick<WorkerDeps, 'queue' | 'follows' | 'log' | 'uuid'>,
): Promise<void> {
  const going = streams.filter(
    ({ source, stream }) => stream.everyMs !== null && !keepsWatermarks(stream) && hasMovingDates(stream, source),
  )
  if (going.length === 0) return
  const followed = await deps.follows.followed()
  for (const selected of going) {
    const { source, stream } = selected
    const found = followed.find((one) => one.source === source.name && one.stream === stream.name)
    // The clock may have been set back: the day that was reached stays.
    if (found?.isAll !== true || found.seen >= today) continue
    await letIn(selected, { before: found.seen, today }, deps)
    await deps.follows.planned({ source: source.name, stream: stream.name }, { seen: today })
  }
}

async function letIn(
  { source, stream }: SelectedStream,
  days: { readonly before: string; readonly today: string },
  deps: Pick<WorkerDeps, 'queue' | 'log' | 'uuid'>,
): Promise<void> {
  const name = { source: source.name, stream: stream.name }
  const priority = stream.settings.priority ?? 0
  const tasks = [...newPartitions(stream, source, days)].map((partition): NewTask => ({ ...name, partition, priority }))
  if (tasks.length === 0) return
  const made = await makeTasks(`dates ${source.name}.${stream.name}`, { tasks, skipDone: true }, deps)
  deps.log('info', 'new dates', { stream: `${source.name}.${stream.name}`, since: days.before, tasks: made })
}
