// What a new user reads: whole names of tasks, the clock on the wall, words that do not contradict each other, flags that were nearly right.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Init from '../../commands/init.js'
import Pause from '../../commands/pause.js'
import Seed from '../../commands/seed.js'
import Sql from '../../commands/sql.js'
import Status from '../../commands/status.js'
import { usageText } from '../../src/cli/usage-text.js'
import { newsLines, summaryLines } from '../../src/cli/worker/view.js'
import { clockText, localTimes } from '../../src/cli/zone.js'
import type { WorkerReport } from '../../src/worker/types.js'
import { runCommand, temporaryFolder, writeWorkspace } from './run-command.js'

let folder = temporaryFolder()
beforeEach(() => {
  folder = temporaryFolder()
  writeWorkspace(folder.path)
})
afterEach(() => folder.remove())

const here = (): string[] => ['--workspace', folder.path]

describe('a command line that is nearly right', () => {
  test('a flag of the workspace’s own dimensions is guessed, too', async () => {
    const ran = await runCommand(Seed, 'city', '--twon', 'alpha', ...here())
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toContain('did you mean "--town"')
  })

  test('flags that exclude or need each other are named without the parser’s own words', async () => {
    const together = await runCommand(Status, '--watch', '--json', ...here())
    expect(JSON.parse(together.stdout)).toMatchObject({
      error: { code: 'usage', message: '--watch and --json exclude each other' },
    })
    const alone = await runCommand(Status, '--raw', ...here())
    expect(alone.stderr).toMatch(/^Error: --raw goes only with --held and --json\n/)
    expect((await runCommand(Sql, ...here())).stderr).toMatch(/^Error: STATEMENT is missing: one SQL statement/)
  })

  test('several complaints are one sentence, each said once', () => {
    const twice = '--dead=true cannot also be provided when using --held'
    const other = '--task=3 cannot also be provided when using --held'
    expect(usageText(['The following errors occurred:', `  ${twice}`, `  ${twice}`, `  ${other}`])).toBe(
      '--held and --dead exclude each other; --held and --task exclude each other',
    )
    expect(usageText(['Flag --task expects a value'])).toBe('flag --task expects a value')
  })
})

describe('init', () => {
  test('makes the folders above its own', async () => {
    const deep = join(folder.path, 'a', 'b', 'c')
    expect((await runCommand(Init, '--workspace', deep)).exitCode).toBe(0)
    expect(existsSync(join(deep, 'queue.db'))).toBe(true)
  })

  test.runIf(process.platform === 'linux')('says where no folder can be made, and ends', async () => {
    const ran = await runCommand(Init, '--workspace', '/proc/backfill/a')
    expect(ran).toMatchObject({ exitCode: 2, stdout: '' })
    expect(ran.stderr).toContain('found a place where no folder can be made')
  })
})

describe('what is said about tasks', () => {
  test('names the stream where there are several', async () => {
    await runCommand(Seed, ...here())
    const { stdout } = await runCommand(Seed, ...here())
    expect(stdout).toContain('  city.pages alpha agendas is waiting for a worker')
    expect(stdout).toContain('  city.towns is waiting for a worker')
    expect((await runCommand(Seed, 'city.pages', ...here())).stdout).toContain('\n  alpha agendas is waiting')
  })

  test('a paused source has no end before the pause', async () => {
    await runCommand(Seed, 'city.towns', ...here())
    await runCommand(Pause, 'city', ...here())
    const { stdout } = await runCommand(Status, 'city.towns', ...here())
    const flat = stdout.replaceAll(/\s+/g, ' ')
    expect(flat).toContain('1 task waits: city is paused, end unknown: it waits for "backfill resume city"')
  })
})

describe('the end of a run', () => {
  const now = Date.parse('2026-03-09T10:00:00Z')
  const ended: WorkerReport = {
    ...{ end: 'nothing due', reason: 'nothing is due', requests: 0, rows: 0, done: 0, retrying: 0, putBack: 0 },
    ...{ died: [], differing: [], shrunk: [], refused: [], parked: [], closed: [], failure: null, nextDueAt: null },
  }

  test('tells times by the clock of the workspace, and does not call due what it just called held back', () => {
    const until = '2026-03-09T12:30:00.208Z'
    const lines = summaryLines(
      { ...ended, reason: `nothing is due: shop is paused until ${until}`, nextDueAt: now - 1 },
      now,
    )
    expect(lines).toEqual([`Ended: nothing is due: shop is paused until ${clockText(Date.parse(until), now)}`])
    expect(localTimes('at the last walk (2026-03-09T12:30:00Z)', now)).toBe(
      `at the last walk (${clockText(Date.parse('2026-03-09T12:30:00Z'), now)})`,
    )
  })

  test('counts attempts that failed, whether or not their task is tried again', () => {
    const [line] = summaryLines({ ...ended, end: 'empty', requests: 16, retrying: 2 }, now)
    expect(line).toContain('16 requests, 2 attempts failed for now; ended')
  })

  test('a death in cron’s mail names source and stream', () => {
    const task = { source: 'shop', stream: 'orders', partition: { region: 'eu' } }
    const died = [{ task, code: 'http_404', message: 'not there' }] as unknown as WorkerReport['died']
    expect(newsLines({ ...ended, died })).toEqual([
      '1 task died (http_404 1): shop.orders eu: not there; run "backfill status --dead"',
    ])
  })
})
