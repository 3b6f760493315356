/**
 * Owns the delta table: kept, logged, shaped like the stable table's filled columns, empty between flushes. One of an older shape is made anew, but only where it
 * is ours and empty.
 */
import { ConfigError } from '../domain/errors.js'
import type { TableName } from '../domain/source-model.js'
import { type CatalogTable, readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { longestName, quoteLiteral, quoteName, quoteTable, tableLabel } from './identifiers.js'
import type { LayoutColumn } from './layout.js'
import { underLock } from './table-lock.js'

/** Columns that a delta table has beside the stable table's. */
const ownColumns = [
  { name: '_task', sqlType: 'uuid', rest: "default current_setting('backfill.task')::uuid" },
  { name: '_sequence', sqlType: 'bigint', rest: "default current_setting('backfill.sequence')::bigint" },
  { name: '_row', sqlType: 'bigint', rest: '' },
] as const

/** The delta table's name, beside the stable table. @throws ConfigError where Postgres would cut it off. */
export function deltaName(table: TableName, prefix: string): TableName {
  const name = `${prefix}${table.name}`
  if (Buffer.byteLength(name) <= longestName) return { schema: table.schema, name }
  throw new ConfigError(
    'name_too_long',
    `name delta table "${name}" found ${Buffer.byteLength(name)} bytes, at most ${longestName} fit`,
    {
      hint: 'set a shorter "table" for the stream or a shorter "delta_prefix"',
    },
  )
}

interface DeltaPlan {
  readonly delta: TableName
  readonly table: TableName
  readonly columns: readonly LayoutColumn[]
}

/** Makes the delta table where it is missing or of an older shape. */
export async function makeDelta(connection: Connection, plan: DeltaPlan): Promise<void> {
  if (isShapedLike(await readTable(connection, plan.delta), plan)) return
  await underLock(connection, plan.delta, async () => {
    const existing = await readTable(connection, plan.delta)
    if (isShapedLike(existing, plan)) return
    if (existing !== null) await dropOldDelta(connection, existing, plan)
    await connection.query({ text: deltaSql(plan) })
  })
}

function isShapedLike(existing: CatalogTable | null, plan: DeltaPlan): boolean {
  if (existing?.comment !== deltaComment(plan)) return false
  const shape = [...ownColumns, ...plan.columns].map(({ name, sqlType }) => `${name} ${sqlType}`)
  return existing.columns.map(({ name, sqlType }) => `${name} ${sqlType}`).join() === shape.join()
}

/** The mark by which a delta table is known as ours: nothing else is ever dropped. */
function deltaComment({ table }: DeltaPlan): string {
  return `Rows on their way into ${tableLabel(table)}; made by backfill, empty between flushes`
}

async function dropOldDelta(connection: Connection, existing: CatalogTable, plan: DeltaPlan): Promise<void> {
  const label = tableLabel(plan.delta)
  if (existing.comment !== deltaComment(plan)) {
    throw new ConfigError('delta_not_ours', `make delta table "${label}" found a table that backfill did not make`, {
      hint: 'set another "delta_prefix" in backfill.yaml',
    })
  }
  const table = quoteTable(plan.delta)
  await connection.query({ text: `lock table ${table} in access exclusive mode` })
  const found = await connection.query<{ rows: string }>({ text: `select count(*) as rows from ${table}` })
  const rows = Number(found.rows[0]?.rows)
  if (rows > 0) {
    throw new ConfigError(
      'delta_not_empty',
      `make delta table "${label}" found ${rows} rows in one of an older shape`,
      {
        hint: `look at the rows, then drop ${label}`,
      },
    )
  }
  await connection.query({ text: `drop table ${table}` })
}

function deltaSql(plan: DeltaPlan): string {
  const table = quoteTable(plan.delta)
  const own = ownColumns.map(({ name, sqlType, rest }) => `${name} ${sqlType} not null ${rest}`)
  const columns = plan.columns.map(({ name, sqlType }) => `${quoteName(name)} ${sqlType}`)
  // Deleted rows stay in the file until a vacuum: with the index a flush finds its own without reading them.
  return `create table ${table} (${[...own, ...columns].join(', ')});
    create index on ${table} (_task, _sequence);
    comment on table ${table} is ${quoteLiteral(deltaComment(plan))}`
}
