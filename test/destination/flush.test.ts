import { expect, test } from 'vitest'
import type { Json } from '../../src/domain/json.js'
import {
  advanceOf,
  claim,
  column,
  heldPromises,
  leaseOf,
  openDestination,
  pageOf,
  startWork,
  streamOf,
  useDatabase,
} from './setup.js'

const database = useDatabase()
const idAndName = [column('id', 'bigint'), column('name', 'text')]
const versioned = [...idAndName, column('at', 'timestamptz')]
const rowsOf = (table: string) => database.sql(`select * from public."${table}" order by id`)

test('creates, updates and leaves alone, and counts each exactly', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const first = await work.flush([
    { id: 1, name: 'a' },
    { id: 2, name: 'b' },
  ])
  expect(first.totals).toMatchObject({
    pages: 1,
    received: 2,
    created: 2,
    updated: 0,
    unchanged: 0,
    held: 0,
    duplicates: 0,
  })
  const second = await work.flush(
    [{ id: 2, name: 'B' }],
    [
      { id: 1, name: 'a' },
      { id: 3, name: null },
    ],
  )
  expect(second.totals).toMatchObject({ pages: 2, received: 3, created: 1, updated: 1, unchanged: 1 })
  expect(second.checkpoint).toMatchObject({
    sequence: 2,
    totals: { pages: 3, received: 5, created: 3, updated: 1, unchanged: 1 },
  })
  expect(await rowsOf(stream.name)).toEqual([
    { id: '1', name: 'a' },
    { id: '2', name: 'B' },
    { id: '3', name: null },
  ])
  await heldPromises(database.sql, stream, [1, 2, 3])
})

test('does not touch an unchanged row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  await work.flush([{ id: 1, name: 'a' }])
  const [before] = await database.sql(`select xmin, ctid from public."${stream.name}"`)
  await work.flush([{ id: 1, name: 'a' }])
  expect(await database.sql(`select xmin, ctid from public."${stream.name}"`)).toEqual([before])
})

test('of two rows of one key in a flush the newer version wins, else the later row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(versioned, { version: 'at' })
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { id: 1, name: 'new', at: '2025-01-02T00:00:00Z' },
    { id: 1, name: 'old', at: '2025-01-01T00:00:00Z' },
    { id: 2, name: 'first', at: null },
    { id: 2, name: 'second', at: null },
  ])
  expect(totals).toMatchObject({ received: 4, created: 2, duplicates: 2 })
  expect((await rowsOf(stream.name)).map(({ name }) => name)).toEqual(['new', 'second'])
})

test('an older version never takes the table back in time, and a missing one is the oldest', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(versioned, { version: 'at' })
  const work = await startWork(destination, stream)
  await work.flush([{ id: 1, name: 'new', at: '2025-01-02T00:00:00Z' }])
  const older = await work.flush([{ id: 1, name: 'old', at: '2025-01-01T00:00:00Z' }])
  const without = await work.flush([{ id: 1, name: 'none', at: null }])
  expect([older.totals.unchanged, without.totals.unchanged]).toEqual([1, 1])
  expect(await rowsOf(stream.name)).toMatchObject([{ name: 'new' }])
})

test('keys that only Postgres knows to be equal are one row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'numeric'), column('name', 'text')])
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { id: '1.0', name: 'a' },
    { id: '1.00', name: 'b' },
  ])
  expect(totals).toMatchObject({ created: 1, duplicates: 1 })
  expect(await rowsOf(stream.name)).toMatchObject([{ name: 'b' }])
})

test('a version beats a missing one, in whichever order they come', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(versioned, { version: 'at' })
  const work = await startWork(destination, stream)
  const at = '2025-01-02T00:00:00Z'
  await work.flush([
    { id: 1, name: 'with', at },
    { id: 1, name: 'without' },
    { id: 2, name: 'without' },
    { id: 2, name: 'with', at },
  ])
  expect((await rowsOf(stream.name)).map(({ name }) => name)).toEqual(['with', 'with'])
})

test('keys that become one only in a trigger are one row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'text'), column('name', 'text')])
  const work = await startWork(destination, stream)
  await database.sql(`create function lower_id() returns trigger language plpgsql as $$ begin new.id := lower(new.id); return new; end $$;
    create trigger lower_id before insert on public."${stream.name}" for each row execute function lower_id()`)
  const { totals } = await work.flush([
    { id: 'A', name: 'a' },
    { id: 'a', name: 'b' },
    { id: 'b', name: 'c' },
  ])
  expect(totals).toMatchObject({ created: 2, updated: 1, held: 0 })
  expect(await rowsOf(stream.name)).toEqual([
    { id: 'a', name: 'b' },
    { id: 'b', name: 'c' },
  ])
})

test('append keeps what is there and the first of two', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName, { disposition: 'append' })
  const work = await startWork(destination, stream)
  await work.flush([{ id: 1, name: 'a' }])
  const { totals } = await work.flush([
    { id: 1, name: 'b' },
    { id: 2, name: 'c' },
    { id: 2, name: 'd' },
  ])
  expect(totals).toMatchObject({ created: 1, updated: 0, unchanged: 1, duplicates: 1 })
  expect((await rowsOf(stream.name)).map(({ name }) => name)).toEqual(['a', 'c'])
})

test('append without a key inserts every row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('name', 'text')], { disposition: 'append', key: [] })
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([{ name: 'a' }, { name: 'a' }])
  expect(totals).toMatchObject({ created: 2, duplicates: 0 })
})

test('merges into a partitioned table and tells new rows from changed ones', async () => {
  await database.sql(`create table parted (id bigint not null, name text, primary key (id)) partition by range (id);
    create table parted_1 partition of parted for values from (0) to (10); create table parted_2 partition of parted for values from (10) to (20)`)
  const destination = await openDestination(database.config)
  const work = await startWork(destination, streamOf(idAndName, { name: 'parted' }))
  await work.flush([
    { id: 1, name: 'a' },
    { id: 11, name: 'b' },
  ])
  const { totals } = await work.flush([
    { id: 1, name: 'A' },
    { id: 11, name: 'b' },
    { id: 12, name: 'c' },
  ])
  expect(totals).toMatchObject({ created: 1, updated: 1, unchanged: 1 })
})

test('a table of key columns only is merged', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('a', 'bigint'), column('b', 'text')], { key: ['b', 'a'] })
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { a: 1, b: 'x' },
    { a: 1, b: 'y' },
    { a: 1, b: 'x' },
  ])
  expect(totals).toMatchObject({ created: 2, duplicates: 1 })
})

test('an empty batch moves the ledger only, with cursor and counts to the digit', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const walk = {
    cursor: { after: 12345678901234567890n, note: 'NUL \0 and \ud800' },
    loop: { anchor: 'x', power: 2 },
    expected: { value: 7, trust: 'at least' as const },
    received: 5,
  }
  const { checkpoint } = await destination.flush(
    work.checkpoint,
    work.table.newBatch({}),
    advanceOf(walk, { requests: 3 }),
  )
  expect(await claim(destination, work.lease)).toEqual({ ...checkpoint, epoch: checkpoint.epoch + 1 })
  expect(checkpoint.walk).toMatchObject(walk)
  expect(checkpoint.requests).toBe(3)
})

test('a finished walk is in the ledger with its proof, and actual answers it', async () => {
  const destination = await openDestination(database.config)
  const columns = [...idAndName, column('site', 'text', { path: null, dimension: 'site' })]
  const stream = streamOf(columns, { dimensions: ['site'] })
  const [a, b] = [
    await startWork(destination, stream, { site: 'a' }),
    await startWork(destination, stream, { site: 'b' }),
  ]
  await b.flush([{ id: 9, name: 'b' }])
  const batch = await a.batchOf([{ id: 1, name: 'a' }, { id: 'x' }])
  const end = { done: true, proof: 'proven' as const, requests: 2 }
  const { checkpoint } = await destination.flush(
    a.checkpoint,
    batch,
    advanceOf({ received: 2, expected: { value: 2, trust: 'exact' } }, end),
  )
  expect(checkpoint).toMatchObject({ done: true, proof: 'proven', walk: { distinct: 2 } })
  expect(await destination.actual(stream, { site: 'a' })).toMatchObject({
    rows: 1,
    held: 1,
    lastWalk: { received: 2, distinct: 2, expected: { value: 2, trust: 'exact' }, proof: 'proven' },
  })
  expect(await destination.actual(stream, { site: 'b' })).toMatchObject({ rows: 1, held: 0, lastWalk: null })
  expect(await destination.actual(streamOf(idAndName, { dimensions: ['site'] }), { site: 'a' })).toMatchObject({
    rows: 0,
  })
})

test('actual says null where no column tells partitions apart', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName, { dimensions: ['site'] })
  const work = await startWork(destination, stream, { site: 'a' })
  await work.flush([{ id: 1 }])
  expect((await destination.actual(stream, { site: 'a' })).rows).toBeNull()
})

test('two tasks flush into one table at the same time, each row once', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const tasks = await Promise.all([1, 2, 3, 4].map(() => startWork(destination, stream)))
  const ids = Array.from({ length: 300 }, (_, at) => at)
  await Promise.all(
    tasks.map(async (work, task) => {
      for (let flush = 0; flush < 5; flush++) await work.flush(ids.map((id) => ({ id, name: `${task} ${flush}` })))
    }),
  )
  await heldPromises(database.sql, stream, ids)
  const totals = tasks.map((work) => work.checkpoint.totals)
  expect(totals.reduce((sum, { created }) => sum + created, 0)).toBe(300)
  expect(totals.every(({ received }) => received === 1500)).toBe(true)
})

test('contention repeats the flush unchanged', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  // A trigger that loses a race once: the sequence counts tries, because a rolled-back transaction does not take it back.
  await database.sql(`create sequence lost; create function lose() returns trigger language plpgsql as
    $$ begin if nextval('lost') < 3 then raise exception 'lost a race' using errcode = '40001'; end if; return new; end $$;
    create trigger lose before insert on public."${stream.name}" for each row execute function lose()`)
  const { totals } = await work.flush([{ id: 1, name: 'a' }])
  expect(totals).toMatchObject({ created: 1 })
  await heldPromises(database.sql, stream, [1])
})

test('the ledger keeps the task of a retry and refuses a lease of another partition', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName, { dimensions: ['site'] })
  await destination.openTable(stream)
  const mine = leaseOf(stream, { site: 'a' })
  await claim(destination, mine)
  const other = leaseOf(stream, { site: 'b' }, { id: mine.task.id })
  await expect(destination.openTasks([other])).rejects.toMatchObject({
    name: 'PromotionConflict',
    code: 'ledger_conflict',
  })
  const neighbour = leaseOf(stream, { site: 'c' })
  expect([...(await destination.openTasks([other, neighbour])).keys()]).toEqual([neighbour.task.id])
})

test('reports unknown fields once and keeps them where the stream asks', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName, { extrasColumn: 'extra' })
  const table = await destination.openTable(stream)
  const work = await startWork(destination, stream)
  const batch = table.newBatch({})
  const unknown = async (records: readonly Json[]) => (await batch.add(pageOf(records))).unknownFields
  expect(
    await unknown([
      { id: 1, name: 'a' },
      { id: 2, name: 'b', color: 'red' },
    ]),
  ).toEqual(['color'])
  expect(await unknown([{ id: 3, color: null, size: [1n] }])).toEqual(['size'])
  await destination.flush(work.checkpoint, batch, advanceOf())
  expect((await rowsOf(stream.name)).map(({ extra }) => extra)).toEqual([
    null,
    { color: 'red' },
    { color: null, size: [1] },
  ])
})

test('a page that repeats has the same fingerprint, another has not', async () => {
  const destination = await openDestination(database.config)
  const batch = (await destination.openTable(streamOf(idAndName))).newBatch({})
  const print = async (records: readonly { id: number; name?: string }[]) =>
    (await batch.add(pageOf(records))).fingerprint
  expect(await print([{ id: 1, name: 'a' }, { id: 2 }])).toBe(await print([{ id: 1, name: 'b' }, { id: 2 }]))
  expect(await print([{ id: 2 }, { id: 1 }])).not.toBe(await print([{ id: 1 }, { id: 2 }]))
  expect(await print([])).toBeNull()
})
