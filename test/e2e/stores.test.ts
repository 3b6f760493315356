/** One of the two stores is lost, older than it was, or another one: the real commands, from outside. */
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, startBackfill, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace

async function setup(rows: Record<string, number>, budget = ''): Promise<void> {
  api = await startPagedApi(rows)
  const yaml = pagedYaml(api.url, Object.keys(rows))
  workspace = await makeWorkspace({
    'paged.yaml': budget === '' ? yaml : yaml.replace('budget: { delay: 0s }', `budget: ${budget}`),
  })
}
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const file = (name: string): string => join(workspace.directory, name)
const loseQueue = (): void => {
  for (const name of ['queue.db', 'queue.db-wal', 'queue.db-shm']) rmSync(file(name), { force: true })
}
const copyQueue = (from: string, to: string): void => {
  for (const name of ['', '-wal', '-shm']) {
    rmSync(file(`${to}${name}`), { force: true })
    if (existsSync(file(`${from}${name}`))) copyFileSync(file(`${from}${name}`), file(`${to}${name}`))
  }
}
const inQueue = <T>(read: (db: Sqlite.Database) => T): T => {
  const db = new Sqlite(file('queue.db'))
  try {
    return read(db)
  } finally {
    db.close()
  }
}
const tasksInQueue = () =>
  inQueue((db) => db.prepare('select id, partition, state, epoch, received, proof from task order by id').all())
const stream = async (): Promise<unknown> => ((await workspace.json('status')) as { streams: unknown[] }).streams[0]
/** A walk that stands in the middle of its partition, promoted so far. */
async function stopIn(site: string, page: number): Promise<void> {
  api.before = async (asked, number) => {
    if (asked === site && number === page) await new Promise<void>((resolve) => setTimeout(resolve, 60_000).unref())
  }
  const worker = workspace.start('worker')
  await until(() => api.requests.includes(`${site} ${page}`))
  // A flush waits for more rows for a moment only.
  const walk = `select from backfill.ledger where partition::json ->> 'site' = '${site}' and pages = ${page - 1}`
  await until(async () => (await workspace.query(walk)).length === 1)
  worker.child.kill('SIGTERM')
  await worker.ended
  api.before = () => {}
}

describe('seed --from-ledger after queue.db was lost', { timeout: 120_000 }, () => {
  it('knows what is done and where each walk stands, asks nothing, and the worker goes on from there', async () => {
    await setup({ a: 25, b: 95, c: 5 })
    await workspace.run('seed', 'paged', '--site', 'a', '--site', 'b')
    await stopIn('b', 4)
    const before = tasksInQueue()
    const asked = [...api.requests]
    loseQueue()

    // A worker makes no queue, and says what does.
    const worker = await workspace.run('worker')
    expect(worker.code).toBe(2)
    expect(worker.stderr).toContain('backfill seed --from-ledger')
    expect(existsSync(file('queue.db'))).toBe(false)

    const dry = await workspace.json('seed', '--from-ledger', '--dry-run')
    expect(dry).toMatchObject({ dry_run: true, done: 1, ready: 1, known: 0, contradiction_count: 0 })
    expect(existsSync(file('queue.db'))).toBe(false)

    const said = await workspace.run('seed', '--from-ledger')
    expect(said).toMatchObject({ code: 0, stderr: '' })
    expect(said.stdout).toContain('paged.thing: 1 done, 1 to go on with\n')
    expect(said.stdout).toContain(`it was bound to that of "${workspace.directory}"`)
    const after = tasksInQueue()
    expect(after).toEqual(
      (before as { epoch: number }[]).map((task) => ({ ...task, epoch: expect.any(Number) as number })),
    )
    expect((after as { epoch: number }[]).every(({ epoch }) => epoch >= 1)).toBe(true)
    expect(await stream()).toMatchObject({ done: 1, done_today: 1, ready: 1, rows: { received: 55 } })

    expect(await workspace.json('seed', '--from-ledger')).toMatchObject({
      done: 0,
      ready: 0,
      known: 2,
      adopted_from: null,
    })
    expect(tasksInQueue()).toEqual(after)
    expect(api.requests).toEqual(asked)

    expect(await workspace.run('seed', 'paged')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests.slice(asked.length).filter((request) => /^a|^b [123]$/.test(request))).toEqual([])
    await expectExactlyOnce(workspace, { a: 25, b: 95, c: 5 })
  })

  it('counts budget windows shorter than a day as used up', async () => {
    await setup({ a: 5, b: 5 }, '{ limits: [50/minute, 7000/day] }')
    await workspace.run('seed', 'paged', '--site', 'a')
    await workspace.run('worker')
    loseQueue()
    await workspace.run('seed', '--from-ledger')
    await workspace.run('seed', 'paged')
    const { budgets } = (await workspace.json('status')) as { budgets: { windows: unknown[]; opens_at: string }[] }
    expect(budgets[0]?.windows).toMatchObject([
      { period_ms: 60_000, left: 0 },
      { period_ms: 86_400_000, used: 0 },
    ])
    expect(Date.parse(budgets[0]?.opens_at ?? '') - Date.now()).toBeGreaterThan(30_000)
    expect(await workspace.run('worker', '--max-runtime', '2s')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests).toEqual(['a 1'])
  })

  it('keeps tasks of streams that no definition names, and lists them', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    await workspace.run('worker')
    await workspace.query(`insert into backfill.ledger (task, source, stream, partition, epoch)
      select gen_random_uuid(), 'gone', 'stuff', '{"n":"' || n || '"}', 1 from generate_series(1, 2500) n`)
    loseQueue()
    const said = await workspace.run('seed', '--from-ledger')
    expect(said.stdout).toContain('gone.stuff: 0 done, 2,500 to go on with\n')
    expect(said.stdout).toContain('No definition names gone.stuff: its tasks are kept, and none is claimed')
    const { streams } = (await workspace.json('status')) as { streams: unknown[] }
    expect(streams).toMatchObject([{ done: 1 }, { source: 'gone', is_configured: false, ready: 2500 }])
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  })

  it('takes the newest task of a partition for the one that counts', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    await workspace.run('worker')
    await workspace.run('seed', '--force')
    await workspace.run('worker')
    const before = tasksInQueue()
    loseQueue()
    expect(await workspace.json('seed', '--from-ledger')).toMatchObject({ done: 1, past: 1 })
    expect(tasksInQueue()).toEqual(before)
    expect(await workspace.json('seed')).toMatchObject({ created: 0, already_done: 1 })
  })

  it('refuses a queue in which another task is open for a walk of the ledger, and changes nothing', async () => {
    await setup({ a: 95 })
    await workspace.run('seed')
    await stopIn('a', 4)
    loseQueue()
    await workspace.run('seed')
    const before = tasksInQueue()
    // Without the ledger's tasks this queue may not work on the database.
    const worker = await workspace.run('worker')
    expect(worker.code).toBe(2)
    expect(worker.stderr).toMatch(/queue\.db was lost, or replaced\nTry: run "backfill seed --from-ledger"/)
    const refused = await workspace.run('seed', '--from-ledger')
    expect(refused.code).toBe(2)
    expect(refused.stderr).toMatch(
      /a walk of paged\.thing a is open in the ledger, and task 1 of the queue is open for it, too\nTry: .*move queue\.db/,
    )
    expect(tasksInQueue()).toEqual(before)
    const dry = await workspace.run('seed', '--from-ledger', '--dry-run', '--json')
    expect(dry.code).toBe(3)
    expect(JSON.parse(dry.stdout)).toMatchObject({ contradictions: [{ kind: 'other_walk', queued: { number: 1 } }] })
  })

  it('takes a database from another folder only where that is typed', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    await workspace.run('worker')
    const other = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, ['a']) })
    const run = (...args: string[]) =>
      startBackfill(args, other.directory, { environment: { TEST_DATABASE: workspace.database.url } }).ended
    try {
      const refused = await run('seed', '--from-ledger')
      expect(refused.code).toBe(2)
      expect(refused.stderr).toContain(`found the database bound to "${workspace.directory}"`)
      expect(await workspace.run('worker')).toMatchObject({ code: 0 })
      expect(await run('seed', '--from-ledger', '--adopt')).toMatchObject({ code: 0 })
      expect(await run('worker')).toMatchObject({ code: 0 })
      await workspace.run('seed', '--force')
      const late = await workspace.run('worker')
      expect(late.code).toBe(2)
      expect(late.stderr).toContain(other.directory)
    } finally {
      await other.close()
    }
  })
})

describe('a database that was put back to an earlier moment', { timeout: 120_000 }, () => {
  /** What a restored backup is: rows and ledger of that moment. */
  const backup = async (): Promise<void> => {
    await workspace.query(`create schema kept`)
    for (const table of ['public.thing', 'backfill.ledger', 'backfill.meta'])
      await workspace.query(`create table kept.${table.replace('.', '_')} as select * from ${table}`)
  }
  const restore = async (): Promise<void> => {
    for (const table of ['public.thing', 'backfill.ledger', 'backfill.meta']) {
      await workspace.query(`delete from ${table}`)
      await workspace.query(`insert into ${table} select * from kept.${table.replace('.', '_')}`)
    }
  }

  it('gets back what it lost at the next start: walks that it has go on, others begin again', async () => {
    await setup({ a: 25, b: 95, c: 15, d: 5 })
    await workspace.run('seed', 'paged', '--site', 'a', '--site', 'b')
    await stopIn('b', 4)
    await backup()
    await workspace.run('seed', 'paged', '--site', 'c')
    await workspace.run('worker')
    await restore()
    const asked = api.requests.length

    await workspace.run('seed', 'paged', '--site', 'd')
    const ran = await workspace.run('worker')
    expect(ran).toMatchObject({
      code: 0,
      stderr: 'The database was put back to an earlier moment: 2 tasks that were done are ready again\n',
    })
    const again = api.requests.slice(asked)
    expect(again.filter((request) => /^a|^b [123]$/.test(request))).toEqual([])
    expect(again.filter((request) => request.startsWith('c'))).toHaveLength(2)
    await expectExactlyOnce(workspace, { a: 25, b: 95, c: 15, d: 5 })
    expect(await stream()).toMatchObject({ done: 4, done_today: 4 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  })

  it('is noticed although both name the same last run', async () => {
    await setup({ a: 5, b: 95 })
    await workspace.run('seed', 'paged', '--site', 'b')
    api.before = async (site, page) => {
      if (site === 'b' && page === 5) {
        await backup()
        api.before = () => {}
      }
    }
    await workspace.run('worker')
    await restore()
    await workspace.run('seed', 'paged', '--site', 'a')
    expect((await workspace.run('worker')).stderr).toContain('1 task that was done is ready again')
    await expectExactlyOnce(workspace, { a: 5, b: 95 })
  })

  it('is noticed within an hour where nothing is due, too', async () => {
    await setup({ a: 5, b: 5 })
    await workspace.run('seed', 'paged', '--site', 'a')
    await workspace.run('worker')
    await backup()
    await workspace.run('seed', 'paged', '--site', 'b')
    await workspace.run('worker')
    await restore()
    // Not at once: a run with nothing to do connects to nothing.
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    inQueue((db) => db.exec(`update meta set value = '${Date.now() - 3_700_000}' where name = 'stores_compared_at'`))
    expect((await workspace.run('worker')).stderr).toContain('1 task that was done is ready again')
    await expectExactlyOnce(workspace, { a: 5, b: 5 })
  })
})

describe('a queue.db that was put back to yesterday', { timeout: 120_000 }, () => {
  it('counts budgets as used up, adopts what is done without a request, and doubles nothing', async () => {
    await setup({ a: 25, b: 15, c: 5 }, '{ limits: [30/3s] }')
    await workspace.run('seed', 'paged', '--site', 'a', '--site', 'b')
    copyQueue('queue.db', 'yesterday.db')
    await workspace.run('worker')
    await workspace.run('seed', 'paged', '--site', 'c')
    await workspace.run('worker')
    const asked = api.requests.length
    copyQueue('yesterday.db', 'queue.db')

    const ran = await workspace.run('worker')
    expect(ran.code).toBe(0)
    expect(ran.stderr).toMatch(
      /^queue\.db was put back to an earlier moment: budgets count as used up.*"backfill seed --from-ledger"\n$/,
    )
    expect(api.requests).toHaveLength(asked)
    expect(await stream()).toMatchObject({ done: 2, ready: 0 })
    expect(await workspace.json('seed', '--from-ledger')).toMatchObject({ done: 1, known: 2 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests).toHaveLength(asked)
    await expectExactlyOnce(workspace, { a: 25, b: 15, c: 5 })
  })
})

it('leaves nothing behind but what it made', { timeout: 120_000 }, async () => {
  await setup({ a: 5 })
  await workspace.run('seed')
  expect(readdirSync(workspace.directory).sort()).toEqual(['.backfill', 'backfill.yaml', 'queue.db', 'sources'])
})
