/**
 * Owns giving held rows up: an operator's mark on them, which silences their alarm and changes nothing else. They stay in `backfill.held` with their raw text, a
 * walk or a retry that can store them takes them out, and a record that comes with another text is held anew (held.ts). Asks for no table and no definition.
 */
import type { HeldDismissal, HeldDismissed } from '../domain/held.js'
import type { Connection } from './connections.js'
import { partitionConditions } from './held-sql.js'

interface DismissedRow {
  readonly [name: string]: unknown
  readonly source: string
  readonly stream: string
  readonly rows: string
  readonly waiting: string
  readonly before: string
}

/** Gives the selected rows up, in one statement. Those that were given up before keep their moment and note. Answers the streams that had a selected row. */
export async function dismissHeldRows(
  connection: Connection,
  { streams, codes, partitions, note }: HeldDismissal,
): Promise<readonly HeldDismissed[]> {
  const values: unknown[] = [streams.map(({ source }) => source), streams.map(({ stream }) => stream), note, codes]
  const where = [
    '(h.source, h.stream) in (select * from unnest($1::text[], $2::text[]))',
    '($4::text[] is null or h.code = any($4::text[]))',
    ...partitionConditions(partitions, values),
  ].join(' and ')
  const text = `
with before as (select h.source, h.stream, h.code from backfill.held h where ${where} and h.dismissed_at is not null),
given as (
  update backfill.held h set dismissed_at = now(), dismissal_note = $3::text where ${where} and h.dismissed_at is null returning h.source, h.stream, h.code
),
chosen as (select *, true as is_new from given union all select *, false from before)
select source, stream, count(*) filter (where is_new) as rows, count(*) filter (where is_new and code = 'parent_missing') as waiting,
  count(*) filter (where not is_new) as before
from chosen group by source, stream order by source, stream`
  const { rows } = await connection.query<DismissedRow>({ text }, values)
  return rows.map((row) => ({
    source: row.source,
    stream: row.stream,
    rows: Number(row.rows),
    waiting: Number(row.waiting),
    before: Number(row.before),
  }))
}
