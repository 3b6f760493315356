/** Requests that ask for many rows of another stream at once: what becomes of a whole one that is refused, and of one that is not full. From outside. */
import type { ServerResponse } from 'node:http'
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
    'retries: 0',
    'attempts: 1',
    'paginate: { page: page, size: per_page, max: 100, total: header X-Total }',
    'streams:',
    '  owners: { path: /owners, key: id, columns: { id: bigint, name: text } }',
    '  things:',
    '    path: /things',
    '    key: id',
    '    columns: { id: bigint, owner_id: bigint, name: text }',
    '    for_each: { owner_id: { from: owners.id, many: { param: "filter[owner_id]", max: 100, shrink_on: [502] } } }',
    '    match: { owner_id: owner_id }',
  ].join('\n')

async function setup(owners: number): Promise<void> {
  api = await startMovingApi({
    owners: Array.from({ length: owners }, (_, index) => row(index + 1, 0)),
    things: Array.from({ length: owners }, (_, index) => row(1000 + index, index + 1)),
  })
  workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url) })
}
const asked = (): string[] => api.requests.filter((path) => path.startsWith('/things'))
const countOf = async (table: string) =>
  (await workspace.query<{ n: number }>(`select count(*)::int as n from public.${table}`))[0]?.n

describe('a request for many values', { timeout: 90_000 }, () => {
  it.each([
    [
      'says no to all of them',
      'http_422',
      (response: ServerResponse) => response.writeHead(422, { 'content-type': 'application/json' }).end('{}'),
    ],
    [
      'answers what does not fit',
      'rows_missing',
      (response: ServerResponse) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{"error":"what is this filter?"}'),
    ],
  ])('is not asked again value by value where the source %s', async (_, code, answer) => {
    await setup(100)
    api.before = (url, response) => {
      if (url.pathname === '/things') answer(response)
    }
    await workspace.run('seed')
    expect((await workspace.run('worker')).code).toBe(3)
    expect(asked()).toHaveLength(1)
    const { dead } = (await workspace.json('status', '--dead')) as {
      dead: { code: string; partition: { owner_id: string } }[]
    }
    expect(dead.map((task) => [task.code, task.partition.owner_id.split(',').length])).toEqual([[code, 100]])
  })

  it('is halved down to the one that fails where the source fails', async () => {
    await setup(16)
    api.before = (url, response) => {
      const owners = url.searchParams.get('filter[owner_id]')?.split(',') ?? []
      if (owners.includes('7')) response.writeHead(500, { 'content-type': 'application/json' }).end('{}')
    }
    await workspace.run('seed')
    expect((await workspace.run('worker')).code).toBe(3)
    expect(await countOf('things')).toBe(15)
    const { dead } = (await workspace.json('status', '--dead')) as { dead: { partition: unknown }[] }
    expect(dead).toMatchObject([{ partition: { owner_id: '7' } }])
  })

  it('that is not full does not wait for a stream that is paused', async () => {
    await setup(3)
    await workspace.run('seed', 'acme.owners')
    expect((await workspace.run('worker')).code).toBe(0)
    // More rows of it may come, as far as the queue tells; none will, as long as it is paused.
    await workspace.run('seed', 'acme.owners', '--force')
    expect((await workspace.run('pause', 'acme.owners')).code).toBe(0)
    await workspace.run('seed', 'acme.things')
    expect((await workspace.run('worker')).code).toBe(0)
    expect(asked()).toHaveLength(1)
    expect(await countOf('things')).toBe(3)
  })
})
