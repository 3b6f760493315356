/** Held rows put back: through today's mapping, with the counts kept, and never back in time. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HeldSelection } from '../../src/domain/held.js'
import type { Destination } from '../../src/domain/ports.js'
import type { MissingParent, Stream } from '../../src/domain/source-model.js'
import { advanceOf, claim, column, openDestination, startWork, streamOf, useDatabase, type Work } from './setup.js'

const database = useDatabase()
const idAndName = [column('id', 'bigint'), column('name', 'text')]
const versioned = [...idAndName, column('v', 'integer')]
const all: HeldSelection = { partitions: {}, codes: null, isWaiting: false }
const waiting: HeldSelection = { ...all, isWaiting: true }

const heldOf = (stream: Pick<Stream, 'name'>) =>
  database.sql<{ key: string | null; code: string; task: string; retried: boolean }>(
    'select key, code, task, retried_at is not null as retried from backfill.held where stream = $1 order by key',
    [stream.name],
  )
const tableOf = (stream: Pick<Stream, 'name'>) => database.sql(`select * from public."${stream.name}" order by id`)
const ledgerOf = async (work: Work) => {
  const [row] = await database.sql(
    'select received::int, created::int, updated::int, unchanged::int, held::int, duplicates::int from backfill.ledger where task = $1',
    [work.lease.task.id],
  )
  return row
}
const retry = async (destination: Destination, stream: Stream, selection = all) =>
  destination.retryHeld(await destination.openTable(stream), selection, new AbortController().signal)

describe('a held row', () => {
  test('goes in once the definition takes it, and counts as what it became', async () => {
    const destination = await openDestination(database.config)
    const narrow = streamOf([column('id', 'bigint'), column('n', 'smallint')])
    await database.sql(`create table public."${narrow.name}" (id bigint primary key, n bigint)`)
    const work = await startWork(destination, narrow)
    await database.sql(`insert into public."${narrow.name}" values (3, 3)`)
    const strict = streamOf([column('id', 'bigint'), column('n', 'bigint', { isRequired: true })], {
      name: narrow.name,
    })
    const held = await startWork(destination, strict)
    await held.flush([{ id: 1, m: 7 }, { id: 2, n: 2 }, { id: 3, m: 9 }, { id: 4 }])
    expect(await ledgerOf(held)).toMatchObject({ received: 4, created: 1, held: 3 })

    const mended = {
      ...strict,
      columns: [column('id', 'bigint'), column('n', 'bigint', { path: ['m'], isRequired: true })],
    }
    expect(await retry(destination, mended)).toEqual({
      ...{
        tried: 3,
        created: 1,
        updated: 1,
        unchanged: 0,
        duplicates: 0,
        held: 1,
        waiting: 0,
        dismissed: 0,
        revived: 0,
      },
    })
    expect(await tableOf(narrow)).toEqual([
      { id: '1', n: '7' },
      { id: '2', n: '2' },
      { id: '3', n: '9' },
    ])
    expect(await ledgerOf(held)).toEqual({ received: 4, created: 2, updated: 1, unchanged: 0, held: 1, duplicates: 0 })
    expect(await heldOf(narrow)).toEqual([{ key: '4', code: 'missing_value', task: held.lease.task.id, retried: true }])
    expect(await database.sql(`select 1 from public."delta_${narrow.name}"`)).toEqual([])
    expect(work.lease.task.id).not.toBe(held.lease.task.id)
  })

  test('of a CSV goes in once the definition names what stands for nothing', async () => {
    const destination = await openDestination(database.config)
    const csv = { delimiter: ',', header: true, columns: [] }
    const plain = streamOf([column('id', 'bigint'), column('n', 'integer')])
    const answer = { ...plain.answer, format: 'csv' as const, csv }
    const work = await startWork(destination, { ...plain, answer })
    await work.flush([
      { id: '1', n: '' },
      { id: '2', n: 'n/a' },
      { id: '3', n: '3' },
    ])
    expect(await heldOf(plain)).toHaveLength(2)
    const mended = { ...plain, answer: { ...answer, csv: { ...csv, nulls: ['', 'n/a'] } } }
    expect(await retry(destination, mended)).toMatchObject({ tried: 2, created: 2, held: 0 })
    expect(await tableOf(plain)).toEqual([
      { id: '1', n: null },
      { id: '2', n: null },
      { id: '3', n: 3 },
    ])
  })

  test('that Postgres still refuses stays held with its new words, and its neighbours go in', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndName)
    await database.sql(
      `create table public."${stream.name}" (id bigint primary key, name text, constraint short check (length(name) < 3))`,
    )
    const work = await startWork(destination, stream)
    await work.flush([
      { id: 1, name: 'long' },
      { id: 2, name: 'longer' },
      { id: 3, name: 'ok' },
    ])
    await database.sql(
      `alter table public."${stream.name}" drop constraint short, add constraint wider check (length(name) < 5)`,
    )
    expect(await retry(destination, stream)).toMatchObject({ tried: 2, created: 1, held: 1 })
    const [row] = await database.sql('select code, reason, raw from backfill.held where stream = $1', [stream.name])
    expect(row).toMatchObject({ code: 'rejected', raw: '{"id":2,"name":"longer"}' })
    expect(String(row?.reason)).toContain('wider')
    expect((await tableOf(stream)).map(({ id }) => id)).toEqual(['1', '3'])
  })

  test('is selected by code and by partition', async () => {
    const destination = await openDestination(database.config)
    const columns = [
      column('site', 'text', { path: null, dimension: 'site' }),
      column('id', 'bigint', { isRequired: true }),
      column('n', 'integer', { isRequired: true }),
    ]
    const stream = streamOf(columns, { dimensions: ['site'], key: ['site', 'id'] })
    await (await startWork(destination, stream, { site: 'a' })).flush([{ id: 1 }, { id: 2, n: 'x' }])
    await (await startWork(destination, stream, { site: 'b' })).flush([{ id: 1 }])
    await database.sql(`alter table public."${stream.name}" alter column n drop not null`)
    const mended = {
      ...stream,
      columns: columns.map((one) => (one.name === 'n' ? { ...one, isRequired: false } : one)),
    }
    expect(await retry(destination, mended, { ...all, partitions: { site: ['b'] } })).toMatchObject({
      tried: 1,
      created: 1,
    })
    expect(await retry(destination, mended, { ...all, codes: ['missing_value'] })).toMatchObject({
      tried: 1,
      created: 1,
    })
    expect(await heldOf(stream)).toMatchObject([{ code: 'invalid_value' }])
  })

  test('of a partition that the definition does not know any more stays held, and stops nobody', async () => {
    const destination = await openDestination(database.config)
    const columns = [
      column('month', 'date', { path: null, dimension: 'month' }),
      column('id', 'bigint'),
      column('n', 'integer', { isRequired: true }),
    ]
    const stream = streamOf(columns, { dimensions: ['month'], key: ['month', 'id'] })
    await (await startWork(destination, stream, { month: '2024-01-01' })).flush([{ id: 1 }])
    await database.sql(`update backfill.held set partition = '{"site":"a"}' where stream = $1`, [stream.name])
    await (await startWork(destination, stream, { month: '2024-02-01' })).flush([{ id: 1 }])
    await database.sql(`alter table public."${stream.name}" alter column n drop not null`)
    const mended = {
      ...stream,
      columns: columns.map((one) => (one.name === 'n' ? { ...one, isRequired: false } : one)),
    }
    expect(await retry(destination, mended)).toMatchObject({ tried: 2, created: 1, held: 1 })
    expect(await heldOf(stream)).toMatchObject([{ code: 'partition_invalid' }])
  })

  test('goes in by the thousand, a transaction every few hundred', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([column('id', 'bigint'), column('n', 'integer', { isRequired: true })])
    const work = await startWork(destination, stream)
    await work.flush(Array.from({ length: 1300 }, (_, at) => ({ id: at + 1 })))
    const mended = { ...stream, columns: [column('id', 'bigint'), column('n', 'integer')] }
    await database.sql(`alter table public."${stream.name}" alter column n drop not null`)
    expect(await retry(destination, mended)).toMatchObject({ tried: 1300, created: 1300, held: 0 })
    expect(await ledgerOf(work)).toMatchObject({ received: 1300, created: 1300, held: 0 })
  })
})

describe('never back in time', () => {
  test('a held row older than the table is dropped, a newer one goes in', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(versioned, { version: 'v' })
    const work = await startWork(destination, stream)
    await work.flush([
      { id: 1, v: 5, name: 'table' },
      { id: 2, v: 5, name: 'table' },
    ])
    await work.flush([
      { id: 1, v: 4, name: 'held\0' },
      { id: 2, v: 6, name: 'held\0' },
    ])
    const stripped: Stream = { ...stream, unstorableText: 'strip' }
    expect(await retry(destination, stripped)).toMatchObject({ tried: 2, updated: 1, unchanged: 1, held: 0 })
    expect(await tableOf(stream)).toMatchObject([{ name: 'table' }, { name: 'held', v: 6 }])
  })

  test('an older version never takes the place of a newer held one', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(versioned, { version: 'v' })
    const work = await startWork(destination, stream)
    await work.flush([{ id: 1, v: 9, name: 'new\0' }])
    await work.flush([{ id: 1, v: 8, name: 'old\0' }])
    expect(await retry(destination, { ...stream, unstorableText: 'strip' })).toMatchObject({ created: 1 })
    expect(await tableOf(stream)).toMatchObject([{ name: 'new', v: 9 }])
  })

  test('of one flush, a row that is merged later than a bad one of its key takes that one out', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndName)
    const work = await startWork(destination, stream)
    const { totals } = await work.flush(
      [{ id: 1, name: 'bad\0' }],
      [
        { id: 1, name: 'good' },
        { id: 2, name: 'good' },
      ],
      [{ id: 2, name: 'bad\0' }],
    )
    expect(totals).toMatchObject({ received: 4, created: 2, held: 1, duplicates: 1 })
    expect(await heldOf(stream)).toMatchObject([{ key: '2' }])
  })

  test('a merge in another partition takes a held row of its key out as well', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([...idAndName, column('site', 'text', { path: null, dimension: 'site' })], {
      dimensions: ['site'],
    })
    const b = await startWork(destination, stream, { site: 'b' })
    await (await startWork(destination, stream, { site: 'a' })).flush([{ id: 1, name: 'bad\0' }])
    await b.flush([{ id: 1, name: 'good' }])
    expect(await heldOf(stream)).toEqual([])
  })

  test('a merge finds its held row among more than a thousand', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndName)
    const work = await startWork(destination, stream)
    await work.flush(Array.from({ length: 1100 }, (_, at) => ({ id: at + 1, name: 'bad\0' })))
    await work.flush([{ id: 1050, name: 'good' }])
    const held = await heldOf(stream)
    expect(held).toHaveLength(1099)
    expect(held.map(({ key }) => key)).not.toContain('1050')
  })

  test('without a version, a key that reads otherwise today goes in only where the table has none', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([column('id', 'bigint', { isRequired: true }), column('name', 'text')])
    const work = await startWork(destination, stream)
    await work.flush([
      { no: 1, name: 'held' },
      { no: 2, name: 'held' },
      { id: 1, name: 'table' },
    ])
    const mended = {
      ...stream,
      columns: [column('id', 'bigint', { path: ['no'], isRequired: true }), column('name', 'text')],
    }
    expect(await retry(destination, mended)).toMatchObject({ tried: 2, created: 1, updated: 0, held: 1 })
    expect(await tableOf(stream)).toMatchObject([{ name: 'table' }, { name: 'held' }])
    expect(await heldOf(stream)).toMatchObject([{ key: '1', code: 'key_present' }])
  })

  test('whatever is held, merged and retried in whatever order, the table ends where the newest version is', async () => {
    const destination = await openDestination(database.config)
    const step = fc.record({
      id: fc.integer({ min: 1, max: 3 }),
      isBad: fc.boolean(),
      retries: fc.boolean(),
      site: fc.constantFrom('a', 'b'),
    })
    // The older one of two partitions was once put back after the newer.
    const bad = (site: 'a' | 'b') => ({ id: 1, isBad: true, retries: false, site })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), fc.boolean(), async (steps, hasVersion) => {
        const columns = [...versioned, column('site', 'text', { path: null, dimension: 'site' })]
        const stream = streamOf(columns, { dimensions: ['site'], version: hasVersion ? 'v' : null })
        const stripped: Stream = { ...stream, unstorableText: 'strip' }
        const works = {
          a: await startWork(destination, stream, { site: 'a' }),
          b: await startWork(destination, stream, { site: 'b' }),
        }
        const high = new Map<number, number>()
        for (const [at, { id, isBad, retries, site }] of steps.entries()) {
          const before = await versionsIn(stream)
          await works[site].flush([{ id, v: at + 1, name: isBad ? 'bad\0' : 'good' }])
          if (retries) await retry(destination, stripped)
          const after = await versionsIn(stream)
          for (const [key, v] of before) expect(after.get(key)).toBeGreaterThanOrEqual(v)
          high.set(id, at + 1)
        }
        await retry(destination, stripped)
        expect(await heldOf(stream)).toEqual([])
        const found = await versionsIn(stream)
        for (const [id, v] of high) expect(found.get(id)).toBe(v)
        for (const work of Object.values(works)) {
          const counts = (await ledgerOf(work)) as Record<string, number>
          expect(counts.received).toBe(
            ['created', 'updated', 'unchanged', 'held', 'duplicates'].reduce(
              (sum, name) => sum + (counts[name] ?? 0),
              0,
            ),
          )
        }
      }),
      { numRuns: 15, examples: [[[bad('b'), bad('a')], false]] },
    )
  }, 60_000)

  const versionsIn = async (stream: Stream) =>
    new Map((await tableOf(stream)).map(({ id, v }) => [Number(id), Number(v)]))
})

describe('a missing parent', () => {
  const family = async (missingParent: MissingParent) => {
    const destination = await openDestination(database.config)
    const parent = streamOf(idAndName)
    await destination.openTable(parent)
    const reference = { column: 'user_id', table: parent.table, targetColumn: 'id', missingParent }
    const child = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references: [reference] })
    return {
      destination,
      parent: await startWork(destination, parent),
      child,
      work: await startWork(destination, child),
    }
  }

  test('lets a row wait, which is tried only when the parent is there', async () => {
    const { destination, parent, child, work } = await family('wait')
    await work.flush([
      { id: 1, user_id: 1 },
      { id: 2, user_id: 2 },
    ])
    expect(await retry(destination, child, waiting)).toMatchObject({ tried: 0 })
    await parent.flush([{ id: 2 }])
    expect(await retry(destination, child, waiting)).toMatchObject({ tried: 1, created: 1 })
    expect(await heldOf(child)).toMatchObject([{ key: '1', code: 'parent_missing', retried: false }])
    expect(await destination.heldCounts()).toContainEqual({
      source: 'test',
      stream: child.name,
      waiting: 1,
      rejected: 0,
    })
  })

  test('drops a waiting row whose newer version was merged meanwhile', async () => {
    const { destination, parent, child, work } = await family('wait')
    await work.flush([{ id: 1, user_id: 1 }])
    await work.flush([{ id: 1, user_id: null }])
    await parent.flush([{ id: 1 }])
    expect(await retry(destination, child, waiting)).toMatchObject({ tried: 0 })
    expect(await tableOf(child)).toEqual([{ id: '1', user_id: null }])
  })

  test('rejects a row for an operator only', async () => {
    const { destination, parent, child, work } = await family('reject')
    await work.flush([{ id: 1, user_id: 1 }])
    await parent.flush([{ id: 1 }])
    expect(await heldOf(child)).toMatchObject([{ code: 'parent_rejected' }])
    expect(await retry(destination, child, waiting)).toMatchObject({ tried: 0 })
    expect(await retry(destination, child)).toMatchObject({ created: 1 })
  })

  test('refuses the whole flush, which leaves nothing behind and can be repeated', async () => {
    const { parent, child, work } = await family('refuse')
    const flush = work.flush([
      { id: 1, user_id: 1 },
      { id: 2, user_id: null },
    ])
    await expect(flush).rejects.toMatchObject({ code: 'parent_missing', name: 'ParentMissing' })
    expect(await tableOf(child)).toEqual([])
    expect(await heldOf(child)).toEqual([])
    expect(await database.sql(`select 1 from public."delta_${child.name}"`)).toEqual([])
    await parent.flush([{ id: 1 }])
    expect(
      (
        await work.flush([
          { id: 1, user_id: 1 },
          { id: 2, user_id: null },
        ])
      ).totals,
    ).toMatchObject({ created: 2 })
  })

  test('refuses as well where another row has to be looked for, or only the database finds it', async () => {
    const { destination, child } = await family('refuse')
    const columns = [...(child.columns ?? []), column('n', 'numeric'), column('up', 'bigint')]
    const settings = { ...child.settings, missingParent: 'refuse' as const }
    const stream = streamOf(columns, { references: child.references, settings })
    const [reference] = child.references
    await database.sql(`create table public."${stream.name}" (id bigint primary key check (id < 100), n numeric(4, 1),
      user_id bigint references public."${reference?.table.name ?? ''}", up bigint references public."${stream.name}")`)
    const own = await startWork(destination, stream)
    const copied = own.flush([
      { id: 1, n: 123456 },
      { id: 2, user_id: 1 },
    ])
    await expect(copied).rejects.toMatchObject({ code: 'parent_missing' })
    const merged = own.flush([{ id: 100 }, { id: 3, up: 100 }])
    await expect(merged).rejects.toMatchObject({ code: 'parent_missing' })
    expect(await heldOf(stream)).toEqual([])
    expect(await tableOf(stream)).toEqual([])
    expect((await own.flush([{ id: 100 }, { id: 3 }])).totals).toMatchObject({ created: 1, held: 1 })
  })

  test('in a table that refers to itself takes whoever loses its parent by it, and lets all of them in at the end', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([column('id', 'bigint'), column('up', 'bigint')])
    await database.sql(
      `create table public."${stream.name}" (id bigint primary key, up bigint references public."${stream.name}")`,
    )
    const work = await startWork(destination, stream)
    expect((await work.flush([{ id: 3, up: 2 }, { id: 2, up: 1 }, { id: 9 }])).totals).toMatchObject({
      created: 1,
      held: 2,
    })
    const label = `up bigint → public.${stream.name} (id)`
    expect(
      await database.sql('select code, reference, parent_key from backfill.held where stream = $1 order by key', [
        stream.name,
      ]),
    ).toEqual([
      { code: 'parent_missing', reference: label, parent_key: ['1'] },
      { code: 'parent_missing', reference: label, parent_key: ['2'] },
    ])
    await work.flush([{ id: 1 }])
    expect(await retry(destination, stream, waiting)).toMatchObject({ created: 2 })
    expect(await heldOf(stream)).toEqual([])
  })

  test('that is held itself keeps its children waiting until it is put back', async () => {
    const { destination, parent, child, work } = await family('wait')
    await parent.flush([{ id: 1, name: 'bad\0' }])
    await work.flush([{ id: 1, user_id: 1 }])
    expect(await retry(destination, child, waiting)).toMatchObject({ tried: 0 })
    await retry(destination, { ...parent.table.stream, unstorableText: 'strip' })
    expect(await retry(destination, child, waiting)).toMatchObject({ created: 1 })
  })
})

test('a worker that still holds the task goes on after its held rows were put back', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  await work.flush([{ id: 1, name: 'bad\0' }])
  await retry(destination, { ...stream, unstorableText: 'strip' })
  const after = await destination.flush(work.checkpoint, await work.batchOf([{ id: 2 }]), advanceOf())
  expect(after.totals).toMatchObject({ created: 1 })
  expect((await claim(destination, work.lease)).totals).toMatchObject({ received: 2, created: 2, held: 0 })
})
