/** A workspace that was copied, and one that was moved: the real commands, each in its folder. */
import { cpSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type CliWorkspace,
  expectExactlyOnce,
  makeWorkspace,
  type Ran,
  type Started,
  startBackfill,
  until,
} from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace
const folders: string[] = []

async function setup(rows: Record<string, number>): Promise<void> {
  api = await startPagedApi(rows)
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, Object.keys(rows)) })
}
afterEach(async () => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  await workspace.close()
  await api.close()
})

/** A name for one more folder beside the workspace's. */
const beside = (name: string): string => {
  const folder = `${workspace.directory}-${name}`
  folders.push(folder)
  return folder
}
const copy = (to: string): void => cpSync(workspace.directory, to, { recursive: true, preserveTimestamps: true })
const start = (folder: string, ...args: string[]): Started =>
  startBackfill(args, folder, { environment: { TEST_DATABASE: workspace.database.url } })
const runIn = (folder: string, ...args: string[]): Promise<Ran> => start(folder, ...args).ended
const logged = (folder: string): string => {
  const logs = join(folder, '.backfill', 'log')
  return readdirSync(logs)
    .map((name) => readFileSync(join(logs, name), 'utf8'))
    .join('')
}

describe('a workspace copied beside the original', { timeout: 120_000 }, () => {
  it('sends nothing and changes nothing, until it is told that it is the one: then the original is refused', async () => {
    await setup({ a: 25, b: 5 })
    await workspace.run('seed', 'paged', '--site', 'a')
    await workspace.run('worker')
    await workspace.run('seed', 'paged', '--site', 'b')
    const twin = beside('copy')
    copy(twin)
    const asked = api.requests.length
    for (const words of [['worker'], ['seed', '--force'], ['verify'], ['retry', '--all'], ['pause', 'paged']]) {
      const refused = await runIn(twin, ...words)
      expect(refused).toMatchObject({ code: 2, stdout: '' })
      expect(refused.stderr).toContain(
        `Error: use "${join(twin, 'queue.db')}" found the same queue at "${join(workspace.directory, 'queue.db')}"`,
      )
      expect(refused.stderr).toMatch(/\nTry: go on there; .*"backfill init --adopt" here.*\n$/)
    }
    expect(api.requests).toHaveLength(asked)
    expect((await runIn(twin, 'status')).code).toBe(0)

    expect(await runIn(twin, 'init', '--adopt')).toMatchObject({ code: 0, stderr: '' })
    expect(await runIn(twin, 'worker')).toMatchObject({ code: 0, stderr: '' })
    const original = await workspace.run('worker')
    expect(original.code).toBe(2)
    expect(original.stderr).toContain(`found it bound to "${twin}"`)
    // And back again.
    expect(await workspace.run('init', '--adopt')).toMatchObject({ code: 0, stderr: '' })
    expect((await workspace.run('worker')).code).toBe(0)
    expect(api.requests.slice(asked)).toEqual(['b 1'])
    await expectExactlyOnce(workspace, { a: 25, b: 5 })
  })

  it('goes on by itself once the original is removed', async () => {
    await setup({ a: 25 })
    await workspace.run('seed')
    const twin = beside('copy')
    copy(twin)
    for (const name of ['queue.db', 'queue.db-wal', 'queue.db-shm'])
      rmSync(join(workspace.directory, name), { force: true })
    expect(await runIn(twin, 'worker')).toMatchObject({ code: 0, stderr: '' })
    expect(logged(twin)).toMatch(/"event":"workspace moved","pid":\d+,"from":".*\/queue\.db","to":".*-copy\/queue\.db"/)
    cpSync(join(twin, 'queue.db'), join(workspace.directory, 'queue.db'))
    expect((await workspace.run('worker')).stderr).toContain(`found the same queue at "${join(twin, 'queue.db')}"`)
    rmSync(twin, { recursive: true })
    expect((await workspace.run('worker')).code).toBe(0)
    await expectExactlyOnce(workspace, { a: 25 })
  })
})

it('a workspace that was moved goes on, and its log says so', { timeout: 120_000 }, async () => {
  await setup({ a: 25, b: 5 })
  await workspace.run('seed', 'paged', '--site', 'a')
  await workspace.run('worker')
  const moved = beside('moved')
  renameSync(workspace.directory, moved)
  expect(await runIn(moved, 'seed')).toMatchObject({ code: 0, stderr: '' })
  expect(await runIn(moved, 'worker')).toMatchObject({ code: 0, stderr: '' })
  expect(logged(moved).match(/workspace moved/g)).toHaveLength(1)
  renameSync(moved, workspace.directory)
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  await expectExactlyOnce(workspace, { a: 25, b: 5 })
})

describe('two copies that cannot see each other, as on two machines', { timeout: 120_000 }, () => {
  /** Neither remembers a place that the other is at. */
  async function part(): Promise<{ readonly one: string; readonly two: string }> {
    const [one, two] = [beside('one'), beside('two')]
    copy(one)
    copy(two)
    for (const folder of [one, two]) {
      const db = new Sqlite(join(folder, 'queue.db'))
      db.exec(`update meta set value = '/nowhere/queue.db' where name = 'place'`)
      db.close()
    }
    rmSync(workspace.directory, { recursive: true })
    return { one, two }
  }

  it('are told apart by the database: who does not know the last run is refused before it asks for anything', async () => {
    await setup({ a: 25, b: 15 })
    await workspace.run('seed', 'paged', '--site', 'a')
    await workspace.run('worker')
    await workspace.run('seed', 'paged', '--site', 'b')
    const { one, two } = await part()
    expect(await runIn(one, 'worker')).toMatchObject({ code: 0, stderr: '' })
    const asked = api.requests.length
    for (const words of [['worker'], ['verify']]) {
      const refused = await runIn(two, ...words)
      expect(refused.code).toBe(2)
      expect(refused.stderr).toMatch(
        /Error: bind the database to ".*-two" found rows of a run at \S+:\S+-one, which its queue/,
      )
      expect(refused.stderr).toMatch(/\nTry: go on there; .*"backfill init --adopt" here/)
    }
    expect(api.requests).toHaveLength(asked)

    expect(await runIn(two, 'init', '--adopt')).toMatchObject({ code: 0, stderr: '' })
    const adopted = await runIn(two, 'worker')
    expect(adopted.code).toBe(0)
    expect(adopted.stderr).toContain('queue.db was put back to an earlier moment: budgets count as used up')
    expect(api.requests).toHaveLength(asked)
    await runIn(one, 'seed', '--force')
    const late = await runIn(one, 'worker')
    expect(late.code).toBe(2)
    expect(late.stderr).toContain(`found it bound to "${two}"`)
    await expectExactlyOnce({ ...workspace, directory: two }, { a: 25, b: 15 })
  })

  it('at work at the same moment promote each row once: the ledger fences one of the two', async () => {
    await setup({ a: 55, b: 35 })
    await workspace.run('seed')
    // Binds the queue to the database, and asks the source for nothing.
    await workspace.run('pruned')
    const { one, two } = await part()
    api.before = async () => {
      await until(() => api.requests.filter((request) => request === 'a 1').length > 1)
    }
    const first = start(one, 'worker', '--until-empty')
    await until(() => api.requests.length > 0)
    // As where neither has made a run since the copy.
    await workspace.query('update backfill.meta set last_run_place = null')
    const second = await runIn(two, 'worker', '--until-empty')
    expect(second.code).toBe(0)
    expect((await first.ended).code).toBe(0)
    await expectExactlyOnce({ ...workspace, directory: one }, { a: 55, b: 35 })
  })
})
