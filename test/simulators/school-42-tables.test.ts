// The tables of the scripts that the source replaces (test/fixtures/school-42.sql) hold whatever the simulated school holds, and every difference is found.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type School42, startSchool42 } from '../../src/simulators/school-42/school-42.js'
import { columnPaths, tableOf } from '../fixtures/school-42-columns.js'
import { openClient } from '../support/open-client.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { differences, fill } from '../support/school-truth.js'

const tables = Object.keys(columnPaths) as (keyof typeof columnPaths)[]
let database: TestDatabase
let client: pg.Client
let school: School42

beforeAll(async () => {
  database = await createDatabase()
  client = await openClient(database.config)
  await client.query(readFileSync(join(import.meta.dirname, '../fixtures/school-42.sql'), 'utf8'))
  school = await startSchool42({ size: { users: 150 } })
  school.churn(1500)
})
afterAll(async () => {
  await school.close()
  await client.end()
  await database.drop()
})

it('take the whole school, keys and references included, and show no difference', async () => {
  for (const table of tables) await fill(client, school, table)
  for (const table of tables) {
    expect([table, await differences(client, school, { table, rows: 'of known users' })]).toEqual([
      table,
      { lacking: [], surplus: [] },
    ])
  }
  const known = new Set(school.truth('coalitions_users', 'of known users').map((row) => row.id))
  const unknown = school.truth('coalitions_users').filter((row) => !known.has(row.id))
  expect(unknown).not.toHaveLength(0)
  const { lacking } = await differences(client, school, { table: 'coalitions_users' })
  expect(lacking).toHaveLength(unknown.length)
})

it('differ from it after each kind of change, and by a row that is there twice', async () => {
  const [one, two] = school.truth('users')
  school.mutate({ table: 'users', update: one?.id ?? 0, set: { wallet: -77 } })
  school.mutate({ table: 'users', delete: two?.id ?? 0 }, { change: 'projectBegun' }, { change: 'locationDeleted' })
  const users = await differences(client, school, { table: 'users' })
  expect(users.lacking).toMatchObject([{ login: one?.login, wallet: -77 }])
  expect(users.surplus).toHaveLength(2)
  expect((await differences(client, school, { table: 'projects_users' })).lacking).toHaveLength(1)
  expect((await differences(client, school, { table: 'locations' })).surplus.length).toBeGreaterThan(0)
  await client.query('alter table cursus drop constraint cursus_pkey cascade')
  await client.query('insert into cursus select * from cursus where id = 21')
  expect((await differences(client, school, { table: 'cursus' })).surplus).toHaveLength(1)
})

it('have no column that nothing fills but ingested_at', async () => {
  const found = await client.query<{ table_name: keyof typeof columnPaths; column_name: string }>(
    "select table_name, column_name from information_schema.columns where table_schema = 'public' and column_name <> 'ingested_at'",
  )
  const filled = tables.flatMap((table) =>
    Object.keys(columnPaths[table]).map((column) => `${tableOf(table)}.${column}`),
  )
  // On the wire, and not in the truth's flat rows.
  filled.push('project_users.user_login', 'project_sessions.scales', 'project_sessions.uploads')
  expect(found.rows.map((row) => `${row.table_name}.${row.column_name}`).sort()).toEqual(filled.sort())
})
