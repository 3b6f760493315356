/** Walks whose end is in doubt do not move the watermark over what they may have missed. The real commands over a table that moves. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type MovingApi, type MovingRow, startMovingApi } from '../support/moving-api.js'

let api: MovingApi
let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const row = (id: number, updated: string): MovingRow => ({ id, owner_id: 0, name: `row ${id}`, updated_at: updated })
const old = '2026-01-01T00:00:00.000Z'
const yaml = (url: string, every: string, isAscending: boolean): string =>
  [
    'source: acme',
    `base_url: ${url}`,
    'budget: { delay: 0s, concurrency: 1 }',
    'page_size: 10',
    'paginate: { page: page, size: per_page, max: 10, total: header X-Total, used_size: header X-Per-Page, backwards: id }',
    'streams:',
    '  owners:',
    '    path: /owners',
    '    key: id',
    '    columns: { id: bigint, name: text, updated_at: timestamptz }',
    `    incremental: { field: updated_at, param: "range[updated_at]", form: "{from},2100-01-01T00:00:00Z", query: { sort: ${isAscending ? '"updated_at,id"' : 'id'} }, ascending: ${isAscending}, overlap: 0s, full_walk: never }`,
    `    every: ${every}`,
  ].join('\n')
const source = () => join(workspace.directory, 'sources/acme.yaml')

async function start(count: number, every: string, isAscending: boolean): Promise<void> {
  api = await startMovingApi({ owners: Array.from({ length: count }, (_, index) => row(index + 1, old)) })
  workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url, every, isAscending) })
  await workspace.run('seed')
  await work()
}
async function work(): Promise<string[]> {
  api.requests.length = 0
  await workspace.run('worker')
  return [...api.requests]
}
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const namesOf = async (...ids: number[]) =>
  (
    await workspace.query<{ name: string }>(
      `select name from public.owners where id in (${ids.join(', ')}) order by id`,
    )
  ).map(({ name }) => name)
/** Changes rows now, by the source's clock, to a new name. */
function change(...ids: number[]): void {
  const at = new Date().toISOString()
  api.tables.owners = (api.tables.owners ?? []).map((one) =>
    ids.includes(one.id) ? { ...row(one.id, at), name: `changed ${one.id}` } : one,
  )
}
const proofNow = async () =>
  (await workspace.query<{ proof: string }>('select proof from backfill.watermark')).map(({ proof }) => proof)

it('a row that a short page left out while the total moved is asked for again', { timeout: 60_000 }, async () => {
  await start(30, '1s', false)
  await pause(1100)
  change(...Array.from({ length: 25 }, (_, index) => index + 1))
  // The server counts and lists at two moments: its second page lacks row 14, and its total is one less than before.
  api.before = (url, response) => {
    if (!url.search.includes('range') || url.searchParams.get('page') !== '2') return
    const rows = (api.tables.owners ?? []).filter(({ id }) => id > 10 && id <= 20 && id !== 14)
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': '24', 'x-per-page': '10' })
    response.end(JSON.stringify(rows))
  }
  await work()
  expect(await namesOf(13, 14)).toEqual(['changed 13', 'row 14'])
  expect(await proofNow()).toEqual(['unproven'])
  api.before = () => undefined
  await pause(1100)
  await work()
  expect(await namesOf(13, 14)).toEqual(['changed 13', 'changed 14'])
  expect(await proofNow()).toEqual(['proven'])
  // And no more after that.
  await pause(1100)
  expect(await work()).toHaveLength(1)
})

it('a full walk that comes nearly empty does not hide what changed meanwhile', { timeout: 60_000 }, async () => {
  await start(30, '1h', true)
  await pause(20)
  change(7)
  await workspace.run('seed', 'acme.owners', '--force')
  api.before = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': '0', 'x-per-page': '10' })
    response.end('[]')
  }
  expect((await work()).filter((path) => !path.includes('range'))).toHaveLength(1)
  expect(await proofNow()).toEqual(['unproven'])
  expect(await namesOf(7)).toEqual(['row 7'])
  api.before = () => undefined
  writeFileSync(source(), readFileSync(source(), 'utf8').replace('every: 1h', 'every: 1s'))
  await pause(1100)
  const requests = await work()
  expect(requests.every((path) => path.includes('range['))).toBe(true)
  expect(await namesOf(7)).toEqual(['changed 7'])
  expect(await proofNow()).toEqual(['proven'])
})
