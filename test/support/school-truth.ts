// Compares tables of Postgres with the truth of a simulated School 42, row by row and by the database's own types, so that `2028-07-19T00:00:00.000+08:00` equals its instant.
import type pg from 'pg'
import type { School42, SchoolTable } from '../../src/simulators/school-42/school-42.js'
import { columnPaths, columnsOf, tableOf } from '../fixtures/school-42-columns.js'
import type { Truth } from './school-process.js'

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
  return await differencesOf(client, of.table, school.truth(of.table, of.rows))
}

/** The same for rows that were read before. `all`: a row that is there twice is a difference. */
async function differencesOf(client: pg.Client, table: SchoolTable, rows: readonly object[]): Promise<Differences> {
  const { columns, truth } = truthSql(table)
  const held = `select ${columns} from "${tableOf(table)}"`
  const wanted = JSON.stringify(rows.map((row) => columnsOf(table, row)))
  const lacking = await client.query<object>(`${truth} except all ${held}`, [wanted])
  const surplus = await client.query<object>(`${held} except all ${truth}`, [wanted])
  return { lacking: lacking.rows, surplus: surplus.rows }
}

/** Fills an empty table with the truth. */
export async function fill(client: pg.Client, school: School42, table: SchoolTable): Promise<void> {
  const { columns, truth } = truthSql(table)
  const rows = JSON.stringify(school.truth(table, 'of known users').map((row) => columnsOf(table, row)))
  await client.query(`insert into "${tableOf(table)}" (${columns}) ${truth}`, [rows])
}

function truthSql(table: SchoolTable): { readonly columns: string; readonly truth: string } {
  const columns = Object.keys(columnPaths[table])
    .map((name) => `"${name}"`)
    .join(', ')
  return { columns, truth: `select ${columns} from jsonb_populate_recordset(null::"${tableOf(table)}", $1)` }
}

/** Tables that the source `school42` fills. cursus_projects is a list that the replaced scripts did not keep either. */
export const filledTables: readonly SchoolTable[] = [
  'campuses',
  'cursus',
  'projects',
  'coalitions',
  'achievements',
  'campus_projects',
  'campus_achievements',
  'campus_users',
  'users',
  'cursus_users',
  'projects_users',
  'achievements_users',
  'coalitions_users',
  'project_sessions',
  'locations',
]

/**
 * What the source's choice of campuses lets through: users of campuses that are active and public, what belongs to those users, what those campuses have. The others'
 * rows are the school's, and not wanted.
 */
export function wantedOf(truth: Truth): Truth {
  const campuses = new Set(truth.campuses.filter((row) => row.active && row.public).map(({ id }) => id))
  const isIn = (row: { readonly campus_id: number }) => campuses.has(row.campus_id)
  const known = new Set(truth.campus_users.filter(isIn).map((row) => row.user_id))
  const users = truth.users.filter(({ id }) => known.has(id))
  const ids = new Set(users.map(({ id }) => id))
  const isOf = (row: { readonly user_id: number }) => ids.has(row.user_id)
  return {
    ...truth,
    users,
    campus_users: truth.campus_users.filter((row) => isIn(row) && isOf(row)),
    campus_achievements: truth.campus_achievements.filter(isIn),
    cursus_users: truth.cursus_users.filter(isOf),
    projects_users: truth.projects_users.filter(isOf),
    achievements_users: truth.achievements_users.filter(isOf),
    coalitions_users: truth.coalitions_users.filter(isOf),
    locations: truth.locations.filter((row) => isIn(row) && isOf(row)),
  }
}

/** Every table that the source fills against the truth: only those that differ, by name. */
export async function allDifferences(client: pg.Client, truth: Truth): Promise<Readonly<Record<string, Differences>>> {
  const wanted = wantedOf(truth)
  const found: Record<string, Differences> = {}
  for (const table of filledTables) {
    const differs = await differencesOf(client, table, wanted[table])
    if (differs.lacking.length + differs.surplus.length > 0) found[table] = differs
  }
  return found
}
