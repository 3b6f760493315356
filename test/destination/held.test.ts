import { expect, test } from 'vitest'
import { advanceOf, column, heldPromises, openDestination, pageOf, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const idAndName = [column('id', 'bigint'), column('name', 'text')]
const heldOf = (stream: { readonly name: string }) =>
  database.sql(
    'select page, row_number, key, version, code, reason, raw from backfill.held where stream = $1 order by page, row_number',
    [stream.name],
  )

test('a row that cannot be stored is held with code, sentence, key and raw text; its neighbours go on', async () => {
  const destination = await openDestination(database.config)
  const columns = [
    ...idAndName,
    column('n', 'integer'),
    column('at', 'timestamptz'),
    column('must', 'text', { isRequired: true }),
  ]
  const stream = streamOf(columns, { version: 'at' })
  const work = await startWork(destination, stream)
  const { totals } = await work.flush(
    [{ id: 1, must: 'x' }, { id: 2, n: 2147483648, must: 'x', at: '2025-01-01T00:00:00Z' }, 'text'],
    [
      { id: 3, at: '2025-02-30', must: 'x' },
      { id: 4 },
      { id: null, must: 'x' },
      { id: 5, must: 'a\0b' },
      { id: 6, must: '' },
    ],
  )
  expect(totals).toMatchObject({ received: 8, created: 2, held: 6, duplicates: 0 })
  await heldPromises(database.sql, stream, [1, 6])
  expect(await heldOf(stream)).toEqual([
    {
      page: '1',
      row_number: '2',
      key: '2',
      version: '2025-01-01T00:00:00Z',
      code: 'invalid_value',
      reason: 'column "n" wants an integer from -2147483648 to 2147483647, found 2147483648',
      raw: '{"id":2,"n":2147483648,"must":"x","at":"2025-01-01T00:00:00Z"}',
    },
    {
      page: '1',
      row_number: '3',
      key: null,
      version: null,
      code: 'not_an_object',
      reason: 'record is no JSON object',
      raw: '"text"',
    },
    expect.objectContaining({
      key: '3',
      code: 'invalid_value',
      reason: 'column "at" wants a date and time as 2025-12-31T23:59:59Z, found "2025-02-30"',
    }),
    expect.objectContaining({ key: '4', code: 'missing_value', reason: 'column "must" must have a value, found none' }),
    expect.objectContaining({ key: null, code: 'missing_value', reason: 'column "id" must have a value, found none' }),
    expect.objectContaining({ key: '5', code: 'unstorable_text', raw: '{"id":5,"must":"a\\u0000b"}' }),
  ])
})

test('unstorable text is taken out where the stream says so', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'text'), column('doc', 'jsonb')], { unstorableText: 'strip' })
  const work = await startWork(destination, stream)
  await work.flush([{ id: 'a\0\ud800b', doc: { 'k\0': ['\udc00x', '\\u0000', '😀'] } }])
  expect(await database.sql(`select * from public."${stream.name}"`)).toEqual([
    { id: 'ab', doc: { k: ['x', '\\u0000', '😀'] } },
  ])
})

test('the same record is held once, however often it comes, and counts as a duplicate inside its walk', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const bad = { id: 1, name: 'a\0' }
  expect((await work.flush([bad, bad, { id: 'x' }])).totals).toMatchObject({ held: 2, duplicates: 1 })
  expect((await work.flush([bad, { id: 'x' }, { id: 'y' }])).totals).toMatchObject({ held: 1, duplicates: 2 })
  const again = await destination.flush(work.checkpoint, await work.batchOf([bad]), advanceOf({ id: 'walk-2' }))
  expect(again.totals).toMatchObject({ held: 1, duplicates: 0 })
  expect(await heldOf(stream)).toHaveLength(3)
})

test('merging a key takes its held row out, unless that one is newer', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([...idAndName, column('v', 'integer')], { version: 'v' })
  const work = await startWork(destination, stream)
  await work.flush([
    { id: 1, v: 9, name: 'a\0' },
    { id: 2, v: 10, name: 'a\0' },
  ])
  await work.flush([
    { id: 1, v: 10, name: 'a' },
    { id: 2, v: 9, name: 'a' },
  ])
  expect((await heldOf(stream)).map(({ key }) => key)).toEqual(['2'])
})

test('a row that Postgres refuses is found among 10,000 and held with its words', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([...idAndName, column('n', 'numeric')])
  await database.sql(`create table public."${stream.name}" (id bigint primary key, name text, n numeric(4, 1),
    constraint name_is_short check (length(name) < 20))`)
  const work = await startWork(destination, stream)
  const ids = Array.from({ length: 10_000 }, (_, at) => at + 1)
  const bad = new Map([
    [1, { name: 'far too long for that check' }],
    [4321, { n: 123456 }],
    [10_000, { n: 1, name: 'again too long for that check' }],
  ])
  const { totals } = await work.flush(ids.map((id) => ({ id, name: `n ${id}`, ...bad.get(id) })))
  expect(totals).toMatchObject({ received: 10_000, created: 9_997, held: 3 })
  await heldPromises(
    database.sql,
    stream,
    ids.filter((id) => !bad.has(id)),
  )
  const held = await heldOf(stream)
  expect(held.map(({ key, code }) => [key, code])).toEqual([...bad.keys()].map((id) => [String(id), 'rejected']))
  expect(held[0]?.reason).toMatch(/^23514 .*name_is_short/)
  expect(held[1]?.reason).toMatch(/^22003 numeric field overflow/)
  expect(held[1]?.raw).toBe('{"id":4321,"name":"n 4321","n":123456}')
})

test('an error at the beginning of a long COPY of many pages leaves the connection usable', async () => {
  const destination = await openDestination(database.config, { maxConnections: 1 })
  const stream = streamOf(idAndName)
  await database.sql(`create domain "short_${stream.name}" as text check (length(value) < 2000);
    create table public."${stream.name}" (id bigint primary key, name "short_${stream.name}")`)
  const work = await startWork(destination, stream)
  const pages = Array.from({ length: 60 }, (_, page) =>
    Array.from({ length: 100 }, (_, at) => ({ id: page * 100 + at, name: 'x'.repeat(page + at === 0 ? 2000 : 1500) })),
  )
  const { totals } = await work.flush(...pages)
  expect(totals).toMatchObject({ pages: 60, received: 6000, created: 5999, held: 1 })
})

test("a trigger's refusal holds the row, and a deferred constraint speaks before COMMIT", async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  await database.sql(`create table public."${stream.name}" (id bigint primary key, name text unique deferrable initially deferred);
    create function forbid() returns trigger language plpgsql as
    $$ begin if new.name = 'forbidden' then raise exception 'not that one'; end if; return new; end $$;
    create trigger forbid before insert on public."${stream.name}" for each row execute function forbid()`)
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { id: 1, name: 'a' },
    { id: 2, name: 'forbidden' },
    { id: 3, name: 'a' },
    { id: 4, name: 'd' },
  ])
  expect(totals).toMatchObject({ created: 2, held: 2 })
  expect((await heldOf(stream)).map(({ reason }) => reason)).toEqual([
    'P0001 not that one',
    expect.stringMatching(/^23505 /),
  ])
  await heldPromises(database.sql, stream, [1, 4])
})

test('text too long for its column and JSON too deep for Postgres are held', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint'), column('name', 'text'), column('doc', 'jsonb')])
  await database.sql(`create table public."${stream.name}" (id bigint primary key, name varchar(3), doc jsonb)`)
  const work = await startWork(destination, stream)
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as []
  const { totals } = await work.flush([
    { id: 1, name: '😀😀😀' },
    { id: 2, name: 'abcd' },
    { id: 3, doc: deep },
  ])
  expect(totals).toMatchObject({ created: 1, held: 2 })
  expect((await heldOf(stream)).map(({ code }) => code)).toEqual(['too_long', 'rejected'])
})

test('rows without their parent wait in held; NULL has no parent to look for', async () => {
  const destination = await openDestination(database.config)
  const parent = streamOf(idAndName)
  const reference = { column: 'user_id', table: parent.table, targetColumn: 'id' }
  const stream = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references: [reference] })
  await (await startWork(destination, parent)).flush([{ id: 1 }])
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { id: 1, user_id: 1 },
    { id: 2, user_id: 7 },
    { id: 3, user_id: null },
  ])
  expect(totals).toMatchObject({ created: 2, held: 1 })
  expect(await heldOf(stream)).toMatchObject([
    { key: '2', code: 'parent_missing', reason: `public.${parent.name} has no row for "user_id"` },
  ])
  const [constraint] = await database.sql(
    'select count(*)::int as n from pg_constraint where contype = $1 and conrelid = $2::regclass',
    ['f', `"${stream.name}"`],
  )
  expect(constraint).toEqual({ n: 1 })
  // The parent comes, and the child with it: the held row is gone.
  await (await startWork(destination, parent)).flush([{ id: 7 }])
  await work.flush([{ id: 2, user_id: 7 }])
  expect(await heldOf(stream)).toEqual([])
})

test('a parent table that is not there yet holds the rows, and is found once it is', async () => {
  const destination = await openDestination(database.config)
  const parent = streamOf(idAndName)
  const reference = { column: 'user_id', table: parent.table, targetColumn: 'id' }
  const stream = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references: [reference] })
  const work = await startWork(destination, stream)
  expect((await work.flush([{ id: 1, user_id: 1 }])).totals).toMatchObject({ held: 1 })
  await (await startWork(destination, parent)).flush([{ id: 1 }])
  expect((await work.flush([{ id: 1, user_id: 1 }])).totals).toMatchObject({ created: 1, held: 0 })
})

test("the database's own foreign keys are checked, two columns and its own table included", async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint'), column('a', 'bigint'), column('b', 'text'), column('up', 'bigint')])
  await database.sql(`create table pair_${stream.name} (a bigint, b text, primary key (a, b)); insert into pair_${stream.name} values (1, 'x');
    create table public."${stream.name}" (id bigint primary key, a bigint, b text, up bigint references public."${stream.name}",
      foreign key (a, b) references pair_${stream.name})`)
  const work = await startWork(destination, stream)
  const { totals } = await work.flush([
    { id: 1, a: 1, b: 'x', up: 2 },
    { id: 2, a: 1, b: null, up: null },
    { id: 3, a: 1, b: 'y' },
    { id: 4, up: 99 },
  ])
  expect(totals).toMatchObject({ created: 2, held: 2 })
  await heldPromises(database.sql, stream, [1, 2])
})

test('rows that wait for one another go in even where another row has to be looked for', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint'), column('up', 'bigint'), column('name', 'text')])
  await database.sql(`create table public."${stream.name}" (id bigint primary key, up bigint references public."${stream.name}",
    name text check (name <> 'bad'))`)
  const work = await startWork(destination, stream)
  // 1 waits for 3, which waits for 5 in the other half.
  const { totals } = await work.flush([
    { id: 1, up: 3 },
    { id: 2, name: 'bad' },
    { id: 3, up: 5 },
    { id: 4, up: 2 },
    { id: 5 },
  ])
  expect(totals).toMatchObject({ created: 3, held: 2 })
  await heldPromises(database.sql, stream, [1, 3, 5])
})

test('with the check off, orphans that the database refuses are held all the same', async () => {
  const destination = await openDestination(database.config)
  const parent = streamOf(idAndName)
  await destination.openTable(parent)
  const stream = streamOf([column('id', 'bigint'), column('user_id', 'bigint')])
  await database.sql(
    `create table public."${stream.name}" (id bigint primary key, user_id bigint references public."${parent.name}")`,
  )
  const work = await startWork(destination, { ...stream, settings: { ...stream.settings, checksForeignKeys: false } })
  expect((await work.flush([{ id: 1, user_id: 5 }, { id: 2 }])).totals).toMatchObject({ created: 1, held: 1 })
  expect(await heldOf(stream)).toMatchObject([{ code: 'parent_missing' }])
})

test('a batch of held rows only is promoted too', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const batch = work.table.newBatch({})
  await batch.add(pageOf([{ id: 'x' }]))
  expect([batch.rows, batch.held, batch.bytes]).toEqual([0, 1, 0])
  const { checkpoint, totals } = await destination.flush(work.checkpoint, batch, advanceOf())
  expect(totals).toMatchObject({ received: 1, held: 1 })
  expect(checkpoint.walk?.distinct).toBe(1)
})
