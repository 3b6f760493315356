/**
 * Owns the statements between a delta table and its stable table: COPY, duplicates, foreign keys, merge. Text only, made once per table; every statement
 * names its task and sequence, so that no flush touches another's rows.
 */

import type { Statement } from './connections.js'
import { quoteList, quoteLiteral, quoteName, quoteTable, shortHash } from './identifiers.js'
import type { CheckedKey, ForeignKey, Layout } from './layout.js'
import { ledgerMoved } from './ledger.js'

export interface MergeStatements {
  /** Rows into the delta table; task and sequence come from the session (`backfill.task`, `backfill.sequence`). */
  readonly copy: string
  /** Merge, delete own delta rows, count, move the ledger: one statement, 25 parameters as `moveValues` makes them. */
  readonly promote: Statement
  /** Merge of the rows from $3 to $4 alone, for a flush that looks for its bad rows. Answers created and updated. */
  readonly mergeRange: Statement
  /** Takes out the rows that lose against another of their key: one row number each. */
  readonly dropRepeats: Statement
  /** Takes out the rows without a parent: row number, position of the foreign key, and its values as text. Null where there is none. */
  readonly dropOrphans: Statement | null
  /** Takes out those of the rows $3 whose key the table has, unless theirs is the newer version: row number, and whether the table's is known to be as new. */
  readonly dropPresent: Statement
  readonly empty: Statement
  /** Of all rows of task $1, those that lose against another of their key are taken out; for rows that were held back over many flushes. */
  readonly dropStagedRepeats: string
  /** Condition on a held row `h`: the parent that it waits for may be there. */
  readonly mayHaveParent: string
}

/**
 * What a foreign key's parent table is now: not there, so that every row that refers to it is an orphan; with an index on the columns referred to; or without.
 */
export type ParentState = 'absent' | 'indexed' | 'unindexed'

/** `parents`: one for each of the layout's foreign keys. */
export function mergeStatements(layout: Layout, parents: readonly ParentState[]): MergeStatements {
  const names = layout.columns.map(({ name }) => name)
  const hash = shortHash(JSON.stringify([layout.table, layout.delta, names, layout.foreignKeys, parents]))
  const delta = quoteTable(layout.delta)
  const columns = quoteList(names)
  const named = (kind: string, text: string): Statement => ({ name: `backfill_${kind}_${hash}`, text })
  return {
    copy: `copy ${delta} (_row, ${columns}) from stdin${layout.format.copyOptions}`,
    promote: named(
      'promote',
      `with ${merged(layout, ownInMove)}, emptied as (delete from ${delta} d where ${ownInMove}), ${ledgerMoved}`,
    ),
    mergeRange: named(
      'range',
      `with ${merged(layout, `${ownRows} and d._row between $3 and $4`)} select created, updated from counted`,
    ),
    dropRepeats: named('repeats', dropRepeats(layout)),
    dropOrphans: layout.foreignKeys.length === 0 ? null : named('orphans', dropOrphans(layout, parents)),
    dropPresent: named('present', dropPresent(layout)),
    empty: named('empty', `delete from ${delta} d where ${ownRows}`),
    dropStagedRepeats: dropStagedRepeats(layout),
    mayHaveParent: mayHaveParent(layout, parents),
  }
}

/** In the statement that moves the ledger $2 is the epoch; in the others the sequence comes second. */
const ownInMove = 'd._task = $1::uuid and d._sequence = $3::bigint'
const ownRows = 'd._task = $1::uuid and d._sequence = $2::bigint'

/** CTEs `merged` and `counted (created, updated)`. */
function merged(layout: Layout, where: string): string {
  const names = layout.columns.map(({ name }) => name)
  const from = `from ${quoteTable(layout.delta)} d where ${where}`
  const insert = `insert into ${quoteTable(layout.table)} as t (${quoteList(names)}) select ${quoteList(names, 'd.')} ${from} ${onConflict(layout)}`
  if (layout.hasRowVersions) {
    // A row that was there before carries the lock of its own update; a new one carries none.
    return `merged as (${insert} returning (t.xmax = 0) as is_new),
      counted as (select count(*) filter (where is_new) as created, count(*) filter (where not is_new) as updated from merged)`
  }
  const keys = layout.keyAt.map((at) => quoteName(names[at] ?? '')).map((name) => `t.${name} = d.${name}`)
  const exists =
    keys.length === 0 ? 'false' : `exists (select from ${quoteTable(layout.table)} t where ${keys.join(' and ')})`
  // The whole statement sees the table as it was before it, so rows of a partitioned table can be told apart as well.
  return `known as (select count(*) filter (where not ${exists}) as created ${from}),
    merged as (${insert} returning 1),
    counted as (select k.created, (select count(*) from merged) - k.created as updated from known k)`
}

function onConflict(layout: Layout): string {
  const { stream, columns, keyAt, versionAt } = layout
  if (keyAt.length === 0) return ''
  const target = `on conflict (${quoteList(keyAt.map((at) => columns[at]?.name ?? ''))})`
  const rest = columns.filter((_, at) => !keyAt.includes(at)).map(({ name }) => name)
  if (stream.disposition === 'append' || rest.length === 0) return `${target} do nothing`
  const sets = rest.map((name) => `${quoteName(name)} = excluded.${quoteName(name)}`).join(', ')
  const isDistinct = `(${quoteList(rest, 't.')}) is distinct from (${quoteList(rest, 'excluded.')})`
  const version = versionAt === null ? null : quoteName(columns[versionAt]?.name ?? '')
  // A row without a version never replaces one that has one.
  const isNotOlder = version === null ? '' : ` and (t.${version} is null or excluded.${version} >= t.${version})`
  return `${target} do update set ${sets} where ${isDistinct}${isNotOlder}`
}

/** Of the rows of one key the newest version stays, then the later row; `append` keeps the first, as the table would. */
function dropRepeats(layout: Layout): string {
  const { stream, columns, keyAt, versionAt, delta } = layout
  if (keyAt.length === 0) return 'select null::bigint as row where false and $1::text = $2::text'
  const keys = quoteList(
    keyAt.map((at) => columns[at]?.name ?? ''),
    'd.',
  )
  const version = versionAt === null ? '' : `d.${quoteName(columns[versionAt]?.name ?? '')} desc nulls last, `
  const order = stream.disposition === 'append' ? 'd._row' : `${version}d._row desc`
  const ranked = `select d.ctid as place, row_number() over (partition by ${keys} order by ${order}) as rank from ${quoteTable(delta)} d where ${ownRows}`
  // By place in the file: the planner takes a flush for one row, and would join 10,000 with 10,000 row by row.
  return `delete from ${quoteTable(delta)} d where d.ctid = any (array(select place from (${ranked}) r where rank > 1)) returning d._row as row`
}

function dropStagedRepeats({ columns, keyAt, versionAt, delta }: Layout): string {
  const keys = quoteList(
    keyAt.map((at) => columns[at]?.name ?? ''),
    'd.',
  )
  const version = versionAt === null ? '' : `d.${quoteName(columns[versionAt]?.name ?? '')} desc nulls last, `
  const ranked = `select d.ctid as place, row_number() over (partition by ${keys} order by ${version}d._sequence desc, d._row desc) as rank from ${quoteTable(delta)} d where d._task = $1::uuid`
  return `delete from ${quoteTable(delta)} d where d.ctid = any (array(select place from (${ranked}) r where rank > 1))`
}

function dropOrphans(layout: Layout, parents: readonly ParentState[]): string {
  const delta = quoteTable(layout.delta)
  const orphans = layout.foreignKeys.map((key, at) => {
    const values = key.columns.map((name) => `d.${quoteName(name)}::text`).join(', ')
    return `select d.ctid as place, d._row as row, ${at} as at, array[${values}] as values from ${delta} d where ${ownRows} and ${isOrphan(layout, key, parents[at] ?? 'indexed')}`
  })
  return `with orphan as materialized (${orphans.join(' union all ')}),
      gone as (delete from ${delta} d where d.ctid = any (array(select place from orphan)))
    select distinct on (row) row, at, values from orphan order by row, at`
}

/** For rows of which nobody knows whether they came before or after the table's: only a version can say. */
function dropPresent(layout: Layout): string {
  const { columns, keyAt, versionAt, delta } = layout
  if (keyAt.length === 0)
    return 'select null::bigint as row, true as is_known where false and $1::text = $2::text and $3::bigint[] is null'
  const same = keyAt.map((at) => quoteName(columns[at]?.name ?? '')).map((name) => `t.${name} = d.${name}`)
  const version = versionAt === null ? null : quoteName(columns[versionAt]?.name ?? '')
  const isKnown = version === null ? 'false' : `coalesce(t.${version} >= d.${version}, false)`
  const isNewer = version === null ? 'false' : `coalesce(d.${version} > t.${version}, false)`
  return `delete from ${quoteTable(delta)} d using ${quoteTable(layout.table)} t
    where ${ownRows} and d._row = any($3::bigint[]) and ${same.join(' and ')} and not ${isNewer} returning d._row as row, ${isKnown} as is_known`
}

/** As Postgres judges: a key with a NULL in it has no parent to look for. A row may be the parent of its neighbour. */
function isOrphan(layout: Layout, key: ForeignKey, state: ParentState): string {
  if (state === 'absent') return hasReference(key)
  const joins = key.columns
    .map((name, i) => `p.${quoteName(key.parentColumns[i] ?? '')} = d.${quoteName(name)}`)
    .join(' and ')
  const parent = quoteTable(key.parent)
  const absent = [
    state === 'indexed'
      ? `not exists (select from ${parent} p where ${joins})`
      : isNotIn(key, { rows: parent, where: 'true' }),
  ]
  const names = new Set(layout.columns.map(({ name }) => name))
  if (isSelfReference(layout, key) && key.parentColumns.every((name) => names.has(name))) {
    const where = 'p._task = $1::uuid and p._sequence = $2::bigint'
    absent.push(isNotIn(key, { rows: quoteTable(layout.delta), where }))
  }
  return [hasReference(key), ...absent].join(' and ')
}

/** The parent is the very table: a row may be the parent of another of its flush. */
export function isSelfReference(layout: Pick<Layout, 'table'>, key: ForeignKey): boolean {
  return key.parent.schema === layout.table.schema && key.parent.name === layout.table.name
}

/** For rows of which it cannot be said what they wait for, true. */
function mayHaveParent(layout: Layout, parents: readonly ParentState[]): string {
  const labels = layout.foreignKeys.map(({ label }) => quoteLiteral(label))
  const isUnknown = labels.length === 0 ? 'true' : `h.reference is null or h.reference not in (${labels.join(', ')})`
  const waiting = layout.foreignKeys.flatMap((key, at) => {
    if (key.missingParent === 'reject' || parents[at] === 'absent') return []
    const exists = `exists (select from ${quoteTable(key.parent)} p where ${heldMatches(layout, key)})`
    // The values of another foreign key need not be of this one's types.
    return [`case when h.reference = ${quoteLiteral(key.label)} then ${exists} else false end`]
  })
  return [isUnknown, ...waiting].map((part) => `(${part})`).join(' or ')
}

function heldMatches(layout: Layout, key: CheckedKey): string {
  const typeOf = (name: string): string => layout.columns.find((column) => column.name === name)?.sqlType ?? 'text'
  return key.columns
    .map((name, i) => `p.${quoteName(key.parentColumns[i] ?? '')} = h.parent_key[${i + 1}]::${typeOf(name)}`)
    .join(' and ')
}

/** Postgres hashes the rows once for `not in`, where `not exists` without an index would read them again for every row. */
function isNotIn(key: ForeignKey, { rows, where }: { readonly rows: string; readonly where: string }): string {
  const present = key.parentColumns.map((name) => `p.${quoteName(name)} is not null`).join(' and ')
  return `(${quoteList(key.columns, 'd.')}) not in (select ${quoteList(key.parentColumns, 'p.')} from ${rows} p where ${where} and ${present})`
}

function hasReference(key: ForeignKey): string {
  return key.columns.map((name) => `d.${quoteName(name)} is not null`).join(' and ')
}
