/**
 * Owns `backfill.pruned` after the deletion: shows its rows, puts them back, and takes the operator's word that a deletion is right.
 */
import type { PrunedQuery, PrunedRow } from '../domain/ports.js'
import type { TableName } from '../domain/source-model.js'
import { readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { quoteList, quoteTable } from './identifiers.js'
import { parseExact } from './json-text.js'

interface Row {
  readonly id: string
  readonly source: string
  readonly stream: string
  readonly partition: string
  readonly task: string
  readonly table_schema: string
  readonly table_name: string
  readonly key: string | null
  readonly record: string
  readonly pruned_at: Date
  readonly restored_at: Date | null
}

const selected = `from backfill.pruned p join unnest($1::text[], $2::text[]) as s (source, stream) using (source, stream)
where ($3::uuid[] is null or p.task = any($3)) and ($4::bigint[] is null or p.id = any($4)) and ($5::timestamptz is null or p.pruned_at >= $5)`

function valuesOf({ streams, tasks, ids, since }: PrunedQuery): readonly unknown[] {
  return [
    streams.map(({ source }) => source),
    streams.map(({ stream }) => stream),
    tasks,
    ids,
    since === null ? null : new Date(since).toISOString(),
  ]
}

/** The newest first. */
export async function readPruned(connection: Connection, query: PrunedQuery): Promise<readonly PrunedRow[]> {
  const text = `select p.id, p.source, p.stream, p.partition, p.task, p.table_schema, p.table_name, p.key::text as key, p.record::text as record,
    p.pruned_at, p.restored_at ${selected} order by p.id desc limit $6`
  const answer = await connection.query<Row & Record<string, unknown>>({ text }, [...valuesOf(query), query.limit])
  return answer.rows.map((row) => ({
    id: Number(row.id),
    source: row.source,
    stream: row.stream,
    partition: row.partition,
    task: row.task,
    table: { schema: row.table_schema, name: row.table_name },
    key: row.key === null ? null : parseExact(row.key),
    record: parseExact(row.record),
    prunedAt: row.pruned_at.getTime(),
    restoredAt: row.restored_at?.getTime() ?? null,
  }))
}

/** Puts back what the table lacks, a row at a time: a kill leaves the rest to the next call. Columns that Postgres fills itself are left to it. */
export async function restorePruned(connection: Connection, query: PrunedQuery): Promise<readonly number[]> {
  const tables = await connection.query<{ schema: string; name: string }>(
    { text: `select distinct p.table_schema as schema, p.table_name as name ${selected}` },
    valuesOf(query),
  )
  const restored: number[] = []
  for (const table of tables.rows) restored.push(...(await restoreTable(connection, table, query)))
  return restored
}

async function restoreTable(connection: Connection, table: TableName, query: PrunedQuery): Promise<readonly number[]> {
  const found = await readTable(connection, table)
  if (found === null) return []
  const names = quoteList(found.columns.filter(({ isGenerated }) => !isGenerated).map(({ name }) => name))
  const values = quoteList(
    found.columns.filter(({ isGenerated }) => !isGenerated).map(({ name }) => name),
    'r.',
  )
  const name = quoteTable(table)
  const ids = await connection.query<{ id: string }>(
    {
      text: `select p.id ${selected} and p.restored_at is null and p.table_schema = $6 and p.table_name = $7 order by p.id`,
    },
    [...valuesOf(query), table.schema, table.name],
  )
  const restored: number[] = []
  for (const { id } of ids.rows) {
    const text = `with back as (insert into ${name} (${names})
        select ${values} from backfill.pruned p, jsonb_populate_record(null::${name}, p.record) r where p.id = $1
        on conflict do nothing returning 1)
      update backfill.pruned set restored_at = now() where id = $1 and exists (select from back) returning id`
    const answer = await connection.query<{ id: string }>({ text }, [id])
    if (answer.rows.length > 0) restored.push(Number(id))
  }
  return restored
}

/** Answers for each task how many rows may go. A task that did not ask is left out. */
export async function agreeToPrune(
  connection: Connection,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const text =
    'update backfill.ledger set agreed = missing where task = any($1::uuid[]) and missing is not null and not done returning task, agreed'
  const answer = await connection.query<{ task: string; agreed: string }>({ text }, [taskIds])
  return new Map(answer.rows.map(({ task, agreed }) => [task, Number(agreed)]))
}
