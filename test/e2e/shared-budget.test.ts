/**
 * One API with two windows, judged at the moment of each answer; two workspaces on one budget file, a worker in each and `verify` beside them. Not one window is
 * exceeded, and the one that binds is used to its end while work is due.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

const windows = [
  { name: 'short', requests: 15, periodMs: 500 },
  { name: 'long', requests: 60, periodMs: 3_000 },
] as const
const binding = windows[1]
const reserve = 0.05
const allowed = Math.floor(binding.requests * (1 - reserve))

/** Moments at which requests were judged, ms, in order. */
interface Audit {
  readonly judged: number[]
  refused: number
}

/** Answers after a while, counts then, and tells in headers what is left. */
function limit(api: PagedApi, audit: Audit): void {
  let turn = 0
  api.before = async (_, __, response) => {
    turn += 1
    await new Promise((resolve) => setTimeout(resolve, (turn * 7) % 20))
    const now = performance.now()
    const used = windows.map(({ periodMs }) => audit.judged.filter((at) => at > now - periodMs).length)
    const isOver = windows.some(({ requests }, index) => (used[index] ?? 0) >= requests)
    audit.judged.push(now)
    for (const [index, { name, requests }] of windows.entries()) {
      response.setHeader(`x-${name}-limit`, requests)
      response.setHeader(`x-${name}-remaining`, Math.max(0, requests - (used[index] ?? 0) - 1))
    }
    if (!isOver) return
    audit.refused += 1
    response.writeHead(429, { 'content-type': 'text/plain' }).end('too many')
  }
}

/** The most that any window ever held. */
function mostIn(judged: readonly number[], periodMs: number): number {
  return Math.max(...judged.map((at) => judged.filter((other) => other > at - periodMs && other <= at).length))
}

/**
 * How much of the window was used while work was due, 1 is all that it allows: on the mean, and in the best tenth of the time. What a busy machine is late by is
 * lost on the mean; what is booked and never sent would be lost at any time.
 */
function utilisation(judged: readonly number[]): { readonly mean: number; readonly best: number } {
  // At the end few tasks are left, and nobody asks for what is free.
  const due = judged.slice(0, -20)
  const gaps = due.slice(allowed).map((at, index) => at - (due[index] ?? at))
  const quickest = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 10)] ?? Number.POSITIVE_INFINITY
  return {
    mean: (binding.periodMs * gaps.length) / gaps.reduce((sum, gap) => sum + gap, 0),
    best: binding.periodMs / quickest,
  }
}

const sites = ['a', 'b', 'c', 'd', 'e', 'f']
const rows = Object.fromEntries(sites.map((site) => [site, 230]))

describe('two workspaces on one budget file', { timeout: 120_000 }, () => {
  const open: CliWorkspace[] = []
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'backfill-shared-')))
  let api: PagedApi
  afterEach(async () => {
    for (const workspace of open.splice(0)) await workspace.close()
    await api.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('exceed no window, use the binding one to its end, and lose nothing', async () => {
    const audit: Audit = { judged: [], refused: 0 }
    api = await startPagedApi(rows)
    limit(api, audit)
    const limits = windows.map(({ requests, periodMs }) => `${requests}/${periodMs}ms`).join(', ')
    const headers = windows.map(({ name, periodMs }) => `${periodMs}ms: 'x-${name}-*'`).join(', ')
    const file = join(folder, 'budget.db')
    const budget = `budget: { limits: [${limits}], headers: { ${headers} }, reserve: 5%, concurrency: 4, file: '${file}' }`
    const yaml = pagedYaml(api.url, sites).replace('budget: { delay: 0s }', budget)
    const first = await makeWorkspace({ 'paged.yaml': yaml })
    const second = await makeWorkspace({ 'paged.yaml': yaml })
    open.push(first, second)
    for (const workspace of open) expect(await workspace.run('seed')).toMatchObject({ code: 0 })

    const workers = open.map((workspace) => workspace.start('worker', '--until-empty'))
    const counted = await first.spawn('verify')
    const ended = await Promise.all(workers.map((worker) => worker.ended))

    const used = utilisation(audit.judged)
    const most = windows.map(({ periodMs }) => mostIn(audit.judged, periodMs))
    console.log(
      `${audit.judged.length} requests, at most ${most.join(' and ')} in a window, ${(used.mean * 100).toFixed(1)} % of the binding one used, ${(used.best * 100).toFixed(1)} % at best`,
    )
    for (const run of ended) expect(run).toMatchObject({ code: 0, stderr: '' })
    expect([0, 3]).toContain(counted.code)
    expect(audit.refused).toBe(0)
    for (const [index, { requests }] of windows.entries()) expect(most[index]).toBeLessThanOrEqual(requests)
    expect(used.best).toBeGreaterThan(0.9)
    // 77 % beside eight other processes on two cores.
    expect(used.mean).toBeGreaterThan(0.5)
    expect(new Set(api.requests).size * 2).toBeLessThanOrEqual(audit.judged.length)
    for (const workspace of open) await expectExactlyOnce(workspace, rows)

    // Nobody else was there: what was under way when an answer came is not taken for a stranger's.
    const status = (await second.json('status')) as { budgets: { file: string; windows: { others: number }[] }[] }
    expect(status.budgets).toMatchObject([
      { file, waiting: 0, windows: [0, 0].map((others) => ({ others, is_told: true })) },
    ])
  })
})
