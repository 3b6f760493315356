/** What holds sources back: parking after failures, pauses by hand; what survives a process, and what a clock that is set back does to it. */
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ControlState, gateOf } from '../../src/domain/controls.js'
import type { SourceFailure } from '../../src/domain/ports.js'
import { migrate } from '../../src/queue/migrations.js'
import { openQueue } from '../../src/queue/queue.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, later, seed, userTasks } from './queue-conformance.js'

const minute = 60_000
const failure: SourceFailure = {
  reason: 'unavailable',
  code: 'unreachable',
  message: 'fetch page 1 found the connection refused',
  hint: null,
  rules: { after: 3, firstMs: 5 * minute, longestMs: 15 * minute },
  notBefore: null,
}

describe('controls', () => {
  let temporary: TemporaryQueue
  beforeEach(() => {
    temporary = openTemporaryQueue()
  })
  afterEach(() => temporary.remove())

  const controls = () => temporary.queue.controls
  const gate = async (stream = 'users'): Promise<string> =>
    gateOf(await controls().read(), { source: 'school', stream }, temporary.clock.now()).kind
  const fail = (times = 1) =>
    Array.from({ length: times }).reduce<Promise<unknown>>(
      (before) => before.then(() => controls().failed('school', failure)),
      Promise.resolve(),
    )
  const untilIn = async (): Promise<number> =>
    ((await controls().read()).parkings[0]?.until ?? Number.NaN) - temporary.clock.now()

  test('park a source after its failures in a row, for a time that doubles to its longest, across processes', async () => {
    await fail(2)
    expect(await gate()).toBe('open')
    expect((await controls().read()).failures).toEqual({ school: 2 })
    const other = temporary.reopen()
    expect(await other.controls.failed('school', failure)).toMatchObject({
      isNew: true,
      parking: { source: 'school', failures: 3, times: 1, code: 'unreachable' },
    })
    expect(await gate()).toBe('parked')
    expect(await untilIn()).toBe(5 * minute)
    for (const wait of [10, 15, 15]) {
      await temporary.clock.advance((await untilIn()) + 1)
      expect(await gate()).toBe('probe')
      expect(await controls().failed('school', failure)).toMatchObject({ isNew: false })
      expect(await untilIn()).toBe(wait * minute)
    }
  })

  test('take failures of requests from before the parking for no further ones', async () => {
    await fail(3)
    await temporary.clock.advance(1_000)
    await fail(2)
    expect(await untilIn()).toBe(5 * minute - 1_000)
    expect((await controls().read()).parkings).toMatchObject([{ failures: 5, times: 1 }])
  })

  test('forget failures and parking with an answer', async () => {
    await fail(2)
    await controls().answered('school')
    await fail(2)
    expect(await gate()).toBe('open')
    await fail()
    expect(await gate()).toBe('parked')
    await controls().answered('school')
    expect(await controls().read()).toEqual({ parkings: [], pauses: [], failures: {} })
  })

  test('leave other sources alone', async () => {
    await fail(3)
    const state = await controls().read()
    expect(gateOf(state, { source: 'other', stream: 'users' }, temporary.clock.now()).kind).toBe('open')
  })

  test('pause a source or a stream until it is resumed, or for a while', async () => {
    await controls().pause([{ source: 'school', stream: 'users' }], { until: null, note: 'they move' })
    expect([await gate('users'), await gate('rooms')]).toEqual(['paused', 'open'])
    await controls().pause([{ source: 'school', stream: null }], { until: temporary.clock.now() + minute, note: null })
    expect([await gate('users'), await gate('rooms')]).toEqual(['paused', 'paused'])
    await temporary.clock.advance(minute)
    expect([await gate('users'), await gate('rooms')]).toEqual(['paused', 'open'])
    expect((await temporary.reopen().controls.read()).pauses).toMatchObject([{ stream: 'users', note: 'they move' }])
    expect(await controls().resume([{ source: 'school', stream: null }])).toMatchObject({
      pauses: [{ stream: 'users' }],
    })
    expect(await gate('users')).toBe('open')
  })

  test('resume a parked source at once, with the tasks that waited for it', async () => {
    const { queue, clock } = temporary
    await seed(queue, userTasks([1, 2]))
    await fail(3)
    const [first] = await queue.settleAndClaim(claimOf(1))
    if (first === undefined) throw new Error('nothing was claimed')
    await queue.settleAndClaim(claimOf(0, { settle: [later(first, clock.now() + 6 * minute)] }))
    expect(await controls().resume([{ source: 'school', stream: null }])).toMatchObject({ parkings: [{ failures: 3 }] })
    expect(await gate()).toBe('open')
    expect(await queue.counts()).toMatchObject([{ ready: 2, waiting: 0 }])
    expect(await queue.settleAndClaim(claimOf(5))).toHaveLength(2)
  })

  describe('when the wall clock is set back by a year', () => {
    const year = 365 * 24 * 60 * minute
    test('hold for as long as they were to hold, from the next start on', async () => {
      await fail(3)
      await controls().pause([{ source: 'school', stream: 'rooms' }], {
        until: temporary.clock.now() + 20 * minute,
        note: null,
      })
      temporary.clock.shiftWall(-year)
      await controls().adjustToClock()
      expect(await untilIn()).toBe(5 * minute)
      await temporary.clock.advance(5 * minute)
      expect([await gate('users'), await gate('rooms')]).toEqual(['probe', 'paused'])
      await temporary.clock.advance(15 * minute)
      expect(await gate('rooms')).toBe('probe')
    })

    test('a task waits as long as it was to wait, from the next start on', async () => {
      const { queue, clock } = temporary
      await seed(queue, userTasks([1]))
      await queue.beginRun({ id: 'run-1', command: 'worker', pid: 1 })
      const [lease] = await queue.settleAndClaim(claimOf(1))
      if (lease === undefined) throw new Error('nothing was claimed')
      await queue.settleAndClaim(claimOf(0, { settle: [later(lease, clock.now() + 3 * minute)] }))
      clock.shiftWall(-year)
      const filter = { streams: [{ source: 'school', stream: 'users' }], partitions: {} }
      expect(await queue.nextDueAt(filter)).toBe(clock.now() + year + 3 * minute)
      await controls().adjustToClock()
      expect(await queue.nextDueAt(filter)).toBe(clock.now() + 3 * minute)
      await clock.advance(3 * minute)
      expect(await queue.settleAndClaim(claimOf(5))).toHaveLength(1)
    })

    test('a finished partition comes round again instead of never', async () => {
      const { queue, clock } = temporary
      await seed(queue, userTasks([1]))
      const leases = await queue.settleAndClaim(claimOf(1))
      await queue.settleAndClaim(
        claimOf(0, { settle: leases.map((lease) => ({ ...base(lease), kind: 'done', proof: 'proven' })) }),
      )
      const stream = { source: 'school', stream: 'users' }
      expect(await queue.dueRounds(stream, 5 * minute)).toEqual([])
      clock.shiftWall(-year)
      expect(await queue.dueRounds(stream, 5 * minute)).toHaveLength(1)
    })
  })

  test('are none in a file from before them', async () => {
    const file = `${temporary.folder}/older.db`
    const db = new Database(file)
    migrate(db, 2)
    db.close()
    const reader = openQueue({ file, mode: 'read', clock: temporary.clock, timezone: 'UTC' })
    const nothing: ControlState = { parkings: [], pauses: [], failures: {} }
    expect(await reader.controls.read()).toEqual(nothing)
    expect(await reader.dismissals(5)).toEqual({ tasks: [], counts: [] })
    const rules = {
      limits: [{ requests: 1, periodMs: minute }],
      ...{ reserve: 0, key: 'school', refusals: [429], delayMs: 0, concurrency: 1, verifyShare: 1 },
    }
    expect(await reader.budget.state(rules)).toMatchObject({ windows: [{ used: 0 }] })
    reader.close()
  })
})

function base(lease: Parameters<typeof later>[0]) {
  const { task } = lease
  const progress = { totals: task.totals, requests: 1, expected: null, cursor: null }
  return { lease, progress, attempts: 0, workedMs: 5 }
}
