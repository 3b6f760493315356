/** A queue file that somebody damaged, page by page: every call says so, and none calls it a bug of ours or answers nonsense as if it were true. */
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BackfillError, InvariantError } from '../../src/domain/errors.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { createFakeClock } from '../support/fake-clock.js'
import { requestOf, rulesOf } from './budget-conformance.js'
import { claimOf, dead, done, later, seed, userTasks } from './queue-conformance.js'

const clock = createFakeClock()
const pageSize = 4096
let folder: string
let whole: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backfill-damage-'))
  whole = join(folder, 'whole.db')
  const queue = openQueue({ file: whole, mode: 'create', clock, timezone: 'UTC' })
  await seed(queue, userTasks(Array.from({ length: 200 }, (_, index) => index)))
  const leases = await queue.settleAndClaim(claimOf(60))
  const settle = leases.map((lease, index) =>
    [done, dead, (one: typeof lease) => later(one, clock.now() + 5_000)][index % 3]?.(lease),
  )
  await queue.settleAndClaim(claimOf(0, { settle: settle.filter((one) => one !== undefined) }))
  queue.close()
  const db = new Database(whole)
  db.pragma('journal_mode = delete')
  db.close()
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a worker and an operator do with a queue; every failure of it. */
async function useAll(file: string): Promise<unknown[]> {
  const failures: unknown[] = []
  let queue: OpenQueue
  try {
    queue = openQueue({ file, mode: 'write', clock, timezone: 'UTC' })
  } catch (error) {
    return [error]
  }
  const rules = rulesOf({ limits: [{ requests: 100, periodMs: 1_000 }] })
  const calls: (() => Promise<unknown>)[] = [
    () => queue.controls.adjustToClock(),
    () => queue.reclaim('another'),
    () => queue.counts(),
    () => queue.tasks({ limit: 500 }),
    () => queue.controls.read(),
    async () =>
      queue.settleAndClaim(
        claimOf(0, { settle: (await queue.settleAndClaim(claimOf(150))).map((lease) => done(lease)) }),
      ),
    () =>
      queue.retry({
        filter: { streams: [{ source: 'school', stream: 'users' }], partitions: {} },
        tasks: null,
        codes: null,
      }),
    () => queue.budget.book(requestOf(rules)),
    () => queue.dismissals(10),
    () => queue.runs(10),
    () => seed(queue, userTasks([900, 901])),
  ]
  for (const call of calls) await call().catch((error: unknown) => failures.push(error))
  try {
    queue.close()
  } catch (error) {
    failures.push(error)
  }
  return failures
}

function expectNamed(failures: readonly unknown[], where: string): void {
  for (const error of failures) {
    expect(error, where).toBeInstanceOf(BackfillError)
    expect(error, `${where}: ${String(error)}`).not.toBeInstanceOf(InvariantError)
    expect(['queue_corrupt', 'queue_foreign', 'no_queue', 'queue_newer'], where).toContain(
      (error as BackfillError).code,
    )
  }
}

function damaged(name: string, at: number, bytes: Buffer): string {
  const file = join(folder, name)
  copyFileSync(whole, file)
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, bytes, 0, bytes.length, at)
  closeSync(descriptor)
  return file
}

describe('a damaged queue.db', () => {
  test('is whole before', async () => {
    const file = join(folder, 'copy.db')
    copyFileSync(whole, file)
    expect(await useAll(file)).toEqual([])
  })

  test.each([
    ['a whole page', 0, pageSize],
    ['the middle of a page', 1_500, 1_200],
  ])('is named as such, with %s overwritten in turn', { timeout: 60_000 }, async (_, offset, length) => {
    const pages = statSync(whole).size / pageSize
    let named = 0
    for (let page = 0; page < pages; page += 1) {
      for (const fill of [0x00, 0x5a]) {
        const file = damaged('page.db', page * pageSize + offset, Buffer.alloc(length, fill))
        const failures = await useAll(file)
        named += Number(failures.length > 0)
        expectNamed(failures, `page ${page + 1} of ${pages} filled with ${fill}`)
        for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true })
      }
    }
    // What lies in unused bytes harms nobody.
    expect(named).toBeGreaterThan(pages / 4)
  })

  test.each([0.25, 0.5, 0.9])('is named as such where it was cut at %s of its size', async (share) => {
    const file = join(folder, 'cut.db')
    copyFileSync(whole, file)
    truncateSync(file, Math.floor((statSync(file).size / pageSize) * share) * pageSize)
    const failures = await useAll(file)
    expect(failures).not.toEqual([])
    expectNamed(failures, `cut at ${share}`)
  })
})

describe('a queue.db that is deleted or replaced while it is open', () => {
  test.each(['deleted', 'replaced'])('is missed once it is %s, and never made again', async (how) => {
    const file = join(folder, 'gone.db')
    copyFileSync(whole, file)
    const queue = openQueue({ file, mode: 'write', clock, timezone: 'UTC' })
    await queue.setLastRunId('a')
    unlinkSync(file)
    if (how === 'replaced') writeFileSync(file, '')
    await clock.advance(1_000)
    await expect(queue.setLastRunId('b')).rejects.toMatchObject({ code: 'queue_gone' })
    await expect(queue.counts()).rejects.toMatchObject({ code: 'queue_gone' })
    queue.close()
    expect(statSync(file, { throwIfNoEntry: false })?.size).toBe(how === 'replaced' ? 0 : undefined)
  })
})
