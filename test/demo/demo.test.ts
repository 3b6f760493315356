// The demo as a user runs it, from the built program: twice, stopped and killed in the middle, after its tasks died.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { writeWorkspace } from '../../src/demo/place.js'
import { startSimulated } from '../../src/demo/simulated.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'bin/run.js')

let directory = ''
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'demo-run-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

// A database of the caller's would be refused by its name alone: the demo must not even look at it.
const foreign = {
  DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
  PGHOST: '127.0.0.1',
  BACKFILL_WORKSPACE: '/nowhere',
}

function demo() {
  return execa(process.execPath, [program, 'demo', '--directory', directory], {
    env: foreign,
    reject: false,
    all: true,
  })
}

interface Status {
  readonly streams: readonly {
    readonly ready: number
    readonly leased: number
    readonly done: number
    readonly dead: number
  }[]
  readonly runs: readonly { readonly pid: number; readonly command: string }[]
}
async function statusOf(): Promise<Status> {
  const { stdout } = await execa(process.execPath, [program, 'status', '--json', '--workspace', directory])
  return JSON.parse(stdout) as Status
}

/** Requests that the running demo's service has received; 0 while it does not answer. */
async function requestsSeen(): Promise<number> {
  const settings = await readFile(join(directory, 'backfill.yaml'), 'utf8').catch(() => '')
  const origin = /http:\/\/127\.0\.0\.1:\d+/.exec(settings)?.[0]
  if (origin === undefined) return 0
  const audit = await fetch(`${origin}/-/audit`).catch(() => null)
  return audit === null ? 0 : ((await audit.json()) as { readonly requests: number }).requests
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const everythingEqual = '6 partitions are equal to the source'

it('ends with a verified table, and asks for no row when it is run again', { timeout: 180_000 }, async () => {
  const first = await demo()
  expect(first.all).toContain(everythingEqual)
  expect(first.all).toContain('gave 4,640 rows and refused none')
  expect(first.exitCode).toBe(0)

  const second = await demo()
  expect(second.all).toContain('6 done already')
  expect(second.all).toContain(everythingEqual)
  expect(second.all).toContain('gave 0 rows and refused none')
  expect(second.exitCode).toBe(0)
})

it('stops its commands and its service on SIGINT, and goes on where it stopped', { timeout: 180_000 }, async () => {
  const running = demo()
  await expect.poll(requestsSeen, { timeout: 60_000, interval: 50 }).toBeGreaterThan(8)
  running.kill('SIGINT')
  expect((await running).exitCode).toBe(130)
  const { streams, runs } = await statusOf()
  expect(streams.map((stream) => stream.leased)).toEqual([0])
  expect(runs.filter((run) => isAlive(run.pid))).toEqual([])
  expect(await requestsSeen()).toBe(0)

  const again = await demo()
  expect(again.all).toContain(everythingEqual)
  expect(again.exitCode).toBe(0)
})

it('goes on after kill -9, while its worker lives on without a service', { timeout: 240_000 }, async () => {
  // Without pipes: the worker that lives on would keep them open, and the end of the demo unseen.
  const running = execa(process.execPath, [program, 'demo', '--directory', directory], {
    reject: false,
    stdio: 'ignore',
  })
  await expect.poll(requestsSeen, { timeout: 60_000, interval: 50 }).toBeGreaterThan(8)
  running.kill('SIGKILL')
  await running

  const again = await demo()
  expect(again.all).toContain(everythingEqual)
  expect(again.exitCode).toBe(0)
  const { streams } = await statusOf()
  expect(streams).toMatchObject([{ ready: 0, leased: 0, done: 6, dead: 0 }])
})

it('puts tasks back that died while there was no service', { timeout: 180_000 }, async () => {
  const simulated = await startSimulated(directory, null)
  await simulated.close()
  await writeWorkspace(directory, simulated.port, root)
  const settings = join(directory, 'backfill.yaml')
  const impatient = (await readFile(settings, 'utf8')).replace(
    'sources:',
    'defaults: { retries: 0, attempts: 1 }\nsources:',
  )
  await writeFile(settings, impatient)
  await execa(process.execPath, [program, 'seed', '--workspace', directory])
  const worker = await execa(process.execPath, [program, 'worker', '--workspace', directory], { reject: false })
  expect(worker.exitCode).toBe(3)
  // The fifth failure in a row parks the source: its task and the last one are spared.
  expect((await statusOf()).streams).toMatchObject([{ dead: 4, ready: 2 }])

  const again = await demo()
  expect(again.all).toContain('$ backfill retry')
  expect(again.all).toContain('$ backfill resume')
  expect(again.all).toContain(everythingEqual)
  expect(again.exitCode).toBe(0)
})
