import { expect, test } from 'vitest'
import type { ConfigError } from '../../src/domain/errors.js'
import { advanceOf, column, leaseOf, openDestination, pageOf, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const idAndName = [column('id', 'bigint'), column('name', 'text')]

async function mismatchesOf(work: Promise<unknown>): Promise<readonly string[]> {
  const error = (await work.catch((reason: unknown) => reason)) as ConfigError
  expect(error).toMatchObject({ name: 'ConfigError', code: 'table_mismatch' })
  return error.problems.map(
    ({ path, expected, found }) => `${path.split('.').slice(2).join('.')}: ${expected} / ${found}`,
  )
}

test('creates schema, table, key and delta table, and finds them again', async () => {
  const destination = await openDestination(database.config)
  const columns = [...idAndName, column('at', 'timestamptz', { isRequired: true }), column('doc', 'jsonb')]
  const stream = streamOf(columns, { name: 'made', table: { schema: 'My "schema"', name: 'Made "it"' } })
  await destination.openTable(stream)
  await destination.openTable(stream)
  const found = await database.sql(
    `select table_name, column_name, data_type, is_nullable from information_schema.columns where table_schema = 'My "schema"' order by table_name, ordinal_position`,
  )
  expect(found.map((row) => Object.values(row).join(' '))).toEqual([
    'Made "it" id bigint NO',
    'Made "it" name text YES',
    'Made "it" at timestamp with time zone NO',
    'Made "it" doc jsonb YES',
    'delta_Made "it" _task uuid NO',
    'delta_Made "it" _sequence bigint NO',
    'delta_Made "it" _row bigint NO',
    'delta_Made "it" id bigint YES',
    'delta_Made "it" name text YES',
    'delta_Made "it" at timestamp with time zone YES',
    'delta_Made "it" doc jsonb YES',
  ])
})

test('opening the same missing table many times at once makes it once', async () => {
  const destinations = await Promise.all([1, 2, 3].map(() => openDestination(database.config)))
  const stream = streamOf(idAndName)
  await Promise.all([...destinations, ...destinations].map((destination) => destination.openTable(stream)))
  expect(await database.sql('select count(*)::int as n from pg_class where relname = $1', [stream.name])).toEqual([
    { n: 1 },
  ])
})

test('a definition that does not fit is refused with every mismatch at once', async () => {
  const destination = await openDestination(database.config)
  await database.sql(`create table misfit (id bigint, small smallint, doc json, shape point, must text not null, filled text not null default 'x',
    gen bigint generated always as (1) stored, name text);
    create unique index on misfit (id) where name is not null; create unique index on misfit (lower(name));
    alter table misfit add constraint later unique (id) deferrable`)
  const columns = [
    column('id', 'bigint'),
    column('small', 'integer'),
    column('doc', 'jsonb'),
    column('shape', 'text'),
    column('gen', 'bigint'),
    column('lost', 'text'),
  ]
  const stream = streamOf(columns, { name: 'misfit', version: 'updated' })
  expect(await mismatchesOf(destination.openTable(stream))).toEqual([
    'columns.small: integer / smallint',
    'columns.doc: jsonb / json, whose values cannot be compared',
    'columns.shape: text / point',
    'columns.gen: a column that can be written / generated always',
    'columns.lost: text / no such column',
    'columns.must: a source for a column that must have a value and has no default / none in the definition',
    'key: a plain unique index on (id): not partial, not deferrable, no expressions / none',
    'version: a column that the stream fills / updated',
  ])
  expect(await database.sql("select count(*)::int as n from pg_class where relname = 'delta_misfit'")).toEqual([
    { n: 0 },
  ])
})

test('a view, a table without privileges and an unfit reference are refused', async () => {
  const destination = await openDestination(database.config)
  await database.sql('create view a_view as select 1::bigint as id')
  expect(await mismatchesOf(destination.openTable(streamOf([column('id', 'bigint')], { name: 'a_view' })))).toEqual([
    'table: a table / a view',
  ])
  await database.sql(`create table parent_text (code text primary key);
    create table child_int (id bigint primary key, code bigint)`)
  const reference = { column: 'code', table: { schema: 'public', name: 'parent_text' }, targetColumn: 'code' }
  const child = streamOf([column('id', 'bigint'), column('code', 'bigint')], {
    name: 'child_int',
    references: [reference],
  })
  expect(await mismatchesOf(destination.openTable(child))).toEqual([
    'references.code: text, as column "code" of public.parent_text / bigint',
  ])
  await database.sql(`do $$ begin create role reader login; exception when duplicate_object then null; end $$; create table closed (id bigint primary key);
    grant usage, create on schema public to reader; grant usage on schema backfill to reader; grant select on closed to reader;
    grant select, insert, update, delete on all tables in schema backfill to reader`)
  const reader = await openDestination({ ...database.config, user: 'reader' })
  expect(await mismatchesOf(reader.openTable(streamOf([column('id', 'bigint')], { name: 'closed' })))).toEqual([
    'table: the privilege insert / none',
    'table: the privilege update / none',
  ])
})

test('a stream without a key may only append', async () => {
  const destination = await openDestination(database.config)
  await expect(destination.openTable(streamOf(idAndName, { key: [] }))).rejects.toMatchObject({ code: 'key_missing' })
})

test("an existing table's types hold what is declared narrower, and keep its triggers, comments and other columns", async () => {
  const destination = await openDestination(database.config)
  await database.sql(`create type mood as enum ('good', 'bad'); create domain score as integer check (value < 100);
    create table wide (id numeric primary key, name varchar(40), mood mood, s score, day timestamp, at timestamp, "when" timestamptz, ingested_at timestamptz default now(), n text)`)
  const columns = [
    column('id', 'bigint'),
    column('name', 'text'),
    column('mood', 'text'),
    column('s', 'integer'),
    column('day', 'date'),
    column('at', 'timestamptz'),
    column('when', 'timestamptz'),
    column('n', 'numeric'),
  ]
  const work = await startWork(destination, streamOf(columns, { name: 'wide' }))
  const at = '2025-07-19T00:30:00.123456+08:00'
  const { totals } = await work.flush([
    { id: 1, name: 'a', mood: 'good', s: 5, day: '2025-01-02', at, when: at, n: 1.5 },
    { id: 2, mood: 'unknown' },
    { id: 3, s: 100 },
  ])
  expect(totals).toMatchObject({ created: 1, held: 2 })
  const rows = await database.sql(
    `select id::text, mood::text, day::text, at::text, "when" at time zone 'UTC' = at as same, ingested_at is not null as filled, n from wide`,
  )
  expect(rows).toEqual([
    {
      id: '1',
      mood: 'good',
      day: '2025-01-02 00:00:00',
      at: '2025-07-18 16:30:00.123456',
      same: true,
      filled: true,
      n: '1.5',
    },
  ])
})

test('without columns an existing table takes fields by name, and leaves what fills itself alone', async () => {
  const destination = await openDestination(database.config)
  await database.sql(`create table by_name (id bigserial primary key, name text, wallet integer not null default 7, note text default 'none',
    doc jsonb not null default '{"a": [1, "x"]}', is_open boolean default true, since date default '2025-01-31', site text, ingested_at timestamptz not null default now())`)
  const stream = streamOf(null, { name: 'by_name', dimensions: ['site'] })
  const work = await startWork(destination, stream, { site: 'here' })
  await work.flush([{ id: 1, name: 'a', wallet: 3, note: null, doc: 'own' }, { id: 2 }])
  const constants = { doc: { a: [1, 'x'] }, is_open: true, since: '2025-01-31', site: 'here', filled: true }
  expect(
    await database.sql(
      'select id, name, wallet, note, doc, is_open, since::text, site, ingested_at is not null as filled from by_name order by id',
    ),
  ).toEqual([
    { id: '1', name: 'a', wallet: 3, note: null, ...constants, doc: 'own' },
    { id: '2', name: null, wallet: 7, note: 'none', ...constants },
  ])
})

test('a table with a type whose binary form is not known is filled all the same, and its bad rows are held', async () => {
  const destination = await openDestination(database.config)
  await database.sql(
    'create table hosts (id bigint primary key, address inet, pause interval, note text, size numeric(9, 2))',
  )
  const work = await startWork(destination, streamOf(null, { name: 'hosts' }))
  const note = 'tab\t line\n back\\slash \\N é 漢 😀'
  const { totals } = await work.flush([
    { id: 1, address: '10.0.0.0/8', pause: '2 days 01:00:00', note, size: 1.005 },
    { id: 2, address: 'nowhere', pause: null, note: '', size: '7' },
    { id: 3, address: '::1', pause: null, note: '\\.', size: null },
  ])
  expect(totals).toMatchObject({ created: 2, held: 1 })
  expect(await database.sql('select id, address, pause::text, note, size from hosts order by id')).toEqual([
    { id: '1', address: '10.0.0.0/8', pause: '2 days 01:00:00', note, size: '1.01' },
    { id: '3', address: '::1', pause: null, note: '\\.', size: null },
  ])
})

test('without columns a missing table keeps key, version, dimensions and the whole record, also when it is opened again', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(null, { dimensions: ['site'], version: 'at' })
  for (const [at, name] of [
    ['2025-01-01', 'a'],
    ['2025-01-02', 'b'],
  ]) {
    const work = await startWork(destination, stream, { site: 'here' })
    const batch = work.table.newBatch({ site: 'here' })
    const record = { id: 1, at: at ?? '', name: name ?? '', big: 12345678901234567890n }
    expect((await batch.add(pageOf([record]))).unknownFields).toEqual([])
    await destination.flush(work.checkpoint, batch, advanceOf())
  }
  expect(
    await database.sql(
      `select id, at, site, record->>'name' as name, record->>'big' as big from public."${stream.name}"`,
    ),
  ).toEqual([{ id: '1', at: '2025-01-02', site: 'here', name: 'b', big: '12345678901234567890' }])
})

test('a delta table of an older shape is made anew while it is empty, and kept while it is not', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  await destination.openTable(stream)
  await database.sql(`alter table public."${stream.name}" add column more text`)
  const wider = { ...stream, columns: [...idAndName, column('more', 'text')] }
  await destination.openTable(wider)
  await database.sql(
    `insert into public."delta_${stream.name}" values ('${leaseOf(stream).task.id}', 0, 1, 1, 'a', 'b')`,
  )
  await expect(destination.openTable(stream)).rejects.toMatchObject({ name: 'ConfigError', code: 'delta_not_empty' })
})

test("a table of the user's own with the delta table's name is never dropped", async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  await database.sql(`create table public."delta_${stream.name}" (id bigint)`)
  await expect(destination.openTable(stream)).rejects.toMatchObject({ name: 'ConfigError', code: 'delta_not_ours' })
  expect(
    await database.sql('select count(*)::int as n from pg_class where relname = $1', [`delta_${stream.name}`]),
  ).toEqual([{ n: 1 }])
})

test('a delta table name that Postgres would cut off is refused', async () => {
  const destination = await openDestination(database.config)
  await expect(destination.openTable(streamOf(idAndName, { name: 'x'.repeat(60) }))).rejects.toMatchObject({
    code: 'name_too_long',
  })
})
