// Every line of crontab.example runs as cron would run it: from /, without a terminal, with cron's bare environment.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder, writeWorkspace } from './run-command.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const text = readFileSync(join(root, 'crontab.example'), 'utf8')
const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))

const folder = temporaryFolder()
let server: Server

beforeAll(async () => {
  server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': '3' }).end('[{"id":1},{"id":2},{"id":3}]')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  writeWorkspace(folder.path, {
    'city.yaml': `source: city\nbase_url: http://127.0.0.1:${port}\nbudget: { limits: [50/s] }\npaginate: { page: page, total: header X-Total }\nstreams:\n  towns: { path: /towns, key: id, columns: { id: bigint } }\n`,
  })
  mkdirSync(join(folder.path, '.backfill'), { mode: 0o700 })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  folder.remove()
})

/** What a user edits, and nothing else. */
function edited(line: string): string {
  return line
    .replaceAll('/usr/local/bin/node', process.execPath)
    .replaceAll('/usr/local/lib/api-backfill', root.replace(/\/$/, ''))
    .replaceAll('/srv/backfill', folder.path)
}

interface Mailed {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the line with this command in it. */
function asCron(name: string): Promise<Mailed> {
  const command =
    lines.map((line) => edited(line).replace(/^(\S+ ){5}/, '')).find((line) => line.includes(`run.js ${name} `)) ??
    'exit 99'
  const bare = [`HOME=${folder.path}`, 'SHELL=/bin/sh', 'PATH=/usr/bin:/bin', 'LOGNAME=cron', '/bin/sh', '-c', command]
  return new Promise((resolve) => {
    const child = execFile('/usr/bin/env', ['-i', ...bare], { cwd: '/', timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
    })
    child.stdin?.end()
  })
}

describe('crontab.example', () => {
  test('has five fields and a command on each line, and names all that is to be edited', () => {
    expect(lines).toHaveLength(4)
    for (const line of lines) {
      expect(line).toMatch(/^(\S+ ){5}\S/)
      // An unescaped % would end the command and feed the rest to it.
      expect(line).not.toMatch(/(?<!\\)%/)
      expect(edited(line)).not.toMatch(/\/usr\/local|\/srv\//)
    }
  })

  test('each line runs, and mails nothing while nothing is wrong', { timeout: 120_000 }, async () => {
    const silent = { exitCode: 0, stdout: '', stderr: '' }
    expect(await asCron('seed')).toEqual(silent)
    expect(await asCron('worker')).toEqual(silent)
    expect(await asCron('worker')).toEqual(silent)
    expect(await asCron('status')).toEqual(silent)
    expect(await asCron('verify')).toEqual(silent)
    await promisify(execFile)(process.execPath, [
      join(root, 'bin/run.js'),
      'sql',
      '--workspace',
      folder.path,
      'delete from public.towns where id = 3',
    ])
    const mailed = await asCron('verify')
    expect(mailed.stdout).toMatch(/city\.towns .* discrepancy/)
    expect((await asCron('status')).exitCode).toBe(0)
  })
})
