/**
 * Workers killed in the kinds of walk that go on from more than a page number: many values in a request, from the last page, in windows, behind the last row.
 * Where each kill comes is drawn anew each time; `FIRE_SEED` draws the same again.
 */
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type MovingApi, type MovingRow, startMovingApi } from '../support/moving-api.js'
import { seededBy } from './seeded.js'

const kills = 4
/** Requests on their way, or answered and not yet promoted, at a kill: of two tasks a page that is promoted, one that waits for that, and the page ahead. */
const repeatedPerKill = 6
const dayMs = 86_400_000

let api: MovingApi
let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const rowsOf = (count: number, ownerOf: (id: number) => number = () => 0): MovingRow[] =>
  Array.from({ length: count }, (_, index) => {
    const at = new Date(Date.UTC(2024, 0, 2) + index * 9 * dayMs).toISOString()
    return { id: index + 1, owner_id: ownerOf(index + 1), name: `row ${index + 1}`, updated_at: at, begin_at: at }
  })

const tables = {
  owners: rowsOf(17),
  things: rowsOf(60, (id) => 1 + ((id * 7) % 17)),
  events: rowsOf(45),
  // Without a key, two rows that are equal are two.
  logs: rowsOf(38),
}

const definition = (url: string) => `source: acme
base_url: ${url}
budget: { limits: [500/s], concurrency: 2 }
flush: { rows: 1 }
paginate: { page: page, size: per_page, max: 5, total: header X-Total, used_size: header X-Per-Page, backwards: id }
streams:
  owners: { path: /owners, key: id, columns: { id: bigint, name: text } }
  things:
    path: /things
    key: id
    columns: { id: bigint, owner_id: bigint, name: text }
    for_each: { owner_id: { from: owners.id, many: { param: 'filter[owner_id]', max: 6, shrink_on: [502] } } }
    match: { owner_id: owner_id }
  events:
    path: /events
    paginate: { page: page, size: per_page, max: 5, total: header X-Total, used_size: header X-Per-Page }
    windows: { param: 'range[begin_at]', from: 2024-01-01, rows: 8 }
    key: id
    columns: { id: bigint, name: text }
  logs:
    path: /logs
    answer: { rows: data, empty_without_rows: true }
    paginate: { last_row: id, param: after, size: limit, max: 5 }
    disposition: append
    columns: { id: bigint, name: text }
`

it('lose nothing and double nothing, and repeat no more than what was on its way', { timeout: 120_000 }, async () => {
  const chance = seededBy('FIRE_SEED', 'kills in walks')
  api = await startMovingApi(tables)
  api.mostIds = 3
  workspace = await makeWorkspace({ 'acme.yaml': definition(api.url) })
  let left = Number.POSITIVE_INFINITY
  let kill: () => void = () => undefined
  api.before = (url, response) => {
    left -= 1
    if (left === 0) setTimeout(kill, chance.below(40))
    if (url.pathname !== '/logs') return
    const after = Number(url.searchParams.get('after') ?? '0')
    const data = tables.logs.filter(({ id }) => id > after).slice(0, Number(url.searchParams.get('limit')))
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(data.length === 0 ? { page: 'last' } : { data }))
  }
  expect(await workspace.run('seed')).toMatchObject({ code: 0 })
  let killed = 0
  for (let life = 0; life < kills; life += 1) {
    const worker = workspace.start('worker', '--until-empty')
    kill = () => void worker.child.kill('SIGKILL')
    left = 1 + chance.below(16)
    if ((await worker.ended).signal === 'SIGKILL') killed += 1
  }
  left = Number.POSITIVE_INFINITY
  expect(await workspace.spawn('worker', '--until-empty')).toMatchObject({ code: 0, stderr: '' })
  expect(killed).toBeGreaterThan(0)
  for (const [table, rows] of Object.entries(tables)) {
    const found = await workspace.query<{ name: string }>(`select name from public.${table} order by id`)
    expect(found.map(({ name }) => name)).toEqual(rows.map(({ name }) => name))
    expect(await workspace.query(`select 1 from public.delta_${table}`)).toEqual([])
  }
  expect(await workspace.query(`select stream, proof from backfill.ledger where not done`)).toEqual([])
  const proofs = `select distinct stream, proof from backfill.ledger order by stream`
  expect(await workspace.query(proofs)).toEqual([
    { stream: 'events', proof: 'proven' },
    { stream: 'logs', proof: 'unproven' },
    { stream: 'owners', proof: 'proven' },
    { stream: 'things', proof: 'proven' },
  ])
  expect(await workspace.query('select task from backfill.ledger where received <> walk_received')).toEqual([])
  // Values that the source refused are halved anew by each worker; a walk from the last page asks for the first one twice.
  const paths = api.requests.filter((path) => !path.includes('filter'))
  expect(paths.length - new Set(paths).size).toBeLessThanOrEqual(killed * repeatedPerKill + 1)
  expect(await workspace.run('verify', 'acme.owners', 'acme.things', '--strict')).toMatchObject({ code: 0 })
})
