/** Runs `backfill pruned`: shows what a mirrored stream deleted, or puts it back. */
import { randomUUID } from 'node:crypto'
import { readCount, readDuration } from '../../definition/quantity.js'
import { ConfigError } from '../../domain/errors.js'
import { parsePartitionKey, partitionLabel } from '../../domain/partition.js'
import type { PrunedQuery, PrunedRow, Queue } from '../../domain/ports.js'
import type { Asked } from '../asked.js'
import { openDestination, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { renderTable } from '../table.js'
import { plural } from '../text.js'
import { clockText, utc } from '../zone.js'

export interface PrunedFlags {
  readonly json: boolean | undefined
  readonly since: string | undefined
  readonly task: readonly string[] | undefined
  readonly row: readonly string[] | undefined
  readonly limit: number | undefined
  readonly restore: boolean
}

const shownByDefault = 50

/** Answers the exit code: 0, also where nothing was deleted. @throws ConfigError for a selection that names nothing. */
export async function runPruned(asked: Asked<PrunedFlags>, stop: Stop): Promise<number> {
  const { flags } = asked
  const isSelected = !asked.isEverything || (flags.task ?? flags.row ?? flags.since) !== undefined
  if (flags.restore && !isSelected) {
    throw new ConfigError('no_selector', 'pruned --restore needs to be told which rows', {
      hint: 'name a stream, or narrow with --task, --row or --since',
    })
  }
  if (Object.keys(asked.filter).length > 0) {
    throw new ConfigError('usage', 'pruned found a partition, and selects by stream, --task, --row and --since')
  }
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'pruned', run: randomUUID() })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'write'), (one) => one.close())
    const destination = await openDestination(asked.workspace, { opened, queue, log, signal: stop.signal })
    opened.keep(destination, (one) => one.close())
    const query = await queryOf(asked, queue)
    if (flags.restore) {
      const restored = await destination.restore({ ...query, limit: Number.MAX_SAFE_INTEGER })
      log('info', 'deleted rows put back', { rows: restored.length })
      if (flags.json === true) sayJson({ restored })
      else
        say(
          restored.length === 0
            ? 'No row to put back'
            : `${plural(restored.length, 'row is', 'rows are')} back in the table`,
        )
      return exitCodes.done
    }
    const rows = await destination.pruned(query)
    if (flags.json === true) sayJson({ rows: rows.map(documentOf) })
    else for (const line of linesOf(rows, query.limit)) say(line)
    return exitCodes.done
  })
}

async function queryOf({ flags, streams }: Asked<PrunedFlags>, queue: Queue): Promise<PrunedQuery> {
  const ids = flags.row?.map((text) => readCount(text) ?? refuse('--row', text, 'a number')) ?? null
  const duration =
    flags.since === undefined
      ? null
      : (readDuration(flags.since) ?? refuse('--since', flags.since, 'a duration like 12h'))
  const tasks = flags.task === undefined ? null : await Promise.all(flags.task.map((name) => taskId(name, queue)))
  return {
    streams: streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name })),
    tasks,
    ids,
    since: duration === null ? null : Date.now() - duration,
    limit: flags.limit ?? shownByDefault,
  }
}

function refuse(flag: string, text: string, expected: string): never {
  throw new ConfigError('usage', `read ${flag} found "${text}", expected ${expected}`)
}

async function taskId(name: string, queue: Queue): Promise<string> {
  const text = name.replace(/^#/, '')
  const [task] = await queue.tasks(
    /^\d{1,15}$/.test(text) ? { number: Number(text), limit: 1 } : { id: text, limit: 1 },
  )
  if (task !== undefined) return task.id
  throw new ConfigError('unknown_task', `select rows by task "${name}" found no such task`)
}

function documentOf(row: PrunedRow): unknown {
  return {
    row: row.id,
    source: row.source,
    stream: row.stream,
    partition: parsePartitionKey(row.partition),
    task: row.task,
    table: `${row.table.schema}.${row.table.name}`,
    key: row.key,
    record: row.record,
    pruned_at: utc(row.prunedAt),
    restored_at: utc(row.restoredAt),
  }
}

function linesOf(rows: readonly PrunedRow[], limit: number): readonly string[] {
  if (rows.length === 0) return ['No row was deleted']
  const ink = inkFor(process.stdout)
  const table = renderTable({
    head: ['ROW', 'STREAM', 'PARTITION', 'KEY', 'DELETED', ''],
    right: [0],
    flexible: 3,
    rows: rows.map((row) => [
      String(row.id),
      `${row.source}.${row.stream}`,
      partitionLabel(parsePartitionKey(row.partition)),
      JSON.stringify(row.key),
      clockText(row.prunedAt, Date.now()),
      row.restoredAt === null ? '' : 'put back',
    ]),
    columns: columnsOf(process.stdout),
    paint: (text, position) => (position === null ? ink.dim(text) : text),
  })
  const more = rows.length === limit ? [`the newest ${limit}; more with --limit`] : []
  return [...table, ...more, 'Put rows back with --restore; all their columns with --json']
}
