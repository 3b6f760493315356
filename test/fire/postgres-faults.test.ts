/**
 * What may be wrong with Postgres, through the real worker against a real server: for each fault its code, the fate of the task, the exit code, the sentence,
 * and that a run after it is healed ends exactly. Faults that need waits shorter than a worker's (a lock that is never free, a client frozen inside COPY)
 * are in test/destination/fencing.test.ts and kill-points.test.ts.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { newWorkbench } from '../embedded/workbench.js'
import { until } from '../support/cli-workspace.js'
import { openClient } from '../support/open-client.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { type ProxyTarget, startProxy } from '../support/proxy.js'
import { type Bench, type BenchOptions, type BenchTask, expectSiteExact, makeBench } from './in-process.js'
import { startTableApi, type TableApi, thingsOf } from './table-api.js'

const count = 25
const site = 'a'
const exact = { table: 'thing', site, count }

const definition = (url: string, columns = ''): string => `source: api
base_url: ${url}
budget: { delay: 0s, concurrency: 1 }
dimensions: { site: [${site}] }
page_size: 10
flush: { rows: 10 }
retries: 0
streams:
  thing:
    path: '/{site}/thing'
    paginate: { page: page, size: size, total: header X-Total }
    key: [site, id]
    columns: { site: { type: text, dimension: site }, id: bigint, name: text${columns} }
`

let api: TableApi
let bench: Bench

beforeAll(async () => {
  api = await startTableApi({})
})
afterAll(async () => {
  await api.close()
})
beforeEach(() => {
  api.rows = { '/a/thing': thingsOf(site, count) }
  api.before = () => {}
  api.requests.length = 0
})
afterEach(async () => {
  await bench.close()
})

async function open(options: BenchOptions & { readonly columns?: string } = {}): Promise<void> {
  bench = await makeBench({ 'api.yaml': definition(api.url, options.columns) }, options)
  expect(await bench.run('seed', 'api')).toMatchObject({ exitCode: 0 })
}

/** Does it once, when the third page is asked for and the first two are promoted. */
function inTheMiddle(fault: () => Promise<unknown>): void {
  let isDone = false
  api.before = async ({ page }) => {
    if (page !== 3 || isDone) return
    isDone = true
    await until(async () => (await bench.sql('select from backfill.ledger where pages = 2')).length === 1)
    await fault()
  }
}

const task = (): BenchTask => bench.task('thing', site)
const drain = () => bench.run('worker', '--until-empty')

async function expectHealed(): Promise<void> {
  api.before = () => {}
  bench.letTimePass()
  expect(await drain()).toEqual({ exitCode: 0, stdout: '', stderr: '' })
  expect(task().state).toBe('done')
  await expectSiteExact(bench, exact)
}

/** Ends the run as a failure outside: tried again by the next one, no attempt spent. */
async function expectTemporary(
  ran: { readonly exitCode: number; readonly stderr: string },
  says: RegExp,
): Promise<void> {
  expect(ran.exitCode, ran.stderr).toBe(75)
  expect(ran.stderr).toMatch(says)
  expect(task()).toMatchObject({ state: 'ready', attempts: 0 })
}

/** A client of its own with settings or a transaction of its own; ends with the test. */
async function connected(config: pg.ClientConfig = bench.database.config): Promise<pg.Client> {
  const client = await openClient(config)
  onTestFinished(async () => {
    await client.end().catch(() => undefined)
  })
  return client
}

async function isWaitingForLock(): Promise<boolean> {
  const found = await bench.sql(
    `select from pg_stat_activity where datname = current_database() and application_name = 'backfill' and wait_event_type = 'Lock'`,
  )
  return found.length > 0
}

describe('a server', { timeout: 60_000 }, () => {
  it('that is gone at the start: nothing is asked for, and the next run goes on', async () => {
    const { user, database } = inject('postgres')
    await open({ url: `postgresql://${user}@127.0.0.1:9/${database}` })
    await expectTemporary(await drain(), /found no server at 127\.0\.0\.1:9: ECONNREFUSED/)
    expect(api.requests).toEqual([])
    writeFileSync(join(bench.directory, '.env'), `TEST_DATABASE=${bench.database.url}\n`)
    await expectHealed()
  })

  it('that goes away in the middle and comes back: the run goes on by itself', async () => {
    await open()
    inTheMiddle(() => bench.sql(endOthers))
    expect(await drain()).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    await expectSiteExact(bench, exact)
    expect(api.requests.length).toBeLessThanOrEqual(4)
  })

  it('that crashes and recovers in the middle: the run goes on, or the next one does', async () => {
    const workbench = newWorkbench()
    onTestFinished(() => workbench.clear())
    const folder = await workbench.newFolder()
    const server = await workbench.open({ directory: join(folder, '.backfill') })
    const database: TestDatabase = { config: server.connection, url: server.url, drop: async () => {} }
    await open({ database, url: server.url })
    inTheMiddle(async () => {
      const victim = await connected(server.connection)
      const { rows } = await victim.query<{ pid: number }>('select pg_backend_pid() as pid')
      // The death of one backend makes the postmaster end them all and recover from the log, as after a power cut.
      process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
      await until(() =>
        bench.sql('select 1').then(
          (found) => found.length === 1,
          () => false,
        ),
      )
    })
    const ran = await drain()
    expect([0, 75], ran.stderr).toContain(ran.exitCode)
    await expectHealed()
    await server.close()
  })

  it('that is cut off for good in the middle: exit 75, and the next run goes on', async () => {
    const { host, port, user } = inject('postgres')
    const target: ProxyTarget = { path: join(host, `.s.PGSQL.${port}`) }
    const proxy = await startProxy(target)
    const database = await createDatabase()
    const name = database.config.database
    await open({ database, url: `postgresql://${user}@127.0.0.1:${proxy.port}/${name}` })
    inTheMiddle(() => proxy.close())
    await expectTemporary(await drain(), /found no server at 127\.0\.0\.1:\d+/)
    writeFileSync(join(bench.directory, '.env'), `TEST_DATABASE=${database.url}\n`)
    await expectHealed()
  })

  it('that is read-only: exit 75, and the next run goes on', async () => {
    await open()
    expect(await bench.run('worker', '--max-requests', '1')).toMatchObject({ exitCode: 0 })
    const name = bench.database.config.database
    await bench.sql(`alter database "${name}" set default_transaction_read_only = on`)
    await expectTemporary(await drain(), /read-only transaction/)
    const client = await connected()
    await client.query('set default_transaction_read_only = off')
    await client.query(`alter database "${name}" reset default_transaction_read_only`)
    await expectHealed()
  })
})

/** Everybody else in this database, as a restart does. */
const endOthers = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`

describe('another user', { timeout: 60_000 }, () => {
  let role: string
  /** A worker that is no superuser, on a table that it does not own. */
  async function openAsRole(): Promise<TestDatabase> {
    role = `fire_${randomUUID().replaceAll('-', '')}`
    const database = await createDatabase()
    const name = database.config.database
    await open({ database, url: database.url.replace(/\/\/[^@]*@/, `//${role}@`) })
    await bench.sql(`create role ${role} login; grant create on database "${name}" to ${role}; grant usage, create on schema public to ${role};
      create table thing (site text, id bigint, name text, primary key (site, id)); grant all on thing to ${role}`)
    return database
  }
  afterEach(async () => {
    await bench.sql(`drop owned by ${role} cascade; drop role ${role}`)
  })

  it('finds all its connections taken: exit 75, and the next run goes on', async () => {
    const database = await openAsRole()
    await bench.sql(`alter role ${role} connection limit 1`)
    const other = await connected({ ...database.config, user: role })
    await expectTemporary(await drain(), /too many connections/)
    await other.end()
    await expectHealed()
  })

  it('loses its permission in the middle: the task dies with what to grant, and goes on where it stood', async () => {
    await openAsRole()
    inTheMiddle(() => bench.sql(`revoke insert, update on thing from ${role}`))
    const ran = await drain()
    expect(ran.exitCode).toBe(3)
    expect(task()).toMatchObject({ state: 'dead', code: 'database_privilege' })
    expect(task().hint).toMatch(/grant/)
    await bench.sql(`grant all on thing to ${role}`)
    expect(await bench.run('retry', '--all')).toMatchObject({ exitCode: 0 })
    const before = api.requests.length
    await expectHealed()
    expect(api.requests.length - before).toBe(1)
  })
})

describe('a disk that is full', { timeout: 60_000 }, () => {
  const folder = smallDisk()
  it.skipIf('reason' in folder)(
    `ends the run with 75, and the next one goes on${'reason' in folder ? ` (skipped: ${folder.reason})` : ''}`,
    async () => {
      if ('reason' in folder) return
      onTestFinished(folder.remove)
      await open()
      const space = `fire_${randomUUID().replaceAll('-', '')}`
      await bench.sql(`create tablespace ${space} location '${folder.path}'`)
      onTestFinished(async () => {
        await dropSpace(space)
      })
      await bench.sql(
        `create table thing (site text, id bigint, name text, primary key (site, id)) tablespace ${space}`,
      )
      await bench.sql(
        `create table filler (text text) tablespace ${space}; alter table filler alter text set storage plain`,
      )
      // Rows wide enough that the first flush needs a page, and the page a block that is not there.
      await untilRefused(`insert into filler select repeat('x', 7000) from generate_series(1, 20)`)
      await untilRefused(`insert into filler values (repeat('x', 7000))`)
      await expectTemporary(await drain(), /No space left on device|could not extend/)
      await bench.sql('drop table filler')
      await expectHealed()
      await bench.sql('drop table thing')
    },
  )

  async function untilRefused(statement: string): Promise<void> {
    for (;;) {
      const isTaken = await bench.sql(statement).then(
        () => true,
        () => false,
      )
      if (!isTaken) return
    }
  }

  async function dropSpace(space: string): Promise<void> {
    const client = await connected(inject('postgres'))
    await client.query(`drop tablespace if exists ${space}`).catch(() => undefined)
  }
})

/** A folder of its own file system of two megabytes that the server may write to; or why there is none. */
function smallDisk(): { readonly path: string; readonly remove: () => void } | { readonly reason: string } {
  if (process.getuid?.() !== 0) return { reason: 'only root may mount' }
  const path = mkdtempSync('/tmp/backfill-disk-')
  const mounted = execaSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], { reject: false })
  if (mounted.exitCode !== 0) {
    rmSync(path, { recursive: true })
    return { reason: `mount failed: ${mounted.stderr}` }
  }
  const inside = join(path, 'space')
  mkdirSync(inside, { mode: 0o700 })
  const remove = (): void => {
    execaSync('umount', ['-l', path], { reject: false })
    rmSync(path, { recursive: true, force: true })
  }
  process.once('exit', remove)
  return { path: inside, remove }
}

describe('somebody else at the table', { timeout: 60_000 }, () => {
  it('who reads it all night stops nothing', async () => {
    await open()
    expect(await bench.run('worker', '--max-requests', '1')).toMatchObject({ exitCode: 0 })
    const reader = await connected()
    await reader.query('begin isolation level repeatable read')
    for (const table of ['thing', 'delta_thing', 'backfill.ledger', 'backfill.held', 'backfill.meta'])
      await reader.query(`select * from ${table}`)
    await expectHealed()
    expect((await reader.query('select * from thing')).rows.length).toBeLessThan(count)
    await reader.query('rollback')
  })

  it('who locks it for a while is waited for', async () => {
    await open()
    const locker = await connected()
    inTheMiddle(async () => {
      await locker.query('begin; lock table thing in access exclusive mode')
      void until(isWaitingForLock).then(() => locker.query('rollback'))
    })
    expect(await drain()).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    await expectSiteExact(bench, exact)
    expect(task().attempts).toBe(0)
  })

  it('with whom a flush gets into a deadlock: it is repeated unchanged', async () => {
    await open()
    await bench.sql('create table thing (site text, id bigint, name text, primary key (site, id))')
    await bench.sql(`insert into thing select '${site}', id, 'old' from generate_series(1, ${count}) id`)
    const other = await connected()
    // The worker's own deadlock check comes first, so it is the one that gives way.
    await other.query(`set deadlock_timeout = '1min'`)
    inTheMiddle(async () => {
      await other.query('begin; select from backfill.ledger for update')
      void until(isWaitingForLock)
        .then(() => other.query(`update thing set name = name where site = '${site}' and id > 20`))
        .then(() => other.query('rollback'))
    })
    expect(await drain()).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    await expectSiteExact(bench, exact)
    const deadlocks = await bench.sql<{ n: number }>(
      'select deadlocks::int as n from pg_stat_database where datname = current_database()',
    )
    expect(deadlocks).toEqual([{ n: 1 }])
  })
})

describe('a table', { timeout: 60_000 }, () => {
  const changes = [
    {
      name: 'that is dropped in the middle',
      fault: 'drop table thing',
      says: /relation "public\.thing" does not exist/,
      mend: '',
    },
    {
      name: 'whose column becomes another type in the middle',
      fault: 'alter table thing alter column name type bigint using 0',
      says: /column "name" is of type bigint/,
      mend: `alter table thing alter column name type text using ''`,
    },
    {
      name: 'that loses a column in the middle',
      fault: 'alter table thing drop column name',
      says: /column .*name.* does not exist/,
      mend: 'alter table thing add column name text',
    },
  ]
  it.each(changes.map((change) => [change.name, change] as const))(
    '%s: the task dies with what to do',
    async (_, change) => {
      const { fault, says, mend } = change
      await open()
      inTheMiddle(() => bench.sql(fault))
      const ran = await drain()
      expect(ran.exitCode, ran.stderr).toBe(3)
      expect(task()).toMatchObject({ state: 'dead', code: 'promotion_conflict' })
      expect(task().message).toMatch(says)
      expect(task().hint).toMatch(/backfill retry --code promotion_conflict/)
      if (mend !== '') await bench.sql(mend)
      // The walk goes on where it stood; rows that went with the table are missed by its end.
      expect(await bench.run('retry', '--all')).toMatchObject({ exitCode: 0 })
      api.before = () => {}
      const again = await drain()
      if (mend === '') {
        expect(again.exitCode).toBe(3)
        expect(task()).toMatchObject({ state: 'done', proof: 'differs' })
      }
      expect(await bench.run('seed', 'api', '--force')).toMatchObject({ exitCode: 0 })
      await expectHealed()
    },
  )

  it('that changed between two runs is refused before a request is sent', async () => {
    await open()
    expect(await bench.run('worker', '--max-requests', '1')).toMatchObject({ exitCode: 0 })
    const before = api.requests.length
    await bench.sql('alter table thing alter column name type bigint using 0')
    const ran = await drain()
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toMatch(/name/)
    expect(api.requests).toHaveLength(before)
    expect(task().state).toBe('ready')
    await bench.sql(`alter table thing alter column name type text using 'lost'`)
    expect(await bench.run('seed', 'api', '--force')).toMatchObject({ exitCode: 0 })
    await expectHealed()
  })

  it('whose rules some rows break takes the others, and each of those is held with the reason', async () => {
    await open({ columns: ', size: smallint, code: text, parent: bigint, day: date' })
    await bench.sql(`create table parent (id bigint primary key); insert into parent values (1);
      create table thing (site text, id bigint, name text not null, size smallint constraint size_is_small check (size < 100), code varchar(8) unique,
        parent bigint references parent, day date, primary key (site, id));
      create function refuse() returns trigger language plpgsql as $$ begin
        if new.name like '% 9' then raise exception 'nine is not for sale'; end if; return new; end $$;
      create trigger refuse before insert or update on thing for each row execute function refuse()`)
    const broken: Record<number, Record<string, unknown>> = {
      2: { name: null },
      3: { size: 40_000 },
      4: { size: 100 },
      5: { code: 'c1' },
      6: { parent: 2 },
      7: { day: '2024-13-45' },
      8: { code: 'much too long' },
    }
    const good = { size: 1, parent: 1, day: '2024-01-31' }
    api.rows = {
      '/a/thing': thingsOf(site, count).map((row, index) => {
        const id = index + 1
        return { ...row, ...good, code: `c${id}`, ...broken[id] }
      }),
    }
    expect(await drain()).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    expect(task()).toMatchObject({ state: 'done', proof: 'proven' })
    const stored = await bench.sql<{ id: string }>('select id from thing order by id')
    expect(stored.map(({ id }) => Number(id))).toEqual(ids([2, 3, 4, 5, 6, 7, 8, 9]))
    const held = await bench.sql<{ id: number; reason: string }>(
      `select (raw::json ->> 'id')::int as id, code || ': ' || reason as reason from backfill.held order by 1`,
    )
    const reasons: Readonly<Record<number, RegExp>> = {
      2: /name/,
      3: /size.*smallint|smallint.*size|40000/,
      4: /size_is_small/,
      5: /unique/,
      6: /parent/,
      7: /2024-13-45/,
      8: /code|varying\(8\)/,
      9: /nine is not for sale/,
    }
    expect(held.map(({ id }) => id)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
    for (const { id, reason } of held) expect(reason).toMatch(reasons[id] ?? /no such row/)
    expect(await bench.sql('select from delta_thing')).toEqual([])
  })
})

function ids(except: readonly number[]): number[] {
  return Array.from({ length: count }, (_, index) => index + 1).filter((id) => !except.includes(id))
}
