/** What the end of a mirrored walk costs before anybody has analysed the tables, as in every first load: each row is looked up, not compared with each other one. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { PruneScope } from '../../src/domain/ports.js'
import { advanceOf, column, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const count = 1500

test('looks each row up by its index, and reads nothing that other walks wrote down', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(
    [column('id', 'bigint'), column('name', 'text'), column('site', 'text', { dimension: 'site' })],
    {
      dimensions: ['site'],
      key: ['site', 'id', 'name'],
      disposition: 'mirror',
      prune: { confirm: 'later', most: { share: 1 }, cascades: false },
    },
  )
  for (const site of ['a', 'b', 'c']) {
    const partition = { site }
    const work = await startWork(destination, stream, partition)
    // Nor may the server do so in the middle.
    for (const table of ['backfill.seen', `public.${stream.table.name}`, `public.delta_${stream.table.name}`])
      await database.sql(`alter table ${table} set (autovacuum_enabled = off)`)
    const scope: PruneScope = { partition, partitions: () => [partition], rows: null, referrers: [] }
    const advance = advanceOf({ id: randomUUID(), since: null, received: count })
    const rows = Array.from({ length: count }, (_, index) => ({
      id: index + 1,
      name: 'the name of row '.repeat(4) + String(index),
      site,
    }))
    const { checkpoint } = await destination.flush(work.checkpoint, await work.batchOf(rows), advance)
    expect(await destination.missing(checkpoint, work.table, scope)).toMatchObject({ rows: count, missing: 0 })
    const end = { kind: 'prune', scope } as const
    const last = { ...advance, walk: { ...advance.walk, distinct: count }, done: true, proof: 'proven', end } as const
    await destination.flush(checkpoint, await work.batchOf(), last)
  }
  // A server's counters are whole once the connections that counted have ended.
  await database.sql(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  const read = `select (coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as tuples, n_tup_ins::int as written
    from pg_stat_user_tables where schemaname = 'backfill' and relname = 'seen'`
  const [seen] = await expect
    .poll(() => database.sql<{ tuples: number; written: number }>(read), { timeout: 10_000 })
    .toMatchObject([{ written: 3 * count }])
    .then(() => database.sql<{ tuples: number; written: number }>(read))
  // Once to count and once to delete. A join reads what all other walks wrote down, too, and compares each of it with each row.
  expect(seen?.tuples).toBeLessThanOrEqual(3 * 3 * count)
})
