// Compares tables of Postgres with the truth of a simulated School 42, row by row and by the database's own types, so that `2028-07-19T00:00:00.000+08:00` equals its instant.
import type pg from 'pg'
import type { School42, SchoolTable } from '../../src/simulators/school-42/school-42.js'
import { columnPaths, columnsOf } from '../fixtures/school-42-columns.js'

export interface Differences {
  /** Rows that the school has and the table has not, or not so; as the columns would be. */
  readonly lacking: readonly object[]
  /** Rows that only the table has, or has so. */
  readonly surplus: readonly object[]
}

/** How the table (in the search path) differs from what the school holds now: both lists empty where it is whole and true. Rows of unknown users count as asked. */
export async function differences(
  client: pg.Client,
  school: School42,
  of: { readonly table: SchoolTable; readonly rows?: 'all' | 'of known users' },
): Promise<Differences> {
  const { table } = of
  const columns = Object.keys(columnPaths[table])
    .map((name) => `"${name}"`)
    .join(', ')
  const truth = `select ${columns} from jsonb_populate_recordset(null::"${table}", $1)`
  const held = `select ${columns} from "${table}"`
  const rows = JSON.stringify(school.truth(table, of.rows).map((row) => columnsOf(table, row)))
  // `all`: a row that is there twice is a difference.
  const lacking = await client.query<object>(`${truth} except all ${held}`, [rows])
  const surplus = await client.query<object>(`${held} except all ${truth}`, [rows])
  return { lacking: lacking.rows, surplus: surplus.rows }
}

/** Fills an empty table with the truth. */
export async function fill(client: pg.Client, school: School42, table: SchoolTable): Promise<void> {
  const columns = Object.keys(columnPaths[table])
    .map((name) => `"${name}"`)
    .join(', ')
  const rows = JSON.stringify(school.truth(table, 'of known users').map((row) => columnsOf(table, row)))
  const truth = `select ${columns} from jsonb_populate_recordset(null::"${table}", $1)`
  await client.query(`insert into "${table}" (${columns}) ${truth}`, [rows])
}
