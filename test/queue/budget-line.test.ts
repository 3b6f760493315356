/** The line of those that wait, over processes: order, priorities, the reserve, weights, the dead and the sleeping. The clock is a fake one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BookingRequest, Budget } from '../../src/domain/ports.js'
import type { BudgetRules } from '../../src/domain/source-model.js'
import { ownIdentity } from '../../src/queue/process-identity.js'
import { hour, minute, requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { seed, userTasks } from './queue-conformance.js'

const second = 1_000
const ok = { isRefusal: false, retryAfterMs: null }
const rules = rulesOf({ limits: [{ requests: 1, periodMs: second }] })

let temporary: TemporaryQueue
let budget: Budget
let other: Budget
let child: ChildProcess | undefined
beforeEach(() => {
  temporary = openTemporaryQueue()
  budget = temporary.queue.budget
  other = temporary.reopen().budget
})
afterEach(() => {
  child?.kill('SIGKILL')
  child = undefined
  temporary.remove()
})

async function spend(by: BudgetRules, count: number, more: Partial<BookingRequest> = {}): Promise<void> {
  for (let index = 0; index < count; index += 1) await budget.answered(await budget.book(requestOf(by, more)), by, ok)
}
/** Waits in line, notes its name when it goes, and is answered at once. */
function wait(order: string[], name: string, how: { by?: Budget; of?: BudgetRules } & Partial<BookingRequest> = {}) {
  const { by = budget, of = rules, ...more } = how
  return by.book(requestOf(of, more)).then(async (booking) => {
    order.push(name)
    await by.answered(booking, of, ok)
  })
}
/** A place in line that nobody holds any more, as a process leaves it that was killed or put to sleep. */
async function leaveBehind({ process: identity, sendsInMs }: { process: string; sendsInMs: number }): Promise<void> {
  const stop = new AbortController()
  const waiting = wait([], 'nobody', { signal: stop.signal }).catch(() => undefined)
  await turn()
  const db = new Database(temporary.file)
  db.prepare(
    `insert into budget_place (key, process, purpose, priority, weight, boot, joined_at, sends_at, blocks_from)
     select key, ?, purpose, priority, weight, boot, joined_at, joined_at + ?, blocks_from from budget_place`,
  ).run(identity, sendsInMs)
  db.close()
  stop.abort()
  await waiting
}
const turn = (): Promise<void> => temporary.clock.advance(1)

describe('the line', () => {
  test('serves first come, first, over processes', async () => {
    await spend(rules, 1)
    const order: string[] = []
    const all = []
    for (const [name, by] of [
      ['a1', budget],
      ['b1', other],
      ['a2', budget],
      ['b2', other],
      ['a3', budget],
    ] as const) {
      all.push(wait(order, name, { by }))
      await turn()
    }
    expect((await budget.state(rules)).waiting).toBe(5)
    await temporary.clock.advance(6 * second)
    await Promise.all(all)
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2', 'a3'])
    expect((await budget.state(rules)).waiting).toBe(0)
  })

  test('lets nobody pass who comes when a place frees', async () => {
    await spend(rules, 1)
    const order: string[] = []
    const first = wait(order, 'first')
    await turn()
    // Its place has freed, but it has not woken yet: another process may not take it.
    const blocked = wait(order, 'second', { by: other })
    await temporary.clock.advance(3 * second)
    await Promise.all([first, blocked])
    expect(order).toEqual(['first', 'second'])
  })

  test('lets the higher priority go first, and a low one after a minute of waiting all the same', async () => {
    const slow = rulesOf({ key: 'slow', limits: [{ requests: 1, periodMs: 20 * second }] })
    await spend(slow, 1)
    const order: string[] = []
    const low = wait(order, 'low', { of: slow, priority: 1 })
    await turn()
    const high = [1, 2, 3, 4, 5].map((index) =>
      wait(order, `high ${index}`, { of: slow, priority: 5, by: index % 2 === 0 ? budget : other }),
    )
    await temporary.clock.advance(6 * 21 * second)
    await Promise.all([low, ...high])
    expect(order.slice(0, 2).sort()).toEqual(['high 1', 'high 2'])
    expect(order.indexOf('low')).toBeGreaterThanOrEqual(2)
    expect(order.indexOf('low')).toBeLessThanOrEqual(3)
  })

  test('gives each place its send time, so that a deadline is known at once', async () => {
    await spend(rules, 1)
    const order: string[] = []
    const all = [wait(order, '1'), wait(order, '2'), wait(order, '3', { by: other })]
    await turn()
    const late = other.book(requestOf(rules, { deadlineAt: temporary.clock.now() + 2 * second }))
    await expect(late).rejects.toMatchObject({ code: 'over_budget' })
    await temporary.clock.advance(5 * second)
    await Promise.all(all)
  })

  test('forgets a place whose process was killed', async () => {
    child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000); console.log("up")'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    if (child.stdout === null || child.pid === undefined) throw new Error('no child')
    await once(child.stdout, 'data')
    await spend(rules, 1)
    const [space = ''] = ownIdentity().split(' ')
    await leaveBehind({ process: [space, child.pid, ''].join(' '), sendsInMs: hour })
    const order: string[] = []
    const ours = wait(order, 'ours', { by: other })
    await temporary.clock.advance(2 * second)
    expect(order).toEqual([])
    child.kill('SIGKILL')
    await once(child, 'exit')
    // Ours looks by itself: nobody is left to wake it.
    const before = temporary.clock.now()
    while (order.length === 0 && temporary.clock.now() - before < minute) await temporary.clock.advance(100)
    expect(order).toEqual(['ours'])
    await ours
    expect((await budget.state(rules)).waiting).toBe(0)
  })

  test('goes on without a process that sleeps through its turn', async () => {
    await spend(rules, 1)
    await leaveBehind({ process: ownIdentity(), sendsInMs: second })
    const order: string[] = []
    const next = wait(order, 'next', { by: other })
    await temporary.clock.advance(3 * second)
    expect(order).toEqual([])
    await temporary.clock.advance(2 * second)
    await next
    expect(order).toEqual(['next'])
  })

  test('is empty after a boot', async () => {
    await spend(rules, 1)
    const stop = new AbortController()
    const waiting = wait([], 'before', { signal: stop.signal }).catch(() => undefined)
    await turn()
    temporary.clock.reboot(minute)
    const after = temporary.reopen().budget
    await after.answered(await after.book(requestOf(rules, { deadlineAt: temporary.clock.now() })), rules, ok)
    stop.abort()
    await waiting
  })
})

describe('the reserve', () => {
  const reserved = rulesOf({ limits: [{ requests: 10, periodMs: hour }], reserve: 0.2, verifyShare: 0.25 })

  test('is left by the worker, and used by others while it waits', async () => {
    await seed(temporary.queue, userTasks([1]))
    await spend(reserved, 8)
    const stop = new AbortController()
    const waiting = wait([], 'worker', { of: reserved, signal: stop.signal }).catch(() => undefined)
    await turn()
    const now = { deadlineAt: temporary.clock.now() }
    await spend(reserved, 2, { ...now, purpose: 'verify' })
    await expect(spend(reserved, 1, { ...now, purpose: 'verify' })).rejects.toMatchObject({ code: 'over_budget' })
    expect((await budget.state(reserved)).windows).toMatchObject([{ used: 10, left: 0 }])
    stop.abort()
    await waiting
  })

  test('is used up first by others, so that the worker keeps its part', async () => {
    await seed(temporary.queue, userTasks([1]))
    await spend(reserved, 2, { purpose: 'seed' })
    expect((await budget.state(reserved)).windows).toMatchObject([{ used: 2, left: 8 }])
    // A quarter of eight, and the reserve.
    const now = { deadlineAt: temporary.clock.now() }
    await spend(reserved, 2, { ...now, purpose: 'verify' })
    await expect(spend(reserved, 1, { ...now, purpose: 'verify' })).rejects.toMatchObject({ code: 'over_budget' })
    await spend(reserved, 6, now)
    await expect(spend(reserved, 1, now)).rejects.toMatchObject({ code: 'over_budget' })
  })

  test('holds no worker up behind somebody who waits for a share', async () => {
    await seed(temporary.queue, userTasks([1]))
    const shared = rulesOf({ limits: [{ requests: 10, periodMs: hour }], verifyShare: 0.1 })
    await spend(shared, 1, { purpose: 'verify' })
    const stop = new AbortController()
    const waiting = wait([], 'verify', { of: shared, purpose: 'verify', signal: stop.signal }).catch(() => undefined)
    await turn()
    await spend(shared, 9, { deadlineAt: temporary.clock.now() })
    stop.abort()
    await waiting
  })
})

describe('weights', () => {
  const limited = rulesOf({ limits: [{ requests: 10, periodMs: minute }] })

  test('are booked in each window', async () => {
    await spend(limited, 1, { weight: 5 })
    await spend(limited, 2, { weight: 2 })
    expect((await budget.state(limited)).windows).toMatchObject([{ used: 9, left: 1 }])
    const now = { deadlineAt: temporary.clock.now() }
    await expect(spend(limited, 1, { ...now, weight: 2 })).rejects.toMatchObject({ code: 'over_budget' })
    await spend(limited, 1, now)
  })

  test('wait until enough has left', async () => {
    await spend(limited, 1, { weight: 2 })
    await temporary.clock.advance(10 * second)
    await spend(limited, 1, { weight: 8 })
    const opens = budget.book(requestOf(limited, { weight: 3, deadlineAt: temporary.clock.now() }))
    await expect(opens).rejects.toMatchObject({ opensAt: temporary.clock.now() + minute + 1 })
    const two = budget.book(requestOf(limited, { weight: 2, deadlineAt: temporary.clock.now() }))
    await expect(two).rejects.toMatchObject({ opensAt: temporary.clock.now() + 50 * second + 1 })
  })

  test('that are more than all that is allowed go alone', async () => {
    const heavy = budget.book(requestOf(limited, { weight: 50 }))
    await budget.answered(await heavy, limited, ok)
    const now = { deadlineAt: temporary.clock.now() }
    await expect(spend(limited, 1, now)).rejects.toMatchObject({ code: 'over_budget' })
  })
})
