/**
 * Owns the reading of a dimension whose values are rows of another stream: which rows count, and how a value of theirs is written. Reads only.
 */
import { ConfigError } from '../domain/errors.js'
import type { RowDimension } from '../domain/walk-model.js'
import { type CatalogTable, readTable } from './catalog.js'
import { type Connection, commit } from './connections.js'
import { quoteName, quoteTable, tableLabel } from './identifiers.js'

/** A dimension over rows, with what every dimension may leave out. */
export type RowSource = RowDimension & { readonly exclude?: readonly string[] }

/** Rows of the table `p` that count. */
export interface CountedRows {
  /** The column, as it is sorted. */
  readonly column: string
  /** ` from … where …`. */
  readonly from: string
  /** No value comes twice. */
  readonly isUnique: boolean
  /** The value's text needs no escapes in JSON. */
  readonly isPlain: boolean
}

/** The rows that count; their parameters are added to `values`. null: there is no such table, so no row. @throws ConfigError where it lacks a column. */
export async function countedRows(
  connection: Connection,
  dimension: RowSource,
  values: unknown[],
): Promise<CountedRows | null> {
  const table = await readTable(connection, dimension.table)
  if (table === null) return null
  checkColumns(table, dimension)
  const column = `p.${quoteName(dimension.column)}`
  const conditions = [`${column} is not null`]
  for (const [name, value] of Object.entries(dimension.where)) {
    values.push(value)
    conditions.push(`p.${quoteName(name)}::text = $${values.length}::text`)
  }
  const { only, exclude = [] } = dimension
  if (only.length > 0) {
    values.push(only)
    conditions.push(`${column}::text = any($${values.length}::text[])`)
  }
  if (exclude.length > 0) {
    values.push(exclude)
    conditions.push(`${column}::text <> all($${values.length}::text[])`)
  }
  const isUnique = table.uniqueKeys.some((names) => names.length === 1 && names[0] === dimension.column)
  const type = table.columns.find(({ name }) => name === dimension.column)?.baseType ?? ''
  const isPlain = ['int2', 'int4', 'int8', 'uuid'].includes(type)
  return { column, isUnique, isPlain, from: ` from ${quoteTable(dimension.table)} p where ${conditions.join(' and ')}` }
}

function checkColumns(table: CatalogTable, dimension: RowSource): void {
  const names = new Set(table.columns.map(({ name }) => name))
  const needed = [dimension.column, ...Object.keys(dimension.where)]
  if (dimension.changed !== null) needed.push(dimension.changed)
  const missing = needed.filter((name) => !names.has(name))
  if (missing.length === 0) return
  throw new ConfigError(
    'dimension_mismatch',
    `read rows of ${tableLabel(dimension.table)} for a dimension found no column ${missing.map((name) => `"${name}"`).join(', ')}`,
    { hint: `name columns that the table of "${dimension.stream}" has` },
  )
}

/** The values of a dimension as text, in the order of their column. null: there is no such table. */
export async function readValues(connection: Connection, dimension: RowSource): Promise<readonly string[] | null> {
  const values: unknown[] = []
  const rows = await countedRows(connection, dimension, values)
  if (rows === null) return null
  const text = `select coalesce(array_agg(value order by at), '{}') as values
    from (select ${rows.column} as at, ${rows.column}::text as value${rows.from} group by 1) v`
  const answer = await connection.query<{ values: readonly string[] }>({ text }, values)
  return answer.rows[0]?.values ?? []
}

/** Which of the values are none of the dimension's, a few that are, and how many there are. */
export async function readStrangers(
  connection: Connection,
  dimension: RowSource,
  { values: asked, limit }: { readonly values: readonly string[]; readonly limit: number },
): Promise<{ readonly strangers: readonly string[]; readonly known: readonly string[]; readonly rows: number }> {
  const values: unknown[] = [asked, limit]
  const rows = await countedRows(connection, dimension, values)
  if (rows === null) return { strangers: asked, known: [], rows: 0 }
  const text = `with known as materialized (select ${rows.column} as at, ${rows.column}::text as value${rows.from} group by 1)
    select (select count(*) from known) as rows,
      array(select a.value from unnest($1::text[]) with ordinality as a (value, at) where not exists (select from known k where k.value = a.value) order by a.at) as strangers,
      array(select k.value from known k order by k.at limit $2) as known`
  type Found = { rows: string; strangers: readonly string[]; known: readonly string[] }
  const [found] = (await connection.query<Found>({ text }, values)).rows
  return { strangers: found?.strangers ?? [], known: found?.known ?? [], rows: Number(found?.rows ?? 0) }
}

/** Texts and keys of times are compared: they must not depend on the session. */
export async function inUtc<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
  await connection.query({ text: "begin; set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'" })
  const result = await work()
  await commit(connection)
  return result
}
