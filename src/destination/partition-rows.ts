/**
 * Owns which rows of a stable table are a partition's: by its columns, or by the keys that its walks brought. Reads only, inside a transaction that is in UTC
 * (row-values.ts): keys of times are compared as text.
 */
import type { Partition } from '../domain/partition.js'
import { mayPrune } from '../domain/prune.js'
import type { Stream } from '../domain/source-model.js'
import { type CatalogTable, readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { tryPart } from './good-rows.js'
import { quoteList, quoteName, quoteTable } from './identifiers.js'
import { isFullWalk } from './ledger.js'
import { columnsToFill } from './mapping.js'
import { bareType, holdsPartition, matchColumn, type PartitionColumn, wholeKey } from './partition-sql.js'
import { unescaped } from './prune-sql.js'

/** Rows `t` of a table. */
export interface PartitionRows {
  readonly stream: Stream
  readonly table: CatalogTable
  /** Condition on a row `t`. */
  readonly where: string
  readonly values: readonly unknown[]
}

/** Since when, by the server's clock, the last walk that was proven saw what it saw. */
const provenSince = `select max(l.walk_since)::text as since from backfill.ledger l
where l.source = $1 and l.stream = $2 and l.whole = $3 and ${isFullWalk('l')} and l.done and l.proof = 'proven'`

/** `absent`: there is no table. `unknown`: neither a column nor the keys that were seen tell the partition's rows from others. */
export async function rowsOfPartition(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<PartitionRows | 'absent' | 'unknown'> {
  const table = await readTable(connection, stream.table)
  if (table === null) return 'absent'
  const columns = partitionColumns(stream, table)
  if (columns === null) return await rowsSeen(connection, { stream, table, partition })
  const where = columns.map((column, i) => holdsPartition(column, 't', i + 1)).join(' and ')
  const values = columns.map(({ dimension }) => partition[dimension] ?? '')
  return { stream, table, where: where === '' ? 'true' : where, values }
}

function partitionColumns(stream: Stream, table: CatalogTable): readonly PartitionColumn[] | null {
  const found = stream.dimensions.map((dimension) => {
    const filled =
      stream.columns === null ? dimension : stream.columns.find((column) => column.dimension === dimension)?.name
    const column = table.columns.find(({ name }) => name === filled)
    if (column === undefined) return matchColumn(stream, dimension, table.columns)
    return { dimension, column: column.name, sqlType: column.sqlType, isMany: false }
  })
  return found.every((column) => column !== null) ? found : null
}

interface Seen {
  readonly stream: Stream
  readonly table: CatalogTable
  readonly partition: Partition
}

/** Rows of the table whose keys a walk of the partition brought since the last proven one began. */
async function rowsSeen(
  connection: Connection,
  { stream, table, partition }: Seen,
): Promise<PartitionRows | 'unknown'> {
  if (!mayPrune(stream) || stream.key.length === 0) return 'unknown'
  const scope = [stream.source, stream.name, wholeKey(partition)]
  const proven = await connection.query<{ since: string | null }>({ text: provenSince }, scope)
  const since = proven.rows[0]?.since ?? null
  if (since === null) return 'unknown'
  const key = keyOf(stream, table).map(({ name }) => name)
  // Not "exists", which may become a join (prune-sql.ts).
  const where = `coalesce((select true from backfill.seen n
    where n.source = $1 and n.stream = $2 and n.partition = $3 and n.seen_at >= $4::timestamptz and n.key = jsonb_build_array(${quoteList(key, 't.')}) limit 1), false)`
  return { stream, table, where, values: [...scope, since] }
}

/** The columns of the key, in the order in which a flush writes one down. */
function keyOf(stream: Stream, table: CatalogTable): CatalogTable['columns'] {
  const names = columnsToFill(stream, table)
    .map(({ name }) => name)
    .filter((name) => stream.key.includes(name))
  return names.flatMap((name) => table.columns.find((column) => column.name === name) ?? [])
}

export async function countRows(connection: Connection, { stream, where, values }: PartitionRows): Promise<number> {
  const text = `select count(*) as rows from ${quoteTable(stream.table)} t where ${where}`
  const answer = await connection.query<{ rows: string }>({ text }, values)
  return Number(answer.rows[0]?.rows)
}

/** How many of these keys of held rows the partition's rows have; all of them where they cannot be compared. */
export async function countKeys(
  connection: Connection,
  found: PartitionRows,
  keys: readonly string[],
): Promise<number> {
  const { stream, table, where, values } = found
  const columns = keyOf(stream, table)
  if (keys.length === 0 || columns.length === 0) return 0
  const own = columns.map(({ name }) => `t.${quoteName(name)}`).join(', ')
  const asked = columns.map(({ sqlType }, i) => `${unescaped(`p.parts[${i + 1}]`)}::${bareType(sqlType)}`).join(', ')
  const text = `select count(*) as rows from ${quoteTable(stream.table)} t where (${where}) and (${own}) in (
    select ${asked} from unnest($${values.length + 1}::text[]) k (key), string_to_array(k.key, E'\\t') p (parts))`
  let rows = keys.length
  await tryPart(connection, async () => {
    const answer = await connection.query<{ rows: string }>({ text }, [...values, keys])
    rows = Number(answer.rows[0]?.rows)
  })
  return rows
}
