/** A page that always fails, by the real commands: it becomes a task of its own, the walk goes on without proof, and what heals is fetched by that task alone. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

const quick = '\nattempts: 2\nbackoff: 10ms\nretries: 1'
let api: PagedApi
let workspace: CliWorkspace
/** What the page answers instead of its rows. */
const broken = new Map<number, 'error' | 'unparsable'>()

beforeEach(async () => {
  broken.clear()
  api = await startPagedApi({ a: 200 })
  api.before = (_site, page, response) => {
    const fault = broken.get(page)
    if (fault === undefined) return
    response.writeHead(fault === 'error' ? 500 : 200, { 'content-type': 'application/json' })
    response.end(fault === 'error' ? '{"error":"no"}' : '{"rows": [1, 2,, 3]}')
  }
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, ['a']) + quick })
  await workspace.run('seed', 'paged')
})
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const work = () => workspace.run('worker', '--until-empty')
const rowCount = async () => (await workspace.query<{ n: number }>('select count(*)::int as n from thing'))[0]?.n
interface TaskDocument {
  readonly number: number
  readonly state: string
  readonly code: string | null
  readonly proof: string | null
  readonly hint: string | null
  readonly partition: Record<string, string>
}
const task = async (number: number) =>
  ((await workspace.json('status', '--task', String(number))) as { task: TaskDocument }).task
const dead = async () => ((await workspace.json('status', '--dead')) as { dead: TaskDocument[] }).dead

describe('a page of a numbered walk that always fails', { timeout: 120_000 }, () => {
  it.each(['error', 'unparsable'] as const)(
    '(%s) leaves 19 of 20 pages and one dead task, and is brought by retry',
    async (fault) => {
      broken.set(7, fault)
      expect(await work()).toMatchObject({ code: 3 })
      expect(await rowCount()).toBe(190)
      expect(await task(1)).toMatchObject({ state: 'done', proof: 'unproven' })
      expect(await dead()).toMatchObject([
        { number: 2, code: fault === 'error' ? 'http_500' : 'unparsable', partition: { site: 'a', '#page': '7' } },
      ])
      const [ledger] = await workspace.query('select split, walk_pages from backfill.ledger where split is not null')
      expect(ledger).toMatchObject({ walk_pages: '20', split: [{ number: 7, at: 7 }] })
      expect((await workspace.run('status', '--dead')).stdout).toContain('a page 7')
      expect(await workspace.run('verify')).toMatchObject({ code: 0 })

      broken.clear()
      api.requests.length = 0
      expect(await workspace.json('retry', '--task', '2')).toMatchObject({ retried: [{ number: 2 }] })
      expect(await work()).toMatchObject({ code: 0 })
      expect(api.requests).toEqual(['a 7'])
      await expectExactlyOnce(workspace, { a: 200 })
      expect((await workspace.run('verify')).stdout).toContain('equal')
    },
  )

  it.each([1, 20])('may be page %i, the first or the last', async (page) => {
    broken.set(page, 'error')
    expect(await work()).toMatchObject({ code: 3 })
    expect(await rowCount()).toBe(190)
    expect(await task(1)).toMatchObject({ state: 'done', proof: 'unproven' })
    broken.clear()
    await workspace.run('retry', '--all')
    expect(await work()).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { a: 200 })
  })

  it('is not told from a source that fails: the walk waits there and says so', async () => {
    for (let page = 7; page <= 20; page += 1) broken.set(page, 'error')
    expect(await work()).toMatchObject({ code: 3 })
    expect(await rowCount()).toBe(60)
    expect(await dead()).toMatchObject([{ number: 1, code: 'http_500' }])
    expect((await dead())[0]?.hint).toContain(
      'the walk stands before its page 7 and goes on there: no page behind that one answers',
    )
    // Two tries a request, two attempts; on the last one two pages behind it, too.
    expect(api.requests.filter((request) => request === 'a 7').length).toBeLessThanOrEqual(5)
    expect(api.requests).not.toContain('a 10')
    broken.clear()
    await workspace.run('retry', '--all')
    expect(await work()).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { a: 200 })
  })

  it('that is the first of several is none: a source that answers nothing is split into nothing', async () => {
    for (let page = 1; page <= 20; page += 1) broken.set(page, 'error')
    expect(await work()).toMatchObject({ code: 3 })
    expect(await dead()).toMatchObject([{ number: 1 }])
    expect(api.requests).not.toContain('a 3')
  })

  it('is one of at most five', async () => {
    for (const page of [2, 4, 6, 8, 10, 12]) broken.set(page, 'unparsable')
    expect(await work()).toMatchObject({ code: 3 })
    expect((await dead()).map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6])
    expect((await task(1)).hint).toContain('it passed 5 pages over already')
    expect(await rowCount()).toBe(60)
    broken.clear()
    await workspace.run('retry', '--all')
    expect(await work()).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { a: 200 })
  })

  it('has no task any more once a later walk got it', async () => {
    broken.set(7, 'unparsable')
    await work()
    broken.clear()
    await workspace.run('seed', 'paged', '--force')
    expect(await work()).toMatchObject({ code: 0 })
    expect(await task(2)).toMatchObject({ state: 'cancelled' })
    expect(await task(3)).toMatchObject({ state: 'done', proof: 'proven' })
    expect(await rowCount()).toBe(200)
  })

  it('has its task again in a queue that was rebuilt from the ledger', async () => {
    broken.set(7, 'error')
    await work()
    // As if the worker had died before it claimed the page's task: only the walk's own row names the page.
    await workspace.query(`delete from backfill.ledger where partition like '{"#page"%'`)
    for (const end of ['', '-wal', '-shm']) rmSync(join(workspace.directory, `queue.db${end}`), { force: true })
    broken.clear()
    for (let time = 0; time < 2; time += 1) {
      expect(await workspace.run('seed', '--from-ledger')).toMatchObject({ code: 0 })
    }
    api.requests.length = 0
    expect(await work()).toMatchObject({ code: 0 })
    expect(api.requests).toEqual(['a 7'])
    await expectExactlyOnce(workspace, { a: 200 })
  })

  it('is made a task once, however often the worker is killed about it', async () => {
    broken.set(7, 'unparsable')
    let seen = 0
    api.before = ((fault) => (site, page, response) => {
      if (page === 7) seen += 1
      return fault(site, page, response)
    })(api.before)
    for (let kill = 0; kill < 4; kill += 1) {
      const before = seen
      const worker = workspace.start('worker', '--until-empty')
      // It may be settled already, and the run at its end.
      await until(() => seen > before || worker.child.exitCode !== null)
      await new Promise((resolve) => setTimeout(resolve, kill * 15))
      worker.child.kill('SIGKILL')
      await worker.ended
    }
    await work()
    const states = (await workspace.json('status', 'paged', '--site', 'a')) as { tasks: TaskDocument[] }
    expect(states.tasks.map(({ number, state }) => [number, state]).sort()).toEqual([
      [1, 'done'],
      [2, 'dead'],
    ])
    expect(await rowCount()).toBe(190)
  })
})

describe('a page of a walk by cursor that always fails', { timeout: 120_000 }, () => {
  it('stops the task there, which says so and goes on from there', async () => {
    const { startCursorApi, cursorYaml } = await import('../support/cursor-api.js')
    const cursorApi = await startCursorApi(50)
    const own = await makeWorkspace({ 'cursor.yaml': cursorYaml(cursorApi.url) + quick })
    try {
      cursorApi.broken.add(3)
      await own.run('seed')
      expect(await own.run('worker', '--until-empty')).toMatchObject({ code: 3 })
      const status = (await own.json('status', '--dead')) as { dead: TaskDocument[] }
      expect(status.dead).toMatchObject([{ number: 1, code: 'http_500' }])
      expect(status.dead[0]?.hint).toBe(
        'the walk stands before its page 3 and goes on there: where the next page is named by the one before, none can be passed over',
      )
      expect(await own.query('select count(*)::int as n from item')).toEqual([{ n: 20 }])
      cursorApi.broken.clear()
      await own.run('retry', '--all')
      expect(await own.run('worker', '--until-empty')).toMatchObject({ code: 0 })
      expect(await own.query('select count(*)::int as n from item')).toEqual([{ n: 50 }])
    } finally {
      await own.close()
      await cursorApi.close()
    }
  })
})
