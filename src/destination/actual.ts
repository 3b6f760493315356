/**
 * Owns the question what the database holds of a partition: rows in the stable table, held rows, the last finished walk. Reads only.
 */
import { manyOf, singlePartitions } from '../domain/fan-out.js'
import type { Partition } from '../domain/partition.js'
import type { PartitionActual } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import type { Connection } from './connections.js'
import { type HeldActual, readHeldOf } from './held-actual.js'
import { isFullWalk } from './ledger.js'
import { countKeys, countRows, rowsOfPartition } from './partition-rows.js'
import { wholeKey } from './partition-sql.js'
import { inUtc } from './row-values.js'

const partitionRead = {
  name: 'backfill_partition_read',
  text: `
select l.finished_at, l.walk_received, l.walk_distinct, l.expected, l.expected_trust, l.proof,
  case when l.pages = l.walk_pages then l.created end as created
from backfill.ledger l where source = $1 and stream = $2 and whole = $3 and done and ${isFullWalk('l')} order by finished_at desc limit 1`,
}

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

/** Rows of the table, and what is held. What was given up of a row that is counted anyway (a change that could not be stored) accounts for no other. */
async function readRows(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<{ readonly rows: number | null; readonly held: HeldActual }> {
  const { metKeys, ...held } = await readHeldOf(connection, stream, partition)
  const found = await rowsOfPartition(connection, stream, partition)
  if (found === 'unknown') return { rows: null, held }
  if (found === 'absent') return { rows: 0, held }
  const rows = await countRows(connection, found)
  const inTable = metKeys.length === 0 ? 0 : await countKeys(connection, found, metKeys)
  if (held.dismissed === undefined || inTable === 0) return { rows, held }
  return { rows, held: { ...held, dismissed: { ...held.dismissed, met: held.dismissed.met - inTable, inTable } } }
}

/** Rows and last walk of a partition. A table that does not exist holds no row. */
export async function readActual(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<PartitionActual> {
  const { rows, held } = await inUtc(connection, () => readRows(connection, stream, partition))
  const scope = [stream.source, stream.name, wholeKey(partition)]
  const answer = await connection.query<PartitionRow & Record<string, unknown>>(partitionRead, scope)
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
