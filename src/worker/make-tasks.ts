/** Makes the tasks that come by themselves: rounds, new dates, what follows another stream. Owns how they reach the queue; who is due is the caller's. */
import type { NewTask } from '../domain/ports.js'
import type { WorkerDeps } from './types.js'

/** Tasks of one transaction. */
const enqueueSize = 1000

/**
 * `scope` names who makes them. Answers how many were made.
 *
 * Each call is a backfill of its own: one that a kill left unplanned must not take what is due now for done.
 */
export async function makeTasks(
  scope: string,
  { tasks, skipDone }: { readonly tasks: readonly NewTask[]; readonly skipDone: boolean },
  { queue, uuid }: Pick<WorkerDeps, 'queue' | 'uuid'>,
): Promise<number> {
  const backfill = await queue.beginBackfill({
    scope,
    fingerprint: `${scope} ${uuid()}`,
    reason: 'every',
    isForced: false,
  })
  let made = 0
  for (let at = 0; at < tasks.length; at += enqueueSize) {
    const part = tasks.slice(at, at + enqueueSize)
    made += (await queue.enqueue(backfill, part, { supersede: false, skipDone })).created
  }
  await queue.finishPlanning(backfill)
  return made
}
