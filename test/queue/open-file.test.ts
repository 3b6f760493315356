/** Which files are opened, created, brought to this version or refused. */
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError, QueueUnavailable } from '../../src/domain/errors.js'
import { applicationId, currentVersion, migrate } from '../../src/queue/migrations.js'
import { type OpenQueue, openQueue, type QueueOptions } from '../../src/queue/queue.js'
import { createFakeClock } from '../support/fake-clock.js'
import { describeQueueFile, writeExampleQueue } from './example.js'
import { claimOf, seed, userTasks } from './queue-conformance.js'

const clock = createFakeClock()
const isRoot = process.getuid?.() === 0

describe('queue.db', () => {
  let folder: string
  let file: string
  const open = (mode: QueueOptions['mode'], more: Partial<QueueOptions> = {}): OpenQueue =>
    openQueue({ file, mode, clock, timezone: 'UTC', ...more })
  const refusal = (mode: QueueOptions['mode'], more: Partial<QueueOptions> = {}): unknown => {
    try {
      open(mode, more).close()
    } catch (error) {
      return error
    }
    throw new Error('it was opened')
  }
  const create = (): void => open('create').close()

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'backfill-file-'))
    file = join(folder, 'queue.db')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  test('is created for its owner alone', () => {
    create()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const db = new Database(file, { readonly: true })
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal')
    expect(db.pragma('application_id', { simple: true })).toBe(applicationId)
    expect(db.pragma('user_version', { simple: true })).toBe(currentVersion)
    db.close()
  })

  test.each(['write', 'read'] as const)('is not created by mode %s', (mode) => {
    expect(refusal(mode)).toMatchObject({
      code: 'no_queue',
      hint: 'run "backfill seed" to make one; where there was one, rebuild it with "backfill seed --from-ledger"',
    })
    writeFileSync(file, '')
    expect(refusal(mode)).toMatchObject({ code: 'no_queue' })
  })

  test('is made of the empty file that a kill in the middle of creating it left', async () => {
    writeFileSync(file, '')
    const queue = open('create')
    expect(await queue.counts()).toEqual([])
    queue.close()
  })

  test('has an id of its own even where it was copied from the example', () => {
    writeExampleQueue(file)
    const first = open('write')
    rmSync(file, { force: true })
    first.close()
    rmSync(`${file}-wal`, { force: true })
    rmSync(`${file}-shm`, { force: true })
    writeExampleQueue(file)
    const reader = open('read')
    expect(reader.id).toBe('')
    reader.close()
    const second = open('write')
    expect(second.id).not.toBe(first.id)
    expect(second.id).toHaveLength(36)
    second.close()
  })

  test('is what queue.db.example holds', () => {
    writeExampleQueue(file)
    expect(describeQueueFile(file)).toEqual(describeQueueFile('queue.db.example'))
  })

  test('of version 1 is read as it is and brought to this version by the holder of the lock only', async () => {
    const db = new Database(file)
    migrate(db, 1)
    db.exec(`insert into stream (source, name, ready) values ('school', 'users', 1)`)
    db.exec(
      `insert into backfill (id, scope, fingerprint, reason, created_at, planned_at) values ('b', 'all', 'f', 'seed', 1, 1)`,
    )
    db.exec(
      `insert into task (id, stream, partition, backfill, priority, created_at, renewed_at) values ('t', 1, '{"user_id":"1"}', 1, 0, 1, 1)`,
    )
    db.close()
    const reader = open('read')
    expect(await reader.counts()).toMatchObject([{ ready: 1 }])
    expect(await reader.tasks({ limit: 5 })).toMatchObject([{ id: 't' }])
    const rules = { limits: [], reserve: 0, key: 'school', refusals: [429], delayMs: 0, concurrency: 1, verifyShare: 1 }
    expect(await reader.budget.state(rules)).toMatchObject({ closedUntil: null })
    reader.close()
    expect(refusal('write')).toMatchObject({ code: 'queue_older', context: { found: 1, needed: currentVersion } })
    const holder = open('write', { migrate: true })
    expect(await holder.settleAndClaim(claimOf(5))).toMatchObject([{ task: { id: 't' } }])
    holder.close()
    open('write').close()
  })

  test('of a newer program is refused with both numbers', () => {
    create()
    const db = new Database(file)
    db.pragma(`user_version = ${currentVersion + 7}`)
    db.close()
    for (const mode of ['create', 'write', 'read'] as const) {
      const error = refusal(mode)
      expect(error).toBeInstanceOf(ConfigError)
      expect(error).toMatchObject({ code: 'queue_newer' })
      expect(String(error)).toContain(`version ${currentVersion + 7}`)
      expect(String(error)).toContain(`up to ${currentVersion}`)
    }
  })

  test('of another program, a text and a folder are refused', () => {
    const db = new Database(file)
    db.exec('create table theirs (a)')
    db.close()
    expect(refusal('create')).toMatchObject({ code: 'queue_foreign' })
    rmSync(file)
    writeFileSync(file, 'id,name\n1,somebody\n'.repeat(100))
    for (const mode of ['create', 'read'] as const) expect(refusal(mode)).toMatchObject({ code: 'queue_foreign' })
    rmSync(file)
    mkdirSync(file)
    for (const mode of ['create', 'write', 'read'] as const)
      expect(refusal(mode)).toMatchObject({ code: 'queue_unusable' })
  })

  test('that is damaged is refused with what to do', () => {
    create()
    const db = new Database(file)
    db.pragma('journal_mode = delete')
    db.close()
    const size = statSync(file).size
    writeFileSync(file, Buffer.alloc(size - 4096, 0x5a), { flag: 'r+' })
    expect(refusal('write')).toBeInstanceOf(ConfigError)
  })

  test('in a folder that does not exist is refused', () => {
    file = join(folder, 'missing', 'queue.db')
    expect(refusal('create')).toMatchObject({ code: 'queue_unwritable' })
  })

  test('that another process holds is busy, not broken', async () => {
    create()
    const queue = open('write')
    const rival = new Database(file)
    rival.exec('begin immediate')
    await expect(queue.setLastRunId('a')).rejects.toBeInstanceOf(QueueUnavailable)
    rival.exec('rollback')
    rival.close()
    await queue.setLastRunId('a')
    queue.close()
  })

  test('keeps a task from every transition that does not exist', async () => {
    const queue = open('create')
    await seed(queue, userTasks([1, 2]))
    queue.close()
    const db = new Database(file)
    const refused = (statement: string): unknown => expect(() => db.exec(statement), statement).toThrow()
    refused(`update task set state = 'done', finished_at = 1, proof = 'proven' where number = 1`)
    refused(`update task set state = 'dead', finished_at = 1, code = 'x', message = 'y' where number = 1`)
    refused(`update task set state = 'leased', leased_at = 1 where number = 1`)
    refused(`update task set epoch = epoch + 1 where number = 1`)
    refused(`update task set state = 'paused' where number = 1`)
    refused(`delete from task where number = 1`)
    db.exec(`update task set state = 'leased', leased_at = 1, epoch = 1 where number = 1`)
    refused(`update task set epoch = 0 where number = 1`)
    refused(`update task set state = 'ready' where number = 1`)
    db.exec(`update task set state = 'done', leased_at = null, finished_at = 1, proof = 'proven' where number = 1`)
    refused(`update task set state = 'ready', finished_at = null, proof = null where number = 1`)
    refused(`update task set state = 'cancelled', proof = null where number = 1`)
    refused(`update task set is_current = 0 where number = 2`)
    refused(
      `insert into task (id, stream, partition, backfill, priority, created_at, renewed_at) select 'x', stream, partition, 1, 0, 1, 1 from task where number = 2`,
    )
    db.close()
  })

  describe.runIf(isRoot)('of another user', () => {
    test('is refused, but for readers', () => {
      create()
      chownSync(file, 65_534, 65_534)
      for (const mode of ['create', 'write'] as const) expect(refusal(mode)).toMatchObject({ code: 'wrong_user' })
      open('read').close()
    })

    test('is read even where the reader may write nothing', () => {
      create()
      chmodSync(folder, 0o755)
      chmodSync(file, 0o644)
      const script = `
        import { createRequire } from 'node:module'
        import { openQueue } from ${JSON.stringify(join(process.cwd(), 'src/queue/queue.ts'))}
        import { systemClock } from ${JSON.stringify(join(process.cwd(), 'src/clock/system-clock.ts'))}
        // Loaded while the checkout may be read: it may lie below a folder that is closed to others.
        new (createRequire(${JSON.stringify(join(process.cwd(), 'package.json'))})('better-sqlite3'))(':memory:').close()
        process.setgid(65534); process.setuid(65534)
        const queue = openQueue({ file: ${JSON.stringify(file)}, mode: 'read', clock: systemClock, timezone: 'UTC' })
        console.log(JSON.stringify(await queue.counts()))`
      const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        encoding: 'utf8',
      })
      expect(child.stderr).toBe('')
      expect(child.stdout.trim()).toBe('[]')
    })
  })
})
