/** Which partitions are due: rows of another stream's table, held against what was walked. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { DueQuery, DueReport } from '../../src/domain/follow.js'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import { type Partition, partitionKey } from '../../src/domain/partition.js'
import type { Stream } from '../../src/domain/source-model.js'
import type { RowDimension } from '../../src/domain/walk-model.js'
import { openClient } from '../support/open-client.js'
import { createDatabase } from '../support/postgres.js'
import { claim, column, leaseOf, openDestination, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const hourMs = 3_600_000

function childOf(overrides: Partial<Stream> = {}): Stream {
  return streamOf([column('id', 'bigint'), column('user_id', 'bigint')], {
    dimensions: ['user_id'],
    match: { user_id: 'user_id' },
    fanOut: { dimension: 'user_id', many: null },
    ...overrides,
  })
}

interface Parents extends Partial<RowDimension> {
  readonly exclude?: readonly string[]
}
function rowsOf(name: string, overrides: Parents = {}): RowDimension {
  const table = { schema: 'public', name }
  return { kind: 'rows', stream: name, table, column: 'id', changed: null, where: {}, only: [], ...overrides }
}
function queryOf(stream: Stream, dimension: RowDimension | null, overrides: Partial<DueQuery> = {}): DueQuery {
  const rows = dimension === null ? null : { name: 'user_id', dimension }
  return { stream, rows, rest: {}, everyMs: null, fullEveryMs: null, ...overrides }
}
const summary = ({ due }: DueReport) => due.map(({ partition, reason }) => `${partition.user_id ?? ''} ${reason}`)

/** Writes down that partitions were walked: ages in hours before now, watermarks as times of 2024-01-01. */
async function walked(
  stream: Stream,
  rows: readonly { user: string | Partition; hours?: number; full?: number | null; watermark?: string | null }[],
): Promise<void> {
  for (const { user, hours = 0, full = null, watermark = null } of rows) {
    const partition = typeof user === 'string' ? { user_id: user } : user
    await database.sql(
      `insert into backfill.watermark values ($1, $2, $3, ('2024-01-01 ' || $4 || 'Z')::timestamptz, now() - $5 * interval '1 hour',
        now() - $6 * interval '1 hour', null, 'proven', gen_random_uuid())`,
      [stream.source, stream.name, partitionKey(partition), watermark, hours, full],
    )
  }
}

async function makeUsers(name: string, more = ''): Promise<void> {
  await database.sql(
    `create table public.${name} (id bigint primary key, active boolean, updated_at timestamptz, day date, at timestamp); ${more}`,
  )
}

test('a table that does not exist has no row', async () => {
  const destination = await openDestination(database.config)
  const dimension = rowsOf('nowhere')
  expect(await destination.due(queryOf(childOf(), dimension))).toMatchObject({ due: [], nextAt: null })
  expect(await destination.values(dimension)).toEqual([])
  expect(await destination.strangers(dimension, ['1'], 5)).toEqual({ strangers: ['1'], known: [], rows: 0 })
})

test('a table without the column is named', async () => {
  const destination = await openDestination(database.config)
  await makeUsers('narrow')
  const due = destination.due(queryOf(childOf(), rowsOf('narrow', { where: { kind: 'x' }, changed: 'changed_at' })))
  await expect(due).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'dimension_mismatch',
    message: expect.stringMatching(/"kind", "changed_at"/) as string,
  })
})

test('new partitions come first, then changed, old and full ones, each by how far behind they are', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf()
  await makeUsers(
    'users_1',
    `insert into users_1 (id, updated_at) select i, '2024-01-01 12:00Z' from generate_series(1, 12) i`,
  )
  await walked(stream, [
    { user: '3', hours: 0, full: 0, watermark: '12:30' },
    { user: '4', hours: 0, full: 0, watermark: '11:50' },
    { user: '5', hours: 0, full: 0, watermark: '11:40' },
    { user: '6', hours: 7, full: 7, watermark: '13:10' },
    { user: '7', hours: 8, full: 8, watermark: '13:00' },
    { user: '8', hours: 0, full: 30, watermark: '13:00' },
    { user: '9', hours: 0, watermark: '13:00' },
    { user: '10', hours: 30, full: 30, watermark: '11:00' },
    { user: '11', hours: 7, full: 0 },
    // Of no row of the table any more.
    { user: '99', hours: 99 },
  ])
  const dimension = rowsOf('users_1', { changed: 'updated_at' })
  const report = await destination.due(queryOf(stream, dimension, { everyMs: 6 * hourMs, fullEveryMs: 24 * hourMs }))
  expect(summary(report)).toEqual([
    ...['1 new', '2 new', '12 new'],
    ...['10 changed', '5 changed', '4 changed'],
    ...['11 old', '7 old', '6 old'],
    ...['10 full', '8 full', '9 full'],
  ])
  expect(report.due[0]).toEqual({ partition: { user_id: '1' }, reason: 'new', watermark: null })
  expect(report.due[3]?.watermark).toBe(Date.UTC(2024, 0, 1, 11))
})

test('a change at the watermark is not one after it', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf()
  await makeUsers(
    'users_2',
    `insert into users_2 (id, updated_at) values (1, '2024-01-01 12:00:00.001Z'), (2, '2024-01-01 12:00Z')`,
  )
  await walked(stream, [
    { user: '1', watermark: '12:00' },
    { user: '2', watermark: '12:00' },
  ])
  expect(summary(await destination.due(queryOf(stream, rowsOf('users_2', { changed: 'updated_at' }))))).toEqual([
    '1 changed',
  ])
})

test.each(['day', 'at'])('a time without a zone is in UTC, whatever the zone of the session: %s', async (changed) => {
  const destination = await openDestination({
    ...database.config,
    options: '-c timezone=America/New_York',
  })
  const stream = childOf()
  const table = `users_3_${changed}`
  await makeUsers(
    table,
    `insert into ${table} (id, day, at) values (1, '2024-01-01', '2024-01-01 00:00'), (2, '2024-01-02', '2024-01-02 00:00')`,
  )
  await walked(stream, [
    { user: '1', watermark: '00:30' },
    { user: '2', watermark: '00:30' },
  ])
  expect(summary(await destination.due(queryOf(stream, rowsOf(table, { changed }))))).toEqual(['2 changed'])
})

test('only rows that count are partitions: by value, by other columns as text, and without what is left out', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf()
  await makeUsers(
    'users_4',
    `alter table users_4 add campus bigint;
    insert into users_4 (id, active, campus) values (1, true, 9), (2, false, 9), (3, null, 9), (4, true, 10), (5, true, null), (10, true, 9), (6, true, 9)`,
  )
  const where = { active: 'true', campus: '9' }
  const due = async (overrides: Parents) =>
    summary(await destination.due(queryOf(stream, rowsOf('users_4', overrides)))).map((text) =>
      text.replace(' new', ''),
    )
  expect(await due({ where })).toEqual(['1', '6', '10'])
  expect(await due({ where, only: ['1', '2', '10', '77'] })).toEqual(['1', '10'])
  expect(await due({ where, exclude: ['6'] })).toEqual(['1', '10'])
  expect(await destination.values(rowsOf('users_4', { where }))).toEqual(['1', '6', '10'])
  expect(await destination.strangers(rowsOf('users_4', { where }), ['6', 'six', '2', '1', '7'], 2)).toEqual({
    strangers: ['six', '2', '7'],
    known: ['1', '6'],
    rows: 3,
  })
})

test('a column that is no key gives each of its values once, with their last change', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf()
  await database.sql(`create table public.members (id bigint, user_id bigint, updated_at timestamptz);
    insert into members values (1, 5, '2024-01-01 10:00Z'), (2, 5, '2024-01-01 12:00Z'), (3, null, now()), (4, 6, '2024-01-01 10:00Z'), (5, 6, null)`)
  await walked(stream, [{ user: '5', watermark: '11:00' }])
  const dimension = rowsOf('members', { column: 'user_id', changed: 'updated_at' })
  expect(summary(await destination.due(queryOf(stream, dimension)))).toEqual(['6 new', '5 changed'])
})

const awkward = [
  'plain',
  'a "quoted" id',
  'back\\slash',
  'tab\tnew\nline\r\b\f',
  '\u0001\u001f\u007f',
  'ünïcödé 日本 🙂',
  '\u2028',
  '</script>',
  '',
  "o'clock",
  '{"a":1}',
]
test.each<[string, Partition, string]>([
  ['alone', {}, 'user_id'],
  ['first', { zone: 'z "1"' }, 'user_id'],
  ['last', { campus: 'ü\n' }, 'user_id'],
  ['between', { campus: '1', zone: '\\' }, 'user_id'],
  ['of a name that needs quotes', { campus: '1', 'z"z': '2' }, 'user "id" ü'],
])('the text of a partition that Postgres writes is ours, with its value %s', async (_, rest, name) => {
  const destination = await openDestination(database.config)
  const table = `texts_${Math.random().toString(36).slice(2)}`
  await database.sql(`create table public.${table} (id text primary key)`)
  await database.sql(`insert into public.${table} select unnest($1::text[])`, [awkward])
  const stream = childOf({ dimensions: [...Object.keys(rest), name] })
  const dimension = rowsOf(table)
  const query = { ...queryOf(stream, null, { rest, everyMs: hourMs }), rows: { name, dimension } }
  const fresh = await destination.due(query)
  expect(new Set(fresh.due.map(({ partition }) => partition[name]))).toEqual(new Set(awkward))
  await walked(
    stream,
    awkward.map((value) => ({ user: { ...rest, [name]: value }, hours: 2 })),
  )
  const old = await destination.due(query)
  expect(old.due.map(({ reason }) => reason)).toEqual(awkward.map(() => 'old'))
  expect(new Set(old.due.map(({ partition }) => partitionKey(partition)))).toEqual(
    new Set(awkward.map((value) => partitionKey({ ...rest, [name]: value }))),
  )
  const byAge = await destination.due({ ...query, rows: null })
  expect(new Set(byAge.due.map(({ partition }) => partitionKey(partition)))).toEqual(
    new Set(awkward.map((value) => partitionKey({ ...rest, [name]: value }))),
  )
})

test('says when the next will be due, by our clock: of those that are not', async () => {
  const ours = 1_000_000_000_000
  const clock = { now: () => ours, sleep: () => Promise.resolve() }
  const destination = await openDestination(database.config, { clock })
  const stream = childOf()
  await makeUsers('users_5', 'insert into users_5 (id) values (1), (2), (3)')
  const dimension = rowsOf('users_5')
  expect(await destination.due(queryOf(stream, dimension, { everyMs: hourMs }))).toMatchObject({ nextAt: null })
  await walked(stream, [
    { user: '1', hours: 7, full: 20 },
    { user: '2', hours: 4, full: 40 },
    { user: '3', hours: 1, full: 1 },
  ])
  const hoursUntilNext = async (every: number | null, full: number | null) => {
    const ages = { everyMs: every === null ? null : every * hourMs, fullEveryMs: full === null ? null : full * hourMs }
    const { nextAt } = await destination.due(queryOf(stream, dimension, ages))
    return nextAt === null ? null : Math.round(((nextAt - ours) / hourMs) * 1000) / 1000
  }
  expect(await hoursUntilNext(null, null)).toBeNull()
  expect(await hoursUntilNext(6, null)).toBeCloseTo(2, 2)
  expect(await hoursUntilNext(null, 24)).toBeCloseTo(4, 2)
  expect(await hoursUntilNext(6, 21)).toBeCloseTo(1, 2)
  expect(await hoursUntilNext(3.5, null)).toBeCloseTo(2.5, 2)
})

test('without rows of another table, what was walked before comes round: of the dimensions of today', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf({ dimensions: ['campus', 'user_id'], fanOut: null })
  await walked(stream, [
    { user: { campus: '9', user_id: 'a' }, hours: 3, full: 3, watermark: '10:00' },
    { user: { campus: '9', user_id: 'b' }, hours: 1, full: 50 },
    { user: { campus: '10', user_id: 'c' }, hours: 3 },
    { user: { user_id: 'd' }, hours: 3 },
    { user: { campus: '9', user_id: 'e', extra: 'x' }, hours: 3 },
  ])
  const ages = { everyMs: 2 * hourMs, fullEveryMs: 48 * hourMs }
  expect(await destination.due(queryOf(stream, null, { rest: { campus: '9' }, ...ages }))).toMatchObject({
    due: [
      { partition: { campus: '9', user_id: 'a' }, reason: 'old', watermark: Date.UTC(2024, 0, 1, 10) },
      { partition: { campus: '9', user_id: 'b' }, reason: 'full', watermark: null },
    ],
  })
  expect(summary(await destination.due(queryOf(stream, null, ages)))).toEqual(['c old', 'a old', 'c full', 'b full'])
  const plain = childOf({ dimensions: [], fanOut: null })
  await walked(plain, [{ user: {}, hours: 3 }])
  expect(await destination.due(queryOf(plain, null, { everyMs: hourMs }))).toMatchObject({
    due: [{ partition: {}, reason: 'old' }],
  })
})

test('50,000 parents among 200,000 watermarks are judged in a moment', async () => {
  const destination = await openDestination(database.config)
  const stream = childOf()
  await makeUsers(
    'users_6',
    `insert into users_6 (id, updated_at) select i, '2024-01-01 12:00Z' from generate_series(1, 50000) i`,
  )
  await database.sql(
    `insert into backfill.watermark select $1, case when i <= 50000 then $2 else 'other' end, '{"user_id":"' || i || '"}',
      case when i % 1000 = 0 then '2024-01-01 11:00Z'::timestamptz else '2024-01-01 13:00Z' end, now(), now(), null, 'proven', gen_random_uuid()
    from generate_series(1, 200000) i`,
    [stream.source, stream.name],
  )
  await database.sql('analyze backfill.watermark; analyze users_6')
  const dimension = rowsOf('users_6', { changed: 'updated_at' })
  const timed = async (query: DueQuery) => {
    const times: number[] = []
    let due: DueReport['due'] = []
    for (let i = 0; i < 5; i += 1) {
      const begun = performance.now()
      due = (await destination.due(query)).due
      times.push(performance.now() - begun)
    }
    return { count: due.length, ms: Math.round(Math.min(...times)) }
  }
  const some = await timed(queryOf(stream, dimension, { everyMs: hourMs, fullEveryMs: hourMs }))
  const all = await timed(queryOf(childOf(), dimension, { everyMs: hourMs, fullEveryMs: hourMs }))
  const byAge = await timed(queryOf(stream, null, { everyMs: hourMs, fullEveryMs: hourMs }))
  process.stdout.write(
    `due of 50,000 parents: 50 changed ${some.ms} ms, all new ${all.ms} ms; by age alone ${byAge.ms} ms\n`,
  )
  expect([some.count, all.count, byAge.count]).toEqual([50, 50_000, 0])
  // Loose: the machine may be busy; the figures above are what is looked at.
  expect(some.ms).toBeLessThan(1500)
  expect(all.ms).toBeLessThan(1500)
})

test('a database of version 3 opens: its walks asked for everything, and their partitions are whole', async () => {
  const old = await createDatabase()
  onTestFinished(() => old.drop())
  const client = await openClient(old.config)
  onTestFinished(() => client.end())
  await client.query(readFileSync(join(import.meta.dirname, 'fixtures/schema-3.sql'), 'utf8'))
  const destination = await openDestination(old.config)
  const { rows } = await client.query(
    'select partition, whole, is_page, since, until from backfill.ledger order by partition',
  )
  const plain = { since: null, until: null, is_page: false }
  const page = { number: 7, at: 7 }
  const user = { campus: 'a "b" \\ #page', zone: '1' }
  const split = { '#page': String(page.number), '#walk': 'at 7 request "\\ab"' }
  expect(rows).toEqual(
    [
      { ...plain, partition: partitionKey({ ...user, ...split }), whole: partitionKey(user), is_page: true },
      { ...plain, partition: partitionKey(split), whole: '{}', is_page: true },
      { ...plain, partition: partitionKey(user), whole: partitionKey(user) },
      { ...plain, partition: '{}', whole: '{}' },
    ].sort((a, b) => (a.partition < b.partition ? -1 : 1)),
  )
  const stream = streamOf([column('id', 'bigint')], { name: 'old_things', dimensions: ['campus', 'zone'] })
  expect(await destination.actual(stream, user)).toMatchObject({ lastWalk: { received: 200 } })
  const next = await claim(destination, leaseOf(stream, fullWalkPartition(user)))
  expect(next).toMatchObject({ lastProven: 200 })
  const found = await client.query('select partition, whole from backfill.ledger where task = $1', [next.taskId])
  expect(found.rows).toEqual([{ partition: partitionKey(fullWalkPartition(user)), whole: partitionKey(user) }])
})
