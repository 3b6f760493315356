/** Kills, sleeps and doubles of the real worker, from outside: nothing lost, nothing twice, and no request that was not needed. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, startBackfill, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace

async function setup(rows: Record<string, number>, settings = ''): Promise<void> {
  api = await startPagedApi(rows)
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, Object.keys(rows)) }, settings)
  expect(await workspace.run('seed', 'paged')).toMatchObject({ code: 0 })
}
const ledgerRows = async (where: string) =>
  (await workspace.query<{ n: number }>(`select count(*)::int as n from backfill.ledger where ${where}`))[0]?.n ?? 0
/** False before the worker has made the schema. */
const hasLedger = async () =>
  (await workspace.query<{ t: string | null }>(`select to_regclass('backfill.ledger')::text as t`))[0]?.t !== null

afterEach(async () => {
  await workspace.close()
  await api.close()
})

describe('a worker killed between COMMIT and settle', { timeout: 120_000 }, () => {
  it('sends no request again, and settles what the ledger says', async () => {
    await setup({ a: 25 })
    // A writer in queue.db keeps the settle waiting while Postgres commits.
    let release = () => {}
    api.before = (_, page) => {
      if (page !== 3) return
      const writer = new Sqlite(join(workspace.directory, 'queue.db'))
      writer.exec('begin immediate')
      release = () => {
        writer.exec('rollback')
        writer.close()
      }
    }
    const first = workspace.start('worker')
    await until(async () => (await hasLedger()) && (await ledgerRows('done')) === 1)
    first.child.kill('SIGKILL')
    await first.ended
    release()
    api.before = () => {}
    expect(api.requests).toEqual(['a 1', 'a 2', 'a 3'])

    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(api.requests).toEqual(['a 1', 'a 2', 'a 3'])
    await expectExactlyOnce(workspace, { a: 25 })
  })
})

describe('a worker killed in the middle of a walk', { timeout: 120_000 }, () => {
  it('goes on after the last promoted page', async () => {
    await setup({ a: 95 })
    let hold = true
    api.before = async (_, page) => {
      if (page === 6 && hold) await new Promise<void>((resolve) => setTimeout(resolve, 60_000).unref())
    }
    const first = workspace.start('worker')
    await until(async () => (await hasLedger()) && (await ledgerRows('pages >= 5')) === 1)
    first.child.kill('SIGKILL')
    await first.ended
    hold = false

    const before = api.requests.length
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    // Pages 1 to 5 are promoted: they are not asked for again.
    const again = api.requests.slice(before).map((request) => Number(request.split(' ')[1]))
    expect(again.sort((a, b) => a - b)).toEqual([6, 7, 8, 9, 10])
    await expectExactlyOnce(workspace, { a: 95 })
  })
})

describe('a worker that slept through a take-over', { timeout: 120_000 }, () => {
  it('loses the compare-and-set and drops only its own rows', async () => {
    await setup({ a: 45 })
    let release = () => {}
    const isHeld = new Promise<void>((resolve) => {
      api.before = async (_, page) => {
        if (page !== 3) return
        resolve()
        await new Promise<void>((let_go) => {
          release = let_go
        })
      }
    })
    const sleeper = workspace.start('worker')
    await isHeld
    sleeper.child.kill('SIGSTOP')
    api.before = () => {}
    // What an operator does who believes it dead: without the lock's file, nothing tells the next worker of it.
    rmSync(join(workspace.directory, '.backfill'), { recursive: true, force: true })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { a: 45 })

    release()
    sleeper.child.kill('SIGCONT')
    await sleeper.ended
    await expectExactlyOnce(workspace, { a: 45 })
  })
})

describe('two workers at once', { timeout: 120_000 }, () => {
  it('one works, the other ends with 0, says nothing and asks for nothing', async () => {
    await setup({ a: 25, b: 25 })
    const waiting: (() => void)[] = []
    let isHolding = true
    api.before = async () => {
      if (isHolding) await new Promise<void>((letGo) => waiting.push(letGo))
    }
    const first = workspace.start('worker')
    await until(() => waiting.length === 2)
    expect(await workspace.run('worker')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(waiting).toHaveLength(2)
    isHolding = false
    for (const letGo of waiting) letGo()
    expect(await first.ended).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { a: 25, b: 25 })
    expect([...api.requests].sort()).toEqual(['a 1', 'a 2', 'a 3', 'b 1', 'b 2', 'b 3'])
  })
})

describe('a worker that is told to stop', { timeout: 120_000 }, () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('flushes, releases and exits after %s', async (signal, code) => {
    await setup({ a: 95 })
    let isHolding = true
    api.before = async (_, page) => {
      if (page === 4 && isHolding) await new Promise<void>((resolve) => setTimeout(resolve, 60_000).unref())
    }
    const worker = workspace.start('worker')
    await until(() => api.requests.includes('a 4'))
    // Page 4 is asked for before page 3 is there; what is still on its way when the signal comes may be asked for again.
    await new Promise((resolve) => setTimeout(resolve, 300))
    worker.child.kill(signal)
    expect(await worker.ended).toMatchObject({ code })
    const [walk] = await workspace.query<{ pages: number }>(
      'select pages::int as pages from backfill.ledger where not done',
    )
    const promoted = walk?.pages ?? 0
    // Three, but where the machine was so busy that page 3 was still on its way.
    expect([2, 3]).toContain(promoted)
    const status = (await workspace.json('status')) as { streams: { leased: number; ready: number }[] }
    expect(status.streams[0]).toMatchObject({ leased: 0, ready: 1 })

    isHolding = false
    const before = api.requests.length
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(api.requests.slice(before)[0]).toBe(`a ${promoted + 1}`)
    await expectExactlyOnce(workspace, { a: 95 })
  })
})

describe('a task whose ledger row is another one', { timeout: 120_000 }, () => {
  it('dies with its reason, before a request, and its neighbour goes on', async () => {
    await setup({ a: 5, b: 5, c: 5 })
    expect(await workspace.run('worker', '--site', 'a')).toMatchObject({ code: 0 })
    const queue = new Sqlite(join(workspace.directory, 'queue.db'), { readonly: true })
    const id = queue.prepare(`select id from task where partition = '{"site":"b"}'`).pluck().get() as string
    queue.close()
    await workspace.query('create temp table copied as select * from backfill.ledger')
    await workspace.query(`update copied set task = '${id}'`)
    await workspace.query('insert into backfill.ledger select * from copied')

    // Alone in its claim, and beside a neighbour.
    const alone = await workspace.run('worker', '--site', 'b')
    expect(alone.code).toBe(3)
    expect(alone.stderr).toMatch(/^1 task died \(ledger_conflict 1\)/)
    expect(await workspace.run('retry', '--all')).toMatchObject({ code: 0 })
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(/^1 task died \(ledger_conflict 1\)/)
    expect([...api.requests].sort()).toEqual(['a 1', 'c 1'])
    const status = (await workspace.json('status')) as { streams: unknown[] }
    expect(status.streams[0]).toMatchObject({ done: 2, dead: 1, leased: 0, ready: 0 })
  })
})

describe('seed --force onto a running task', { timeout: 120_000 }, () => {
  it('stops the old walk, and the new task moves the partition once', async () => {
    await setup({ a: 95 })
    let isHolding = true
    api.before = async (_, page) => {
      // Never answered: the old walk can end only by what the queue says of it.
      if (page === 4 && isHolding) await new Promise<void>(() => {})
    }
    const worker = workspace.start('worker')
    await until(async () => (await hasLedger()) && (await ledgerRows('pages = 3')) === 1)
    expect(await workspace.run('seed', 'paged', '--force')).toMatchObject({ code: 0 })
    isHolding = false
    expect(await worker.ended).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    await expect(workspace.query(`select count(*)::int as n from thing`)).resolves.toEqual([{ n: 95 }])
    const status = (await workspace.json('status')) as { streams: unknown[] }
    expect(status.streams[0]).toMatchObject({ done: 1, cancelled: 1, leased: 0, ready: 0, dead: 0 })
  })
})

describe('a row that comes on two pages while another is passed over', { timeout: 120_000 }, () => {
  it('is not called proven, although the counts agree', async () => {
    // A flush a page: within one flush the repeat would be seen there.
    await setup({ a: 25 }, 'defaults: { flush: { rows: 10 } }\n')
    api.before = (site, page, response) => {
      if (page !== 3) return
      // Between pages 2 and 3 one row went and one came before the cursor: row 20 again, row 25 never.
      const ids = [20, 21, 22, 23, 24]
      response.writeHead(200, { 'content-type': 'application/json', 'x-total': 25 })
      response.end(JSON.stringify(ids.map((id) => ({ id, name: `${site} ${id}` }))))
    }
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(/ended with 25 rows where the source counts 25/)
    expect(await workspace.query('select proof from backfill.ledger')).toEqual([{ proof: 'differs' }])
  })
})

describe('two stores', { timeout: 120_000 }, () => {
  it('refuses another database, and a second workspace on the same one, before a request is sent', async () => {
    await setup({ a: 5, b: 5 })
    expect(await workspace.run('worker', '--site', 'a')).toMatchObject({ code: 0 })
    const asked = api.requests.length
    const other = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, ['a']) })
    try {
      expect(await other.run('seed', 'paged')).toMatchObject({ code: 0 })
      const onOther = await startBackfill(['worker'], workspace.directory, {
        environment: { TEST_DATABASE: other.database.url },
      }).ended
      expect(onOther.code).toBe(2)
      expect(onOther.stderr).toMatch(/found it bound to/)
      const onOurs = await startBackfill(['worker'], other.directory, {
        environment: { TEST_DATABASE: workspace.database.url },
      }).ended
      expect(onOurs.code).toBe(2)
      expect(onOurs.stderr).toContain(workspace.directory)
      expect(`${onOther.stderr}${onOurs.stderr}`).not.toContain('postgresql://')
      expect(api.requests).toHaveLength(asked)
    } finally {
      await other.close()
    }
  })
})
