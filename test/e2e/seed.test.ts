/** `seed` as an operator runs it: files, standard input, open dimensions, and a dry run that tells the truth about its price. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, startBackfill } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace

afterEach(async () => {
  await workspace.close()
  await api.close()
})

async function setup(rows: Record<string, number>, sites: readonly string[]): Promise<void> {
  api = await startPagedApi(rows)
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, sites) })
}

describe('seed --from-file', { timeout: 60_000 }, () => {
  it('seeds an open dimension from a file, which worker and verify then know', async () => {
    await setup({ x1: 12, x2: 5 }, [])
    writeFileSync(join(workspace.directory, 'ids.txt'), '# sites\nx1\n{"site": "x2"}\n')
    expect(await workspace.run('seed', 'paged', '--from-file', 'ids.txt')).toMatchObject({ code: 0, stderr: '' })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    await expectExactlyOnce(workspace, { x1: 12, x2: 5 })
    const report = (await workspace.json('verify', 'paged')) as { partitions: { verdict: string }[] }
    expect(report.partitions.map(({ verdict }) => verdict)).toEqual(['equal', 'equal'])
    expect(await workspace.run('verify', '--site', 'x2')).toMatchObject({ code: 0 })
  })

  it('reads standard input, and refuses a bad line by its number before anything is made', async () => {
    await setup({ a: 5 }, ['a', 'b'])
    const environment = { TEST_DATABASE: workspace.database.url }
    const good = startBackfill(['seed', 'paged', '--from-file', '-'], workspace.directory, {
      environment,
      input: 'a\n',
    })
    expect(await good.ended).toMatchObject({ code: 0, stderr: '' })
    const bad = startBackfill(['seed', 'paged', '--from-file', '-'], workspace.directory, {
      environment,
      input: 'b\nnowhere\n',
    })
    const { code, stderr } = await bad.ended
    expect(code).toBe(2)
    expect(stderr).toMatch(/line 2 names "nowhere", which is no value of site/)
    const status = (await workspace.json('status')) as { streams: { ready: number }[] }
    expect(status.streams[0]).toMatchObject({ ready: 1 })
  })
})

describe('seed --dry-run', { timeout: 60_000 }, () => {
  it('says as many requests as the worker then sends, where counts are exact', async () => {
    const rows = { a: 0, b: 1, c: 10, d: 11, e: 95 }
    await setup(rows, Object.keys(rows))
    const plan = (await workspace.json('seed', 'paged', '--dry-run')) as { requests: number }
    expect(plan).toMatchObject({ would_create: 5, is_exact: true, asked: 5, not_asked: 0, rows: 117 })
    const asked = api.requests.length
    expect(asked).toBe(5)
    expect(await workspace.run('seed', 'paged')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    expect(plan.requests).toBe(api.requests.length - asked)
    await expectExactlyOnce(workspace, rows)
  })
})
