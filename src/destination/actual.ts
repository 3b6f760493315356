/**
 * Owns the question what the database holds of a partition: rows in the stable table, held rows, the last finished walk. Reads only.
 */
import { manyOf, singlePartitions } from '../domain/fan-out.js'
import type { Partition } from '../domain/partition.js'
import type { PartitionActual } from '../domain/ports.js'
import { mayPrune } from '../domain/prune.js'
import type { Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import { type CatalogTable, readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { type HeldActual, readHeldOf } from './held-actual.js'
import { quoteList, quoteTable } from './identifiers.js'
import { isFullWalk } from './ledger.js'
import { columnsToFill } from './mapping.js'
import { holdsPartition, matchColumn, type PartitionColumn, wholeKey } from './partition-sql.js'
import { inUtc } from './row-values.js'

const partitionRead = {
  name: 'backfill_partition_read',
  text: `
select l.finished_at, l.walk_received, l.walk_distinct, l.expected, l.expected_trust, l.proof,
  case when l.pages = l.walk_pages then l.created end as created
from backfill.ledger l where source = $1 and stream = $2 and whole = $3 and done and ${isFullWalk('l')} order by finished_at desc limit 1`,
}

/** Since when, by the server's clock, the last walk that was proven saw what it saw. */
const provenSince = `select max(l.walk_since)::text as since from backfill.ledger l
where l.source = $1 and l.stream = $2 and l.whole = $3 and ${isFullWalk('l')} and l.done and l.proof = 'proven'`

interface PartitionRow {
  readonly finished_at: Date
  readonly walk_received: string
  readonly walk_distinct: string
  readonly expected: string | null
  readonly expected_trust: 'exact' | 'at least' | null
  readonly proof: Proof | null
  /** Rows that the walk made; null where the task had another walk before, which may have made the same ones. */
  readonly created: string | null
}

/** Rows and last walk of a partition. A table that does not exist holds no row. */
export async function readActual(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<PartitionActual> {
  // Keys of times are compared as text.
  const rows = await inUtc(connection, () => countRows(connection, stream, partition))
  const scope = [stream.source, stream.name, wholeKey(partition)]
  const answer = await connection.query<PartitionRow & Record<string, unknown>>(partitionRead, scope)
  const held = await readHeldOf(connection, stream, partition)
  const [row] = answer.rows
  const lastWalk = row === undefined ? null : lastWalkOf(row)
  if (manyOf(stream) === null) return { rows, ...held, lastWalk }
  // The values may have been walked in other requests since: what this one made then, they may have deleted.
  const own = lastWalk === null ? null : { ...lastWalk, leastStored: 0 }
  return { rows, ...held, lastWalk: own ?? (await lastWalks(connection, stream, { partition, held })) }
}

const walksRead = {
  name: 'backfill_walks_read',
  text: `select count(*) as partitions, min(walked_at) as finished_at, sum(rows) as rows, bool_and(proof = 'proven') as is_proven, bool_or(rows is null) as has_unknown
    from backfill.watermark where source = $1 and stream = $2 and partition = any($3::text[])`,
}

/** Of many values that were walked in whatever requests: their last walks together; null where one was not walked, or its rows were not counted. */
async function lastWalks(
  connection: Connection,
  stream: Stream,
  { partition, held }: { readonly partition: Partition; readonly held: HeldActual },
): Promise<PartitionActual['lastWalk']> {
  const singles = singlePartitions(stream, partition).map(wholeKey)
  type Walks = {
    partitions: string
    finished_at: Date | null
    rows: string | null
    is_proven: boolean | null
    has_unknown: boolean | null
  }
  const found = (await connection.query<Walks>(walksRead, [stream.source, stream.name, singles])).rows[0]
  if (found === undefined || found.finished_at === null || found.has_unknown === true) return null
  if (Number(found.partitions) < singles.length) return null
  const rows = Number(found.rows)
  return {
    finishedAt: found.finished_at.getTime(),
    received: rows,
    distinct: rows,
    // What was counted is the table. That the source had as many is known only where nothing was held.
    expected: (held.heldBeside ?? 0) + (held.dismissed?.met ?? 0) > 0 ? null : { value: rows, trust: 'exact' },
    proof: found.is_proven === true ? 'proven' : 'unproven',
    leastStored: rows,
  }
}

function lastWalkOf(row: PartitionRow): PartitionActual['lastWalk'] {
  return {
    finishedAt: row.finished_at.getTime(),
    received: Number(row.walk_received),
    distinct: Number(row.walk_distinct),
    expected: row.expected === null ? null : { value: Number(row.expected), trust: row.expected_trust ?? 'exact' },
    proof: row.proof ?? 'unproven',
    ...(row.created === null ? {} : { leastStored: Number(row.created) }),
  }
}

/** null where neither a column nor the keys that were seen tell the partition's rows from others. */
async function countRows(connection: Connection, stream: Stream, partition: Partition): Promise<number | null> {
  const table = await readTable(connection, stream.table)
  if (table === null) return 0
  const columns = partitionColumns(stream, table)
  if (columns === null) return await countSeen(connection, { stream, table, partition })
  const where = columns.map((column, i) => holdsPartition(column, 't', i + 1))
  const text = `select count(*) as rows from ${quoteTable(stream.table)} t${where.length === 0 ? '' : ` where ${where.join(' and ')}`}`
  const values = columns.map(({ dimension }) => partition[dimension] ?? '')
  const answer = await connection.query<{ rows: string }>({ text }, values)
  return Number(answer.rows[0]?.rows)
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

/** Rows of the table whose keys a walk of the partition brought since the last proven one began; null: there was none. */
async function countSeen(connection: Connection, { stream, table, partition }: Seen): Promise<number | null> {
  if (!mayPrune(stream) || stream.key.length === 0) return null
  const scope = [stream.source, stream.name, wholeKey(partition)]
  const proven = await connection.query<{ since: string | null }>({ text: provenSince }, scope)
  const since = proven.rows[0]?.since ?? null
  if (since === null) return null
  // In the order in which a flush writes a key down.
  const key = columnsToFill(stream, table)
    .map(({ name }) => name)
    .filter((name) => stream.key.includes(name))
  // Not "exists", which may become a join (prune-sql.ts).
  const text = `select count(*) as rows from ${quoteTable(stream.table)} t where coalesce((select true from backfill.seen n
    where n.source = $1 and n.stream = $2 and n.partition = $3 and n.seen_at >= $4::timestamptz and n.key = jsonb_build_array(${quoteList(key, 't.')}) limit 1), false)`
  const answer = await connection.query<{ rows: string }>({ text }, [...scope, since])
  return Number(answer.rows[0]?.rows)
}
