/** How far a partition is up to date: moved with the end of a walk, by walks that cover what lies between, and by no others. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Mark } from '../../src/domain/follow.js'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import type { Partition } from '../../src/domain/partition.js'
import { partitionKey } from '../../src/domain/partition.js'
import type { Destination } from '../../src/domain/ports.js'
import type { Proof } from '../../src/domain/task.js'
import { openClient } from '../support/open-client.js'
import { advanceOf, claim, column, openDestination, startWork, streamOf, useDatabase, type Work } from './setup.js'

const database = useDatabase()
const at = (seconds: number): number => Date.UTC(2024, 0, 1) + seconds * 1000 + 7

/** A stream whose partitions are users of another table, many in one request. */
function marksOf() {
  return streamOf([column('id', 'bigint'), column('user_id', 'bigint'), column('name', 'text')], {
    dimensions: ['user_id'],
    match: { user_id: 'user_id' },
    fanOut: { dimension: 'user_id', many: { param: 'filter[user_id]', join: ',', max: 100, shrinkOn: [502] } },
  })
}
type MarkStream = ReturnType<typeof marksOf>

interface Walked {
  readonly stream: MarkStream
  readonly users: readonly string[]
  readonly since: number | null
  readonly until: number | null
  readonly records?: readonly { readonly id: number; readonly user_id: number }[]
  readonly proof?: Proof
}

function markOf({ users, since, until, proof = 'proven' }: Walked): Mark {
  const partitions = users.map((user): Partition => ({ user_id: user }))
  return { partitions, since, until, proof, countBy: { dimension: 'user_id', column: 'user_id' } }
}

/** A walk that has claimed its task, and ends when it is told to. */
async function beginWalk(destination: Destination, walked: Walked) {
  const list = { user_id: walked.users.join(',') }
  const work = await startWork(destination, walked.stream, list)
  return { work, end: () => endWalk(destination, work, walked) }
}

async function endWalk(destination: Destination, work: Work, walked: Walked) {
  const { since, until, proof = 'proven' } = walked
  const batch = await work.batchOf(walked.records ?? [])
  const walk = { id: randomUUID(), since, until }
  return await destination.flush(work.checkpoint, batch, advanceOf(walk, { done: true, proof, mark: markOf(walked) }))
}

async function walk(destination: Destination, walked: Walked): Promise<void> {
  await (await beginWalk(destination, walked)).end()
}

/** Watermarks by user, seconds; null where there is a row without one. */
async function watermarks(stream: MarkStream): Promise<Record<string, number | null>> {
  const rows = await database.sql<{ partition: string; watermark: Date | null }>(
    'select partition, watermark from backfill.watermark where stream = $1 order by partition',
    [stream.name],
  )
  return Object.fromEntries(
    rows.map(({ partition, watermark }) => [
      (JSON.parse(partition) as { user_id: string }).user_id,
      watermark === null ? null : (watermark.getTime() - at(0)) / 1000,
    ]),
  )
}

test('a walk of everything sets it, to the millisecond, with its rows and its beginning', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(10), records: [{ id: 1, user_id: 1 }] })
  const [row] = await database.sql(
    `select w.watermark, w.rows::int, w.proof, w.full_at = l.walk_since as is_beginning, w.walked_at = l.finished_at as is_end, w.task = l.task as is_task
      from backfill.watermark w join backfill.ledger l using (source, stream) where stream = $1`,
    [stream.name],
  )
  expect(row).toEqual({
    watermark: new Date(at(10)),
    rows: 1,
    proof: 'proven',
    is_beginning: true,
    is_end: true,
    is_task: true,
  })
  expect(await destination.watermark(stream, [{ user_id: '1' }])).toBe(at(10))
})

test('a value without a row is marked as walked, with no row', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const records = [1, 2, 3].map((id) => ({ id, user_id: 7 }))
  await walk(destination, { stream, users: ['7', '8', '9'], since: null, until: at(10), records })
  const rows = 'select partition, rows::int from backfill.watermark where stream = $1 order by partition'
  expect(await database.sql(rows, [stream.name])).toEqual([
    { partition: '{"user_id":"7"}', rows: 3 },
    { partition: '{"user_id":"8"}', rows: 0 },
    { partition: '{"user_id":"9"}', rows: 0 },
  ])
})

test('a value that is longer than its column has no row, and is not cut to one that has', async () => {
  const destination = await openDestination(database.config)
  const stream = { ...marksOf(), columns: [column('id', 'bigint'), column('user_id', 'text')] }
  await database.sql(`create table public.${stream.name} (id bigint primary key, user_id character varying(3))`)
  await database.sql(`insert into public.${stream.name} values (1, 'abc')`)
  await walk(destination, { stream, users: ['abc', 'abcd'], since: null, until: at(10) })
  const rows = 'select rows::int from backfill.watermark where stream = $1 order by partition'
  expect(await database.sql(rows, [stream.name])).toEqual([{ rows: 1 }, { rows: 0 }])
  expect(await destination.actual(stream, { user_id: 'abcd,x' })).toMatchObject({ rows: 0 })
})

test('parents that are walked together keep a watermark each, and only those that the walk covers move', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100) })
  await walk(destination, { stream, users: ['2'], since: null, until: at(50) })
  expect(await watermarks(stream)).toEqual({ 1: 100, 2: 50 })
  // A request for both from the first one's watermark on would miss what the second one's children changed between 50 and 100.
  await walk(destination, { stream, users: ['1', '2'], since: at(95), until: at(200) })
  expect(await watermarks(stream)).toEqual({ 1: 200, 2: 50 })
  expect(await destination.watermark(stream, [{ user_id: '1' }, { user_id: '2' }])).toBe(at(50))
  expect(await destination.watermark(stream, [{ user_id: '1' }, { user_id: '3' }])).toBeNull()
  await walk(destination, { stream, users: ['1', '2'], since: at(45), until: at(210) })
  expect(await watermarks(stream)).toEqual({ 1: 210, 2: 210 })
})

test('a walk that begins exactly at the watermark covers it', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100) })
  await walk(destination, { stream, users: ['1'], since: at(100), until: at(130) })
  expect(await watermarks(stream)).toEqual({ 1: 130 })
  await walk(destination, { stream, users: ['1'], since: at(130) + 1, until: at(150) })
  expect(await watermarks(stream)).toEqual({ 1: 130 })
})

interface Interleaving {
  readonly name: string
  readonly first: { readonly since: number | null; readonly until: number | null }
  /** Ends first, though it began later. */
  readonly second: { readonly since: number | null; readonly until: number | null } | string
  readonly left: Record<string, number | null>
}
const interleavings: readonly Interleaving[] = [
  {
    name: 'two walks of changes that end in the other order leave the later bound',
    first: { since: at(95), until: at(110) },
    second: { since: at(95), until: at(120) },
    left: { 1: 120 },
  },
  {
    name: 'a walk of everything that began long ago does not take it back',
    first: { since: null, until: at(60) },
    second: { since: at(95), until: at(120) },
    left: { 1: 120 },
  },
  {
    name: 'a walk of changes that ends after one of everything moves it on',
    first: { since: at(95), until: at(130) },
    second: { since: null, until: at(120) },
    left: { 1: 130 },
  },
  {
    name: 'one that an operator set back meanwhile stays there',
    first: { since: at(95), until: at(130) },
    second: `update backfill.watermark set watermark = '2024-01-01 00:00:20.007Z'`,
    left: { 1: 20 },
  },
  {
    name: 'one that an operator took away meanwhile stays away, and its partition is new again',
    first: { since: at(95), until: at(130) },
    second: 'delete from backfill.watermark',
    left: {},
  },
  {
    name: 'one that an operator set to nothing meanwhile stays so',
    first: { since: at(95), until: at(130) },
    second: 'update backfill.watermark set watermark = null',
    left: { 1: null },
  },
  {
    name: 'a walk of everything sets one that an operator took away meanwhile',
    first: { since: null, until: at(110) },
    second: 'delete from backfill.watermark',
    left: { 1: 110 },
  },
  {
    name: 'a walk of everything that does not know until when it saw leaves it',
    first: { since: null, until: null },
    second: { since: at(95), until: at(120) },
    left: { 1: 120 },
  },
]
test.each(interleavings)('$name', async ({ first, second, left }) => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100) })
  const slow = await beginWalk(destination, { stream, users: ['1'], ...first })
  if (typeof second === 'string') await database.sql(second)
  else await walk(destination, { stream, users: ['1'], ...second })
  await slow.end()
  expect(await watermarks(stream)).toEqual(left)
})

test('one that an operator is setting back at the moment of the mark stays there', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100) })
  await walk(destination, { stream, users: ['2'], since: null, until: at(100) })
  const operator = await openClient(database.config)
  await operator.query('begin')
  await operator.query(
    `update backfill.watermark set watermark = '2024-01-01 00:00:20.007Z' where stream = $1 and partition like '%1%'`,
    [stream.name],
  )
  await operator.query(
    `update backfill.watermark set watermark = '2024-01-01 00:01:39.007Z' where stream = $1 and partition like '%2%'`,
    [stream.name],
  )
  const ended = walk(destination, { stream, users: ['1', '2'], since: at(95), until: at(130) })
  const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%backfill.watermark%'`
  await expect.poll(() => database.sql(waiting)).toHaveLength(1)
  await operator.query('commit')
  await operator.end()
  await ended
  expect(await watermarks(stream)).toEqual({ 1: 20, 2: 130 })
})

test('a walk of changes says when it ended, and leaves what only a walk of everything knows', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100), records: [{ id: 1, user_id: 1 }] })
  const read = async () =>
    (
      await database.sql<{ walked_at: Date; full_at: Date; rows: string; proof: string }>(
        'select walked_at, full_at, rows, proof from backfill.watermark where stream = $1',
        [stream.name],
      )
    )[0]
  const before = await read()
  const changes = { stream, users: ['1'], since: at(95), until: at(120), records: [{ id: 2, user_id: 1 }] }
  await walk(destination, { ...changes, proof: 'unproven' })
  const after = await read()
  expect(after).toMatchObject({ full_at: before?.full_at, rows: '1', proof: 'unproven' })
  expect(after?.walked_at.getTime()).toBeGreaterThan(before?.walked_at.getTime() ?? Infinity)
})

test('a walk that differs from the count of the source marks nothing', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100), proof: 'differs' })
  expect(await watermarks(stream)).toEqual({})
})

test('a walk that goes on marks nothing', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const work = await startWork(destination, stream, { user_id: '1' })
  const mark = markOf({ stream, users: ['1'], since: null, until: at(10) })
  await destination.flush(work.checkpoint, await work.batchOf([{ id: 1, user_id: 1 }]), advanceOf({}, { mark }))
  expect(await watermarks(stream)).toEqual({})
})

test.each([
  ['without rows', []],
  ['with rows', [{ id: 1, user_id: 1 }]],
  [
    'with a row that Postgres refuses',
    [
      { id: 1, user_id: 1 },
      { id: 2, user_id: 1, name: 'refused' },
    ],
  ],
])('a walk whose task was claimed by another meanwhile marks nothing, %s', async (_, records) => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const slow = await beginWalk(destination, { stream, users: ['1'], since: null, until: at(10), records })
  await database.sql(`alter table public.${stream.name} add check (name <> 'refused')`)
  const task = await claim(destination, slow.work.lease)
  await expect(slow.end()).rejects.toMatchObject({ name: 'FencedError' })
  expect(await watermarks(stream)).toEqual({})
  slow.work.checkpoint = task
  await slow.end()
  expect(await watermarks(stream)).toEqual({ 1: 10 })
})

test('a walk whose connection is cut before its commit leaves neither rows nor mark, and both after', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const walked = { stream, users: ['1'], since: null, until: at(10), records: [{ id: 1, user_id: 1 }] }
  const slow = await beginWalk(destination, walked)
  // The mark waits for this row; by then the rows and the ledger row are written.
  const blocker = await openClient(database.config)
  await blocker.query('begin; lock table backfill.watermark in exclusive mode')
  const ended = slow.end().then(
    () => null,
    (error: unknown) => error,
  )
  const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%backfill.watermark%'`
  await expect.poll(() => database.sql(waiting)).toHaveLength(1)
  await database.sql(`select pg_terminate_backend(pid) from (${waiting}) w`)
  expect(await ended).toMatchObject({ name: 'DestinationUnavailable' })
  await blocker.query('rollback')
  await blocker.end()
  expect(await database.sql(`select from public.${stream.name}`)).toEqual([])
  expect(await watermarks(stream)).toEqual({})
  slow.work.checkpoint = await claim(destination, slow.work.lease)
  expect(slow.work.checkpoint).toMatchObject({ done: false, sequence: 0 })
  await slow.end()
  expect(await watermarks(stream)).toEqual({ 1: 10 })
  expect(await database.sql(`select id::int from public.${stream.name}`)).toEqual([{ id: 1 }])
})

test('a walk that ends with a deletion marks as well', async () => {
  const destination = await openDestination(database.config)
  const stream = { ...marksOf(), disposition: 'mirror' as const }
  const work = await startWork(destination, stream, { user_id: '1' })
  await work.flush([{ id: 1, user_id: 1 }])
  const mark = markOf({ stream, users: ['1'], since: null, until: at(10) })
  const advance = advanceOf({ until: at(10) }, { done: true, proof: 'proven', end: { kind: 'keep' }, mark })
  await destination.flush(work.checkpoint, await work.batchOf(), advance)
  expect(await database.sql('select rows::int from backfill.watermark where stream = $1', [stream.name])).toEqual([
    { rows: 1 },
  ])
})

test('the ledger keeps from when and until when a walk asks, to the millisecond', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const work = await startWork(destination, stream, { user_id: '1' })
  const advance = advanceOf({ since: at(3), until: at(4) })
  const { checkpoint } = await destination.flush(work.checkpoint, await work.batchOf([{ id: 1, user_id: 1 }]), advance)
  expect(checkpoint.walk).toMatchObject({ since: at(3), until: at(4) })
  expect((await claim(destination, work.lease)).walk).toMatchObject({ since: at(3), until: at(4) })
})

test('only walks of everything are what a walk is held against, in whatever way their tasks are named', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  const walkOf = async (partition: Partition, received: number, since: number | null = null) => {
    const work = await startWork(destination, stream, partition)
    const { lastProven } = work.checkpoint
    const advance = advanceOf({ received, since }, { done: true, proof: 'proven' })
    await destination.flush(work.checkpoint, await work.batchOf(), advance)
    return lastProven
  }
  const user = { user_id: '4' }
  expect(await walkOf(user, 1000)).toBeNull()
  expect(await walkOf(user, 3, at(3))).toBe(1000)
  expect(await walkOf(fullWalkPartition(user), 900)).toBe(1000)
  expect(await walkOf({ ...user, '#page': '7', '#walk': 'at 7 request hash-1' }, 100)).toBeNull()
  expect(await walkOf(user, 2, at(4))).toBe(900)
  expect(await destination.actual(stream, user)).toMatchObject({ lastWalk: { received: 900 } })
  const wholes = await database.sql('select distinct whole from backfill.ledger where stream = $1', [stream.name])
  expect(wholes).toEqual([{ whole: partitionKey(user) }])
})

test('a walk of changes that is not proven leaves it where it was, once: what it may have missed is asked for again', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1', '2'], since: null, until: at(100) })
  await walk(destination, { stream, users: ['1'], since: at(95), until: at(200), proof: 'unproven' })
  expect(await watermarks(stream)).toEqual({ 1: 100, 2: 100 })
  // Together with one whose last walk was proven: each by its own.
  await walk(destination, { stream, users: ['1', '2'], since: at(95), until: at(300), proof: 'unproven' })
  expect(await watermarks(stream)).toEqual({ 1: 300, 2: 100 })
  // A source that never proves anything goes on all the same.
  await walk(destination, { stream, users: ['1', '2'], since: at(95), until: at(400), proof: 'unproven' })
  expect(await watermarks(stream)).toEqual({ 1: 400, 2: 400 })
  await walk(destination, { stream, users: ['1', '2'], since: at(395), until: at(500) })
  await walk(destination, { stream, users: ['1', '2'], since: at(495), until: at(600), proof: 'unproven' })
  expect(await watermarks(stream)).toEqual({ 1: 500, 2: 500 })
  await walk(destination, { stream, users: ['1', '2'], since: at(495), until: at(700) })
  expect(await watermarks(stream)).toEqual({ 1: 700, 2: 700 })
})

test('a first walk of everything sets it, proven or not: it would be walked from its beginning for ever otherwise', async () => {
  const destination = await openDestination(database.config)
  const stream = marksOf()
  await walk(destination, { stream, users: ['1'], since: null, until: at(100), proof: 'unproven' })
  expect(await watermarks(stream)).toEqual({ 1: 100 })
})
