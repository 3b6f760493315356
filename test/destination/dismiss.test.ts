/** Held rows that an operator gave up: they stay, account for a row of the source for as long as it sends them, and go in all the same once they can. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listHeld } from '../../src/destination/held-list.js'
import { schemaVersion } from '../../src/destination/migrations.js'
import { followSchema } from '../../src/destination/schema-follow.js'
import type { HeldDismissal } from '../../src/domain/held.js'
import type { Json } from '../../src/domain/json.js'
import { fullWalkPartition } from '../../src/domain/page-task.js'
import type { Partition } from '../../src/domain/partition.js'
import type { Destination } from '../../src/domain/ports.js'
import type { Stream } from '../../src/domain/source-model.js'
import { tryWaiting } from '../../src/domain/waiting.js'
import { openClient } from '../support/open-client.js'
import { createDatabase } from '../support/postgres.js'
import { advanceOf, column, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const idAndDay = [column('id', 'bigint'), column('day', 'date')]
/** No such day: the source never mends it. */
const bad = (id: number, day = '2025-02-30') => ({ id, day })
const good = (id: number) => ({ id, day: '2025-02-28' })

const giveUp = (destination: Destination, stream: Stream, rest: Partial<HeldDismissal> = {}) => {
  const streams = [{ source: stream.source, stream: stream.name }]
  return destination.dismissHeld({ streams, partitions: {}, codes: null, note: null, ...rest })
}
const heldOf = (stream: Pick<Stream, 'name'>) =>
  database.sql(
    'select key, dismissed_at is not null as dismissed, dismissal_note as note from backfill.held where stream = $1 order by key, partition',
    [stream.name],
  )
const countOf = async (destination: Destination, stream: Stream) =>
  (await destination.heldCounts()).find((one) => one.stream === stream.name)
const retry = async (destination: Destination, stream: Stream) =>
  destination.retryHeld(
    await destination.openTable(stream),
    { partitions: {}, codes: null, isWaiting: false },
    new AbortController().signal,
  )

interface Walked {
  readonly partition?: Partition
  readonly records: readonly Json[]
  /** Unix ms: asks for what changed since only. */
  readonly since?: number
}

/** A walk of a partition from its beginning to its end, by a task of its own. */
async function walk(destination: Destination, stream: Stream, { partition = {}, records, since }: Walked) {
  const work = await startWork(destination, stream, partition)
  const id = randomUUID()
  const received = records.length
  const walked = { id, received, distinct: received, since: since ?? null }
  const { checkpoint } = await destination.flush(work.checkpoint, await work.batchOf(records), advanceOf(walked))
  const value = stream.fanOut?.dimension
  const partitions =
    value === undefined ? [partition] : (partition[value] ?? '').split(',').map((one) => ({ [value]: one }))
  const mark = { partitions, since: since ?? null, until: Date.now(), proof: 'proven', countBy: null } as const
  const end = advanceOf(walked, { done: true, proof: 'proven', ...(value === undefined ? {} : { mark }) })
  await destination.flush(checkpoint, await work.batchOf(), end)
}

describe('a held row that is given up', () => {
  test('stays with its note and counts apart; another dismissal changes nothing of it', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([...idAndDay, column('must', 'text', { isRequired: true })])
    await walk(destination, stream, { records: [{ ...bad(1), must: 'x' }, good(2), good(3)] })
    expect(await countOf(destination, stream)).toMatchObject({ waiting: 0, rejected: 3 })
    const own = { source: stream.source, stream: stream.name }
    expect(await giveUp(destination, stream, { codes: ['missing_value'], note: 'never' })).toEqual([
      { ...own, rows: 2, waiting: 0, before: 0 },
    ])
    expect(await countOf(destination, stream)).toEqual({
      ...own,
      waiting: 0,
      rejected: 1,
      dismissed: { rows: 2, waiting: 0 },
    })
    expect(await giveUp(destination, stream, { note: 'other' })).toEqual([{ ...own, rows: 1, waiting: 0, before: 2 }])
    expect(await heldOf(stream)).toEqual([
      { key: '1', dismissed: true, note: 'other' },
      { key: '2', dismissed: true, note: 'never' },
      { key: '3', dismissed: true, note: 'never' },
    ])
    expect(await giveUp(destination, streamOf(idAndDay))).toEqual([])
  })

  test('is selected by partition', async () => {
    const destination = await openDestination(database.config)
    const columns = [column('site', 'text', { path: null, dimension: 'site' }), ...idAndDay]
    const stream = streamOf(columns, { dimensions: ['site'], key: ['site', 'id'] })
    for (const site of ['a', 'b']) await walk(destination, stream, { partition: { site }, records: [bad(1)] })
    expect(await giveUp(destination, stream, { partitions: { site: ['b'] } })).toMatchObject([{ rows: 1 }])
    expect(await heldOf(stream)).toMatchObject([
      { key: 'a\t1', dismissed: false },
      { key: 'b\t1', dismissed: true },
    ])
  })

  test('stays given up when the same record comes again, and is held anew when it comes with another text', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay)
    const keyless = { id: null, day: '2025-01-01' }
    await walk(destination, stream, { records: [bad(1), bad(2), keyless] })
    await giveUp(destination, stream, { note: 'never' })
    await walk(destination, stream, { records: [bad(1), bad(2, '2025-02-31'), keyless] })
    expect(await heldOf(stream)).toEqual([
      { key: '1', dismissed: true, note: 'never' },
      { key: '2', dismissed: false, note: null },
      { key: null, dismissed: true, note: 'never' },
    ])
    expect(await countOf(destination, stream)).toMatchObject({ rejected: 1, dismissed: { rows: 2, waiting: 0 } })
  })

  test('is the same record in another partition too, where its key tells; what has no key is not', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay, { dimensions: ['campus'] })
    const keyless = { id: null, day: '2025-01-01' }
    await walk(destination, stream, { partition: { campus: 'a' }, records: [bad(1), keyless] })
    await giveUp(destination, stream, { note: 'never' })
    const second = [bad(1), keyless]
    await walk(destination, stream, { partition: { campus: 'b' }, records: second })
    expect(await heldOf(stream)).toEqual([
      { key: '1', dismissed: true, note: 'never' },
      { key: '1', dismissed: true, note: 'never' },
      { key: null, dismissed: true, note: 'never' },
      { key: null, dismissed: false, note: null },
    ])
  })

  test('stays given up where that was said while a walk was about to hold it again', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay)
    await walk(destination, stream, { records: [bad(1), bad(2)] })
    const operator = await openClient(database.config)
    onTestFinished(() => operator.end())
    await operator.query('begin')
    await operator.query(`update backfill.held set dismissed_at = now(), dismissal_note = 'never' where stream = $1`, [
      stream.name,
    ])
    const walked = walk(destination, stream, { records: [bad(1), bad(2, '2025-02-31')] })
    const waits = "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%backfill.held%'"
    await expect.poll(() => database.sql(waits), { timeout: 10_000 }).toHaveLength(1)
    await operator.query('commit')
    await walked
    expect(await heldOf(stream)).toEqual([
      { key: '1', dismissed: true, note: 'never' },
      { key: '2', dismissed: false, note: null },
    ])
  })

  test('is gone once a walk brings it in a form that can be stored', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay)
    await walk(destination, stream, { records: [bad(1), bad(2)] })
    await giveUp(destination, stream)
    await walk(destination, stream, { records: [good(1), bad(2)] })
    expect(await heldOf(stream)).toMatchObject([{ key: '2', dismissed: true }])
    expect(await database.sql(`select id from public."${stream.name}"`)).toEqual([{ id: '1' }])
  })

  test('is tried by a retry: it goes in where the definition was mended, and stays given up where not', async () => {
    const destination = await openDestination(database.config)
    const narrow = streamOf([column('id', 'bigint'), column('n', 'smallint')])
    const work = await startWork(destination, narrow)
    await work.flush([
      { id: 1, n: 70_000 },
      { id: 2, n: 'many' },
      { id: 3, n: 'more' },
    ])
    await giveUp(destination, narrow, { note: 'never' })
    await work.flush([{ id: 4, n: 'most' }])
    await database.sql(`alter table public."${narrow.name}" alter n type integer`)
    const wide = { ...narrow, columns: [column('id', 'bigint'), column('n', 'integer')] }
    expect(await retry(destination, wide)).toMatchObject({ tried: 4, created: 1, held: 3, dismissed: 2, revived: 1 })
    expect(await heldOf(narrow)).toEqual([
      { key: '2', dismissed: true, note: 'never' },
      { key: '3', dismissed: true, note: 'never' },
      { key: '4', dismissed: false, note: null },
    ])
    const [ledger] = await database.sql(
      'select received::int, created::int, held::int from backfill.ledger where task = $1',
      [work.lease.task.id],
    )
    expect(ledger).toEqual({ received: 4, created: 1, held: 3 })
  })

  test('that waits for a parent in vain is one of those given up after a retry, and not one that waits', async () => {
    const destination = await openDestination(database.config)
    const parent = streamOf([column('id', 'bigint')])
    await destination.openTable(parent)
    const references = [{ column: 'user_id', table: parent.table, targetColumn: 'id' }]
    const child = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references })
    await (await startWork(destination, child)).flush([{ id: 1, user_id: 7 }])
    await giveUp(destination, child)
    expect(await retry(destination, child)).toMatchObject({ tried: 1, held: 1, waiting: 0, dismissed: 1, revived: 0 })
  })

  test('goes in when the parent comes that it waited for', async () => {
    const destination = await openDestination(database.config)
    const parent = streamOf([column('id', 'bigint')])
    const reference = { column: 'user_id', table: parent.table, targetColumn: 'id' }
    const child = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references: [reference] })
    const works = [await startWork(destination, parent), await startWork(destination, child)] as const
    await works[1].flush([
      { id: 1, user_id: 7 },
      { id: 2, user_id: 8 },
    ])
    expect(await giveUp(destination, child)).toMatchObject([{ rows: 2, waiting: 2 }])
    expect(await countOf(destination, child)).toMatchObject({
      ...{ waiting: 0, rejected: 0 },
      dismissed: { rows: 2, waiting: 2 },
    })
    await works[0].flush([{ id: 7 }])
    const onProblem = () => expect.unreachable()
    const tried = await tryWaiting([child], { destination, signal: new AbortController().signal, onProblem })
    expect(tried.get(child)).toMatchObject({ tried: 1, created: 1, revived: 1 })
    expect(await heldOf(child)).toMatchObject([{ key: '2', dismissed: true }])
  })

  test('keeps what the table has of its key from being deleted', async () => {
    const destination = await openDestination(database.config)
    const prune = { confirm: 'later', most: { share: 1 }, cascades: false } as const
    const stream = streamOf(idAndDay, { disposition: 'mirror', prune })
    await walk(destination, stream, { records: [good(1), good(2), good(3)] })
    await walk(destination, stream, { records: [good(1), bad(2)] })
    await giveUp(destination, stream)
    const work = await startWork(destination, stream)
    const advance = advanceOf({ id: randomUUID(), received: 1 })
    const { checkpoint } = await destination.flush(work.checkpoint, await work.batchOf([good(1), bad(2)]), advance)
    const scope = { partition: {}, partitions: () => [{}], rows: null, referrers: [] }
    expect(await destination.missing(checkpoint, work.table, scope)).toMatchObject({ missing: 1 })
  })
})

describe('what a partition has of rows that were given up', () => {
  test('counts for as long as the last full walk brought them, or a later walk of changes', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay)
    await walk(destination, stream, { records: [good(1), bad(2), bad(3)] })
    expect(await destination.actual(stream, {})).not.toHaveProperty('dismissed')
    await giveUp(destination, stream)
    expect(await destination.actual(stream, {})).toMatchObject({ rows: 1, held: 2, dismissed: { rows: 2, met: 2 } })
    await walk(destination, stream, { records: [good(1), bad(2)] })
    expect(await destination.actual(stream, {})).toMatchObject({ rows: 1, held: 2, dismissed: { rows: 2, met: 1 } })
    await walk(destination, stream, { records: [bad(3)], since: 1 })
    expect(await destination.actual(stream, {})).toMatchObject({ dismissed: { rows: 2, met: 2 } })
  })

  test('counts nothing for a change of a row that the table has, which is one row of the source', async () => {
    const destination = await openDestination(database.config)
    const columns = [
      column('site', 'text', { path: null, dimension: 'site' }),
      column('id', 'text'),
      column('day', 'date'),
    ]
    const stream = streamOf(columns, { dimensions: ['site'], key: ['site', 'id'] })
    const named = (row: { readonly id: number }) => ({ ...row, id: `a\t\\${row.id}` })
    const site = { site: 'a' }
    await walk(destination, stream, { partition: site, records: [named(good(1)), named(good(2))] })
    await walk(destination, stream, { partition: { site: 'b' }, records: [named(good(3))] })
    const changed = [named(good(1)), named(bad(2)), named(bad(3))]
    await walk(destination, stream, { partition: site, records: changed })
    await giveUp(destination, stream)
    expect(await destination.actual(stream, site)).toMatchObject({
      ...{ rows: 2, held: 2 },
      dismissed: { rows: 2, met: 1, inTable: 1 },
    })
    await database.sql(`delete from public."${stream.name}" where day = '2025-02-28' and id like '%2'`)
    expect(await destination.actual(stream, site)).toMatchObject({ rows: 1, dismissed: { rows: 2, met: 2 } })
  })

  test('counts a record whose key the table has for another partition', async () => {
    const destination = await openDestination(database.config)
    const columns = [column('site', 'text', { path: null, dimension: 'site' }), ...idAndDay]
    const stream = streamOf(columns, { dimensions: ['site'] })
    await walk(destination, stream, { partition: { site: 'b' }, records: [good(1)] })
    await walk(destination, stream, { partition: { site: 'a' }, records: [bad(1), good(2)] })
    await giveUp(destination, stream)
    expect(await destination.actual(stream, { site: 'a' })).toMatchObject({ rows: 1, dismissed: { rows: 1, met: 1 } })
  })

  test('counts nothing for keys that can no longer be compared', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf([column('id', 'text'), column('day', 'date')])
    await walk(destination, stream, {
      records: [
        { ...good(1), id: '1' },
        { ...bad(2), id: 'x' },
      ],
    })
    await giveUp(destination, stream)
    expect(await destination.actual(stream, {})).toMatchObject({ rows: 1, dismissed: { rows: 1, met: 1 } })
    await database.sql(`alter table public."${stream.name}" alter id type bigint using id::bigint`)
    expect(await destination.actual(stream, {})).toMatchObject({ rows: 1, dismissed: { rows: 1, met: 0 } })
  })

  test('counts a record once that came with a full walk of its own and without, as it came last', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay, { dimensions: ['site'] })
    const site = { site: 'a "#page"' }
    await walk(destination, stream, { partition: site, records: [bad(1), bad(2)] })
    await giveUp(destination, stream)
    const again = [bad(1), bad(2, '2025-02-31')]
    await walk(destination, stream, { partition: fullWalkPartition(site), records: again })
    expect(await heldOf(stream)).toHaveLength(4)
    expect(await destination.actual(stream, site)).toMatchObject({ held: 2, dismissed: { rows: 1, met: 1 } })
  })

  test('goes with the value that a record names, where many are asked for and the groups change', async () => {
    const destination = await openDestination(database.config)
    const many = { param: 'user', join: ',', max: 100, shrinkOn: [] }
    const stream = streamOf([...idAndDay, column('user_id', 'bigint')], {
      dimensions: ['user_id'],
      match: { user_id: 'user_id' },
      fanOut: { dimension: 'user_id', many },
    })
    const of = (user: number, row: Json) => ({ ...(row as object), user_id: user })
    await walk(destination, stream, { partition: { user_id: '1,2' }, records: [of(1, bad(1)), of(2, bad(2))] })
    await walk(destination, stream, { partition: { user_id: '3' }, records: [of(3, bad(3)), of(3, good(4))] })
    await giveUp(destination, stream)
    const dismissedIn = async (values: string) =>
      (await destination.actual(stream, { user_id: values })).dismissed?.met ?? 0
    expect(await dismissedIn('1,2,3')).toBe(3)
    expect(await dismissedIn('2,3')).toBe(2)
    expect(await destination.actual(stream, { user_id: '2,3' })).not.toHaveProperty('heldBeside')
    // The value 1 was walked in another group since, and did not bring its row; the value 2 was not.
    await walk(destination, stream, { partition: { user_id: '1,3' }, records: [of(3, bad(3)), of(3, good(4))] })
    expect(await dismissedIn('1,2,3')).toBe(2)
    const silent = { ...stream, match: {} }
    expect(await destination.actual(silent, { user_id: '2,3' })).toMatchObject({ heldBeside: 3, held: 0 })
  })
})

describe('the list of held rows', () => {
  const listOf = async (config: Parameters<typeof listHeld>[1]['config'], stream: string) => {
    const query = { streams: [{ source: 'test', stream }], partitions: {}, rowLimit: 10, withRaw: false }
    const options = { config, log: () => undefined, signal: new AbortController().signal, databaseId: null }
    return await listHeld(query, options)
  }

  test('has what was given up at one time as a group of its own, behind the others', async () => {
    const destination = await openDestination(database.config)
    const stream = streamOf(idAndDay)
    const work = await startWork(destination, stream)
    await work.flush([bad(1), bad(2)])
    await giveUp(destination, stream, { note: 'first' })
    await work.flush([bad(3), bad(4), bad(5)])
    await giveUp(destination, stream)
    await work.flush([bad(6)])
    const list = await listOf(database.config, stream.name)
    expect(list).toMatchObject({ total: 6, dismissed: 5, moreGroups: 0 })
    expect(list.groups.map(({ count, dismissal }) => [count, dismissal?.note])).toEqual([
      [1, undefined],
      [3, null],
      [2, 'first'],
    ])
    expect(list.groups[2]?.example.key).toMatch(/^[12]$/)
    expect(list.rows.filter(({ dismissal }) => dismissal?.note === 'first')).toHaveLength(2)
  })

  const schemaOf = (version: number): string => {
    const fixture = (name: string) => readFileSync(join(import.meta.dirname, `fixtures/schema-${name}.sql`), 'utf8')
    if (version < 4) return fixture(String(version))
    return `${fixture('3')}; ${followSchema}; update backfill.meta set version = 4`
  }

  test.each([1, 3, 4])('reads a ledger of version %i as it is, which then learns to give rows up', async (version) => {
    const old = await createDatabase()
    onTestFinished(() => old.drop())
    const client = await openClient(old.config)
    onTestFinished(() => client.end())
    await client.query(schemaOf(version))
    await client.query(`insert into backfill.held (source, stream, partition, identity, task, walk, page, row_number, key, code, reason, raw)
      values ('test', 'aside', '{}', 'i', gen_random_uuid(), 'w', 1, 1, '1', 'invalid_value', 'no date', '{"id":1}')`)
    const before = { total: 1, dismissed: 0, groups: [{ count: 1, dismissal: null }], rows: [{ dismissal: null }] }
    expect(await listOf(old.config, 'aside')).toMatchObject(before)
    expect((await client.query('select version from backfill.meta')).rows).toEqual([{ version }])

    const destination = await openDestination(old.config)
    expect((await client.query('select version from backfill.meta')).rows).toEqual([{ version: schemaVersion }])
    expect(await listOf(old.config, 'aside')).toMatchObject(before)
    await giveUp(destination, streamOf(idAndDay, { name: 'aside' }), { note: 'never' })
    expect(await listOf(old.config, 'aside')).toMatchObject({
      ...{ total: 1, dismissed: 1 },
      groups: [{ dismissal: { note: 'never' } }],
    })
  })
})
