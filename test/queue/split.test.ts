/** Tasks for single pages: made with the settle of their walk, once however often it is replayed, and gone when a later walk got the page. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { pageTaskPartition } from '../../src/domain/page-task.js'
import type { Lease, Outcome } from '../../src/domain/task.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, dead, done, everything, later, seed, userTasks } from './queue-conformance.js'

const walk = { pageSize: 10, requestHash: 'abcdef0123456789' }
const page = (user: string, number: number) => pageTaskPartition({ user_id: user }, { number, at: number }, walk)

describe('tasks for single pages', () => {
  let temporary: TemporaryQueue
  beforeEach(() => {
    temporary = openTemporaryQueue()
  })
  afterEach(() => {
    temporary.remove()
  })

  const split = (outcome: Outcome, since: number, ...numbers: number[]): Outcome => ({
    ...outcome,
    split: { since, partitions: numbers.map((number) => page(outcome.lease.task.partition.user_id ?? '', number)) },
  })
  const settle = (...outcomes: Outcome[]) => temporary.queue.settleAndClaim(claimOf(0, { settle: outcomes }))
  const claimOne = async (): Promise<Lease> => {
    const [lease] = await temporary.queue.settleAndClaim(claimOf(1))
    if (lease === undefined) throw new Error('nothing was claimed')
    return lease
  }
  const states = async () =>
    (await temporary.queue.tasks({ filter: everything, limit: 50 }))
      .map(({ number, state, partition }) => [number, state, partition['#page'] ?? null])
      .sort((a, b) => Number(a[0]) - Number(b[0]))

  test('are made once for a walk, with the settle, whatever is replayed', async () => {
    const since = temporary.clock.now()
    await seed(temporary.queue, userTasks([1]))
    const lease = await claimOne()
    await settle(split(later(lease, since), since, 7, 9))
    const again = await claimOne()
    await settle(split(done(again), since, 7, 9))
    await settle(split(done(again), since, 7, 9))
    expect(await states()).toEqual([
      [1, 'done', null],
      [2, 'ready', '7'],
      [3, 'ready', '9'],
    ])
    expect(await temporary.queue.counts()).toMatchObject([{ ready: 2, done: 1 }])
  })

  test('that are done are not made again for the same walk, but for a later one', async () => {
    const since = temporary.clock.now()
    await seed(temporary.queue, userTasks([1]))
    const lease = await claimOne()
    await settle(split(later(lease, since + 60_000), since, 7))
    await settle(done(await claimOne()))
    await temporary.clock.advance(60_000)
    await settle(split(done(await claimOne()), since, 7))
    expect(await states()).toEqual([
      [1, 'done', null],
      [2, 'done', '7'],
    ])
    await seed(temporary.queue, userTasks([1]))
    await settle(split(done(await claimOne()), temporary.clock.now(), 7))
    expect((await states()).at(-1)).toEqual([4, 'ready', '7'])
  })

  test('are cancelled when a later whole walk got the page, and left where it did not', async () => {
    const since = temporary.clock.now()
    await seed(temporary.queue, userTasks([1, 2]))
    await settle(split(done(await claimOne()), since, 7, 8))
    await settle(split(done(await claimOne()), since, 7))
    for (let at = 0; at < 3; at += 1) await settle(dead(await claimOne()))
    await seed(temporary.queue, userTasks([1]))
    await settle(split(done(await claimOne()), temporary.clock.now(), 8))
    expect(await states()).toEqual([
      [1, 'done', null],
      [2, 'done', null],
      [3, 'cancelled', '7'],
      [4, 'dead', '8'],
      [5, 'dead', '7'],
      [6, 'done', null],
    ])
    expect(await temporary.queue.counts()).toMatchObject([{ dead: 2, cancelled: 1, done: 3 }])
  })

  test('are cancelled and made with the settle of several walks in one call, as with one a call', async () => {
    const since = temporary.clock.now()
    await seed(temporary.queue, userTasks([1, 2, 3]))
    const leases = await temporary.queue.settleAndClaim(claimOf(3))
    const [first, second, third] = leases.map((lease) => done(lease))
    if (first === undefined || second === undefined || third === undefined) throw new Error('not all were claimed')
    await settle(first, split(second, since, 7), split(third, since, 8, 9))
    await seed(temporary.queue, userTasks([1, 2, 3], 1))
    const again = await temporary.queue.settleAndClaim(claimOf(3))
    await settle(...again.map((lease) => done(lease)))
    expect(await states()).toEqual([
      ...[1, 2, 3].map((number) => [number, 'done', null]),
      [4, 'cancelled', '7'],
      [5, 'cancelled', '8'],
      [6, 'cancelled', '9'],
      ...[7, 8, 9].map((number) => [number, 'done', null]),
    ])
    expect(await temporary.queue.counts()).toMatchObject([{ ready: 0, cancelled: 3, done: 6 }])
  })

  test('do not come round by themselves, and are what a done partition still owes', async () => {
    const since = temporary.clock.now()
    await seed(temporary.queue, userTasks([1]))
    await settle(split(done(await claimOne()), since, 7))
    const users = { source: 'school', stream: 'users' }
    expect(await temporary.queue.latestTasks(users, [{ user_id: '1' }])).toMatchObject([{ number: 2, state: 'ready' }])
    await settle(done(await claimOne()))
    expect(await temporary.queue.latestTasks(users, [{ user_id: '1' }])).toMatchObject([{ number: 1, state: 'done' }])
    await temporary.clock.advance(10_000)
    expect(await temporary.queue.dueRounds(users, 5_000)).toEqual([{ user_id: '1' }])
  })
})

test('the queue keeps what was held when that was counted last', async () => {
  const temporary = openTemporaryQueue()
  try {
    expect(await temporary.queue.heldNote()).toBeNull()
    const counts = [{ source: 'school', stream: 'users', waiting: 2, rejected: 1 }]
    await temporary.queue.noteHeld(counts)
    expect(await temporary.reopen({ mode: 'read' }).heldNote()).toEqual({ countedAt: temporary.clock.now(), counts })
  } finally {
    temporary.remove()
  }
})
