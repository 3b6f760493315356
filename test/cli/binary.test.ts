// The built program, as a process: help, pipes, signals, and what a light command must not load.
import { execFile, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder, writeWorkspace } from './run-command.js'

const program = fileURLToPath(new URL('../../bin/run.js', import.meta.url))
const folder = temporaryFolder()
let server: Server
let asked = 0
let onAsked: () => void = () => undefined

beforeAll(async () => {
  // Answers its first page, and then never again.
  server = createServer((request, response) => {
    asked += 1
    const page = Number(new URL(request.url ?? '', 'http://x').searchParams.get('page'))
    if (page === 1) response.writeHead(200, { 'content-type': 'application/json' }).end('[{"id":1},{"id":2}]')
    else onAsked()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  writeWorkspace(folder.path, {
    'slow.yaml': `source: slow\nbase_url: http://127.0.0.1:${port}\npaginate: { page: page, size: size }\npage_size: 2\nbudget: { limits: [50/s] }\nstreams:\n  things: { path: /things, key: id, columns: { id: bigint } }\n`,
  })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  folder.remove()
})

interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

function run(...argv: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...argv],
      { cwd: folder.path, timeout: 60_000, env: plainEnvironment() },
      (error, stdout, stderr) => {
        resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
      },
    )
  })
}

function plainEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: folder.path }
}

describe('the program', () => {
  test('--help names the commands, and a command in a workspace its dimensions', async () => {
    const help = await run('--help')
    for (const name of ['init', 'pause', 'resume', 'retry', 'seed', 'sql', 'status', 'verify', 'worker'])
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    expect((await run('seed', '--help')).stdout).toContain('--document-type=VALUE...')
    expect((await run('seed', '--help', '--workspace', '/')).stdout).toContain(
      'each dimension of its sources is a flag',
    )
  })

  test('-h and help are help, of all commands and of one', async () => {
    const help = await run('--help')
    expect(await run('-h')).toEqual(help)
    expect(await run('help')).toEqual(help)
    expect(await run('help', 'pause')).toEqual(await run('pause', '--help'))
    expect((await run('pause', '-h')).stdout).toContain('--for=TIME')
  })

  test('an unknown command is exit 2', async () => {
    const ran = await run('bogus')
    expect(ran.exitCode).toBe(2)
    expect(ran.stderr).toBe('Error: run "bogus" found no such command\nTry: run "backfill --help"\n')
  })

  test('a reader that goes away is no failure', async () => {
    await run('seed', 'city')
    const child = spawn(
      '/bin/sh',
      ['-c', `"${process.execPath}" "${program}" status | head -1; exit \${PIPESTATUS:-0}`],
      { cwd: folder.path, env: plainEnvironment() },
    )
    let errors = ''
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    await new Promise((resolve) => child.on('close', resolve))
    expect(errors).toBe('')
  })

  test('status loads neither HTTP client nor Postgres driver, and nothing that compiles definitions', async () => {
    await run('status')
    const loader = join(folder.path, 'loaded.cjs')
    writeFileSync(
      loader,
      `process.on('exit', () => process.stderr.write(process.report.getReport().sharedObjects.length + JSON.stringify(Object.keys(require.cache))))`,
    )
    const ran = await new Promise<Ended>((resolve) => {
      const child = execFile(
        process.execPath,
        ['--require', loader, program, 'status'],
        { cwd: folder.path, env: { ...plainEnvironment(), NODE_DEBUG: 'esm' } },
        (error, stdout, stderr) => {
          resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
        },
      )
      child.stdin?.end()
    })
    expect(ran.exitCode).toBe(0)
    for (const name of ['got', 'pg', 'zod', 'jiti', 'yaml', 'pino', 'proper-lockfile']) {
      expect(ran.stderr.includes(`/node_modules/${name}/`), name).toBe(false)
    }
  })

  test('the first SIGTERM gives the tasks back and exits 143; what was promoted stays', async () => {
    await run('seed', 'slow')
    const stuck = new Promise<void>((resolve) => {
      onAsked = resolve
    })
    const child = spawn(process.execPath, [program, 'worker', 'slow'], { cwd: folder.path, env: plainEnvironment() })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    await stuck
    child.kill('SIGTERM')
    expect(await ended).toBe(143)
    const status = JSON.parse((await run('status', 'slow', '--json')).stdout) as {
      streams: { leased: number; ready: number }[]
      runs: { exit_code: number; reason: string }[]
    }
    expect(status.streams).toMatchObject([{ leased: 0, ready: 1 }])
    expect(status.runs[0]).toMatchObject({ exit_code: 143, reason: 'signal SIGTERM' })
    expect((await run('sql', '--json', 'select id from public.things order by id')).stdout).toBe(
      '[\n  {"id":"1"},\n  {"id":"2"}\n]\n',
    )
  })

  test('a second worker sees the first, says nothing and exits 0', async () => {
    const before = asked
    const stuck = new Promise<void>((resolve) => {
      onAsked = resolve
    })
    const child = spawn(process.execPath, [program, 'worker', 'slow'], { cwd: folder.path, env: plainEnvironment() })
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    await stuck
    expect(await run('worker')).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(asked).toBeGreaterThan(before)
  })

  // seed, worker, status, verify and sql are run as processes above, in crontab.test.ts and in json-server.test.ts, demo in demo.test.ts.
  test('each other command ends by itself, with what it says and exit 0', { timeout: 60_000 }, async () => {
    const said: readonly (readonly [RegExp, readonly string[]])[] = [
      [/crontab/, ['init', '--workspace', join(folder.path, 'new')]],
      [/^city is paused/, ['pause', 'city']],
      [/^city goes on/, ['resume', 'city']],
      [/^No dead task matches$/m, ['retry', '--all']],
      [/^No /, ['pruned']],
    ]
    for (const [words, argv] of said) {
      const ran = await run(...argv)
      expect(ran, argv.join(' ')).toMatchObject({ exitCode: 0, stderr: '' })
      expect(ran.stdout).toMatch(words)
    }
  })
})
