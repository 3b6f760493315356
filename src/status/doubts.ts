/** Which finished walks still contradict their source: one whose partition was walked again, or is to be, is history. Reads the queue alone. */
import type { StreamCounts } from '../domain/ports.js'
import type { Task } from '../domain/task.js'
import type { StatusDeps } from './types.js'

/** Done tasks looked through, the last finished first; what lies deeper counts as it was counted. */
const looked = 10_000

export interface Doubts {
  /** With `differs` of what still does. */
  readonly counts: readonly StreamCounts[]
  /** One that differs; null: none, or none that was looked at. */
  readonly differing: Task | null
}

export async function currentDoubts(
  counts: readonly StreamCounts[],
  queue: Pick<StatusDeps['queue'], 'tasks' | 'latestTasks'>,
): Promise<Doubts> {
  let differing: Task | null = null
  const current: StreamCounts[] = []
  for (const one of counts) {
    const tasks = one.differs === 0 ? [] : await differingOf(one, queue)
    const latest =
      tasks.length === 0
        ? []
        : await queue.latestTasks(
            one,
            tasks.map(({ partition }) => partition),
          )
    const still = tasks.filter(({ id }, index) => latest[index]?.id === id)
    differing ??= still[0] ?? null
    current.push({ ...one, differs: one.differs - tasks.length + still.length })
  }
  return { counts: current, differing }
}

async function differingOf(
  { source, stream }: StreamCounts,
  queue: Pick<StatusDeps['queue'], 'tasks'>,
): Promise<readonly Task[]> {
  const filter = { streams: [{ source, stream }], partitions: {} }
  const done = await queue.tasks({ states: ['done'], filter, limit: looked })
  return done.filter(({ proof }) => proof === 'differs')
}
