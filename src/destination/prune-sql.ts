/**
 * Owns the statements that look for rows which no walk brings any more, and that delete them. Text only, made for one table. What decides is `backfill.seen`:
 * every flush of such a stream writes down the keys it brought. Times are compared by the server's clock alone.
 */
import { quoteList, quoteLiteral, quoteName, quoteTable } from './identifiers.js'
import type { Layout } from './layout.js'
import { bareType, holdsPartition, isMany, matchColumn, type PartitionColumn, withValue } from './partition-sql.js'

/** A table whose rows name rows of this one. */
export interface Referrer {
  readonly table: string
  /** Pairs of the referring column and the one referred to. */
  readonly columns: readonly (readonly [own: string, target: string])[]
}

export interface PruneStatements {
  /** $1 task: keys of the delta table's own rows into `backfill.seen`. $2 sequence, $3 walk. */
  readonly record: string
  /** Rows in scope, missing ones, confirmed ones. Parameters as {@link doomedFrom}. */
  readonly count: string
  /** Keys that are missing and not confirmed, a text for each column of the key. The limit comes last. */
  readonly unconfirmed: string
  /** Deletes what is missing and confirmed and that nobody refers to; answers pruned and kept. Task and walk come last. */
  readonly remove: string
  /** $1 partition, $2 key texts (one array a column follows): what the source said about keys. */
  readonly answer: string
}

/**
 * Columns of the table that hold the partition, where the rows of a walk can be told by them: each is part of the key, so that a row is in one partition alone;
 * or the source says of it to which partition a row belongs, and is asked about each row before it goes. Null where all partitions must agree.
 */
export function scopeColumns(layout: Layout): readonly PartitionColumn[] | null {
  const { stream, columns } = layout
  const found = stream.dimensions.map(
    (dimension) => keyColumn(layout, dimension) ?? matchColumn(stream, dimension, columns),
  )
  if (!found.every((column) => column !== null)) return null
  return isOfKey(layout, found) || typeof stream.prune.confirm !== 'string' ? found : null
}

/** True where a row belongs to one partition for good: then a second walk of it that does not bring the row confirms that it is gone. */
export function isOfKey(layout: Layout, scope: readonly PartitionColumn[]): boolean {
  const keys = new Set(keyColumns(layout).map(({ name }) => name))
  return scope.every(({ column }) => keys.has(column))
}

function keyColumn({ columns, keyAt }: Layout, dimension: string): PartitionColumn | null {
  const own = keyAt.map((at) => columns[at])
  const column = own.find((key) => key?.origin.kind === 'dimension' && key.origin.name === dimension)
  return column === undefined ? null : { dimension, column: column.name, sqlType: column.sqlType, isMany: false }
}

/** The statements for a table; `referrers`: rows that these name are kept. */
export function pruneStatements(layout: Layout, referrers: readonly Referrer[]): PruneStatements {
  const { stream, delta } = layout
  const named = `n.source = ${quoteLiteral(stream.source)} and n.stream = ${quoteLiteral(stream.name)}`
  const partitionColumns = scopeColumns(layout) ?? []
  const doomed = doomedFrom(layout, { named, partitionColumns })
  const referred = referrers.map(({ table, columns }) => {
    const joins = columns.map(([own, target]) => `r.${quoteName(own)} = t.${quoteName(target)}`).join(' and ')
    return `exists (select from ${table} r where ${joins})`
  })
  const isReferred = referred.length === 0 ? 'false' : `(${referred.join(' or ')})`
  const next = partitionColumns.length + 3
  return {
    record: `insert into backfill.seen as s (source, stream, key, partition, walk, seen_at)
      select ${quoteLiteral(stream.source)}, ${quoteLiteral(stream.name)}, k.key, k.partition, $3, clock_timestamp() from (
        select distinct ${keyOf(layout, 'd')} as key, ${partitionOf(layout, 'l.whole', 'd')} as partition
        from ${quoteTable(delta)} d join backfill.ledger l on l.task = d._task where d._task = $1::uuid and d._sequence = $2::bigint) k
      on conflict (source, stream, partition, key) do update set walk = excluded.walk, seen_at = excluded.seen_at, gone_at = null`,
    count: `${doomed} select (select count(*) from scope) as rows, count(*) as missing, count(*) filter (where is_confirmed) as confirmed from missing`,
    unconfirmed: `${doomed} select ${keyTexts(layout)} from missing m join ${quoteTable(layout.table)} t on (t.tableoid, t.ctid) = (m.part, m.place)
      where not m.is_confirmed order by m.key limit $${next}`,
    remove: `${doomed},
      judged as materialized (select m.part, m.place, m.key, ${isReferred} as is_referred from missing m
        join ${quoteTable(layout.table)} t on (t.tableoid, t.ctid) = (m.part, m.place) where m.is_confirmed),
      gone as (delete from ${quoteTable(layout.table)} t using judged j where (t.tableoid, t.ctid) = (j.part, j.place) and not j.is_referred
        returning j.key, to_jsonb(t.*) as record),
      kept as (insert into backfill.pruned (source, stream, partition, task, walk, table_schema, table_name, key, record)
        select ${quoteLiteral(stream.source)}, ${quoteLiteral(stream.name)}, l.whole, l.task, $${next + 1}, ${quoteLiteral(layout.table.schema)}, ${quoteLiteral(layout.table.name)}, g.key, g.record
        from gone g, backfill.ledger l where l.task = $${next}::uuid returning key),
      forgotten as (delete from backfill.seen n where ${named} and n.key = any(array(select k.key from kept k)))
      select (select count(*) from kept) as pruned, (select count(*) from judged where is_referred) as kept`,
    answer: `insert into backfill.seen as n (source, stream, key, partition, walk, seen_at, gone_at)
      select ${quoteLiteral(stream.source)}, ${quoteLiteral(stream.name)}, ${typedKey(layout)}, ${answeredPartition(layout)}, null, case when not a.is_gone then clock_timestamp() end,
        case when a.is_gone then clock_timestamp() end
      from unnest($2::boolean[], ${layout.keyAt.map((_, i) => `$${i + 3}::text[]`).join(', ')}) as a (is_gone, ${keyAliases(layout).join(', ')})
      on conflict (source, stream, partition, key) do update set seen_at = greatest(n.seen_at, excluded.seen_at), gone_at = excluded.gone_at`,
  }
}

/** The partition that a row is written down for: of many values that were asked for together its own, by the column that says so. */
function partitionOf(layout: Layout, whole: string, row: string): string {
  const column = manyColumn(layout)
  return column === null ? whole : withValue(whole, column.dimension, `${row}.${quoteName(column.column)}::text`)
}

/** The same of a key that the source was asked about, as far as the table has its row. */
function answeredPartition(layout: Layout): string {
  if (manyColumn(layout) === null) return '$1'
  const isRow = keyColumns(layout).map(
    ({ name, sqlType }, i) => `t.${quoteName(name)} = a.k${i + 1}::${bareType(sqlType)}`,
  )
  const own = `select ${partitionOf(layout, '$1::text', 't')} from ${quoteTable(layout.table)} t where ${isRow.join(' and ')}`
  return `coalesce((${own}), $1)`
}

function manyColumn({ stream, columns }: Layout): PartitionColumn | null {
  const name = stream.dimensions.find((dimension) => isMany(stream, dimension))
  return name === undefined ? null : matchColumn(stream, name, columns)
}

interface Doom {
  readonly named: string
  readonly partitionColumns: readonly PartitionColumn[]
}

/**
 * CTEs `scope` (rows that the walk answers for) and `missing (part, place, key, is_confirmed)`. Parameters: the partition's values, then since when a key must
 * not have been seen to be missing, then since when to be confirmed by a walk before (null: no such walk), both as text.
 */
function doomedFrom(layout: Layout, { named, partitionColumns }: Doom): string {
  const table = quoteTable(layout.table)
  const where = partitionColumns.map((column, i) => holdsPartition(column, 't', i + 1))
  const [since, before] = [`$${where.length + 1}::timestamptz`, `$${where.length + 2}::timestamptz`]
  // A look by its index for each row, said so that it cannot become a join: before its first "analyze" the planner takes a table for one row and compared each
  // row of the one with each of the other (6.1 s for 1,270 rows against 4,640, so 0.03 s).
  const sawSince = (moment: string) =>
    `coalesce((select true from backfill.seen n where ${named} and n.key = s.key and n.seen_at >= ${moment} limit 1), false)`
  // What is held is at the source, as far as anybody knows. What was given up is looked at by nobody: it is there for as long as walks bring it.
  const isNotHeldSince = (moment: string) => `s.key not in (select h.key from held h where h.met_at >= ${moment})`
  return `with scope as materialized (select t.tableoid as part, t.ctid as place, ${keyOf(layout, 't')} as key from ${table} t
      ${where.length === 0 ? '' : `where ${where.join(' and ')}`}),
    held as materialized (select ${heldKey(layout)} as key, k.met_at from (
      select string_to_array(h.key, E'\\t') as parts, case when h.dismissed_at is null then 'infinity' else h.held_at end as met_at from backfill.held h
      where h.source = ${quoteLiteral(layout.stream.source)} and h.stream = ${quoteLiteral(layout.stream.name)} and h.key is not null) k),
    missing as materialized (select s.part, s.place, s.key,
        exists (select from backfill.seen n where ${named} and n.key = s.key and n.gone_at >= ${since})
        or (${before} is not null and not ${sawSince(before)} and ${isNotHeldSince(before)}) as is_confirmed
      from scope s where not ${sawSince(since)} and ${isNotHeldSince(since)})`
}

function keyColumns(layout: Layout): readonly { readonly name: string; readonly sqlType: string }[] {
  return layout.keyAt.map((at) => ({
    name: layout.columns[at]?.name ?? '',
    sqlType: layout.columns[at]?.sqlType ?? 'text',
  }))
}

function keyOf(layout: Layout, alias: string): string {
  return `jsonb_build_array(${quoteList(
    keyColumns(layout).map(({ name }) => name),
    `${alias}.`,
  )})`
}

/** The key's columns as texts, in their order: `k1`, `k2`, … */
function keyTexts(layout: Layout): string {
  return keyColumns(layout)
    .map(({ name }, i) => `t.${quoteName(name)}::text as k${i + 1}`)
    .join(', ')
}

function keyAliases(layout: Layout): readonly string[] {
  return layout.keyAt.map((_, i) => `k${i + 1}`)
}

/** The key of an answer's texts, with the types that the table's own has. */
function typedKey(layout: Layout): string {
  const values = keyColumns(layout).map(({ sqlType }, i) => `a.k${i + 1}::${sqlType}`)
  return `jsonb_build_array(${values.join(', ')})`
}

/** The key of a held row, whose text is COPY's. */
function heldKey(layout: Layout): string {
  const values = keyColumns(layout).map(({ sqlType }, i) => `${unescaped(`k.parts[${i + 1}]`)}::${sqlType}`)
  return `jsonb_build_array(${values.join(', ')})`
}

/** Takes COPY's escapes out: the backslash last, through a character that no text here holds. */
export function unescaped(field: string): string {
  const steps: readonly (readonly [string, string])[] = [
    [String.raw`'\\'`, 'chr(1)'],
    [String.raw`'\t'`, 'chr(9)'],
    [String.raw`'\n'`, 'chr(10)'],
    [String.raw`'\r'`, 'chr(13)'],
    ['chr(1)', String.raw`'\'`],
  ]
  return steps.reduce((inner, [from, to]) => `replace(${inner}, ${from}, ${to})`, field)
}
