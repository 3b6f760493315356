/** What a question about one partition costs where much is held of others: it reads its own rows. */
import { expect, test } from 'vitest'
import { partitionKey } from '../../src/domain/partition.js'
import { column, openDestination, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const partitions = 200
const each = 20

test('reads what is held of the partition, of its split pages and its full walks, and of no other', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([column('id', 'bigint')], { dimensions: ['site'] })
  await destination.openTable(stream)
  const [plain, page] = [partitionKey({ site: 'x' }), partitionKey({ '#page': '1', site: 'x' })]
  for (const text of [plain, page])
    await database.sql(
      `insert into backfill.held (source, stream, partition, identity, task, walk, page, row_number, key, code, reason, raw)
      select $1, $2, replace($3, '"x"', '"s' || p || '"'), $4 || p || '-' || i, gen_random_uuid(), 'w', 1, i, null, 'invalid_value', 'no date', repeat('x', 500)
      from generate_series(1, $5) p, generate_series(1, $6) i`,
      [stream.source, stream.name, text, text === page ? 'page' : 'plain', partitions, each],
    )
  // As the server does by itself within a minute.
  await database.sql('analyze backfill.held')
  const asked = 20
  for (let at = 1; at <= asked; at += 1)
    expect(await destination.actual(stream, { site: `s${at}` })).toMatchObject({ held: 2 * each })
  // A server's counters are whole once the connections that counted have ended.
  await database.sql(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )
  const read = `select (coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as tuples from pg_stat_user_tables
    where schemaname = 'backfill' and relname = 'held'`
  const tuples = async () => (await database.sql<{ tuples: number }>(read))[0]?.tuples ?? 0
  await expect.poll(tuples, { timeout: 10_000 }).toBeGreaterThanOrEqual(asked * 2 * each)
  expect(await tuples()).toBeLessThan(2 * asked * 2 * each)
})
