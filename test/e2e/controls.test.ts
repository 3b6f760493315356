/** Sources that are parked by their failures or paused by hand, and dead tasks that are dismissed: the real commands, from outside. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

interface Status {
  readonly state: string
  readonly message: string
  readonly problems: readonly { readonly code: string; readonly message: string }[]
  readonly parked: readonly {
    readonly source: string
    readonly code: string
    readonly until: string
    readonly times: number
  }[]
  readonly paused: readonly unknown[]
  readonly dismissed_count: number
  readonly dismissed: readonly unknown[]
  readonly streams: readonly {
    readonly source: string
    readonly ready: number
    readonly done: number
    readonly dead: number
    readonly cancelled: number
  }[]
}

let workspace: CliWorkspace
const apis: PagedApi[] = []
const status = async (...args: string[]): Promise<Status> => (await workspace.json('status', ...args)) as Status

async function api(rows: Record<string, number>): Promise<PagedApi> {
  const started = await startPagedApi(rows)
  apis.push(started)
  return started
}

/** One site a source is enough: `paged` and, beside it, `other`. */
const other = (url: string) =>
  pagedYaml(url, ['z']).replace('source: paged', 'source: other').replace('  thing:', '  stuff:')

afterEach(async () => {
  await workspace.close()
  for (const one of apis.splice(0)) await one.close()
})

const quick = 'defaults: { retries: 0, backoff: 100ms, park: { after: 3, first: 5s, longest: 10s } }\n'

describe('a source that does not answer', { timeout: 120_000 }, () => {
  const sites = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((site) => [site, 12]))
  const breakDown = (one: PagedApi): void => {
    one.before = (_, __, response) => {
      response.writeHead(503, { 'content-type': 'text/plain' }).end('maintenance; token=hunter2hunter2')
    }
  }

  it('is parked across runs, costs its tasks nothing, leaves other sources alone, and goes on when it answers', async () => {
    const paged = await api(sites)
    const healthy = await api({ z: 12 })
    breakDown(paged)
    const yaml = pagedYaml(paged.url, Object.keys(sites)).replace(
      'retry_delay: 20ms',
      'retry_delay: 20ms\nheaders: { authorization: Bearer $PAGED_TOKEN }',
    )
    workspace = await makeWorkspace({ 'paged.yaml': yaml, 'other.yaml': other(healthy.url) }, quick)
    writeFileSync(join(workspace.directory, '.env'), 'PAGED_TOKEN=hunter2hunter2\n')
    expect(await workspace.run('seed')).toMatchObject({ code: 0 })

    const first = await workspace.run('worker')
    expect(first).toMatchObject({ code: 3, stdout: '' })
    expect(first.stderr).toMatch(
      /^paged is parked until .* \(http_503: fetch .* found status 503.*\); run "backfill status"\n$/,
    )
    expect(first.stderr).not.toContain('hunter2hunter2')
    const asked = paged.requests.length
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(asked).toBeLessThanOrEqual(6)
    expect(healthy.requests).toEqual(['z 1', 'z 2'])

    // Another run within that time asks nothing, says nothing and is no failure.
    expect(await workspace.run('worker')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(paged.requests).toHaveLength(asked)
    const parked = await status()
    expect(parked.problems).toMatchObject([{ code: 'source_parked' }])
    expect(parked.problems[0]?.message).toMatch(/^paged is parked since .* until .* \(http_503: /)
    expect(parked.parked).toMatchObject([{ source: 'paged', code: 'http_503', times: 1 }])
    expect(parked.streams).toMatchObject([
      { source: 'other', done: 1 },
      { source: 'paged', ready: 6, dead: 0 },
    ])
    expect((await workspace.run('status', '--check')).code).toBe(3)

    // When its time has come one task alone asks; it fails again, is no news, and spends no attempt.
    await until(async () => Date.parse((await status()).parked[0]?.until ?? '') < Date.now())
    expect(await workspace.run('worker')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(paged.requests).toHaveLength(asked + 1)
    expect((await status()).parked).toMatchObject([{ times: 2 }])

    paged.before = () => {}
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0, stderr: '' })
    expect((await status()).parked).toEqual([])
    expect((await workspace.run('status', '--check')).code).toBe(0)
    await expectExactlyOnce(workspace, sites)
  })

  it('is not kept parked by one task that always fails: another one asks next', async () => {
    const paged = await api(sites)
    breakDown(paged)
    workspace = await makeWorkspace(
      { 'paged.yaml': pagedYaml(paged.url, Object.keys(sites)) },
      quick.replace('first: 5s, longest: 10s', 'first: 1s, longest: 2s'),
    )
    await workspace.run('seed')
    await workspace.run('worker')
    // From now on only `a` fails, which is first in the queue: it must not keep the others from being asked.
    paged.before = (site, _, response) => {
      if (site === 'a') response.writeHead(503).end()
    }
    const before = paged.requests.length
    await until(async () => Date.parse((await status()).parked[0]?.until ?? '') < Date.now())
    await workspace.run('worker', '--until-empty')
    expect(paged.requests[before + 1]?.startsWith('a')).toBe(false)
    expect((await status()).streams).toMatchObject([{ done: 5, dead: 1 }])
  })

  it('goes on at once when it is resumed', async () => {
    const paged = await api(sites)
    breakDown(paged)
    workspace = await makeWorkspace(
      { 'paged.yaml': pagedYaml(paged.url, Object.keys(sites)) },
      quick.replace('first: 5s, longest: 10s', 'first: 1h, longest: 1h'),
    )
    await workspace.run('seed')
    await workspace.run('worker')
    paged.before = () => {}
    const resumed = await workspace.run('resume', 'paged')
    expect(resumed).toMatchObject({ code: 0, stderr: '' })
    expect(resumed.stdout).toMatch(/^paged goes on: it was parked since \d\d:\d\d after \d+ failures in a row\n$/)
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, sites)
  })
})

describe('failures that are not of the source', { timeout: 120_000 }, () => {
  it.each([
    ['a 404 that is to be tried again', 404, '{ 404: retry }'],
    ['a 400', 400, '{}'],
  ])('%s does not park it', async (_, code, statuses) => {
    const paged = await api({ a: 5, b: 5, c: 5, d: 5, e: 5 })
    paged.before = (__, ___, response) => {
      response.writeHead(code, { 'content-type': 'application/json' }).end('{}')
    }
    const settings = `defaults: { retries: 0, attempts: 2, backoff: 10ms, park: { after: 2 }, statuses: ${statuses} }\n`
    workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(paged.url, ['a', 'b', 'c', 'd', 'e']) }, settings)
    await workspace.run('seed')
    expect((await workspace.run('worker', '--until-empty')).stderr).toMatch(/^5 tasks died/)
    expect((await status()).parked).toEqual([])
  })
})

describe('a source that has refused for long', { timeout: 120_000 }, () => {
  it('is parked, and named with exit 3', async () => {
    const paged = await api({ a: 5 })
    paged.before = (_, __, response) => {
      response.writeHead(429, { 'retry-after': '1' }).end()
    }
    workspace = await makeWorkspace(
      { 'paged.yaml': pagedYaml(paged.url, ['a']) },
      'defaults: { park: { refused: 2s, first: 1h } }\n',
    )
    await workspace.run('seed')
    // The wait for a second's Retry-After is within a run's patience, so the run goes on asking until it is told to stop.
    const ran = await workspace.run('worker', '--max-runtime', '50s')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(/^paged is parked until .* \(refused_for_long: ask "paged" found it over its limit/)
    const asked = paged.requests.length
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(paged.requests).toHaveLength(asked)
    expect((await status()).parked).toMatchObject([{ reason: 'refused' }])
    expect((await status()).streams).toMatchObject([{ ready: 1, dead: 0 }])
  })
})

describe('pause', { timeout: 120_000 }, () => {
  it('stops a running worker within seconds, keeps what it has, and holds until it is resumed', async () => {
    const paged = await api({ a: 900, b: 12 })
    paged.before = () => new Promise((resolve) => setTimeout(resolve, 150))
    const healthy = await api({ z: 12 })
    workspace = await makeWorkspace({
      'paged.yaml': pagedYaml(paged.url, ['a', 'b']),
      'other.yaml': other(healthy.url),
    })
    await workspace.run('seed')
    const worker = workspace.start('worker')
    await until(() => paged.requests.includes('a 5'))
    const said = await workspace.run('pause', 'paged.thing', '--note', 'they move house')
    expect(said).toMatchObject({ code: 0, stderr: '' })
    expect(said.stdout).toBe('paged.thing is paused: they move house\nTo go on: run "backfill resume paged.thing"\n')
    expect(await worker.ended).toMatchObject({ code: 0, stderr: '' })
    const asked = paged.requests.length
    // It looks every three seconds; a page takes 150 ms.
    expect(asked).toBeLessThan(70)
    const kept = await workspace.query<{ n: number }>('select count(*)::int as n from thing')
    expect(kept[0]?.n).toBeGreaterThanOrEqual(40)

    expect(await workspace.run('worker')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(paged.requests).toHaveLength(asked)
    expect(await status()).toMatchObject({
      state: 'waiting',
      problems: [],
      paused: [{ source: 'paged', stream: 'thing', note: 'they move house', until: null }],
    })
    expect((await workspace.run('status')).stdout).toMatch(/^PAUSED paged\.thing since \d\d:\d\d: they move house$/m)

    paged.before = () => {}
    expect((await workspace.run('resume', 'paged')).stdout).toMatch(/^paged\.thing goes on: it was paused since/)
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    // What was promoted is not asked for again.
    expect(paged.requests.filter((request) => request === 'a 1')).toHaveLength(1)
    await expectExactlyOnce(workspace, { a: 900, b: 12 })
  })

  it('ends by itself, and a worker that waits until the queue is empty goes on then', async () => {
    const paged = await api({ a: 12 })
    workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(paged.url, ['a']) })
    await workspace.run('seed')
    expect(await workspace.json('pause', 'paged', '--for', '4s')).toMatchObject({
      paused: [{ stream: null, note: null }],
    })
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0 })
    expect((await status()).paused).toEqual([])
    await expectExactlyOnce(workspace, { a: 12 })
  })

  it('refuses what there is not, and needs a name', async () => {
    const paged = await api({ a: 12 })
    workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(paged.url, ['a']) })
    await workspace.run('seed')
    const unknown = await workspace.run('pause', 'pagd')
    expect(unknown.code).toBe(2)
    expect(unknown.stderr).toContain('"paged"')
    expect(await workspace.run('pause', 'paged.thng')).toMatchObject({ code: 2 })
    expect(await workspace.run('pause')).toMatchObject({ code: 2 })
    expect(await workspace.run('resume', 'paged')).toMatchObject({
      code: 0,
      stdout: 'Nothing of it was paused or parked\n',
    })
    await workspace.run('pause', 'paged')
    await workspace.run('pause', 'paged.thing')
    expect((await workspace.run('resume', 'paged.thing')).stdout).toContain(
      'paged.thing is still held back by its source: run "backfill resume paged"',
    )
  })
})

describe('retry --dismiss', { timeout: 120_000 }, () => {
  it('gives dead tasks up for good, keeps why, and touches no other task', async () => {
    const paged = await api({ a: 5, b: 5, c: 5 })
    paged.before = (site, _, response) => {
      if (site !== 'c') response.writeHead(404).end()
    }
    workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(paged.url, ['a', 'b', 'c']) })
    await workspace.run('seed')
    await workspace.run('worker')
    expect(await workspace.run('retry', '--dismiss')).toMatchObject({ code: 2 })
    expect(await workspace.run('retry', '--note', 'x', '--all')).toMatchObject({ code: 2 })
    const alive = await workspace.run('retry', '--dismiss', '--task', '3')
    expect(alive.code).toBe(2)
    expect(alive.stderr).toContain('found task 3 done, not dead')
    const said = await workspace.run('retry', '--dismiss', '--site', 'a', '--all', '--note', 'closed in 2019')
    expect(said).toMatchObject({ code: 0, stderr: '' })
    expect(said.stdout).toMatch(/^1 task is dismissed\n {2}task 1, paged.thing a\n/)
    expect(await status()).toMatchObject({
      dismissed_count: 1,
      dismissed: [{ note: 'closed in 2019', task: { number: 1, state: 'cancelled', code: 'http_404' } }],
      streams: [{ dead: 1, done: 1, cancelled: 1, ready: 0 }],
    })
    expect((await workspace.run('status')).stdout).toMatch(/^DISMISSED 1\n {2}#1 paged\.thing a, .*: closed in 2019$/m)
    expect(await workspace.json('status', '--task', '1')).toMatchObject({ dismissal: { note: 'closed in 2019' } })
    expect(await workspace.json('retry', '--dismiss', '--all')).toMatchObject({
      dismissed: [{ number: 2 }],
      note: null,
    })
    expect((await workspace.run('status', '--check')).code).toBe(0)
    expect(await workspace.run('retry', '--all')).toMatchObject({ code: 0, stdout: 'No dead task matches\n' })
    // Only a person's seed brings the partition back.
    expect(await workspace.json('seed', 'paged')).toMatchObject({ created: 2, already_done: 1 })
  })
})
