/**
 * A soak: a source that answers with faults, and a worker that is killed again and again. Each round moves every row anew (their contents change with the
 * round), until there were kills enough; then nothing is killed any more, and the state must be exact.
 */
import type { ServerResponse } from 'node:http'
import { expect } from 'vitest'
import {
  type CliWorkspace,
  expectExactlyOnce,
  makeWorkspace,
  type Ran,
  type Started,
} from '../support/cli-workspace.js'
import { type Seeded, seeded } from './seeded.js'
import { startTableApi, type TableApi, thingsOf } from './table-api.js'

export interface SoakOptions {
  readonly chance: Seeded
  readonly rows: number
  readonly partitions: number
  readonly pageSize: number
  /** It ends with the round in which so many kills were done, or so many seconds had passed. */
  readonly kills: number
  readonly seconds: number
  readonly say: (line: string) => void
}
export interface Soaked {
  readonly kills: number
  readonly rounds: number
  readonly requests: number
  readonly faults: Readonly<Record<string, number>>
  /** Tasks that died of the faults and were put back with `retry --all`. */
  readonly retried: number
}

/** Part of the requests that go wrong. */
const faultShare = 0.12

type Fault = (response: ServerResponse, chance: Seeded) => Promise<void> | void
const json = { 'content-type': 'application/json' }
const faults: Readonly<Record<string, Fault>> = {
  reset: (response) => void response.socket?.destroy(),
  // Longer than the source's time-out; the worker hangs up first.
  hang: () => new Promise((resolve) => setTimeout(resolve, 5_000).unref()),
  'status 500': (response) => void response.writeHead(500).end('down'),
  '429 with Retry-After': (response) => void response.writeHead(429, { 'retry-after': '1' }).end(),
  '429 without': (response) => void response.writeHead(429).end('slow down'),
  truncated: (response) => {
    response.writeHead(200, { ...json, 'content-length': 4_000 })
    response.write('[{"id":1,"na', () => response.socket?.destroy())
  },
  'HTML with status 200': (response) =>
    void response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Are you human?</title>'),
  slow: (_, chance) => new Promise((resolve) => setTimeout(resolve, 50 + chance.below(400)).unref()),
}

export async function soak(options: SoakOptions): Promise<Soaked> {
  const { chance } = options
  const sizes = sizesOf(options)
  const api = await startTableApi({})
  const met: Record<string, number> = Object.fromEntries(Object.keys(faults).map((name) => [name, 0]))
  // Its own stream of chances: the order of requests is the machine's, the kills must not depend on it.
  const apiChance = seeded(chance.seed + 1)
  const life: Life = { left: Number.POSITIVE_INFINITY, end: () => {} }
  api.before = async (_, response) => {
    life.left -= 1
    if (life.left === 0) life.end()
    if (apiChance.next() >= faultShare) return
    const name = apiChance.pick(Object.keys(faults))
    met[name] = (met[name] ?? 0) + 1
    await faults[name]?.(response, apiChance)
  }
  const workspace = await makeWorkspace({ 'soak.yaml': definition(api.url, sizes, options.pageSize) })
  try {
    return { ...(await rounds({ options, api, workspace, sizes, life })), requests: api.requests.length, faults: met }
  } finally {
    await workspace.close()
    await api.close()
  }
}

/** The running worker's end, in requests. */
interface Life {
  left: number
  end: () => void
}
interface Stage {
  readonly options: SoakOptions
  readonly api: TableApi
  readonly workspace: CliWorkspace
  readonly sizes: Readonly<Record<string, number>>
  readonly life: Life
}

async function rounds(stage: Stage): Promise<Pick<Soaked, 'kills' | 'rounds' | 'retried'>> {
  const { options, api, workspace, sizes } = stage
  const startedAt = performance.now()
  const isOver = (kills: number): boolean =>
    kills >= options.kills || performance.now() - startedAt >= options.seconds * 1000
  let kills = 0
  let retried = 0
  for (let round = 1; ; round += 1) {
    api.rows = Object.fromEntries(
      Object.entries(sizes).map(([site, count]) => [
        `/${site}/things`,
        thingsOf(site, count).map((row) => ({ ...row, round })),
      ]),
    )
    expect(await workspace.run('seed', 'soak', '--force')).toMatchObject({ code: 0 })
    for (let isDrained = false; !isDrained; ) {
      const ended = await liveOnce(stage, { isKilled: !isOver(kills) })
      if (ended.signal === 'SIGKILL') {
        kills += 1
        if (kills % 20 === 0) options.say(`${kills} kills, ${api.requests.length} requests, round ${round}`)
        continue
      }
      expect([0, 3], ended.stderr).toContain(ended.code)
      // An operator puts back what the faults killed.
      const put = (await workspace.json('retry', '--all')) as { readonly retried: readonly unknown[] }
      retried += put.retried.length
      isDrained = put.retried.length === 0
    }
    await expectExactlyOnce(workspace, sizes)
    expect(await workspace.query(`select id from public.thing where round <> ${round} limit 5`)).toEqual([])
    options.say(`round ${round} exact after ${kills} kills`)
    if (isOver(kills)) return { kills, rounds: round, retried }
  }
}

/** One worker, until it ends by itself or is killed: at some request of its own, or while it starts. */
async function liveOnce(
  { options, workspace, life }: Stage,
  { isKilled }: { readonly isKilled: boolean },
): Promise<Ran> {
  const { chance } = options
  const worker: Started = workspace.start('worker', '--until-empty')
  const kill = () => void worker.child.kill('SIGKILL')
  const isEarly = isKilled && chance.next() < 0.2
  const timer = isEarly ? setTimeout(kill, chance.below(1_200)) : undefined
  life.left = isKilled && !isEarly ? 1 + chance.below(25) : Number.POSITIVE_INFINITY
  const lateMs = chance.below(80)
  life.end = () => setTimeout(kill, lateMs)
  try {
    return await worker.ended
  } finally {
    clearTimeout(timer)
    life.end = () => {}
  }
}

/** Partitions of very different sizes that add up. */
function sizesOf({ rows, partitions, chance }: SoakOptions): Record<string, number> {
  const weights = Array.from({ length: partitions }, () => 0.1 + chance.next() ** 2)
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const sizes = weights.map((weight) => Math.floor((weight / sum) * rows))
  sizes[0] = (sizes[0] ?? 0) + rows - sizes.reduce((total, size) => total + size, 0)
  return Object.fromEntries(sizes.map((size, index) => [`s${index + 1}`, size]))
}

const definition = (url: string, sizes: Readonly<Record<string, number>>, pageSize: number): string => `source: soak
base_url: ${url}
budget: { limits: [2000/s], concurrency: 4 }
dimensions: { site: [${Object.keys(sizes).join(', ')}] }
retry_delay: 20ms
backoff: 100ms
timeout: 1s
streams:
  thing:
    path: '/{site}/things'
    paginate: { page: page, size: size, total: header X-Total }
    page_size: ${pageSize}
    key: [site, id]
    columns: { site: { type: text, dimension: site }, id: bigint, name: text, round: integer }
`

export function soakSummary({ kills, rounds: count, requests, faults: met, retried }: Soaked): string {
  const named = Object.entries(met).map(([name, times]) => `${name} ${times}`)
  return `${kills} kills in ${count} rounds, ${requests} requests, faults: ${named.join(', ')}; ${retried} dead tasks put back; rows lost 0, doubled 0`
}
