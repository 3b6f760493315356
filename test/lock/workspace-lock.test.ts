import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock/system-clock.js'
import { ConfigError } from '../../src/domain/errors.js'
import type { WorkspaceLock } from '../../src/domain/ports.js'
import { createWorkspaceLock } from '../../src/lock/workspace-lock.js'

interface Holder {
  readonly process: ChildProcess
  /** The next line it writes. */
  line(): Promise<string>
}

describe('the lock of a workspace', () => {
  let directory: string
  let lock: WorkspaceLock
  const holders: Holder[] = []

  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), 'backfill-lock-')), '.backfill')
    lock = createWorkspaceLock({ directory, clock: systemClock })
  })
  afterEach(async () => {
    for (const { process: child } of holders.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    rmSync(join(directory, '..'), { recursive: true, force: true })
  })

  function hold(blockMs = 0): Holder {
    const script = join(import.meta.dirname, 'holder.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory, String(blockMs)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const holder = { process: child, line: async () => String((await lines.next()).value) }
    holders.push(holder)
    return holder
  }

  test('is taken once, names its holder, and is free after the release', async () => {
    expect(await lock.holder()).toBeNull()
    const held = await lock.acquire('worker civic')
    if (held === null) throw new Error('not taken')
    expect(await lock.acquire('worker again')).toBeNull()
    expect(await lock.holder()).toMatchObject({ pid: process.pid, command: 'worker civic' })
    await held.release()
    await held.release()
    expect(await lock.holder()).toBeNull()
    expect(held.lost.aborted).toBe(false)
    const again = await lock.acquire('worker')
    expect(again).not.toBeNull()
    await again?.release()
    expect(existsSync(join(directory, 'worker.lock'))).toBe(false)
  })

  test('of a killed holder is taken within a second', async () => {
    const took: number[] = []
    // A machine that is busy with others may be late, but not each time.
    while (took.length < 3 && !took.some((ms) => ms < 1_000)) {
      const holder = hold()
      expect(await holder.line()).toBe('held')
      expect(await lock.acquire('worker')).toBeNull()
      expect(await lock.holder()).toMatchObject({ pid: holder.process.pid, command: 'worker test' })
      holder.process.kill('SIGKILL')
      await once(holder.process, 'exit')
      const begin = performance.now()
      const held = await lock.acquire('worker')
      took.push(performance.now() - begin)
      expect(held).not.toBeNull()
      expect(await lock.holder()).toMatchObject({ pid: process.pid })
      await held?.release()
    }
    expect(Math.min(...took)).toBeLessThan(1_000)
  })

  test('of a stopped holder stays its own, however old its heartbeat is', async () => {
    const holder = hold()
    expect(await holder.line()).toBe('held')
    holder.process.kill('SIGSTOP')
    const longAgo = new Date(Date.now() - 24 * 3_600_000)
    utimesSync(join(directory, 'worker.lock'), longAgo, longAgo)
    for (let round = 0; round < 5; round += 1) expect(await lock.acquire('worker')).toBeNull()
    expect(await lock.holder()).toMatchObject({ pid: holder.process.pid })
    holder.process.kill('SIGCONT')
  })

  test('of a holder with a blocked event loop stays its own', async () => {
    const holder = hold(3_000)
    expect(await holder.line()).toBe('held')
    const begin = performance.now()
    while (performance.now() - begin < 2_500) expect(await lock.acquire('worker')).toBeNull()
    holder.process.stdin?.end()
    await once(holder.process, 'exit')
    const held = await lock.acquire('worker')
    expect(held).not.toBeNull()
    await held?.release()
  })

  test('goes to exactly one of several who ask at once', async () => {
    // Remains of a dead holder lie about, so that everybody finds something to clear away.
    mkdirSync(join(directory, 'worker.lock'), { recursive: true })
    writeFileSync(join(directory, 'worker.lock', 'left behind'), '')
    for (let round = 0; round < 2; round += 1) {
      const asking = Array.from({ length: 4 }, () => hold())
      const answers = await Promise.all(asking.map((holder) => holder.line()))
      expect(answers.sort()).toEqual(['held', 'refused', 'refused', 'refused'])
      for (const { process: child } of asking) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
    }
  })

  test('says that it is lost where somebody removed its folder, without taking the process down', async () => {
    const held = await lock.acquire('worker')
    if (held === null) throw new Error('not taken')
    rmSync(join(directory, 'worker.lock'), { recursive: true })
    await new Promise((resolve) => held.lost.addEventListener('abort', resolve))
    // The kernel still keeps rivals out until the loser has let go.
    expect(await lock.acquire('worker')).toBeNull()
    await held.release()
    const again = await lock.acquire('worker')
    expect(again).not.toBeNull()
    await again?.release()
  }, 90_000)

  test.runIf(process.getuid?.() !== 0)('in a folder that may not be written is refused', async () => {
    mkdirSync(directory)
    chmodSync(directory, 0o500)
    await expect(lock.acquire('worker')).rejects.toBeInstanceOf(ConfigError)
  })

  test('where a file takes the place of its folder is refused', async () => {
    writeFileSync(directory, '')
    await expect(lock.acquire('worker')).rejects.toMatchObject({ code: 'workspace_unwritable' })
  })
})
