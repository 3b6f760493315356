/** A filter in backfill.yaml whose value must be a row of another stream: held against that stream's table before a request is sent. The real commands, from outside. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type MovingApi, type MovingRow, startMovingApi } from '../support/moving-api.js'

let api: MovingApi
let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const row = (id: number, owner: number): MovingRow => ({
  ...{ id, owner_id: owner, name: `row ${id}`, updated_at: '2026-01-01T00:00:00.000Z' },
})
const yaml = (url: string): string =>
  [
    'source: acme',
    `base_url: ${url}`,
    'budget: { delay: 0s, concurrency: 1 }',
    'backoff: 20ms',
    'paginate: { page: page, size: per_page, max: 10, total: header X-Total }',
    'streams:',
    '  owners: { path: /owners, key: id, columns: { id: bigint, name: text } }',
    '  things:',
    '    path: /things',
    '    key: id',
    '    columns: { id: bigint, owner_id: bigint, name: text }',
    '    filters: { param: "filter[{name}]", names: [owner_id], rows: { owner_id: owners.id } }',
  ].join('\n')

/** backfill.yaml, narrowing things to these owners. */
function narrowTo(values: string): void {
  const settings = `sources: { acme: { streams: { things: { filter: { owner_id: "${values}" } } } } }`
  writeFileSync(join(workspace.directory, 'backfill.yaml'), `database: $TEST_DATABASE\ntimezone: UTC\n${settings}\n`)
}

async function start(values: string): Promise<void> {
  const owners = Array.from({ length: 5 }, (_, index) => row(index + 1, 0))
  const things = Array.from({ length: 10 }, (_, index) => row(1000 + index, (index % 5) + 1))
  api = await startMovingApi({ owners, things })
  workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url) })
  narrowTo(values)
}
const asked = (name: string): string[] => api.requests.filter((path) => path.startsWith(`/${name}`))
const idsIn = async (table: string) =>
  (await workspace.query<{ id: string }>(`select id from public.${table} order by id`)).map(({ id }) => Number(id))
interface Task {
  readonly state: string
  readonly code: string | null
  readonly attempts: number
}
const things = async (): Promise<Record<string, number>> => {
  const { streams } = (await workspace.json('status', 'acme.things')) as { streams: Record<string, number>[] }
  return streams[0] ?? {}
}

describe('a filter whose value must be a row', { timeout: 60_000 }, () => {
  it('is sent where the row is there, once its table is filled in the same run', async () => {
    await start('2,3')
    await workspace.run('seed')
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0, stderr: '' })
    expect(asked('owners')).toHaveLength(1)
    expect(asked('things').map((path) => /filter\[owner_id\]=([^&]*)/.exec(path)?.[1])).toEqual(['2,3'])
    expect(await idsIn('things')).toEqual([1001, 1002, 1006, 1007])
  })

  it('is refused where the row is not there, before anything is sent, naming those there are; the task is not lost', async () => {
    await start('99')
    await workspace.run('seed', 'acme.owners')
    await workspace.run('worker')
    await workspace.run('seed', 'acme.things')
    for (const values of ['99', '2,99']) {
      narrowTo(values)
      const ran = await workspace.run('worker')
      expect(ran.code).toBe(2)
      expect(ran.stderr).toContain('read filter owner_id of acme.things found "99", which is no row of acme.owners')
      expect(ran.stderr).toContain('it is one of "1", "2", "3", "4", "5"')
    }
    expect(asked('things')).toEqual([])
    expect(await things()).toMatchObject({ ready: 1, dead: 0, requests: 0 })
    narrowTo('4')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(await idsIn('things')).toEqual([1003, 1008])
  })

  it('waits where its table is not there yet: nothing is sent, and the sentence says what to load first', async () => {
    await start('2')
    await workspace.run('seed', 'acme.things')
    expect((await workspace.run('worker', '--until-empty')).code).toBe(3)
    expect(api.requests).toEqual([])
    const { dead } = (await workspace.json('status', '--dead')) as {
      dead: (Task & { message: string; hint: string })[]
    }
    expect(dead).toMatchObject([
      {
        code: 'parent_missing',
        message: 'ask for filter owner_id of acme.things found acme.owners still empty',
        hint: 'load acme.owners first: run "backfill seed acme.owners"',
      },
    ])
    await workspace.run('seed', 'acme.owners')
    await workspace.run('retry', '--all')
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0, stderr: '' })
    expect(await idsIn('things')).toEqual([1001, 1006])
  })
})
