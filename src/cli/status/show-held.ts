/** Runs `backfill status --held`: the one part of `status` that asks Postgres. Takes no lock and writes nothing. */
import { systemClock } from '../../clock/system-clock.js'
import type { HeldList, HeldQuery } from '../../domain/held.js'
import type { Queue } from '../../domain/ports.js'
import type { Asked } from '../asked.js'
import { readHeldList } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { heldDocument } from './held-document.js'
import { heldHints, heldLines, heldSentence, isForSomebody } from './held-view.js'

export interface HeldFlags {
  readonly json: boolean | undefined
  readonly check: boolean
  readonly raw: boolean
  readonly limit: number | undefined
}

/** Single rows in the document, where no other number is given. */
const rowsListed = 100

/** Answers the exit code: 3 with `--check` where a row is held for an operator. */
export async function showHeld(asked: Asked<HeldFlags>, stop: Stop): Promise<number> {
  return withOpened(async (opened) => {
    const { workspace, flags } = asked
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'read'), (one) => one.close())
    const isJson = flags.json === true
    const query: HeldQuery = {
      streams: asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name })),
      partitions: asked.filter,
      rowLimit: isJson ? (flags.limit ?? rowsListed) : 0,
      withRaw: flags.raw,
    }
    const list = await readHeldList(workspace, query, { opened, queue, signal: stop.signal })
    const numberOf = await taskNumbers(list, queue)
    const now = systemClock.now()
    const columns = columnsOf(process.stdout)
    if (isJson) sayJson(heldDocument(list, now, numberOf))
    else {
      const lines = heldLines(list, { ink: inkFor(process.stdout), columns, now, numberOf })
      say([heldSentence(list), ...heldHints(list, columns), ...(lines.length === 0 ? [] : ['', ...lines])].join('\n'))
    }
    return flags.check && list.groups.some(isForSomebody) ? exitCodes.attention : exitCodes.done
  })
}

/** Numbers of the tasks that a list names. */
export async function taskNumbers(
  list: HeldList,
  queue: Pick<Queue, 'tasks'>,
): Promise<(taskId: string) => number | null> {
  const ids = new Set([...list.groups.map(({ example }) => example.taskId), ...list.rows.map(({ taskId }) => taskId)])
  const numbers = new Map<string, number>()
  for (const id of ids) {
    const [task] = await queue.tasks({ id, limit: 1 })
    if (task !== undefined) numbers.set(id, task.number)
  }
  return (taskId) => numbers.get(taskId) ?? null
}
