/** Held rows by the real commands: listed, put back once the definition takes them, and let in by themselves once their parent comes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type RowsApi, startRowsApi } from '../support/rows-api.js'

const family = (url: string, { size = 'smallint', more = '' } = {}) => `source: acme
base_url: ${url}
budget: { delay: 0s }
backoff: 10ms
paginate: { page: page, size: size, total: header X-Total }
page_size: 10
streams:
  users:
    path: /users
    key: id
    columns: { id: bigint, size: ${size} }
  visits:
    path: /visits
    key: id
    columns: { id: bigint, user_id: bigint }
    references: { user_id: ${more === '' ? 'users.id' : `{ to: users.id, missing_parent: ${more} }`} }
`
const users = (count: number) => Array.from({ length: count }, (_, at) => ({ id: at + 1, size: at + 1 }))

let api: RowsApi
let workspace: CliWorkspace
const define = (options: Parameters<typeof family>[1] = {}) => {
  writeFileSync(join(workspace.directory, 'sources/acme.yaml'), family(api.url, options))
}
const ids = async (table: string) =>
  (await workspace.query<{ id: string }>(`select id from ${table} order by id`)).map(({ id }) => Number(id))

beforeEach(async () => {
  api = await startRowsApi({ users: users(25), visits: [] })
  workspace = await makeWorkspace({ 'acme.yaml': family(api.url) })
})
afterEach(async () => {
  await workspace.close()
  await api.close()
})

describe('a row that the definition does not take', { timeout: 120_000 }, () => {
  it('is listed by its reason and put back once the definition does, without a request', async () => {
    api.rows.users = [...users(23), { id: 24, size: 40_000 }, { id: 25, size: 'many' }]
    await workspace.run('seed', 'acme.users')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })

    const text = await workspace.run('status', '--held')
    expect(text).toMatchObject({ code: 0, stderr: '' })
    expect(text.stdout).toContain('2 rows are held')
    expect(text.stdout).toContain('column "size" wants an integer from -32768 to 32767')
    expect(text.stdout).toMatch(/for example key 2[45]: row [45] of page 3, task #1/)
    expect(text.stdout.split('\n').every((line) => line.length <= 80)).toBe(true)
    for (const secret of ['40000', 'many']) expect(text.stdout).not.toContain(secret)
    expect(await workspace.run('status', '--held', '--check')).toMatchObject({ code: 3 })
    expect((await workspace.run('status')).stdout).toContain('2 rows are set aside now: "backfill status --held"')
    expect(await workspace.json('status')).toMatchObject({ streams: [{ held: { rejected: 2, waiting: 0 } }, {}] })

    await workspace.query('alter table users alter column size type integer')
    define({ size: 'integer' })
    const before = api.requests.length
    const retried = await workspace.run('retry', '--held', 'acme.users')
    expect(retried).toMatchObject({ code: 3, stderr: '' })
    expect(retried.stdout).toContain('acme.users: 1 of 2 rows went in (1 new, 0 changed), 1 still held')
    expect(retried.stdout).toContain('column "size" wants an integer from -2147483648 to 2147483647')
    expect(api.requests).toHaveLength(before)
    expect(await ids('users')).toEqual(Array.from({ length: 24 }, (_, at) => at + 1))
    expect(await workspace.query('select created, held, received from backfill.ledger')).toEqual([
      { created: '24', held: '1', received: '25' },
    ])

    await workspace.query('alter table users alter column size type text')
    define({ size: 'text' })
    expect(await workspace.json('retry', '--held')).toMatchObject({
      tried: [{ source: 'acme', stream: 'users', tried: 1, created: 1, held: 0 }],
      held: { total: 0, groups: [] },
      exit_code: 0,
    })
    expect(await workspace.query('select size from users where id = 25')).toEqual([{ size: 'many' }])
    expect((await workspace.run('status', '--held')).stdout).toBe('no row is held\n')
    expect((await workspace.run('retry', '--held')).stdout).toBe('No held row matches\n')
  })

  it('shows its record only where that is asked for', async () => {
    api.rows.users = [{ id: 1, size: 'private' }]
    await workspace.run('seed', 'acme.users')
    await workspace.run('worker')
    expect(await workspace.json('status', '--held')).toMatchObject({
      total: 1,
      groups: [
        {
          ...{ source: 'acme', stream: 'users', code: 'invalid_value', count: 1 },
          reason: 'column "size" wants an integer from -32768 to 32767',
          example: { partition: {}, key: ['1'], page: 1, row: 1, task_number: 1 },
        },
      ],
      rows: [{ key: ['1'], raw: null, retried_at: null }],
    })
    expect(await workspace.json('status', '--held', '--raw')).toMatchObject({
      rows: [{ raw: '{"id":1,"size":"private"}' }],
    })
    expect(await workspace.json('status', '--held', '--limit', '0')).toMatchObject({ total: 1, rows: [] })
    expect(await workspace.run('status', '--held', '--raw')).toMatchObject({ code: 2 })
  })

  it('is not tried while a worker is at work, and a definition that does not fit is exit 2', async () => {
    api.rows.users = [{ id: 1, size: 'x' }]
    await workspace.run('seed', 'acme.users')
    await workspace.run('worker')
    await workspace.query('alter table users drop column size')
    expect(await workspace.run('retry', '--held')).toMatchObject({ code: 2 })
    expect(await workspace.run('retry', '--held', '--all')).toMatchObject({ code: 2 })

    let open: (() => void) | undefined
    const asked = new Promise<void>((resolve) => (open = resolve))
    api.before = (_name, _page, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      open?.()
    }
    await workspace.run('seed', 'acme.visits')
    const worker = workspace.start('worker', 'acme.visits')
    await asked
    const refused = await workspace.run('retry', '--held')
    expect(refused).toMatchObject({ code: 75 })
    expect(refused.stderr).toContain('take the lock of the workspace found process')
    worker.child.kill('SIGKILL')
    await worker.ended
  })
})

describe('a row whose parent is missing', { timeout: 120_000 }, () => {
  const visits = [
    { id: 1, user_id: 5 },
    { id: 2, user_id: null },
    { id: 3, user_id: 99 },
  ]

  it('waits, and one more run that loads the parent ends exact, though it was asked for the parent only', async () => {
    api.rows.visits = visits
    await workspace.run('seed', 'acme')
    await workspace.run('worker', 'acme.visits')
    expect(await ids('visits')).toEqual([2])
    expect((await workspace.run('status', '--held')).stdout).toContain(
      '2 rows are held, 2 of them until their parent comes',
    )
    expect(await workspace.run('status', '--held', '--check')).toMatchObject({ code: 0 })

    expect(await workspace.json('worker', 'acme.users')).toMatchObject({ put_back: 1, exit_code: 0 })
    expect(await ids('visits')).toEqual([1, 2])
    expect(await workspace.query('select key, code from backfill.held')).toEqual([{ key: '3', code: 'parent_missing' }])
    expect((await workspace.run('status')).stdout).toContain('1 row is set aside now until its parent comes')
    expect(await workspace.query("select created, held from backfill.ledger where stream = 'visits'")).toEqual([
      { created: '2', held: '1' },
    ])
  })

  it('follows a parent that is put back by hand', async () => {
    api.rows.users = [{ id: 5, size: 70_000 }]
    api.rows.visits = visits
    await workspace.run('seed', 'acme')
    await workspace.run('worker')
    expect(await ids('visits')).toEqual([2])
    await workspace.query('alter table users alter column size type integer')
    define({ size: 'integer' })
    const { code, stdout } = await workspace.run('retry', '--held', 'acme.users')
    expect(code).toBe(0)
    expect(stdout).toContain('acme.visits, which waited for them: 1 of 1 row went in (1 new, 0 changed)')
    expect(await ids('visits')).toEqual([1, 2])
  })

  it('is held for an operator where the reference says reject', async () => {
    define({ more: 'reject' })
    api.rows.visits = visits
    await workspace.run('seed', 'acme')
    await workspace.run('worker', 'acme.visits')
    await workspace.run('worker', 'acme.users')
    expect(await ids('visits')).toEqual([2])
    expect(await workspace.run('retry', '--held', '--code', 'parent_rejected')).toMatchObject({ code: 3 })
    expect(await ids('visits')).toEqual([1, 2])
  })

  it('stops its flush where the reference says refuse, for nothing while the parent is to come, and dies when it never does', async () => {
    define({ more: 'refuse' })
    api.rows.visits = visits
    await workspace.run('seed', 'acme')
    for (let run = 0; run < 4; run += 1) expect(await workspace.run('worker', 'acme.visits')).toMatchObject({ code: 0 })
    const waits = (await workspace.json('status', '--task', '2')) as { task: Record<string, unknown> }
    expect(waits.task).toMatchObject({ state: 'ready', attempts: 0, code: 'parent_missing' })
    expect(await workspace.query('select 1 from delta_visits')).toEqual([])
    expect(await workspace.query('select 1 from backfill.held')).toEqual([])
    expect(await ids('visits')).toEqual([])

    await workspace.run('worker', 'acme.users')
    for (let run = 0; run < 3; run += 1) await workspace.run('worker', 'acme.visits', '--until-empty')
    const dead = (await workspace.json('status', '--task', '2')) as { task: Record<string, unknown> }
    expect(dead.task).toMatchObject({ state: 'dead', attempts: 3, code: 'parent_missing' })

    api.rows.users = [...users(25), { id: 99, size: 1 }]
    await workspace.run('seed', 'acme.users', '--force')
    await workspace.run('retry', '--all')
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0 })
    expect(await ids('visits')).toEqual([1, 2, 3])
  })
})
