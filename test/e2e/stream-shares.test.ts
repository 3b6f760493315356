/** How streams of one source share its budget: caps of a run, hours of the day, priorities. The real commands, from outside. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let workspace: CliWorkspace
let api: PagedApi
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const rows = { a: 30, b: 30, c: 30 }
/** A second stream over the same sites, with pages of its own. */
const second = (settings: string): string =>
  [
    '  walk:',
    "    path: '/{site}/walks'",
    '    paginate: { page: page, size: size, total: header X-Total }',
    '    page_size: 10',
    '    key: [site, id]',
    '    columns: { site: { type: text, dimension: site }, id: bigint, name: text }',
    ...settings.split('\n').map((line) => `    ${line}`),
  ].join('\n')

async function start(settings: string, more = ''): Promise<void> {
  api = await startPagedApi({ ...rows })
  const yaml = pagedYaml(api.url, Object.keys(rows), second(settings)).replace(
    'budget: { delay: 0s }',
    'budget: { limits: [1000/s], concurrency: 1 }',
  )
  workspace = await makeWorkspace({ 'paged.yaml': `${yaml}${more}` })
}
const count = async (table: string): Promise<number> =>
  (await workspace.query<{ n: number }>(`select count(*)::int as n from public.${table}`))[0]?.n ?? 0
const logged = (event: string): unknown[] => {
  const folder = join(workspace.directory, '.backfill/log')
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'))
  return lines.map((line) => JSON.parse(line) as { event: string }).filter((line) => line.event === event)
}
interface Run {
  readonly end: string
  readonly reason: string
  readonly died: readonly unknown[]
}
const worker = async (...args: string[]): Promise<Run> => (await workspace.json('worker', ...args)) as Run
const open = async (): Promise<Record<string, number>> => {
  const { streams } = (await workspace.json('status')) as { streams: { stream: string; ready: number }[] }
  return Object.fromEntries(streams.map(({ stream, ready }) => [stream, ready]))
}

describe('a stream with a cap', { timeout: 60_000 }, () => {
  it('of requests gives its tasks back, says so, and leaves the run to others; the next run goes on', async () => {
    await start('max_requests_per_run: 4\npriority: 5')
    await workspace.run('seed')
    const run = await worker('--until-empty')
    expect(run.reason).toContain('paged.walk is capped (its 4 requests of this run are sent)')
    expect(logged('stream capped')).toMatchObject([{ stream: 'paged.walk', requests: 4 }])
    expect(api.requests).toHaveLength(4 + 9)
    expect(await count('thing')).toBe(90)
    expect(await count('walk')).toBe(40)
    expect(await open()).toEqual({ thing: 0, walk: 2 })
    await worker('--until-empty')
    await worker('--until-empty')
    expect(await count('walk')).toBe(90)
    expect(api.requests).toHaveLength(18)
  })

  it('of tasks does so, too', async () => {
    await start('max_tasks_per_run: 1')
    await workspace.run('seed')
    expect((await worker('--until-empty')).reason).toContain('paged.walk is capped (its 1 tasks')
    expect(await count('thing')).toBe(90)
    expect(await count('walk')).toBe(30)
    expect(await open()).toEqual({ thing: 0, walk: 2 })
  })
})

describe('a stream with hours', { timeout: 60_000 }, () => {
  it('is left alone outside of them, and status and the end of the run say when they begin', async () => {
    const hour = new Date().getUTCHours()
    const at = (hours: number): string => `${String((hour + hours) % 24).padStart(2, '0')}:00`
    await start(`hours: "${at(3)}-${at(5)}"`)
    await workspace.run('seed')
    const run = await worker()
    expect(run.reason).toContain('paged.walk opens at')
    expect(await count('thing')).toBe(90)
    expect(api.requests).toHaveLength(9)
    const status = (await workspace.json('status')) as { state: string; message: string; streams: unknown[] }
    expect(status).toMatchObject({ state: 'waiting', streams: [{ opens_at: null }, { ready: 3 }] })
    expect(status.message).toContain(`paged.walk opens at`)
    expect(JSON.stringify(status.streams[1])).toContain(`T${at(3)}:00.000Z`)
    expect((await workspace.run('status')).stdout).toContain('opens at')
    // Another run finds nothing to connect for.
    expect(await worker()).toMatchObject({ end: 'nothing_due' })
  })
})

describe('a stream with a priority', { timeout: 60_000 }, () => {
  it("goes first, unless seed's own says otherwise", async () => {
    await start('priority: 5')
    await workspace.run('seed', 'paged.thing')
    await workspace.run('seed', 'paged.walk')
    const paths: string[] = []
    api.before = (_, __, response) => {
      paths.push(response.req.url?.split('?')[0]?.split('/').at(-1) ?? '')
    }
    await worker('--claim', '1')
    const times = (what: string): string[] => Array.from({ length: 9 }, () => what)
    expect(paths).toEqual([...times('walks'), ...times('things')])
    const tasks = (await workspace.json('status', '--site', 'a')) as { tasks: { stream: string; priority: number }[] }
    expect(tasks.tasks.map(({ stream, priority }) => [stream, priority]).sort()).toEqual([
      ['thing', 0],
      ['walk', 5],
    ])
    await workspace.run('seed', 'paged.walk', '--force', '--priority', '-3')
    const again = (await workspace.json('status', '--site', 'a')) as typeof tasks
    expect(again.tasks).toContainEqual(expect.objectContaining({ stream: 'walk', priority: -3 }))
  })
})
