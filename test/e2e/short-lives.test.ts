/** A task whose workers are all killed after some pages: what they promoted counts as progress, though none lived long enough to tell the queue. */
import { afterEach, expect, test } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace

afterEach(async () => {
  await workspace.close()
  await api.close()
})

test('a task that moves in each life of a worker is no crash loop', { timeout: 120_000 }, async () => {
  const rows = { a: 300 }
  api = await startPagedApi(rows)
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, ['a'], 'flush: { rows: 10 }') })
  expect(await workspace.run('seed')).toMatchObject({ code: 0 })
  const promoted = async () => Number((await workspace.query<{ n: string }>('select count(*) as n from thing'))[0]?.n)
  for (let life = 1; life <= 12; life += 1) {
    const before = life === 1 ? 0 : await promoted()
    let kill = (): boolean => false
    api.before = async (_, page) => {
      if (page * 10 < before + 30) return
      await until(async () => (await promoted()) > before)
      kill()
    }
    const worker = workspace.start('worker')
    kill = () => worker.child.kill('SIGKILL')
    expect(await worker.ended).toMatchObject({ signal: 'SIGKILL' })
  }
  api.before = () => {}
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  await expectExactlyOnce(workspace, rows)
})
