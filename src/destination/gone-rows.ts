/**
 * Owns the question which rows of a dimension went for good: deleted at the end of a proven walk, and not come again since. `backfill.pruned` is the proof; a row that
 * is only not there (not loaded yet, set aside, deleted by hand) is not gone. Reads only.
 */
import type { RowDimension } from '../domain/walk-model.js'
import { readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { quoteName, quoteTable } from './identifiers.js'

/**
 * A held row without a readable key may be any. Of one with a key, texts of digits, letters and hyphens are the same in COPY's words as in JSON's; of any other key
 * nothing is said, so that it may be this one.
 */
const isSetAside = `exists (select from backfill.held h where h.source = p.source and h.stream = p.stream and (h.key is null or (h.held_at > p.pruned_at and (
    h.key = k.text or k.text !~ '^[0-9A-Za-z_\t-]*$'))))`

/** Seen again since: what a later walk promoted, or set aside. */
const isSeenAgain =
  'exists (select from backfill.seen n where n.source = p.source and n.stream = p.stream and n.key = p.key and n.seen_at > p.pruned_at)'

/** Those of the values, in their order. `source`: of the dimension's stream. */
export async function readGone(
  connection: Connection,
  source: string,
  { dimension, values }: { readonly dimension: RowDimension; readonly values: readonly string[] },
): Promise<readonly string[]> {
  const { table, column, stream } = dimension
  const found = await readTable(connection, table)
  if (found?.columns.some(({ name }) => name === column) !== true) return []
  const text = `with went as materialized (
      select p.record ->> $6 as value, bool_or(${isSeenAgain} or ${isSetAside}) as is_doubtful
      from backfill.pruned p cross join lateral (select string_agg(e.value, E'\\t' order by e.at) as text
        from jsonb_array_elements_text(p.key) with ordinality as e (value, at)) k
      where p.source = $1 and p.stream = $2 and p.table_schema = $3 and p.table_name = $4 and p.restored_at is null and p.record ->> $6 = any($5::text[])
      group by 1)
    select a.value from unnest($5::text[]) with ordinality as a (value, at)
    where exists (select from went w where w.value = a.value and not w.is_doubtful)
      and not exists (select from ${quoteTable(table)} t where t.${quoteName(column)}::text = a.value)
    order by a.at`
  const parameters = [source, stream, table.schema, table.name, values, column]
  const answer = await connection.query<{ value: string }>({ text }, parameters)
  return answer.rows.map(({ value }) => value)
}
