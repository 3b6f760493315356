/** A real `backfill seed` that is killed on its way: `status` says so at once and not before, and the same command makes what is missing. */
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'

let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
})

const sites = 60
const days = 1461
const yaml = [
  'source: acme',
  'base_url: http://127.0.0.1:9',
  'dimensions:',
  `  site: [${Array.from({ length: sites }, (_, site) => `s${site}`).join(', ')}]`,
  '  day: { days: { from: 2020-01-01, to: 2023-12-31 } }',
  'streams:',
  "  things: { path: '/{site}/{day}', key: id, columns: { id: bigint } }",
].join('\n')

interface Status {
  readonly problems: readonly { readonly code: string }[]
  readonly streams: readonly { readonly ready: number }[]
}
async function look() {
  const { stdout } = await workspace.run('status', '--json')
  const { problems, streams } = JSON.parse(stdout) as Status
  return { isTold: problems.some(({ code }) => code === 'seed_cut_off'), ready: streams[0]?.ready ?? 0 }
}

it('is told as cut off once its process is gone, and made good by the same command', { timeout: 120_000 }, async () => {
  workspace = await makeWorkspace({ 'acme.yaml': yaml })
  const { child, ended } = workspace.start('seed')
  await expect.poll(async () => (await look()).ready, { timeout: 60_000, interval: 20 }).toBeGreaterThan(0)
  expect(child.exitCode).toBeNull()
  expect(await look()).toMatchObject({ isTold: false })
  child.kill('SIGKILL')
  expect((await ended).signal).toBe('SIGKILL')

  const killed = await look()
  expect(killed.isTold).toBe(true)
  expect(killed.ready).toBeLessThan(sites * days)
  const { stdout } = await workspace.run('status')
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('was cut off (killed, or power lost): tasks are missing')

  expect((await workspace.run('seed')).code).toBe(0)
  expect(await look()).toEqual({ isTold: false, ready: sites * days })
})
