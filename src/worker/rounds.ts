/**
 * Makes the tasks of streams that come round by themselves (`every`). Owns when a partition's next round is due; a kill in between leaves a backfill that is still
 * being planned, and the next run makes what is missing.
 */
import type { NewTask } from '../domain/ports.js'
import { makeTasks } from './make-tasks.js'
import { keepsWatermarks } from './mark.js'
import type { WorkerDeps, WorkerOptions } from './types.js'

/** A new task for each partition whose time has come. */
export async function startRounds(
  { streams }: Pick<WorkerOptions, 'streams'>,
  deps: Pick<WorkerDeps, 'queue' | 'log' | 'uuid'>,
): Promise<void> {
  for (const { source, stream } of streams) {
    if (stream.everyMs === null || keepsWatermarks(stream)) continue
    const name = { source: source.name, stream: stream.name }
    const due = await deps.queue.dueRounds(name, stream.everyMs)
    if (due.length === 0) continue
    const tasks: NewTask[] = due.map((partition) => ({ ...name, partition, priority: stream.settings.priority ?? 0 }))
    await makeTasks(`every ${source.name}.${stream.name}`, { tasks, skipDone: false }, deps)
    deps.log('info', 'round started', { stream: `${source.name}.${stream.name}`, tasks: tasks.length })
  }
}
