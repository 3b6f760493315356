import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { schemaVersion } from '../../src/destination/migrations.js'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import type { LedgerTask } from '../../src/domain/repair-ports.js'
import { openClient } from '../support/open-client.js'
import { createDatabase } from '../support/postgres.js'
import { advanceOf, claim, column, leaseOf, openDestination, startWork, streamOf, useDatabase } from './setup.js'

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

test('a ledger of version 1 is brought up to date, and its walk goes on where it stood', async () => {
  const old = await createDatabase()
  onTestFinished(() => old.drop())
  const client = await openClient(old.config)
  await client.query(readFileSync(join(import.meta.dirname, 'fixtures/schema-1.sql'), 'utf8'))
  const destination = await openDestination(old.config)
  const stream = streamOf([column('id', 'bigint')], { name: 'old_things' })
  const lease = leaseOf(stream, {}, { id: '5a5e8f10-0000-4000-8000-000000000001', epoch: 4 })
  expect(await claim(destination, lease)).toMatchObject({
    epoch: 4,
    sequence: 2,
    done: false,
    walk: { id: 'walk-1', cursor: { page: 3 }, received: 200, pages: 2 },
  })
  expect((await client.query('select version from backfill.meta')).rows).toEqual([{ version: schemaVersion }])
  await client.end()
})

test('pages that a full walk split off are named without the name of the walk, as the worker names them', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint')], { dimensions: ['site'] })
  const work = await startWork(destination, stream, fullWalkPartition({ site: 'a' }))
  const split = [{ number: 3, at: 3, code: 'http_500', message: 'no' }]
  await destination.flush(work.checkpoint, await work.batchOf([{ id: 1 }]), advanceOf({ split }))
  const found: LedgerTask[] = []
  await destination.ledger.eachLedgerTask((tasks) => {
    found.push(...tasks.filter(({ stream: name }) => name === stream.name))
    return Promise.resolve()
  })
  expect(found).toMatchObject([
    {
      partition: fullWalkPartition({ site: 'a' }),
      isNewest: true,
      split: { partitions: [{ site: 'a', '#page': '3', '#walk': 'at 3 size 100 request hash-1' }] },
    },
  ])
  expect(Object.keys(found[0]?.split?.partitions[0] ?? {})).not.toContain('#full')
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

describe('a queue of the same id', () => {
  const at = (machine: string, workspace: string, known: readonly string[] = []) => ({
    workspace,
    adopt: false,
    origin: { machine, knowsRun: async (run: string) => known.includes(run) },
  })

  test('at another place is a copy where it does not know the last run, and may go on once it adopts the database', async () => {
    const first = await openDestination(database.config)
    await first.bindQueue('queue-3', { ...at('one', '/srv/a'), adopt: true })
    await first.setLastRunId('run-1')
    const second = await openDestination(database.config)
    for (const place of [at('two', '/srv/a'), at('one', '/srv/b', ['run-0'])]) {
      await expect(second.bindQueue('queue-3', place)).rejects.toMatchObject({
        name: 'ConfigError',
        code: 'copied_queue',
        message: expect.stringContaining('rows of a run at one:/srv/a, which its queue') as string,
        hint: expect.stringContaining('backfill init --adopt') as string,
      })
    }
    await second.bindQueue('queue-4', { ...at('two', '/srv/a'), adopt: true })
    await second.bindQueue('queue-4', at('two', '/srv/a'))
    await expect(first.bindQueue('queue-3', at('one', '/srv/a', ['run-1']))).rejects.toMatchObject({
      code: 'second_workspace',
    })
  })

  test('is the one that was moved where it knows the last run, and the one put back where its place is the same', async () => {
    const destination = await openDestination(database.config)
    await destination.bindQueue('queue-5', { ...at('one', '/srv/a'), adopt: true })
    await destination.setLastRunId('run-1')
    await destination.bindQueue('queue-5', at('one', '/srv/a'))
    await destination.bindQueue('queue-5', at('two', '/srv/b', ['run-1']))
    await destination.bindQueue('queue-5', at('one', '/srv/a'))
    await destination.bindQueue('queue-5', at('two', '/srv/b', ['run-1']))
    await destination.setLastRunId('run-2')
    await expect(destination.bindQueue('queue-5', at('one', '/srv/a', ['run-1']))).rejects.toMatchObject({
      code: 'copied_queue',
    })
  })
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
  const client = await openClient(database.config)
  await client.query(
    `do $$ begin create role guest login; exception when duplicate_object then null; end $$; drop schema backfill cascade`,
  )
  await client.end()
  await expect(openDestination({ ...database.config, user: 'guest' })).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'database_privilege',
  })
})
