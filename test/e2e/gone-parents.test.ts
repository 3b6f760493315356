/** Tasks for rows of another stream, once those rows are gone: by proof, or only not there. */
import { readdirSync, readFileSync } from 'node:fs'
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
const owners = (count: number): MovingRow[] => Array.from({ length: count }, (_, index) => row(index + 1, 0))
const things = (count: number): MovingRow[] => Array.from({ length: count }, (_, index) => row(1001 + index, index + 1))
const yaml = (url: string, fanOut: string): string =>
  [
    'source: acme',
    `base_url: ${url}`,
    'budget: { delay: 0s, concurrency: 1 }',
    'retry_delay: 20ms',
    'backoff: 20ms',
    'paginate: { page: page, size: per_page, max: 10, total: header X-Total, used_size: header X-Per-Page, backwards: id }',
    'streams:',
    '  owners:',
    '    path: /owners',
    '    key: id',
    '    disposition: mirror',
    '    columns: { id: bigint, name: text, updated_at: timestamptz }',
    '  things:',
    '    key: id',
    '    columns: { id: bigint, owner_id: bigint, name: text }',
    fanOut,
    '    match: { owner_id: owner_id }',
  ].join('\n')
const oneByOne =
  "    request: { path: /things, query: { 'filter[owner_id]': '{owner_id}' } }\n    for_each: { owner_id: owners.id }"
const many =
  '    path: /things\n    for_each: { owner_id: { from: owners.id, many: { param: "filter[owner_id]", max: 10 } } }'

async function setup(fanOut = oneByOne, children = 30): Promise<void> {
  api = await startMovingApi({ owners: owners(30), things: things(children) })
  workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url, fanOut) })
  expect(await workspace.run('seed', 'acme')).toMatchObject({ code: 0, stderr: '' })
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
}
const seedAnew = async (stream: string, ...owner: number[]): Promise<void> => {
  const words = owner.flatMap((id) => ['--owner-id', String(id)])
  expect(await workspace.run('seed', `acme.${stream}`, ...words, '--force')).toMatchObject({ code: 0 })
}
const remove = (table: string, ...ids: number[]): void => {
  api.tables[table] = (api.tables[table] ?? []).filter(({ id }) => !ids.includes(id))
}
const ownerIds = async () =>
  (await workspace.query<{ id: string }>('select id from public.owners order by id')).map(({ id }) => Number(id))
/** Walks all owners again, and nothing else; the one that the source lacks goes. */
async function pruneOwner(id: number): Promise<void> {
  remove('owners', id)
  await seedAnew('owners')
  expect(await workspace.run('worker', 'acme.owners')).toMatchObject({ code: 0, stderr: '' })
  expect(await ownerIds()).not.toContain(id)
}
const requestsFor = (id: number) => api.requests.filter((path) => path.includes(`filter[owner_id]=${id}`))
const streamOf = async (name: string) => {
  const { streams } = (await workspace.json('status')) as { streams: { stream: string }[] }
  return streams.find(({ stream }) => stream === name)
}
const deadCodes = async () => {
  const { dead } = (await workspace.json('status', '--dead')) as { dead: { code: string }[] }
  return dead.map(({ code }) => code)
}
const logged = (): string => {
  const logs = join(workspace.directory, '.backfill', 'log')
  return readdirSync(logs)
    .map((name) => readFileSync(join(logs, name), 'utf8'))
    .join('')
}

describe('a task whose row of the other stream was deleted by proof', { timeout: 120_000 }, () => {
  it('is cancelled before it asks for anything, and its partition begins anew when the row comes again', async () => {
    await setup()
    await seedAnew('things', 5)
    await pruneOwner(5)
    api.requests.length = 0
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests).toEqual([])
    expect(await deadCodes()).toEqual([])
    expect(await streamOf('things')).toMatchObject({ cancelled: 1, ready: 0, dead: 0 })
    expect(logged()).toMatch(
      /"event":"task cancelled".*"code":"parent_gone".*ask for owner_id \\"5\\" found its row in acme.owners deleted/,
    )
    // What belonged to it stays: no walk has said that it is gone.
    expect(await workspace.query('select from public.things where owner_id = 5')).toHaveLength(1)

    api.tables.owners?.push(row(5, 0))
    api.tables.owners?.sort((a, b) => a.id - b.id)
    await seedAnew('owners')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(requestsFor(5)).toHaveLength(1)
  })

  it('is cancelled though it died before, for the source knew first; others that died stay', async () => {
    await setup()
    await seedAnew('things', 5, 6)
    remove('owners', 5)
    api.before = (url, response) => {
      if (!['5', '6'].includes(url.searchParams.get('filter[owner_id]') ?? '')) return
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{}')
    }
    expect((await workspace.run('worker')).code).toBe(3)
    expect(await deadCodes()).toEqual(['http_404', 'http_404'])
    await seedAnew('owners')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(await deadCodes()).toEqual(['http_404'])
    expect(await streamOf('things')).toMatchObject({ dead: 1, cancelled: 1 })
    expect(JSON.stringify(await workspace.json('status', '--dead'))).toContain(
      'the source no longer has its row of acme.owners',
    )
  })

  it('is cancelled where all the values that share its request went, and asks for the others where some did', async () => {
    await setup(many)
    await seedAnew('things', 5)
    await seedAnew('things', 6, 7)
    await pruneOwner(5)
    await pruneOwner(6)
    api.requests.length = 0
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(requestsFor(5)).toEqual([])
    expect(await streamOf('things')).toMatchObject({ cancelled: 1, dead: 0, ready: 0 })
  })
})

describe('a task whose row of the other stream is only not there', { timeout: 120_000 }, () => {
  const expectDead = async (): Promise<void> => {
    const { stdout, stderr, code } = await workspace.run('worker', 'acme.things')
    expect(code, `${stdout}${stderr}`).toBe(3)
    expect(await deadCodes()).toEqual(['unknown_partition'])
    expect(await streamOf('things')).toMatchObject({ dead: 1, cancelled: 0 })
  }

  it('dies for somebody to see where it was deleted by hand', async () => {
    await setup()
    await workspace.query('delete from public.owners where id = 5')
    await seedAnew('things', 5)
    await expectDead()
  })

  it('dies for somebody to see where it came again and is set aside', async () => {
    await setup()
    await pruneOwner(5)
    // Its date is none: held, and so not in the table.
    api.tables.owners?.push({ ...row(5, 0), updated_at: 'yesterday' })
    api.tables.owners?.sort((a, b) => a.id - b.id)
    await seedAnew('owners')
    await workspace.run('worker', 'acme.owners')
    expect(await workspace.query('select from backfill.held')).toHaveLength(1)
    await seedAnew('things', 5)
    await expectDead()
  })

  it('dies for somebody to see where it came again and was deleted by hand then', async () => {
    await setup()
    await pruneOwner(5)
    api.tables.owners?.push(row(5, 0))
    api.tables.owners?.sort((a, b) => a.id - b.id)
    await seedAnew('owners')
    expect(await workspace.run('worker', 'acme.owners')).toMatchObject({ code: 0 })
    await workspace.query('delete from public.owners where id = 5')
    await seedAnew('things', 5)
    await expectDead()
  })

  it('is asked for where it was put back, or where the walk of the other stream failed', async () => {
    await setup()
    await pruneOwner(5)
    expect(await workspace.run('pruned', 'acme.owners', '--restore')).toMatchObject({ code: 0 })
    remove('owners', 6)
    api.before = (url, response) => {
      if (url.pathname !== '/owners') return
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{}')
    }
    await seedAnew('owners')
    await seedAnew('things', 5)
    await seedAnew('things', 6)
    api.requests.length = 0
    expect((await workspace.run('worker')).code).toBe(3)
    expect([requestsFor(5).length, requestsFor(6).length]).toEqual([1, 1])
    expect(await streamOf('things')).toMatchObject({ cancelled: 0, dead: 0 })
  })
})

describe('rows that many partitions may hold, each walked alone', { timeout: 120_000 }, () => {
  const mirrored = `${oneByOne}\n    disposition: mirror`
  const thingIds = async () =>
    (await workspace.query<{ id: string }>('select id from public.things order by id')).map(({ id }) => Number(id))

  it('go at the end of the last walk, though that one is of a partition that has none', async () => {
    await setup(mirrored, 29)
    remove('things', 1003)
    // The first round misses it, the second one confirms that.
    for (const left of [29, 28]) {
      await seedAnew('things')
      expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
      expect(await thingIds()).toHaveLength(left)
    }
    expect(await thingIds()).not.toContain(1003)
  })

  it('stay until an operator agrees where all of the walks were empty', async () => {
    await setup(`${mirrored}\n    prune: { most: { rows: 100 } }`, 29)
    api.tables.things = []
    await seedAnew('things')
    expect((await workspace.run('worker')).code).toBe(3)
    expect(await deadCodes()).toEqual(['prune_empty'])
    expect(await thingIds()).toHaveLength(29)
  })

  it('do not go a few at a time where each walk is empty and each row is denied: a day is what the share is of', async () => {
    const asked = "disposition: mirror\n    prune: { confirm: { path: '/things/{id}', gone: [404] } }"
    api = await startMovingApi({ owners: owners(30), things: things(30) })
    const text = yaml(api.url, `${oneByOne}\n    ${asked}`).replace('\n    match: { owner_id: owner_id }', '')
    workspace = await makeWorkspace({ 'acme.yaml': text })
    await workspace.run('seed', 'acme')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    // A healthy round of these owners in this order: what one brought was seen before the others began.
    const rest = owners(30).map(({ id }) => id)
    for (const some of [rest.splice(0, 1), rest.splice(0, 1), rest]) {
      await seedAnew('things', ...some)
      expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    }
    expect(await thingIds()).toHaveLength(30)
    api.tables.things = []
    api.before = (url, response) => {
      if (!url.pathname.startsWith('/things/')) return
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{}')
    }
    for (const [owner, left] of [
      [1, 29],
      [2, 29],
    ] as const) {
      await seedAnew('things', owner)
      expect((await workspace.run('worker')).code).toBe(owner === 1 ? 0 : 3)
      expect(await thingIds()).toHaveLength(left)
    }
    expect(await deadCodes()).toEqual(['prune_too_many'])
  })
})

describe('a row that went by proof and comes again', { timeout: 120_000 }, () => {
  const again = async (id: number): Promise<void> => {
    api.tables.owners?.push(row(id, 0))
    api.tables.owners?.sort((a, b) => a.id - b.id)
    api.requests.length = 0
    await seedAnew('owners')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  }

  it('is asked about by itself, once: what was to be asked for it before was cancelled', async () => {
    await setup()
    await seedAnew('things', 5)
    await pruneOwner(5)
    await workspace.run('worker')
    expect(await streamOf('things')).toMatchObject({ cancelled: 1 })
    api.tables.things?.push(row(2005, 5))
    await again(5)
    expect(requestsFor(5)).toHaveLength(1)
    expect(await workspace.query('select from public.things where id = 2005')).toHaveLength(1)
    await seedAnew('owners')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(requestsFor(5)).toHaveLength(1)
  })

  it('is asked about everything, where a stream asks for changes only: what it had may be gone here', async () => {
    const changes =
      'incremental: { field: updated_at, param: "range[updated_at]", form: "{from},2100-01-01T00:00:00Z", overlap: 0s, full_walk: never }'
    await setup(`${oneByOne}\n    ${changes}`)
    await workspace.query('delete from public.things where owner_id = 5')
    await pruneOwner(5)
    await again(5)
    expect(requestsFor(5)).toHaveLength(1)
    expect(requestsFor(5)[0]).not.toContain('range[updated_at]')
    expect(await workspace.query('select from public.things where owner_id = 5')).toHaveLength(1)
    await workspace.run('worker')
    expect(requestsFor(5)).toHaveLength(1)
  })
})
