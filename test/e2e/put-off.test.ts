/** A run that its budget ended says so, whatever ended beside it. The real commands, from outside. */
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let workspace: CliWorkspace
let api: PagedApi
afterEach(async () => {
  await workspace.close()
  await api.close()
})

interface Run {
  readonly end: string
  readonly reason: string
  readonly done: number
  readonly closed: readonly { readonly source: string; readonly opens_at: string }[]
  readonly next_due_at: string | null
}

describe('a run whose task the budget put off', { timeout: 60_000 }, () => {
  it('names the budget and when it goes on, though a neighbour ended well after the refusal', async () => {
    api = await startPagedApi({ a: 40, b: 5 })
    const yaml = pagedYaml(api.url, ['a', 'b'])
    workspace = await makeWorkspace({
      'paged.yaml': yaml.replace('budget: { delay: 0s }', 'budget: { limits: [3/h], concurrency: 2 }'),
    })
    // One page of b is answered only after a was told that its third request has to wait for an hour.
    api.before = async (site) => {
      if (site === 'b') await new Promise((resolve) => setTimeout(resolve, 2500))
    }
    await workspace.run('seed')
    const before = Date.now()
    const run = (await workspace.json('worker')) as Run
    expect(api.requests.slice().sort()).toEqual(['a 1', 'a 2', 'b 1'])
    expect(run).toMatchObject({ end: 'budget', done: 1, closed: [{ source: 'paged' }] })
    const opensAt = run.closed[0]?.opens_at ?? ''
    expect(run.reason).toBe(`budget closed: paged until ${opensAt}`)
    expect(Date.parse(opensAt) - before).toBeGreaterThan(3_500_000)
    expect(run.next_due_at).toBe(opensAt)
    const { runs } = (await workspace.json('status')) as { runs: { reason: string }[] }
    expect(runs[0]?.reason).toBe(run.reason)
  })

  it('does not name it where that task went on, and all is done', async () => {
    api = await startPagedApi({ a: 40, b: 5 })
    const yaml = pagedYaml(api.url, ['a', 'b'])
    workspace = await makeWorkspace({
      'paged.yaml': yaml.replace('budget: { delay: 0s }', 'budget: { limits: [3/3s], concurrency: 2 }'),
    })
    await workspace.run('seed')
    expect(await workspace.json('worker', '--until-empty')).toMatchObject({ end: 'empty', done: 2, closed: [] })
  })
})
