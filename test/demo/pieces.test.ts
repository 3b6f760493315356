// The demo's pieces: its workspace, its port, and how it runs and stops commands. Real files, ports and processes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { rememberedPort, writeWorkspace } from '../../src/demo/place.js'
import { cleanEnvironment, realCommands } from '../../src/demo/real-commands.js'
import { startSimulated } from '../../src/demo/simulated.js'
import { ConfigError, StoppedError, TemporaryFailure } from '../../src/domain/errors.js'
import { schemaOf } from '../support/schema-of.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'demo-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

const settings = () => readFile(join(directory, 'backfill.yaml'), 'utf8')

describe('the workspace', () => {
  it('is made once, and afterwards only its port is rewritten', async () => {
    expect(await rememberedPort(directory)).toBeNull()
    await writeWorkspace(directory, 4001, root)
    expect(await rememberedPort(directory)).toBe(4001)

    const changed = (await settings()).replace('10/s', '5/s')
    await writeFile(join(directory, 'backfill.yaml'), changed)
    await writeWorkspace(directory, 4002, root)
    expect(await settings()).toBe(changed.replace('4001', '4002'))
  })

  it('names the schema that editors check it with', async () => {
    await writeWorkspace(directory, 4001, root)
    expect(schemaOf(await settings())).toMatchObject({ title: 'backfill.yaml' })
  })

  it('of somebody else is refused', async () => {
    await writeFile(join(directory, 'backfill.yaml'), 'database: $DATABASE_URL\n')
    await expect(rememberedPort(directory)).rejects.toThrow(ConfigError)
  })
})

describe('the simulated service', () => {
  it('listens on the remembered port, or on another one where a stranger has it', async () => {
    const first = await startSimulated(directory, null)
    await first.close()
    const again = await startSimulated(directory, first.port)
    expect(again.port).toBe(first.port)
    await again.close()

    const stranger = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
    await new Promise((resolve) => stranger.once('listening', resolve))
    const taken = (stranger.address() as AddressInfo).port
    const moved = await startSimulated(directory, taken)
    expect(moved.port).not.toBe(taken)
    await moved.close()
    stranger.close()
  })

  it('is not started twice for one directory', async () => {
    const running = await startSimulated(directory, null)
    await expect(startSimulated(directory, running.port)).rejects.toThrow(TemporaryFailure)
    const elsewhere = await startSimulated(`${directory}-2`, running.port)
    expect(elsewhere.port).not.toBe(running.port)
    await Promise.all([running.close(), elsewhere.close()])
  })
})

describe('commands', () => {
  async function commandsOf(script: string) {
    const program = join(directory, 'program.mjs')
    await writeFile(program, script)
    const lines: string[] = []
    const stop = new AbortController()
    const commands = realCommands({ program, announce: (line) => lines.push(line), signal: stop.signal })
    return { commands, lines, stop }
  }

  it('are announced as they would be typed, and answer their exit code', async () => {
    const { commands, lines } = await commandsOf('process.exit(process.argv[2] === "worker" ? 3 : 0)')
    expect(await commands.run(['worker', '--workspace', '.demo'])).toBe(3)
    expect(await commands.run(['sql', "select 'a'"])).toBe(0)
    expect(lines).toEqual(['$ backfill worker --workspace .demo', "$ backfill sql 'select '\\''a'\\'''"])
  })

  it('get no database and no settings of the caller', () => {
    const environment = {
      PATH: '/bin',
      DATABASE_URL: 'x',
      PGHOST: 'x',
      PGPASSWORD: 'x',
      BACKFILL_WORKSPACE: 'x',
      NO_COLOR: '1',
    }
    expect(cleanEnvironment(environment)).toEqual({ PATH: '/bin', NO_COLOR: '1' })
  })

  it('are read as JSON without being announced', async () => {
    const { commands, lines } = await commandsOf('console.log(JSON.stringify(process.argv.slice(2)))')
    expect(await commands.read(['status'])).toEqual(['status', '--json'])
    expect(lines).toEqual([])
  })

  it('are told to stop once, and waited for', async () => {
    const file = join(directory, 'signals')
    const { commands, stop } = await commandsOf(`
      import { appendFileSync } from 'node:fs'
      process.on('SIGTERM', () => {
        appendFileSync(${JSON.stringify(file)}, 'SIGTERM ')
        setTimeout(() => { appendFileSync(${JSON.stringify(file)}, 'ended'); process.exit(143) }, 50)
      })
      setInterval(() => {}, 1000)
      appendFileSync(${JSON.stringify(file)}, 'ready ')
    `)
    const running = commands.run(['worker'])
    await expect.poll(() => readFile(file, 'utf8').catch(() => '')).toBe('ready ')
    stop.abort()
    await expect(running).rejects.toThrow(StoppedError)
    expect(await readFile(file, 'utf8')).toBe('ready SIGTERM ended')
  })
})
