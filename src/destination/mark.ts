/**
 * Owns how far each partition is up to date (`backfill.watermark`): written in the transaction that ends a walk, after its rows and its ledger row, so that a
 * kill leaves both or neither. Must not know which partitions are due.
 */

import type { Mark } from '../domain/follow.js'
import { wholePartition } from '../domain/page-task.js'
import { partitionKey } from '../domain/partition.js'
import type { Advance } from '../domain/ports.js'
import type { Connection } from './connections.js'
import type { Flush } from './flush.js'
import { quoteName, quoteTable } from './identifiers.js'
import type { Layout } from './layout.js'
import { toTimestamp } from './ledger.js'
import { bareType } from './partition-sql.js'

/**
 * After a walk of everything. The watermark never goes back; `rows` of one that was not counted is not known. In the order of the key, so that two batches with
 * partitions in common wait for one another; where they do not, the flush is repeated.
 */
const markFull = {
  name: 'backfill_mark_full',
  text: `
insert into backfill.watermark as w (source, stream, partition, watermark, walked_at, full_at, rows, proof, task)
select l.source, l.stream, m.partition, $4::timestamptz, now(), l.walk_since, m.rows, $5, l.task
from backfill.ledger l, unnest($2::text[], $3::bigint[]) as m (partition, rows) where l.task = $1::uuid order by m.partition
on conflict (source, stream, partition) do update set watermark = greatest(w.watermark, excluded.watermark),
  walked_at = greatest(w.walked_at, excluded.walked_at), full_at = greatest(w.full_at, excluded.full_at), rows = excluded.rows, proof = excluded.proof,
  task = excluded.task`,
}

/**
 * After a walk of what changed since $3: it covers a partition only where that lies at or before its watermark. One that an operator set back or deleted while the
 * walk went on stays there: what lies between was not asked for.
 */
const markChanges = {
  name: 'backfill_mark_changes',
  text: `
update backfill.watermark w set watermark = case when w.watermark >= $3::timestamptz then greatest(w.watermark, $4::timestamptz) else w.watermark end,
  walked_at = greatest(w.walked_at, now()), proof = $5, task = l.task
from backfill.ledger l where l.task = $1::uuid and w.source = l.source and w.stream = l.stream and w.partition = any($2::text[])`,
}

/** True where the flush ends a walk that moves watermarks. What contradicts the source's own count is no walk to go on from. */
export function marks({ done, mark }: Advance): boolean {
  return done && mark !== undefined && mark.proof !== 'differs' && mark.partitions.length > 0
}

/** Marks the partitions of the walk that the flush ends. Inside its transaction. */
export async function writeMark(connection: Connection, { advance, batch, checkpoint }: Flush): Promise<void> {
  const { mark } = advance
  if (mark === undefined || !marks(advance)) return
  const keys = mark.partitions.map((partition) => partitionKey(wholePartition(partition)))
  if (mark.since !== null) {
    const values = [checkpoint.taskId, keys, toTimestamp(mark.since), toTimestamp(mark.until), mark.proof]
    await connection.query(markChanges, values)
    return
  }
  const rows = await countRows(connection, batch.layout, mark)
  await connection.query(markFull, [checkpoint.taskId, keys, rows, toTimestamp(mark.until), mark.proof])
}

/** Rows of the table for each partition, 0 where it has none: that there is nothing is known as well. null: not counted. */
async function countRows(
  connection: Connection,
  layout: Layout,
  { partitions, countBy }: Mark,
): Promise<readonly (number | null)[]> {
  const column = layout.columns.find(({ name }) => name === countBy?.column)
  if (countBy === null || column === undefined) return partitions.map(() => null)
  const values = partitions.map((partition) => partition[countBy.dimension] ?? null)
  const name = `t.${quoteName(column.name)}`
  const type = bareType(column.sqlType)
  const text = `with counted as (
      select ${name} as value, count(*) as rows from ${quoteTable(layout.table)} t where ${name} = any($1::${type}[]) group by 1
    )
    select coalesce(c.rows, 0) as rows from unnest($1::${type}[]) with ordinality as v (value, at) left join counted c using (value) order by v.at`
  const answer = await connection.query<{ rows: string }>({ text }, [values])
  return answer.rows.map(({ rows }) => Number(rows))
}
