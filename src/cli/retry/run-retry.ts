/** Runs `backfill retry`: puts dead tasks back, or dismisses them, and names them. */
import { randomUUID } from 'node:crypto'
import type { Log, Queue } from '../../domain/ports.js'
import type { Task } from '../../domain/task.js'
import { deadTasks, dismiss, type RetryRequest, retry } from '../../retry/retry.js'
import type { Asked } from '../asked.js'
import { openDestination, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { type Opened, withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { taskDocument } from '../status/document.js'
import { fullLabelOf } from '../task-text.js'
import { plural } from '../text.js'

export interface RetryFlags {
  readonly json: boolean | undefined
  readonly task: readonly string[] | undefined
  readonly code: readonly string[] | undefined
  readonly all: boolean
  /** Agree to the deletions that stopped the tasks. */
  readonly agree: boolean
  readonly dismiss: boolean
  readonly note: string | undefined
}
const named = 20

/** Answers the exit code: 0, also where nothing was dead. */
export async function runRetry(asked: Asked<RetryFlags>, stop: Stop): Promise<number> {
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'retry', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'write'), (one) => one.close())
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const { task, code, all, note = null } = asked.flags
    const isDismissing = asked.flags.dismiss
    const request = {
      filter: { streams, partitions: asked.filter },
      tasks: task?.map((name) => name.replace(/^#/, '')) ?? null,
      codes: code ?? null,
      all,
    }
    // The word is in the ledger before a task is ready: a worker that is at work takes it at once.
    const agreed = asked.flags.agree ? await agree(request, { asked, queue, opened, log, signal: stop.signal }) : null
    const wanted = agreed === null ? request : { ...request, tasks: [...agreed.keys()] }
    const moved = isDismissing ? await dismiss({ ...request, note }, { queue }) : await retry(wanted, { queue })
    log('info', isDismissing ? 'tasks dismissed' : 'tasks put back', { tasks: moved.map(({ id }) => id), note })
    if (asked.flags.json === true)
      sayJson(isDismissing ? { dismissed: moved.map(taskDocument), note } : { retried: moved.map(taskDocument) })
    else for (const line of lines(moved, isDismissing)) say(line)
    return exitCodes.done
  })
}

interface AgreeNeeds {
  readonly asked: Asked<RetryFlags>
  readonly queue: Queue
  readonly opened: Opened
  readonly log: Log
  readonly signal: AbortSignal
}

/** Writes the operator's word into the ledger; answers the tasks that had asked for it. */
async function agree(request: RetryRequest, needs: AgreeNeeds): Promise<ReadonlyMap<string, number>> {
  const { asked, queue, opened, log, signal } = needs
  const dead = await deadTasks(request, { queue })
  const destination = await openDestination(asked.workspace, { opened, queue, log, signal })
  opened.keep(destination, (one) => one.close())
  const agreed = await destination.agree(dead.map(({ id }) => id))
  for (const [task, rows] of agreed) log('info', 'deletion agreed', { task, rows })
  return agreed
}

function lines(moved: readonly Task[], isDismissing: boolean): readonly string[] {
  if (moved.length === 0) return ['No dead task matches']
  const said = isDismissing
    ? ['task is dismissed', 'tasks are dismissed']
    : ['task is ready again', 'tasks are ready again']
  const more = moved.length - named
  return [
    plural(moved.length, ...(said as [string, string])),
    ...moved.slice(0, named).map((one) => `  task ${one.number}, ${fullLabelOf(one)}`),
    ...(more > 0 ? [`  and ${plural(more, 'more task')}`] : []),
    isDismissing
      ? 'A later seed makes new tasks for these partitions; to keep one out for good, put it under "exclude"'
      : 'Next: run "backfill worker", or wait for cron',
  ]
}
