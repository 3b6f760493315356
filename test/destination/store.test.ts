import pg from 'pg'
import { expect, test } from 'vitest'
import { schemaVersion } from '../../src/destination/migrations.js'
import { openDestination, useDatabase } from './setup.js'

const database = useDatabase()

test('many commands migrate an empty database at once, and agree on its identity', async () => {
  const destinations = await Promise.all([1, 2, 3, 4].map(() => openDestination(database.config)))
  expect(new Set(destinations.map(({ databaseId }) => databaseId)).size).toBe(1)
  expect(await database.sql('select version from backfill.meta')).toEqual([{ version: schemaVersion }])
})

test('every table and column of the schema has its sentence', async () => {
  await openDestination(database.config)
  const silent =
    await database.sql(`select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where c.relnamespace = 'backfill'::regnamespace and c.relkind = 'r'
      and (col_description(c.oid, a.attnum) is null or obj_description(c.oid, 'pg_class') is null)`)
  expect(silent).toEqual([])
})

test('a schema newer than the program is refused with both versions', async () => {
  await openDestination(database.config)
  await database.sql('update backfill.meta set version = 99')
  await expect(openDestination(database.config)).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'database_newer',
    message: `open schema "backfill" found version 99, this program knows ${schemaVersion}`,
  })
  await database.sql('update backfill.meta set version = $1', [schemaVersion])
})

test("a second workspace's queue is refused by the first one's name, until it adopts the database", async () => {
  const destination = await openDestination(database.config)
  await destination.bindQueue('queue-1', { workspace: '/srv/one', adopt: false })
  await destination.bindQueue('queue-1', { workspace: '/srv/moved', adopt: false })
  const second = destination.bindQueue('queue-2', { workspace: '/srv/two', adopt: false })
  await expect(second).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'second_workspace',
    message: expect.stringContaining('/srv/moved') as string,
    hint: expect.stringContaining('init --adopt') as string,
  })
  await destination.bindQueue('queue-2', { workspace: '/srv/two', adopt: true })
  await expect(destination.bindQueue('queue-1', { workspace: '/srv/one', adopt: false })).rejects.toMatchObject({
    code: 'second_workspace',
  })
})

test('remembers the last run', async () => {
  const destination = await openDestination(database.config)
  expect(await destination.lastRunId()).toBeNull()
  await destination.setLastRunId('run-1')
  expect(await destination.lastRunId()).toBe('run-1')
})

test('a database or user that does not exist is a matter of configuration', async () => {
  for (const wrong of [{ database: 'nowhere' }, { user: 'nobody_here' }]) {
    await expect(openDestination({ ...database.config, ...wrong })).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'database_refused',
    })
  }
})

test('a user who may not make the schema is told so', async () => {
  const client = new pg.Client(database.config)
  await client.connect()
  await client.query(
    `do $$ begin create role guest login; exception when duplicate_object then null; end $$; drop schema backfill cascade`,
  )
  await client.end()
  await expect(openDestination({ ...database.config, user: 'guest' })).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'database_privilege',
  })
})
