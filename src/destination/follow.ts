/**
 * Owns which partitions of a stream are due: partitions that are rows of another stream, held against `backfill.watermark`, and partitions that were walked
 * before, by their age. Reads only; ages are judged by the server's clock.
 */
import type { DuePartition, DueQuery, DueReason, DueReport } from '../domain/follow.js'
import { type Partition, parsePartitionKey } from '../domain/partition.js'
import type { Clock } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { RowDimension } from '../domain/walk-model.js'
import type { Connection } from './connections.js'
import { quoteName } from './identifiers.js'
import { keyAround, wholeKey } from './partition-sql.js'
import { countedRows, inUtc } from './row-values.js'

const dueReasons: readonly DueReason[] = ['new', 'changed', 'old', 'full']

interface DueRow {
  readonly [name: string]: unknown
  /** The partitions of one reason, in their order, and the watermark of each, Unix ms. */
  readonly reason: number
  readonly names: readonly string[]
  readonly watermarks: readonly (number | null)[]
}

/** Of all candidates, the same in every row. */
interface Overview {
  readonly wait_ms: number | null
  readonly total: number
  /** Unix ms. */
  readonly oldest: number | null
}

/** Statement of candidates: `at` (what they are sorted by), `name` (a value, or the text of a partition), `changed_at`, and the row `w` of their watermark. */
interface Candidates {
  readonly text: string
  readonly values: unknown[]
}

/** What is due, and when the next partition will be. */
export async function readDue(connection: Connection, query: DueQuery, clock: Pick<Clock, 'now'>): Promise<DueReport> {
  return await inUtc(connection, async () => {
    const candidates = query.rows === null ? walkedBefore(query) : await rowsOfTable(connection, query)
    if (candidates === null) return { due: [], nextAt: null, total: 0, oldest: null }
    const { text, values } = judged(candidates, query)
    const answer = await connection.query<DueRow & Overview>({ text }, values)
    const toPartition = partitionReader(query)
    const due = answer.rows
      .filter(({ reason }) => reason < dueReasons.length)
      .flatMap(({ reason, names, watermarks }) =>
        names.map(
          (name, i): DuePartition => ({
            partition: toPartition(name),
            reason: dueReasons[reason] ?? 'old',
            watermark: watermarks[i] ?? null,
          }),
        ),
      )
    const { wait_ms: wait = null, total = 0, oldest = null } = answer.rows[0] ?? {}
    return {
      due,
      nextAt: wait === null ? null : clock.now() + Math.ceil(wait),
      total,
      oldest,
    }
  })
}

function partitionReader({ rows, rest }: DueQuery): (name: string) => Partition {
  if (rows === null) return parsePartitionKey
  return (value) => ({ ...rest, [rows.name]: value })
}

/** Partitions of today's dimensions that `rest` allows. */
function walkedBefore({ stream, rest }: DueQuery): Candidates {
  const text = `select w.partition as at, w.partition as name, null::timestamptz as changed_at, w.watermark, w.walked_at, w.full_at, null::timestamptz as came_back
    from backfill.watermark w where w.source = $1 and w.stream = $2 and w.partition::jsonb @> $3::jsonb and w.partition::jsonb ?& $4::text[]
      and w.partition::jsonb - $4::text[] = '{}'`
  return { text, values: [stream.source, stream.name, wholeKey(rest), stream.dimensions] }
}

/** A column that is no key may hold a value several times: its last change counts. */
async function rowsOfTable(connection: Connection, { stream, rest, rows }: DueQuery): Promise<Candidates | null> {
  if (rows === null) return null
  const { before, after } = keyAround(rest, rows.name)
  const values: unknown[] = [stream.source, stream.name, before, after]
  const counted = await countedRows(connection, rows.dimension, values)
  if (counted === null) return null
  const { column, isUnique, isPlain } = counted
  const { changed } = rows.dimension
  // The session is in UTC: a date and a timestamp without a zone are read so.
  const change = changed === null ? 'null::timestamptz' : `p.${quoteName(changed)}::timestamptz`
  const [changedAt, grouped] = isUnique ? [change, ''] : [`max(${change})`, ' group by 1']
  // An aggregate and to_json were measured at 50 ms each for 50,000 values.
  const json = isPlain ? `'"' || p.name || '"'` : 'to_json(p.name)::text'
  const returned = await joinReturned(connection, stream, { dimension: rows.dimension, values })
  const text = `select p.at, p.name, p.changed_at, w.watermark, w.walked_at, w.full_at, ${returned === '' ? 'null::timestamptz' : 'g.pruned_at'} as came_back
    from (select ${column} as at, ${column}::text as name, ${changedAt} as changed_at${counted.from}${grouped}) p
    left join backfill.watermark w on w.source = $1 and w.stream = $2 and w.partition = $3::text || ${json} || $4::text${returned}`
  return { text, values }
}

/**
 * Rows of the other stream that were deleted as gone and are there again: what was asked for them before says nothing of what they have now, and was cancelled in
 * between. Empty where none was ever deleted, as mostly.
 */
async function joinReturned(
  connection: Connection,
  { source }: Stream,
  { dimension, values }: { readonly dimension: RowDimension; readonly values: unknown[] },
): Promise<string> {
  const { stream, table, column } = dimension
  const scope = [source, stream, table.schema, table.name]
  const of = (at: number) =>
    `backfill.pruned d where d.source = $${at} and d.stream = $${at + 1} and d.table_schema = $${at + 2} and d.table_name = $${at + 3}`
  const found = await connection.query<{ any: boolean }>({ text: `select exists (select from ${of(1)}) as any` }, scope)
  if (found.rows[0]?.any !== true) return ''
  const at = values.push(...scope, column) - 4
  return ` left join (select d.record ->> $${at + 4} as name, max(d.pruned_at) as pruned_at from ${of(at)} group by 1) g on g.name = p.name`
}

/** One row for each reason, with arrays of its partitions: there may be 50,000. The last row says only how long until the next is due. */
function judged({ text, values }: Candidates, { stream, everyMs, fullEveryMs }: DueQuery): Candidates {
  const [every, full] = [values.length + 1, values.length + 2].map(
    (at) => `($${at}::float8 * interval '1 millisecond')`,
  )
  // Of a stream of changes only a walk of everything brings what changed last before the row went.
  const [isNew, isFull] =
    stream.incremental === null ? ['came_back >= full_at', 'false'] : ['false', 'came_back >= full_at']
  const judgedText = `with candidate as materialized (
    select c.*, case when walked_at is null or ${isNew} then 0 when changed_at > watermark then 1 when walked_at <= now() - ${every} then 2 end as reason,
      walked_at is not null and coalesce(${isFull} or (${full} is not null and (full_at is null or full_at <= now() - ${full})), false) as is_full
    from (${text}) c
  ), due as (
    select reason, at, name, watermark from candidate where reason is not null
    union all select 3, at, name, watermark from candidate where is_full
  ), next as (
    select extract(epoch from least(min(walked_at + ${every}) filter (where reason is null), min(full_at + ${full}) filter (where not is_full)) - now())::float8
      * 1000 as wait_ms, count(*)::float8 as total, floor(extract(epoch from min(coalesce(watermark, walked_at))) * 1000)::float8 as oldest from candidate
  )
  select n.wait_ms, n.total, n.oldest, d.* from next n, (
    select reason, array_agg(name order by watermark nulls first, at) as names,
      array_agg(floor(extract(epoch from watermark) * 1000)::float8 order by watermark nulls first, at) as watermarks from due group by reason
    union all select ${dueReasons.length}, '{}', '{}'
  ) d order by d.reason`
  return { text: judgedText, values: [...values, everyMs, fullEveryMs] }
}

/** The least watermark of the partitions, Unix ms; null where one has none. */
export async function readWatermark(
  connection: Connection,
  stream: Stream,
  partitions: readonly Partition[],
): Promise<number | null> {
  const text = `select case when count(w.watermark) = count(*) then min(w.watermark) end as watermark from unnest($3::text[]) as p (partition)
    left join backfill.watermark w on w.source = $1 and w.stream = $2 and w.partition = p.partition`
  const values = [stream.source, stream.name, partitions.map(wholeKey)]
  const answer = await connection.query<{ watermark: Date | null }>({ text }, values)
  return answer.rows[0]?.watermark?.getTime() ?? null
}
