/**
 * Owns the question what the database holds of a partition: rows in the stable table, held rows, the last finished walk. Reads only.
 */
import { type Partition, partitionKey } from '../domain/partition.js'
import type { PartitionActual } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import { readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { quoteName, quoteTable } from './identifiers.js'

const partitionRead = {
  name: 'backfill_partition_read',
  text: `
select h.held, l.finished_at, l.walk_received, l.walk_distinct, l.expected, l.expected_trust, l.proof
from (select count(*) as held from backfill.held where source = $1 and stream = $2 and partition = $3) h
left join lateral (
  select * from backfill.ledger where source = $1 and stream = $2 and partition = $3 and done order by finished_at desc limit 1
) l on true`,
}

interface PartitionRow {
  readonly held: string
  readonly finished_at: Date | null
  readonly walk_received: string
  readonly walk_distinct: string
  readonly expected: string | null
  readonly expected_trust: 'exact' | 'at least' | null
  readonly proof: Proof | null
}

/** Rows and last walk of a partition. A table that does not exist holds no row. */
export async function readActual(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<PartitionActual> {
  const rows = await countRows(connection, stream, partition)
  const scope = [stream.source, stream.name, partitionKey(partition)]
  const answer = await connection.query<PartitionRow & Record<string, unknown>>(partitionRead, scope)
  const row = answer.rows[0]
  return { rows, held: Number(row?.held ?? 0), lastWalk: row === undefined ? null : lastWalkOf(row) }
}

function lastWalkOf(row: PartitionRow): PartitionActual['lastWalk'] {
  if (row.finished_at === null) return null
  return {
    finishedAt: row.finished_at.getTime(),
    received: Number(row.walk_received),
    distinct: Number(row.walk_distinct),
    expected: row.expected === null ? null : { value: Number(row.expected), trust: row.expected_trust ?? 'exact' },
    proof: row.proof ?? 'unproven',
  }
}

/** null where a dimension has no column: the partition's rows cannot be told from others. */
async function countRows(connection: Connection, stream: Stream, partition: Partition): Promise<number | null> {
  const table = await readTable(connection, stream.table)
  if (table === null) return 0
  const names = new Set(table.columns.map(({ name }) => name))
  const conditions: string[] = []
  const values: string[] = []
  for (const dimension of stream.dimensions) {
    const column = columnOf(stream, dimension)
    if (column === null || !names.has(column)) return null
    values.push(partition[dimension] ?? '')
    conditions.push(`${quoteName(column)} = $${values.length}`)
  }
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`
  const answer = await connection.query<{ rows: string }>(
    { text: `select count(*) as rows from ${quoteTable(stream.table)}${where}` },
    values,
  )
  return Number(answer.rows[0]?.rows)
}

function columnOf(stream: Stream, dimension: string): string | null {
  if (stream.columns === null) return dimension
  return stream.columns.find((column) => column.dimension === dimension)?.name ?? null
}
