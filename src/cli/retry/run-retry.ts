/** Runs `backfill retry`: puts dead tasks back and names them. */
import { randomUUID } from 'node:crypto'
import { retry } from '../../retry/retry.js'
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
}
const named = 20

/** Answers the exit code: 0, also where nothing was dead. */
export async function runRetry(asked: Asked<RetryFlags>): Promise<number> {
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'retry', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'write'), (one) => one.close())
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const { task, code, all } = asked.flags
    const moved = await retry(
      {
        filter: { streams, partitions: asked.filter },
        tasks: task?.map((name) => name.replace(/^#/, '')) ?? null,
        codes: code ?? null,
        all,
      },
      { queue },
    )
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
