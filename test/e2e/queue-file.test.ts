/** Faults of queue.db from outside, met by the real commands: each gets a sentence that says what, where and what to do, and the right exit code. */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock/system-clock.js'
import { currentVersion, migrate } from '../../src/queue/migrations.js'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, type Ran, root, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

let api: PagedApi
let workspace: CliWorkspace
const cleanups: (() => void)[] = []

async function setup(rows: Record<string, number>): Promise<void> {
  api = await startPagedApi(rows)
  workspace = await makeWorkspace({ 'paged.yaml': pagedYaml(api.url, Object.keys(rows)) })
}
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) cleanup()
  await workspace.close()
  await api.close()
})

const queueFile = (): string => join(workspace.directory, 'queue.db')
/** One error, one hint, no stack, nothing on stdout. */
function expectSaid(ran: Ran, code: number, ...texts: (string | RegExp)[]): void {
  expect(ran.stderr).toMatch(/^Error: .*\nTry: .*\n$/)
  expect(ran).toMatchObject({ code, stdout: '' })
  for (const text of texts) expect(ran.stderr).toMatch(text)
}
/** Everything in one file, nobody at work. */
const checkpoint = (): void => {
  const db = new Sqlite(queueFile())
  db.pragma('wal_checkpoint(truncate)')
  db.close()
}

describe('queue.db', { timeout: 90_000 }, () => {
  it('locked by another program for long: busy, exit 75, nothing lost; status reads on', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    const rival = new Sqlite(queueFile())
    rival.exec('begin exclusive')
    for (const ran of await Promise.all([workspace.spawn('worker'), workspace.spawn('pause', 'paged')]))
      expectSaid(ran, 75, /write ".*queue\.db" found it locked by another process/, 'wait until the other command ends')
    expect((await workspace.run('status')).code).toBe(0)
    rival.exec('rollback')
    rival.close()
    expect(api.requests).toEqual([])
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, { a: 5 })
  })

  it('locked in the middle of a run: the run ends with 75, the next one goes on', async () => {
    await setup({ a: 25, b: 25 })
    await workspace.run('seed')
    const rival = new Sqlite(queueFile())
    api.before = (site, page) => {
      if (site === 'a' && page === 2 && !rival.inTransaction) rival.exec('begin immediate')
    }
    const ran = await workspace.spawn('worker')
    expect(ran.code).toBe(75)
    expect(ran.stderr).toMatch(/found it locked by another process/)
    rival.exec('rollback')
    rival.close()
    api.before = () => {}
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, { a: 25, b: 25 })
  })

  it('from a newer version: refused with both numbers by every command', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    const db = new Sqlite(queueFile())
    db.pragma('user_version = 99')
    db.close()
    for (const words of [['worker'], ['seed'], ['status'], ['retry', '--all'], ['seed', '--from-ledger']])
      expectSaid(
        await workspace.run(...words),
        2,
        /found version 99, this program knows up to \d+/,
        'install the newer version',
      )
  })

  it('from an older version: every command that writes brings it up to date, but never beside a worker', async () => {
    await setup({ a: 5 })
    expect(await workspace.run('seed')).toMatchObject({ code: 0 })
    /** The same queue of the same database, without its tasks. */
    const makeOlder = () => {
      const present = new Sqlite(queueFile(), { readonly: true })
      const meta = present.prepare('select name, value from meta').all() as { name: string; value: string }[]
      present.close()
      for (const end of ['', '-wal', '-shm']) rmSync(`${queueFile()}${end}`, { force: true })
      const db = new Sqlite(queueFile())
      migrate(db, 5)
      for (const { name, value } of meta) db.prepare('insert into meta values (?, ?)').run(name, value)
      db.close()
    }
    const versionOf = () => {
      const db = new Sqlite(queueFile(), { readonly: true })
      const version = db.pragma('user_version', { simple: true })
      db.close()
      return version
    }
    const writers = [
      ['seed'],
      ['verify'],
      ['retry', '--all'],
      ['pause', 'paged'],
      ['pruned'],
      ['seed', '--from-ledger'],
    ]
    for (const words of [...writers, ['seed', '--dry-run']]) {
      makeOlder()
      expect(await workspace.run(...words), words.join(' ')).toMatchObject({ stderr: '' })
      expect(versionOf(), words.join(' ')).toBe(currentVersion)
    }
    makeOlder()
    expect((await workspace.run('status')).code).toBe(0)
    const rival = new Sqlite(join(workspace.directory, '.backfill', 'lock.db'))
    rival.exec('begin exclusive')
    expectSaid(
      await workspace.run('seed'),
      75,
      /found version 5, .* another command is at work on it/,
      'wait until it ends',
    )
    expect(versionOf()).toBe(5)
    rival.exec('rollback')
    rival.close()
    expect(await workspace.run('seed')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, { a: 5 })
  })

  it('of an older version, met by several commands at once: each waits for the one that brings it up to date', async () => {
    await setup({ a: 5 })
    await workspace.run('seed')
    checkpoint()
    const db = new Sqlite(queueFile())
    db.exec('drop table finding; pragma user_version = 6')
    db.close()
    const { createWorkspaceLock } = await import('../../src/lock/workspace-lock.js')
    const lock = createWorkspaceLock({ directory: join(workspace.directory, '.backfill'), clock: systemClock })
    const held = await lock.acquire('migration')
    const started = [['pause', 'paged'], ['worker', '--json'], ['retry', '--all'], ['pruned']].map((words) =>
      workspace.spawn(...words),
    )
    await new Promise((resolve) => setTimeout(resolve, 2500))
    await held?.release()
    const ran = await Promise.all(started)
    for (const { stderr } of ran) expect(stderr).not.toContain('at work on it')
    const worker = ran[1]?.stdout ?? ''
    expect(worker).not.toContain('another worker')
    expect(ran.map(({ code }) => code)).toEqual([0, 0, 0, 0])
    await workspace.run('resume', 'paged')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, { a: 5 })
  })

  it.each([
    ['bytes overwritten in the middle', 'damaged'],
    ['cut off', 'damaged'],
    ['its header gone', 'not a queue'],
    ['empty', 'no queue'],
  ])('%s: said so with what to do, and rebuilt from the ledger', async (how, word) => {
    await setup({ a: 25, b: 5 })
    await workspace.run('seed', 'paged', '--site', 'a')
    await workspace.run('worker')
    await workspace.run('seed')
    checkpoint()
    const { size } = statSync(queueFile())
    if (how === 'cut off') truncateSync(queueFile(), Math.floor(size / 2))
    else if (how === 'empty') truncateSync(queueFile(), 0)
    else {
      const descriptor = openSync(queueFile(), 'r+')
      const isHeader = how.includes('header')
      writeSync(descriptor, Buffer.alloc(isHeader ? 100 : size - 8192, 0x5a), 0, null, isHeader ? 0 : 4096)
      closeSync(descriptor)
    }
    const asked = api.requests.length
    for (const words of [['worker'], ['status'], ['retry', '--all']]) expectSaid(await workspace.run(...words), 2, word)
    expect(api.requests).toHaveLength(asked)
    // What the hint says.
    for (const name of ['queue.db', 'queue.db-wal', 'queue.db-shm']) {
      if (existsSync(join(workspace.directory, name)))
        renameSync(join(workspace.directory, name), join(workspace.directory, `old-${name}`))
    }
    expect(await workspace.run('seed', '--from-ledger')).toMatchObject({ code: 0, stderr: '' })
    expect(await workspace.run('seed')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests.slice(asked)).toEqual(['b 1'])
    await expectExactlyOnce(workspace, { a: 25, b: 5 })
  })

  it.each(['deleted', 'replaced by a copy'])(
    '%s while a worker runs: it stops and says so, and makes no other',
    async (how) => {
      await setup({ a: 95 })
      await workspace.run('seed')
      const early = join(workspace.directory, 'early.db')
      const from = new Sqlite(queueFile())
      await from.backup(early)
      from.close()
      api.before = async (_, page) => {
        if (page > 4) await new Promise((resolve) => setTimeout(resolve, 700))
      }
      const worker = workspace.start('worker')
      await until(() => api.requests.includes('a 5'))
      for (const name of ['', '-wal', '-shm']) rmSync(queueFile() + name, { force: true })
      if (how !== 'deleted') renameSync(early, queueFile())
      const ran = await worker.ended
      expectSaid(
        ran,
        2,
        /use ".*queue\.db" found it deleted or replaced while it was open/,
        'backfill seed --from-ledger',
      )
      expect(existsSync(queueFile())).toBe(how !== 'deleted')
      api.before = () => {}
      const asked = api.requests.length
      if (how === 'deleted') {
        expectSaid(await workspace.run('worker'), 2, 'found no queue', 'backfill seed --from-ledger')
        expect(await workspace.run('seed', '--from-ledger')).toMatchObject({ code: 0, stderr: '' })
      }
      expect(await workspace.run('worker')).toMatchObject({ code: 0 })
      // What was promoted before is not asked for again.
      expect(api.requests.slice(asked).filter((request) => /^a [1-4]$/.test(request))).toEqual([])
      await expectExactlyOnce(workspace, { a: 95 })
    },
  )
})

/** Runs as the user `nobody`, who owns the workspace; null where that user cannot read this checkout. */
function runAsNobody(...args: string[]): Ran | null {
  const setpriv = ['--reuid=65534', '--regid=65534', '--clear-groups', '--']
  const program = join(root, 'bin/run.js')
  const canRead = spawnSync('setpriv', [...setpriv, process.execPath, '-e', `require('fs').readFileSync('${program}')`])
  if (canRead.status !== 0) return null
  const ran = spawnSync(
    'setpriv',
    [...setpriv, process.execPath, program, ...args, '--workspace', workspace.directory],
    {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: '/tmp', TEST_DATABASE: workspace.database.url },
    },
  )
  return { code: ran.status, signal: ran.signal, stdout: ran.stdout, stderr: ran.stderr }
}

describe.runIf(process.getuid?.() === 0)('a workspace that may not be written', { timeout: 60_000 }, () => {
  const giveAway = (directory: string): void => {
    for (const name of readdirSync(directory, { recursive: true }))
      chownSync(join(directory, String(name)), 65_534, 65_534)
    chownSync(directory, 65_534, 65_534)
  }

  it.for([
    ['queue.db', 0o444, 0o755],
    ['its folder', 0o644, 0o555],
  ] as const)('%s read-only: said so, exit 2; status reads on', async ([, fileMode, folderMode], context) => {
    await setup({ a: 5 })
    await workspace.run('seed')
    checkpoint()
    for (const name of ['-wal', '-shm']) rmSync(queueFile() + name, { force: true })
    rmSync(join(workspace.directory, '.backfill'), { recursive: true, force: true })
    mkdirSync(join(workspace.directory, '.backfill'))
    giveAway(workspace.directory)
    chmodSync(queueFile(), fileMode)
    chmodSync(workspace.directory, folderMode)
    cleanups.push(() => chmodSync(workspace.directory, 0o755))
    const ran = runAsNobody('worker')
    if (ran === null) return context.skip('the user nobody cannot read this checkout')
    expectSaid(ran, 2, /open ".*queue\.db" found it or its folder not writable/, 'let the owner write to its folder')
    const seeded = runAsNobody('seed')
    if (seeded !== null) expectSaid(seeded, 2, /not writable/)
    expect(runAsNobody('status')).toMatchObject({ code: 0, stderr: '' })
    expect(api.requests).toEqual([])
  })
})

/** Mounts a file system of so many kB over the workspace; false where this process may not. */
function mountSmall(kilobytes: number): boolean {
  const { directory } = workspace
  const kept = mkdtempSync(join(tmpdir(), 'backfill-kept-'))
  cpSync(directory, kept, { recursive: true })
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', directory])
  if (mounted.status === 0) {
    cleanups.push(() => spawnSync('umount', ['-l', directory]))
    cpSync(kept, directory, { recursive: true })
  }
  rmSync(kept, { recursive: true })
  return mounted.status === 0
}

describe.runIf(process.getuid?.() === 0)('a full disk under queue.db', { timeout: 90_000 }, () => {
  it('is said by seed and worker with exit 75, and costs nothing once there is room', async (context) => {
    const sites = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`s${index}`, 12]))
    await setup(sites)
    if (!mountSmall(900)) context.skip('this machine lets nobody mount a tmpfs')
    const ballast = join(workspace.directory, 'ballast')
    const fill = (): void => {
      const descriptor = openSync(ballast, 'a')
      try {
        for (;;) if (writeSync(descriptor, Buffer.alloc(4096, 1)) < 4096) break
      } catch {
        // Full: that is what it is for.
      }
      closeSync(descriptor)
    }
    await workspace.run('init')
    fill()
    const seeded = await workspace.run('seed')
    expect(seeded.code).toBe(75)
    expect(seeded.stderr).toMatch(/^Error: .*(disk full|disk failure|no space).*\nTry: .*\n$/i)
    unlinkSync(ballast)
    expect(await workspace.run('seed')).toMatchObject({ code: 0, stderr: '' })

    // Full in the middle of a run.
    let isFull = false
    api.before = (site, page) => {
      if (site !== 's7' || page !== 2 || isFull) return
      isFull = true
      fill()
    }
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(75)
    expect(ran.stderr).toMatch(/queue\.db" (found the disk full|met a disk failure)/)
    expect(ran.stderr).toMatch(/\nTry: /)
    const again = await workspace.run('worker')
    expect(again.code).toBe(75)
    unlinkSync(ballast)
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, sites)
    writeFileSync(join(workspace.directory, 'end'), '')
  })
})
