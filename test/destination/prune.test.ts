/** Which rows the end of a walk may delete: of its own partition by the columns that hold it, of all where a row may be in several; after full walks only. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import { type Partition, partitionKey } from '../../src/domain/partition.js'
import type { Destination, PruneScope } from '../../src/domain/ports.js'
import type { ConfirmRequest, Stream } from '../../src/domain/source-model.js'
import type { Proof } from '../../src/domain/task.js'
import type { RowDimension } from '../../src/domain/walk-model.js'
import { makeStream } from '../support/stream.js'
import { advanceOf, column, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
type Json = Record<string, number | string | null>

const byRequest: ConfirmRequest = { request: makeStream().request, gone: [404], many: null }
const prune = (confirm: Stream['prune']['confirm']) => ({ confirm, most: { share: 1 }, cascades: false })
const many = { param: 'filter[user_id]', join: ',', max: 100, shrinkOn: [] }

/** Children of users, many users in one request. */
function childrenOf(overrides: Partial<Stream> = {}): Stream {
  return streamOf([column('id', 'bigint'), column('user_id', 'bigint')], {
    dimensions: ['user_id'],
    match: { user_id: 'user_id' },
    fanOut: { dimension: 'user_id', many },
    disposition: 'mirror',
    prune: prune(byRequest),
    ...overrides,
  })
}

/** Users of campuses, where a user may be in two. */
function usersOf(overrides: Partial<Stream> = {}): Stream {
  return streamOf([column('id', 'bigint'), column('name', 'text')], {
    dimensions: ['campus'],
    fanOut: { dimension: 'campus', many: null },
    disposition: 'mirror',
    prune: prune('later'),
    ...overrides,
  })
}

const scopeOf = (partition: Partition, overrides: Partial<PruneScope> = {}): PruneScope => ({
  partition,
  partitions: () => [{}],
  rows: null,
  referrers: [],
  ...overrides,
})
const campuses = (table: string, overrides: Partial<RowDimension> = {}): PruneScope['rows'] => ({
  name: 'campus',
  dimension: {
    kind: 'rows',
    stream: 'campuses',
    table: { schema: 'public', name: table },
    column: 'id',
    changed: null,
    where: {},
    only: [],
    ...overrides,
  },
})

interface Walked {
  readonly stream: Stream
  readonly partition: Partition
  readonly rows: readonly Json[]
  readonly scope?: PruneScope
  readonly since?: number | null
  readonly proof?: Proof
  /** Keys that the source answers are gone; others are still there. */
  readonly gone?: readonly number[]
}

/** Walks a partition to its end and deletes what is missing and confirmed. Answers what was missing, and the keys that were asked about. */
async function walk(destination: Destination, walked: Walked) {
  const { stream, partition, rows, since = null, proof = 'proven', gone } = walked
  const scope = walked.scope ?? scopeOf(partition)
  const work = await startWork(destination, stream, partition)
  const advance = advanceOf({ id: randomUUID(), since, received: rows.length })
  let { checkpoint } = await destination.flush(work.checkpoint, await work.batchOf(rows), advance)
  const distinct = (await destination.walked(checkpoint, work.table, partition)).distinct
  const missing = await destination.missing(checkpoint, work.table, scope)
  const asked = await destination.unconfirmed(checkpoint, work.table, { ...scope, limit: 100 })
  const answers = asked.map((key) => ({ key, isGone: gone?.includes(Number(key.id)) === true }))
  if (gone !== undefined && answers.length > 0) await destination.confirm(work.table, answers, partition)
  const end = proof === 'proven' ? ({ kind: 'prune', scope } as const) : ({ kind: 'keep' } as const)
  const last = { ...advance, walk: { ...advance.walk, distinct }, done: true, proof, end }
  checkpoint = (await destination.flush(checkpoint, await work.batchOf(), last)).checkpoint
  return { ...missing, distinct, asked: asked.map(({ id }) => Number(id)) }
}

async function idsIn(stream: Stream): Promise<number[]> {
  const rows = await database.sql<{ id: string }>(`select id from public.${stream.table.name} order by id`)
  return rows.map(({ id }) => Number(id))
}
const child = (id: number, user: number): Json => ({ id, user_id: user })

test('a walk over many values deletes among their rows alone', async () => {
  const destination = await openDestination(database.config)
  const stream = childrenOf()
  await walk(destination, {
    stream,
    partition: { user_id: '1,2,11' },
    rows: [child(10, 1), child(11, 1), child(20, 2), child(21, 11)],
  })
  await walk(destination, { stream, partition: { user_id: '3' }, rows: [child(30, 3)] })
  const end = await walk(destination, {
    stream,
    partition: { user_id: '2,1' },
    rows: [child(10, 1)],
    gone: [11, 20, 21, 30],
  })
  // The share that may go is of the whole table: of a few rows each one would be too many.
  expect(end).toMatchObject({ rows: 5, recent: 0, isSmallPart: true, missing: 2, asked: [11, 20], distinct: 1 })
  expect(await idsIn(stream)).toEqual([10, 21, 30])
})

test('what a walk over many values saw is written down for each value, once', async () => {
  const destination = await openDestination(database.config)
  const stream = childrenOf({
    dimensions: ['campus', 'user_id', 'zone'],
    match: { campus: 'campus', user_id: 'user_id', zone: 'zone' },
    columns: [column('id', 'bigint'), column('user_id', 'text'), column('campus', 'bigint'), column('zone', 'text')],
  })
  const rest = { campus: '9', zone: 'z "1,2"' }
  const rows = [
    { id: 1, user_id: 'a "b"' },
    { id: 2, user_id: 'ü\\' },
    { id: 3, user_id: 'a "b"' },
  ].map((row) => ({ ...row, campus: 9, zone: 'z "1,2"' }))
  const end = await walk(destination, { stream, partition: { ...rest, user_id: 'a "b",ü\\,none' }, rows })
  expect(end.distinct).toBe(3)
  const again = await walk(destination, {
    stream,
    partition: { ...rest, user_id: 'none,a "b"' },
    rows: rows.slice(0, 1),
    gone: [],
  })
  // What was asked about on its own is written down for its own value as well.
  expect(again).toMatchObject({ rows: 3, missing: 1, distinct: 1, asked: [3] })
  const seen = await database.sql('select key, partition from backfill.seen where stream = $1 order by key', [
    stream.name,
  ])
  expect(seen).toEqual([
    { key: [1], partition: partitionKey({ ...rest, user_id: 'a "b"' }) },
    { key: [2], partition: partitionKey({ ...rest, user_id: 'ü\\' }) },
    { key: [3], partition: partitionKey({ ...rest, user_id: 'a "b"' }) },
  ])
})

test('a row that two walks of its partition did not bring is asked about all the same: it may be in another one', async () => {
  const destination = await openDestination(database.config)
  const stream = childrenOf()
  const partition = { user_id: '1' }
  await walk(destination, { stream, partition, rows: [child(1, 1), child(2, 1)] })
  for (let round = 0; round < 2; round += 1) {
    const end = await walk(destination, { stream, partition, rows: [child(1, 1)] })
    expect(end).toMatchObject({ missing: 1, confirmed: 0, asked: [2], mayConfirmAgain: false })
  }
  expect(await idsIn(stream)).toEqual([1, 2])
})

test('without a request for a row of its own, or without a column for each dimension, all partitions must agree', async () => {
  const destination = await openDestination(database.config)
  const both = ['campus', 'user_id']
  const streams = [
    childrenOf({ prune: prune('later'), fanOut: { dimension: 'user_id', many: null } }),
    childrenOf({ dimensions: both, fanOut: { dimension: 'user_id', many: null } }),
    childrenOf({
      dimensions: ['day'],
      fanOut: null,
      match: { day: 'day' },
      columns: [column('id', 'bigint'), column('day', 'timestamptz')],
    }),
  ]
  for (const stream of streams) {
    const partition = { campus: '9', user_id: '1', day: '2024-01-01' }
    const own = Object.fromEntries(stream.dimensions.map((name) => [name, partition[name as 'day']]))
    const other = { ...own, [stream.dimensions[0] ?? '']: '2' }
    const scope = scopeOf(own, { partitions: () => [own, other] })
    await walk(destination, { stream, partition: own, rows: [child(1, 1)], scope })
    expect(await walk(destination, { stream, partition: own, rows: [], scope })).toMatchObject({
      waitsFor: [partitionKey(other)],
    })
  }
})

test('a partition that is part of the key by its match is confirmed by a second walk', async () => {
  const destination = await openDestination(database.config)
  const stream = childrenOf({
    key: ['id', 'user_id'],
    prune: prune('later'),
    fanOut: { dimension: 'user_id', many: null },
  })
  const partition = { user_id: '1' }
  await walk(destination, { stream, partition, rows: [child(1, 1), child(2, 1)] })
  await walk(destination, { stream, partition: { user_id: '2' }, rows: [child(2, 2)] })
  await walk(destination, { stream, partition, rows: [child(1, 1)] })
  expect(await walk(destination, { stream, partition, rows: [child(1, 1)] })).toMatchObject({
    missing: 1,
    confirmed: 1,
  })
  expect(await database.sql(`select id::int, user_id::int from public.${stream.name} order by 1, 2`)).toEqual([
    child(1, 1),
    child(2, 2),
  ])
})

test('a row that may be in two partitions goes when both agree, of all that are rows of the other table', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf()
  await database.sql('create table public.campuses_1 (id bigint primary key); insert into campuses_1 values (1), (2)')
  const rows = campuses('campuses_1')
  const walkOf = async (campus: string, ...ids: number[]) => {
    const partition = { campus }
    const users = ids.map((id) => ({ id, name: 'x' }))
    return await walk(destination, { stream, partition, rows: users, scope: scopeOf(partition, { rows }) })
  }
  expect(await walkOf('1', 1, 2, 5)).toMatchObject({ waitsFor: ['{"campus":"2"}'] })
  await walkOf('2', 2, 3)
  // User 2 left the first campus, user 5 both.
  expect(await walkOf('1', 1)).toMatchObject({ missing: 1, confirmed: 0, waitsFor: [] })
  expect(await walkOf('2', 2, 3)).toMatchObject({ missing: 1, confirmed: 0 })
  expect(await idsIn(stream)).toEqual([1, 2, 3, 5])
  await walkOf('1', 1)
  expect(await idsIn(stream)).toEqual([1, 2, 3])
  // A third campus, which nobody has walked.
  await database.sql('insert into campuses_1 values (3)')
  for (let round = 0; round < 2; round += 1) {
    await walkOf('1', 1)
    expect(await walkOf('2', 2)).toMatchObject({ waitsFor: ['{"campus":"3"}'] })
  }
  expect(await idsIn(stream)).toEqual([1, 2, 3])
  await walkOf('3', 3)
  for (let round = 0; round < 3; round += 1) {
    await walkOf('1', 1)
    await walkOf('2', 2)
    await walkOf('3', 3)
  }
  expect(await idsIn(stream)).toEqual([1, 2, 3])
})

test('a partition whose row is gone from the other table has no say any more; one that is only left out has', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf()
  await database.sql('create table public.campuses_2 (id bigint primary key); insert into campuses_2 values (1), (2)')
  const walkOf = async (campus: string, only: readonly string[], ...ids: number[]) => {
    const partition = { campus }
    const users = ids.map((id) => ({ id, name: 'x' }))
    const scope = scopeOf(partition, { rows: campuses('campuses_2', { only }) })
    return await walk(destination, { stream, partition, rows: users, scope })
  }
  await walkOf('1', [], 1)
  await walkOf('2', [], 2)
  for (let round = 0; round < 3; round += 1) await walkOf('1', ['1'], 1)
  expect(await idsIn(stream)).toEqual([1, 2])
  await database.sql('delete from campuses_2 where id = 2')
  for (let round = 0; round < 2; round += 1) await walkOf('1', [], 1)
  expect(await idsIn(stream)).toEqual([1])
})

test('a walk of changes ends without a deletion, and stands for no walk of its partition, where all must agree', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf()
  const walkOf = async (campus: string, since: number | null, ...ids: number[]) => {
    const scope = scopeOf({ campus }, { partitions: () => [{ campus: '1' }, { campus: '2' }] })
    const users = ids.map((id) => ({ id, name: 'x' }))
    return await walk(destination, { stream, partition: { campus }, rows: users, scope, since })
  }
  await walkOf('1', null, 1, 2)
  await walkOf('2', Date.now(), 3)
  expect(await walkOf('1', null, 1)).toMatchObject({ waitsFor: ['{"campus":"2"}'] })
  for (let round = 0; round < 2; round += 1) await walkOf('2', null, 3)
  expect(await walkOf('1', Date.now(), 1)).toMatchObject({ missing: 0, waitsFor: [] })
  expect(await idsIn(stream)).toEqual([1, 2, 3])
})

test('without any row in the other table nobody knows who must agree', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf()
  for (const table of ['campuses_3', 'no_campuses']) {
    if (table === 'campuses_3') await database.sql('create table public.campuses_3 (id bigint primary key)')
    const scope = scopeOf({ campus: '1' }, { rows: campuses(table) })
    for (const rows of [[{ id: 1, name: 'x' }], [], []]) {
      const end = await walk(destination, { stream, partition: { campus: '1' }, rows, scope })
      expect(end).toMatchObject({ waitsFor: [`rows of public.${table}`] })
    }
  }
  expect(await idsIn(stream)).toEqual([1])
})

test('the partitions of single values have a say where many are asked for at a time', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf({ fanOut: { dimension: 'campus', many } })
  await database.sql(
    'create table public.campuses_4 (id bigint primary key); insert into campuses_4 values (1), (2), (3)',
  )
  const walkOf = async (campus: string, ...ids: number[]) => {
    const partition = { campus }
    const users = ids.map((id) => ({ id, name: 'x' }))
    const scope = scopeOf(partition, { rows: campuses('campuses_4') })
    return await walk(destination, { stream, partition, rows: users, scope })
  }
  expect(await walkOf('1,2', 1, 2)).toMatchObject({ waitsFor: ['{"campus":"3"}'] })
  expect(await walkOf('3', 3, 4)).toMatchObject({ waitsFor: [], missing: 0 })
  await walkOf('2,3', 2, 3)
  expect(await walkOf('1', 1)).toMatchObject({ waitsFor: [], missing: 1 })
})

test('a walk before confirms what is missing, whatever values were asked for together then', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf({ fanOut: { dimension: 'campus', many } })
  await database.sql(
    'create table public.campuses_5 (id bigint primary key); insert into campuses_5 values (1), (2), (3)',
  )
  const walkOf = async (campus: string, ...ids: number[]) => {
    const users = ids.map((id) => ({ id, name: 'x' }))
    const scope = scopeOf({ campus }, { rows: campuses('campuses_5') })
    return await walk(destination, { stream, partition: { campus }, rows: users, scope })
  }
  await walkOf('1,2', 1, 2)
  await walkOf('3', 3, 4)
  await walkOf('2,3', 2, 3)
  expect(await walkOf('1', 1)).toMatchObject({ missing: 1, confirmed: 0 })
  expect(await idsIn(stream)).toEqual([1, 2, 3, 4])
  // A campus that was walked once has nothing to confirm with.
  await database.sql('insert into campuses_5 values (5)')
  await walkOf('3', 3)
  await walkOf('1,2', 1, 2)
  expect(await walkOf('5', 5)).toMatchObject({ missing: 1, confirmed: 0 })
  await walkOf('1', 1)
  await walkOf('2', 2)
  expect(await walkOf('5,3', 5, 3)).toMatchObject({ missing: 1, confirmed: 1 })
  expect(await idsIn(stream)).toEqual([1, 2, 3, 5])
})

test('only a walk of everything deletes, or lets others delete; what a walk of changes saw was seen', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf({ dimensions: [], fanOut: null })
  const users = (...ids: number[]) => ids.map((id) => ({ id, name: 'x' }))
  const full = fullWalkPartition({})
  await walk(destination, { stream, partition: {}, rows: users(1, 2, 3) })
  for (let round = 0; round < 2; round += 1) {
    const changes = { stream, partition: {}, rows: users(1), since: Date.now() }
    expect(await walk(destination, changes)).toMatchObject({ missing: 0, confirmed: 0 })
  }
  const slow = await startWork(destination, stream, full)
  await walk(destination, { stream, partition: {}, rows: users(2), since: Date.now() })
  const advance = advanceOf({ id: randomUUID() })
  const { checkpoint } = await destination.flush(slow.checkpoint, await slow.batchOf(users(1)), advance)
  expect(await destination.missing(checkpoint, slow.table, scopeOf({}))).toMatchObject({
    rows: 3,
    missing: 1,
    confirmed: 0,
  })
  const end = { kind: 'prune', scope: scopeOf({}) } as const
  await destination.flush(checkpoint, await slow.batchOf(), { ...advance, done: true, proof: 'proven', end })
  expect(await idsIn(stream)).toEqual([1, 2, 3])
  await walk(destination, { stream, partition: full, rows: users(1, 2) })
  expect(await idsIn(stream)).toEqual([1, 2])
  const pruned = await database.sql('select partition from backfill.pruned where stream = $1', [stream.name])
  expect(pruned).toEqual([{ partition: '{}' }])
})

test('counts the rows of a partition by the columns that hold it, of many values those of any', async () => {
  const destination = await openDestination(database.config)
  const stream = childrenOf({ columns: [column('id', 'bigint'), column('user_id', 'bigint')] })
  await walk(destination, {
    stream,
    partition: { user_id: '1,2,3' },
    rows: [child(1, 1), child(2, 1), child(3, 2), child(4, 3)],
  })
  const rowsOf = async (user: string) => (await destination.actual(stream, { user_id: user })).rows
  expect(await rowsOf('1')).toBe(2)
  expect(await rowsOf('3,1')).toBe(3)
  expect(await rowsOf('12')).toBe(0)
})

test('counts the rows of a partition that no column holds by what its walks saw', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf({ key: ['id', 'at'], columns: [column('id', 'bigint'), column('at', 'timestamptz')] })
  const users = (...ids: number[]) => ids.map((id) => ({ id, at: '2024-01-01T12:00:00.5Z' }))
  const rows = async (campus: string) => (await destination.actual(stream, { campus })).rows
  await destination.openTable(stream)
  expect(await rows('1')).toBeNull()
  await walk(destination, { stream, partition: { campus: '1' }, rows: users(1, 2, 3), proof: 'unproven' })
  expect(await rows('1')).toBeNull()
  await walk(destination, { stream, partition: { campus: '1' }, rows: users(1, 2, 3) })
  await walk(destination, { stream, partition: { campus: '2' }, rows: users(3, 4) })
  expect([await rows('1'), await rows('2')]).toEqual([3, 2])
  await walk(destination, { stream, partition: { campus: '1' }, rows: users(2, 3) })
  expect(await rows('1')).toBe(2)
  await walk(destination, { stream, partition: { campus: '1' }, rows: users(9), since: Date.now() })
  expect(await rows('1')).toBe(3)
  await database.sql(`delete from public.${stream.name} where id = 3`)
  expect([await rows('1'), await rows('2')]).toEqual([2, 1])
  expect((await destination.actual({ ...stream, disposition: 'merge' }, { campus: '1' })).rows).toBeNull()
  const elsewhere = await openDestination({
    ...database.config,
    options: '-c timezone=Asia/Tokyo',
  })
  expect((await elsewhere.actual(stream, { campus: '1' })).rows).toBe(2)
})

test('a table that is made has indexes on what its rows are looked for by', async () => {
  const destination = await openDestination(database.config)
  const other = { schema: 'public', name: 'somewhere' }
  const stream = childrenOf({
    columns: [column('id', 'bigint'), column('user_id', 'bigint'), column('project_id', 'bigint')],
    references: [
      { column: 'user_id', table: other, targetColumn: 'id' },
      { column: 'project_id', table: other, targetColumn: 'id' },
      { column: 'id', table: other, targetColumn: 'id' },
    ],
  })
  await destination.openTable(stream)
  const indexes = `select array(select a.attname::text from unnest(i.indkey) k join pg_attribute a on (a.attrelid, a.attnum) = (i.indrelid, k)) as columns
    from pg_index i where indrelid = 'public.${stream.name}'::regclass order by 1`
  expect((await database.sql(indexes)).map(({ columns }) => columns)).toEqual([['id'], ['project_id'], ['user_id']])
  // And an index serves the question for many values.
  await database.sql(
    `insert into public.${stream.name} select i, i % 5000, 1 from generate_series(1, 50000) i; analyze public.${stream.name}`,
  )
  const plan = `explain select t.ctid from public.${stream.name} t where t."user_id" = any(string_to_array('1,2,3', ',')::bigint[])`
  const lines = (await database.sql(plan)).map((row) => String(row['QUERY PLAN'])).join('\n')
  expect(lines).toContain(`${stream.name}_user_id_idx`)
})

test('a row whose key is held stays for as long as walks bring it, once it was given up; before that for ever', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint'), column('n', 'smallint')], {
    disposition: 'mirror',
    prune: prune('later'),
  })
  const walked = (...rows: readonly Json[]) => walk(destination, { stream, partition: {}, rows })
  const good = (id: number) => ({ id, n: 1 })
  const bad = (id: number) => ({ id, n: 70_000 })
  await walked(good(1), good(2), good(3))
  await walked(good(1), bad(2), bad(3))
  for (let round = 0; round < 3; round += 1) expect(await walked(good(1))).toMatchObject({ missing: 0 })
  await destination.dismissHeld({
    ...{ streams: [{ source: stream.source, stream: stream.name }], partitions: {}, codes: null, note: null },
  })
  expect(await walked(good(1), bad(2))).toMatchObject({ missing: 1, confirmed: 1 })
  expect(await idsIn(stream)).toEqual([1, 2])
  expect(await walked(good(1))).toMatchObject({ missing: 1, confirmed: 0 })
  expect(await walked(good(1))).toMatchObject({ missing: 1, confirmed: 1 })
  expect(await idsIn(stream)).toEqual([1])
})

test('what went within a day is counted where many partitions have a say, too', async () => {
  const destination = await openDestination(database.config)
  const stream = usersOf()
  const scope = (campus: string) => scopeOf({ campus }, { partitions: () => [{ campus: 'a' }, { campus: 'b' }] })
  const round = async (...ids: readonly number[]) => {
    const rows = ids.map((id) => ({ id, name: null }))
    await walk(destination, { stream, partition: { campus: 'a' }, rows, scope: scope('a') })
    return await walk(destination, { stream, partition: { campus: 'b' }, rows: [], scope: scope('b') })
  }
  await round(1, 2)
  expect(await round(1)).toMatchObject({ isShared: true, rows: 2, recent: 0, missing: 1 })
  await round(1)
  expect(await round(1)).toMatchObject({ rows: 1, recent: 1, missing: 0 })
})
