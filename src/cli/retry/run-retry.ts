/** Runs `backfill retry`: puts dead tasks back and names them. */
import { randomUUID } from 'node:crypto'
import type { Log, Queue } from '../../domain/ports.js'
import { deadTasks, type RetryRequest, retry } from '../../retry/retry.js'
import type { Asked } from '../asked.js'
import { openDestination, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { type Opened, withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { taskDocument } from '../status/document.js'
import { labelOf } from '../task-text.js'
import { plural } from '../text.js'

export interface RetryFlags {
  readonly json: boolean | undefined
  readonly task: readonly string[] | undefined
  readonly code: readonly string[] | undefined
  readonly all: boolean
  /** Agree to the deletions that stopped the tasks. */
  readonly agree: boolean
}
const named = 20

/** Answers the exit code: 0, also where nothing was dead. */
export async function runRetry(asked: Asked<RetryFlags>, stop: Stop): Promise<number> {
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'retry', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'write'), (one) => one.close())
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const { task, code, all } = asked.flags
    const request = {
      filter: { streams, partitions: asked.filter },
      tasks: task?.map((name) => name.replace(/^#/, '')) ?? null,
      codes: code ?? null,
      all,
    }
    // The word is in the ledger before a task is ready: a worker that is at work takes it at once.
    const agreed = asked.flags.agree ? await agree(request, { asked, queue, opened, log, signal: stop.signal }) : null
    const moved = await retry(agreed === null ? request : { ...request, tasks: [...agreed.keys()] }, { queue })
    log('info', 'tasks put back', { tasks: moved.map(({ id }) => id) })
    if (asked.flags.json === true) sayJson({ retried: moved.map(taskDocument) })
    else {
      say(moved.length === 0 ? 'No dead task matches' : `${plural(moved.length, 'task is', 'tasks are')} ready again`)
      for (const one of moved.slice(0, named)) say(`  task ${one.number}, ${labelOf(one)}`)
      if (moved.length > named) say(`  and ${plural(moved.length - named, 'more task')}`)
      if (moved.length > 0) say('Next: run "backfill worker", or wait for cron')
    }
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
