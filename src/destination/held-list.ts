/**
 * Owns the lists of held rows for people: groups, single rows, counts. Reads only, in the schema of any version, so that it may run beside a worker. A group's
 * reason has no values in it, and raw text leaves the database only where it was asked for: both may be somebody's private data.
 */
import type pg from 'pg'
import { ConfigError, DestinationUnavailable } from '../domain/errors.js'
import type { HeldCount, HeldGivenUp, HeldGroup, HeldList, HeldPlace, HeldQuery, HeldRecord } from '../domain/held.js'
import { parsePartitionKey } from '../domain/partition.js'
import type { Log } from '../domain/ports.js'
import { classify } from './classify.js'
import { type Connection, Connections, defaultDeadlines } from './connections.js'
import { partitionConditions } from './held-sql.js'
import { dismissedSince } from './migrations.js'

export interface HeldReaderOptions {
  readonly config: pg.ClientConfig
  readonly log: Log
  readonly signal: AbortSignal
  /** The database that the queue is bound to; null: to none yet. Another one is refused. */
  readonly databaseId: string | null
}

const groupsListed = 200

/** What is held. Nothing is written and no lock is taken. @throws DestinationUnavailable, ConfigError `wrong_database`. */
export async function listHeld(query: HeldQuery, options: HeldReaderOptions): Promise<HeldList> {
  const connections = new Connections({ ...options, max: 1, deadlines: defaultDeadlines })
  try {
    return await connections.run(async (connection) => {
      const version = await readVersion(connection, options.databaseId)
      if (version === null || query.streams.length === 0)
        return { groups: [], moreGroups: 0, total: 0, dismissed: 0, rows: [] }
      const groups = await readGroups(connection, query, version)
      const rows = query.rowLimit === 0 ? [] : await readRows(connection, query, version)
      return { ...groups, rows }
    })
  } catch (error) {
    throw classify(error, { doing: 'list held rows', phase: 'setup' })
  } finally {
    await connections.close()
  }
}

/** null: the schema `backfill` is not there, so nothing was ever held. */
async function readVersion(connection: Connection, databaseId: string | null): Promise<number | null> {
  const exists = await connection.query<{ found: boolean }>({
    text: "select to_regclass('backfill.meta') is not null as found",
  })
  if (exists.rows[0]?.found !== true) return null
  const meta = await connection.query<{ version: number; database: string }>({
    text: 'select version, database from backfill.meta',
  })
  const row = meta.rows[0]
  if (row === undefined) throw new DestinationUnavailable('database_unavailable', 'read backfill.meta found no row')
  if (databaseId !== null && row.database !== databaseId) {
    throw new ConfigError(
      'wrong_database',
      `use database ${row.database} with this queue found it bound to ${databaseId}`,
      {
        hint: 'set "database:" to the database that this queue was seeded for, or use another workspace',
      },
    )
  }
  return row.version
}

// Groups -------------------------------------------------------------------------------------------------------------

interface DismissalRow {
  readonly dismissed_at: Date | null
  readonly note: string | null
}

interface GroupRow extends DismissalRow {
  readonly [name: string]: unknown
  readonly source: string
  readonly stream: string
  readonly code: string
  readonly reason: string
  readonly count: string
  readonly oldest: Date
  readonly newest: Date
  readonly partition: string
  readonly task: string
  readonly page: string
  readonly row_number: string
  readonly key: string | null
  readonly groups: string
  readonly total: string
  readonly dismissed: string | null
}

/** What was found, and the server's details in parentheses, differ from row to row. */
const commonReason = `case when h.code = 'rejected' then regexp_replace(h.reason, ' \\(.*$', '') else regexp_replace(h.reason, ', found .*$', '') end`

/** When and why a held row `h` was given up, in the schema of this version. */
function dismissalOf(version: number): string {
  const [at, note] =
    version >= dismissedSince ? ['h.dismissed_at', 'h.dismissal_note'] : ['null::timestamptz', 'null::text']
  return `${at} as dismissed_at, ${note} as note`
}

async function readGroups(connection: Connection, query: HeldQuery, version: number): Promise<Omit<HeldList, 'rows'>> {
  const { where, values } = selectionOf(query)
  const text = `
with chosen as (select h.source, h.stream, h.code, h.held_at, h.partition, h.task, h.page, h.row_number, h.key, h.identity,
  ${commonReason} as common, ${dismissalOf(version)} from backfill.held h where ${where}),
grouped as (
  select source, stream, code, common, dismissed_at, note, count(*) as count, min(held_at) as oldest, max(held_at) as newest
  from chosen group by source, stream, code, common, dismissed_at, note
)
select g.source, g.stream, g.code, g.common as reason, g.count, g.oldest, g.newest, g.dismissed_at, g.note,
  e.partition, e.task, e.page, e.row_number, e.key,
  count(*) over () as groups, sum(g.count) over () as total, sum(g.count) filter (where g.dismissed_at is not null) over () as dismissed
from grouped g, lateral (
  select * from chosen c where c.source = g.source and c.stream = g.stream and c.code = g.code and c.common = g.common
    and c.dismissed_at is not distinct from g.dismissed_at and c.note is not distinct from g.note order by c.held_at desc, c.identity limit 1
) e
order by g.dismissed_at is not null, g.count desc, g.source, g.stream, g.code, g.common, g.dismissed_at limit ${groupsListed}`
  const { rows } = await connection.query<GroupRow>({ text }, values)
  const groups = Number(rows[0]?.groups ?? 0)
  const [first] = rows
  const totals = { total: Number(first?.total ?? 0), dismissed: Number(first?.dismissed ?? 0) }
  return { groups: rows.map(toGroup), moreGroups: groups - rows.length, ...totals }
}

function toGroup(row: GroupRow): HeldGroup {
  const { source, stream, code, reason } = row
  return {
    source,
    stream,
    code,
    reason,
    count: Number(row.count),
    oldestAt: row.oldest.getTime(),
    newestAt: row.newest.getTime(),
    example: toPlace(row),
    dismissal: toDismissal(row),
  }
}

function toDismissal({ dismissed_at: at, note }: DismissalRow): HeldGivenUp | null {
  return at === null ? null : { at: at.getTime(), note }
}

function toPlace(row: Pick<GroupRow, 'partition' | 'task' | 'page' | 'row_number' | 'key'>): HeldPlace {
  return {
    partition: parsePartitionKey(row.partition),
    taskId: row.task,
    page: Number(row.page),
    position: Number(row.row_number),
    key: row.key,
  }
}

function selectionOf({ streams, partitions }: HeldQuery): { readonly where: string; readonly values: unknown[] } {
  const values: unknown[] = [streams.map(({ source }) => source), streams.map(({ stream }) => stream)]
  const isChosen = '(h.source, h.stream) in (select * from unnest($1::text[], $2::text[]))'
  return { where: [isChosen, ...partitionConditions(partitions, values)].join(' and '), values }
}

// Rows ---------------------------------------------------------------------------------------------------------------

interface RecordRow
  extends DismissalRow,
    Pick<GroupRow, 'source' | 'stream' | 'code' | 'reason' | 'partition' | 'task' | 'page' | 'row_number' | 'key'> {
  readonly [name: string]: unknown
  readonly version: string | null
  readonly held_at: Date
  readonly retried_at: Date | null
  readonly raw: string | null
}

/** Since when `backfill.held` has the column `retried_at`. */
const retriedSince = 3

async function readRows(connection: Connection, query: HeldQuery, version: number): Promise<readonly HeldRecord[]> {
  const { where, values } = selectionOf(query)
  const retriedAt = version >= retriedSince ? 'h.retried_at' : 'null::timestamptz'
  const raw = query.withRaw ? 'h.raw' : 'null::text'
  const text = `
select h.source, h.stream, h.partition, h.task, h.page, h.row_number, h.key, h.version, h.code, h.reason, h.held_at, ${retriedAt} as retried_at, ${raw} as raw,
  ${dismissalOf(version)}
from backfill.held h where ${where} order by h.held_at desc, h.source, h.stream, h.partition, h.identity limit ${query.rowLimit}`
  const { rows } = await connection.query<RecordRow>({ text }, values)
  return rows.map((row) => ({
    ...toPlace(row),
    source: row.source,
    stream: row.stream,
    code: row.code,
    reason: row.reason,
    version: row.version,
    heldAt: row.held_at.getTime(),
    retriedAt: row.retried_at?.getTime() ?? null,
    dismissal: toDismissal(row),
    raw: row.raw,
  }))
}

// Counts -------------------------------------------------------------------------------------------------------------

const heldCount = {
  name: 'backfill_held_count',
  text: `select source, stream, count(*) filter (where dismissed_at is null and code = 'parent_missing') as waiting,
  count(*) filter (where dismissed_at is null and code <> 'parent_missing') as rejected,
  count(dismissed_at) as dismissed, count(dismissed_at) filter (where code = 'parent_missing') as dismissed_waiting
from backfill.held group by source, stream order by source, stream`,
}

interface CountRow {
  readonly [name: string]: unknown
  readonly source: string
  readonly stream: string
  readonly waiting: string
  readonly rejected: string
  readonly dismissed: string
  readonly dismissed_waiting: string
}

/** What is held of every stream. */
export async function readHeldCounts(connection: Connection): Promise<readonly HeldCount[]> {
  const { rows } = await connection.query<CountRow>(heldCount)
  return rows.map(({ source, stream, waiting, rejected, dismissed, dismissed_waiting: dismissedWaiting }) => ({
    source,
    stream,
    waiting: Number(waiting),
    rejected: Number(rejected),
    ...(Number(dismissed) > 0 ? { dismissed: { rows: Number(dismissed), waiting: Number(dismissedWaiting) } } : {}),
  }))
}
