/** What verify complained of, as the queue keeps it: one a partition, until it is taken back; in files from before, none. */
import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrate } from '../../src/queue/migrations.js'
import { openQueue } from '../../src/queue/queue.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'

let temporary: TemporaryQueue

beforeEach(() => {
  temporary = openTemporaryQueue()
})
afterEach(() => {
  temporary.remove()
})

const users = { source: 'acme', stream: 'users' }
const discrepancy = 'discrepancy' as const
const unproven = 'unproven' as const

test('is one a partition, whatever the order of its names, and the last one counts', async () => {
  const { queue, clock } = temporary
  const { findings } = queue
  await findings.keep({ ...users, partition: { site: 'a', year: '2026' }, verdict: unproven })
  const foundAt = clock.now()
  await clock.advance(1000)
  await findings.keep({ ...users, partition: { year: '2026', site: 'a' }, verdict: discrepancy })
  expect(await findings.of(users)).toEqual([
    { ...users, partition: { site: 'a', year: '2026' }, verdict: discrepancy, foundAt: foundAt + 1000 },
  ])
  await findings.takeBack(users, [{ year: '2026', site: 'a' }])
  expect(await findings.of(users)).toEqual([])
})

test('is counted by stream, with the oldest discrepancy as its example', async () => {
  const { queue, clock } = temporary
  const { findings } = queue
  const other = { source: 'acme', stream: 'posts' }
  await findings.keep({ ...users, partition: { site: 'a' }, verdict: unproven })
  await clock.advance(1000)
  await findings.keep({ ...users, partition: { site: 'c' }, verdict: discrepancy })
  const first = clock.now()
  await clock.advance(1000)
  await findings.keep({ ...users, partition: { site: 'b' }, verdict: discrepancy })
  await findings.keep({ ...other, partition: {}, verdict: unproven })
  expect(await findings.counts()).toEqual([
    {
      ...users,
      discrepancies: 2,
      unproven: 1,
      example: { ...users, partition: { site: 'c' }, verdict: discrepancy, foundAt: first },
    },
    {
      ...other,
      discrepancies: 0,
      unproven: 1,
      example: { ...other, partition: {}, verdict: unproven, foundAt: clock.now() },
    },
  ])
  expect(await findings.of({ source: 'acme', stream: 'nobody' })).toEqual([])
  await findings.takeBack({ source: 'acme', stream: 'nobody' }, [{}])
})

test('is none in a file from before findings, which status reads as it is', async () => {
  const { file, clock } = temporary
  const old = `${file}-6`
  const db = new Database(old)
  migrate(db, 6)
  db.close()
  const reader = openQueue({ file: old, mode: 'read', clock, timezone: 'UTC' })
  expect(await reader.findings.counts()).toEqual([])
  reader.close()
})
