/** Runs `backfill retry`: puts dead tasks back, or dismisses them, and names them. */
import { randomUUID } from 'node:crypto'
import type { Task } from '../../domain/task.js'
import { dismiss, retry } from '../../retry/retry.js'
import type { Asked } from '../asked.js'
import { openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import { taskDocument } from '../status/document.js'
import { labelOf } from '../task-text.js'
import { plural } from '../text.js'

export interface RetryFlags {
  readonly json: boolean | undefined
  readonly task: readonly string[] | undefined
  readonly code: readonly string[] | undefined
  readonly all: boolean
  readonly dismiss: boolean
  readonly note: string | undefined
}
const named = 20

/** Answers the exit code: 0, also where nothing was dead. */
export async function runRetry(asked: Asked<RetryFlags>): Promise<number> {
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
    const moved = isDismissing ? await dismiss({ ...request, note }, { queue }) : await retry(request, { queue })
    log('info', isDismissing ? 'tasks dismissed' : 'tasks put back', { tasks: moved.map(({ id }) => id), note })
    if (asked.flags.json === true)
      sayJson(isDismissing ? { dismissed: moved.map(taskDocument), note } : { retried: moved.map(taskDocument) })
    else for (const line of lines(moved, isDismissing)) say(line)
    return exitCodes.done
  })
}

function lines(moved: readonly Task[], isDismissing: boolean): readonly string[] {
  if (moved.length === 0) return ['No dead task matches']
  const said = isDismissing
    ? ['task is dismissed', 'tasks are dismissed']
    : ['task is ready again', 'tasks are ready again']
  const more = moved.length - named
  return [
    plural(moved.length, ...(said as [string, string])),
    ...moved.slice(0, named).map((one) => `  task ${one.number}, ${labelOf(one)}`),
    ...(more > 0 ? [`  and ${plural(more, 'more task')}`] : []),
    isDismissing
      ? 'A later seed makes new tasks for these partitions; to keep one out for good, put it under "exclude"'
      : 'Next: run "backfill worker", or wait for cron',
  ]
}
