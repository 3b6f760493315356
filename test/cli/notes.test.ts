// What the configuration allows and yet is worth a word: told on standard error, by every command, and not every five minutes to cron.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Pause from '../../commands/pause.js'
import Seed from '../../commands/seed.js'
import Status from '../../commands/status.js'
import { runCommand, temporaryFolder, writeWorkspace } from './run-command.js'

let folder = temporaryFolder()
beforeEach(() => {
  folder = temporaryFolder()
  writeWorkspace(folder.path, {
    'backfill.yaml': 'database: postgres://loader:open-sesame@localhost/rows\ntimezone: UTC\nsources: {}\n',
    'far.yaml':
      'source: far\nbase_url: http://api.example.com\nstreams: { things: { path: /things, key: id, columns: { id: bigint } } }\n',
  })
})
afterEach(() => {
  terminal(false)
  folder.remove()
})

function terminal(isOne: boolean): void {
  Object.defineProperty(process.stderr, 'isTTY', { value: isOne, configurable: true })
  Object.defineProperty(process.stderr, 'getWindowSize', { value: () => [80, 24], configurable: true })
  Object.defineProperty(process.stdout, 'isTTY', { value: false, configurable: true })
}

const here = (): string[] => ['--workspace', folder.path]
const told = [
  'Note: source "far" talks plain http to api.example.com: what it sends can be read on the way',
  `Note: backfill.yaml holds the database's password; move the address to .env and write "database: $DATABASE_URL"`,
  '',
].join('\n')

describe('notes of a workspace', () => {
  test('are told at a terminal by every command, once each, and never on standard output', async () => {
    terminal(true)
    const seeded = await runCommand(Seed, 'far', '--json', ...here())
    expect(seeded).toMatchObject({ exitCode: 0, stderr: told })
    expect(JSON.parse(seeded.stdout)).toBeTypeOf('object')
    for (const [command, args] of [
      [Status, ['--json']],
      [Status, []],
      [Pause, ['far', '--json']],
    ] as const) {
      const ran = await runCommand(command, ...args, ...here())
      expect(ran.stderr).toBe(told)
      expect(ran.stdout).not.toContain('Note:')
      expect(ran.stdout + ran.stderr).not.toContain('open-sesame')
    }
  })

  test('are told once where nobody looks, and again when the files changed', async () => {
    terminal(false)
    expect((await runCommand(Seed, 'far', ...here())).stderr).toBe(told)
    expect((await runCommand(Status, ...here())).stderr).toBe('')
    expect((await runCommand(Seed, 'far', ...here())).stderr).toBe('')
    appendFileSync(join(folder.path, 'sources/far.yaml'), '# looked at\n')
    expect((await runCommand(Status, ...here())).stderr).toBe(told)
    expect((await runCommand(Status, ...here())).stderr).toBe('')
  })

  test('are none where nothing is worth a word', async () => {
    terminal(true)
    writeWorkspace(folder.path, {
      'far.yaml':
        'source: far\nbase_url: https://api.example.com\nstreams: { things: { path: /things, key: id, columns: { id: bigint } } }\n',
    })
    await runCommand(Seed, 'far', ...here())
    expect((await runCommand(Status, ...here())).stderr).toBe('')
  })
})
