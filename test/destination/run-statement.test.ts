import { expect, test } from 'vitest'
import { runStatement, type StatementEvent } from '../../src/destination/run-statement.js'
import { useDatabase } from './setup.js'

const database = useDatabase()

async function run(sql: string, signal = new AbortController().signal): Promise<readonly StatementEvent[]> {
  const events: StatementEvent[] = []
  for await (const event of runStatement({ config: database.config, sql, signal })) events.push(event)
  return events
}

test('answers columns, rows as text, notices and counts of every statement', async () => {
  const sql = `create temp table t (id int, name text); insert into t values (1, ''), (2, null);
    do $$ begin raise notice 'look here'; end $$; select * from t order by id; select 1 as "A" where false; update t set id = id`
  expect(await run(sql)).toEqual([
    { kind: 'done', command: 'CREATE TABLE', rowCount: null },
    { kind: 'done', command: 'INSERT', rowCount: 2 },
    { kind: 'notice', severity: 'NOTICE', message: 'look here' },
    { kind: 'done', command: 'DO', rowCount: null },
    { kind: 'columns', names: ['id', 'name'] },
    { kind: 'row', values: ['1', ''] },
    { kind: 'row', values: ['2', null] },
    { kind: 'done', command: 'SELECT', rowCount: 2 },
    { kind: 'columns', names: ['A'] },
    { kind: 'done', command: 'SELECT', rowCount: 0 },
    { kind: 'done', command: 'UPDATE', rowCount: 2 },
  ])
})

test('hands a large result over as slowly as it is taken', async () => {
  const sql = "select repeat('x', 1000) from generate_series(1, 200000)"
  let rows = 0
  for await (const event of runStatement({ config: database.config, sql, signal: new AbortController().signal })) {
    if (event.kind !== 'row') continue
    rows += 1
    // Nothing more is taken until the server has to wait for us: no memory of ours fills meanwhile.
    if (rows === 1) await expect.poll(() => hasWaitedFor(10), { timeout: 20_000 }).toBe(true)
  }
  expect(rows).toBe(200_000)
})

/** True where the server has been waiting for us, in as many looks in a row, and our memory did not take the result. */
async function hasWaitedFor(looks: number): Promise<boolean> {
  const before = process.memoryUsage().rss
  for (let look = 0; look < looks; look++) {
    const found = await database.sql(`select pg_sleep(0.02) from pg_stat_activity
      where application_name = 'backfill sql' and datname = current_database() and wait_event = 'ClientWrite'`)
    if (found.length === 0) return false
  }
  return process.memoryUsage().rss - before < 1_000_000
}

test('a statement that is left early is cut off', async () => {
  for await (const event of runStatement({
    config: database.config,
    sql: 'select generate_series(1, 100000000)',
    signal: new AbortController().signal,
  })) {
    if (event.kind === 'row') break
  }
})

test('a wrong statement is named with line and column', async () => {
  await expect(run("select '😀',\n  nothing from nowhere")).rejects.toMatchObject({
    name: 'ConfigError',
    code: 'statement_failed',
    message: 'run the statement failed at line 2, column 16: relation "nowhere" does not exist (SQLSTATE 42P01)',
  })
})

test('rows before an error are handed over, then the error', async () => {
  const events: StatementEvent[] = []
  const reading = (async () => {
    for await (const event of runStatement({
      config: database.config,
      sql: 'select 1 / (3 - n) from generate_series(1, 3) n',
      signal: new AbortController().signal,
    })) {
      events.push(event)
    }
  })()
  await expect(reading).rejects.toMatchObject({ context: { sqlstate: '22012' } })
  expect(events.map(({ kind }) => kind)).toEqual(['columns', 'row', 'row'])
})

test('copies out and has nothing to copy in', async () => {
  const events = await run('copy (select 1, 2) to stdout')
  expect(events).toMatchObject([
    { kind: 'copied', data: Buffer.from('1\t2\n') },
    { kind: 'done', rowCount: 1 },
  ])
  await expect(run('create temp table u (a int); copy u from stdin')).rejects.toMatchObject({
    code: 'statement_failed',
  })
})

test('abort ends a statement that takes long', async () => {
  const stop = new AbortController()
  const running = run('select pg_sleep(60)', stop.signal)
  setTimeout(() => stop.abort(), 50)
  await expect(running).rejects.toMatchObject({ name: 'DestinationUnavailable' })
})
