/** A wall clock that is set, a machine that slept (the wall runs on, the monotonic clock stood still), a boot: ready times, leases, budgets. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OverBudgetError } from '../../src/domain/errors.js'
import type { BudgetRules } from '../../src/domain/source-model.js'
import { requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, later, progressOf, seed, userTasks } from './queue-conformance.js'

const second = 1_000
const minute = 60_000
const hour = 3_600_000
const year = 365 * 24 * hour

let temporary: TemporaryQueue
beforeEach(() => {
  temporary = openTemporaryQueue()
})
afterEach(() => temporary.remove())

const ok = { isRefusal: false, retryAfterMs: null }
const send = async (rules: BudgetRules, queue = temporary.queue): Promise<void> => {
  await queue.budget.answered(await queue.budget.book(requestOf(rules)), rules, ok)
}
/** ms until a request may be sent; 0: one was. */
const opensAfter = async (rules: BudgetRules, queue = temporary.queue): Promise<number> => {
  try {
    const booking = await queue.budget.book(requestOf(rules, { deadlineAt: temporary.clock.now() }))
    await queue.budget.answered(booking, rules, ok)
    return 0
  } catch (error) {
    if (!(error instanceof OverBudgetError)) throw error
    return error.opensAt - temporary.clock.now()
  }
}

describe.each([
  ['set back by a year', -year],
  ['set forward by a year', year],
  ['run on by eight hours while the machine slept', 8 * hour],
])('a wall clock that was %s', (_, shift) => {
  test('takes no lease away: progress and settle of who holds it are accepted', async () => {
    const { queue, clock } = temporary
    await seed(queue, userTasks([1]))
    const [lease] = await queue.settleAndClaim(claimOf(1))
    if (lease === undefined) throw new Error('nothing was claimed')
    clock.shiftWall(shift)
    expect(await queue.renew(lease, progressOf(5))).toBe(true)
    expect((await queue.reclaim(claimOf(0).runId)).reclaimed).toEqual([])
    await queue.settleAndClaim(claimOf(0, { settle: [later(lease, clock.now() + minute)] }))
    expect(await queue.counts()).toMatchObject([{ ready: 1, leased: 0 }])
  })

  test('lets no request through that the window of this boot does not allow', async () => {
    const rules = rulesOf({ limits: [{ requests: 2, periodMs: hour }] })
    await send(rules)
    await send(rules)
    temporary.clock.shiftWall(shift)
    expect(await opensAfter(rules)).toBe(hour + 1)
    await temporary.clock.advance(hour + 1)
    expect(await opensAfter(rules)).toBe(0)
  })

  test('keeps a gate shut for as long as it was shut for', async () => {
    const rules = rulesOf()
    await temporary.queue.budget.answered(await temporary.queue.budget.book(requestOf(rules)), rules, {
      isRefusal: true,
      retryAfterMs: 10 * minute,
    })
    temporary.clock.shiftWall(shift)
    expect(await opensAfter(rules)).toBe(10 * minute)
    await temporary.clock.advance(10 * minute)
    expect(await opensAfter(rules)).toBe(0)
  })
})

describe('a wall clock set forward', () => {
  test('makes waiting tasks due, and loses none when it is set right again', async () => {
    const { queue, clock } = temporary
    await seed(queue, userTasks([1, 2]))
    const leases = await queue.settleAndClaim(claimOf(2))
    await queue.settleAndClaim(claimOf(0, { settle: leases.map((lease) => later(lease, clock.now() + hour)) }))
    clock.shiftWall(year)
    const [early] = await queue.settleAndClaim(claimOf(1))
    if (early === undefined) throw new Error('nothing was due')
    await queue.beginRun({ id: claimOf(0).runId, command: 'worker', pid: 1 })
    await queue.settleAndClaim(claimOf(0, { settle: [later(early, clock.now() + minute)] }))
    clock.shiftWall(-year)
    // It waits for next year's minute, until a run begins and sees that the clock was set back.
    await queue.controls.adjustToClock()
    await clock.advance(minute)
    expect(await queue.settleAndClaim(claimOf(5))).toHaveLength(2)
  })
})

describe('a budget that counts as spent', () => {
  const rules = rulesOf({
    limits: [
      { requests: 5, periodMs: minute },
      { requests: 50, periodMs: hour },
      { requests: 500, periodMs: 24 * hour },
    ],
  })

  test('opens when the longest window shorter than a day has passed', async () => {
    await temporary.queue.budget.countAsSpent()
    expect(await opensAfter(rules)).toBe(hour + 1)
    expect((await temporary.queue.budget.state(rules)).windows).toMatchObject([{ left: 0 }, { left: 0 }, { left: 500 }])
    await temporary.clock.advance(minute + 1)
    expect((await temporary.queue.budget.state(rules)).windows).toMatchObject([{ left: 5 }, { left: 0 }, { left: 500 }])
    await temporary.clock.advance(hour - minute)
    expect(await opensAfter(rules)).toBe(0)
  })

  test('concerns every key and process, and no source without limits', async () => {
    await temporary.queue.budget.countAsSpent()
    const other = temporary.reopen()
    expect(await opensAfter({ ...rules, key: 'other' }, other)).toBe(hour + 1)
    expect(await opensAfter(rulesOf({ key: 'free' }), other)).toBe(0)
  })

  test('opens across a boot by the wall clock, and a stamp in the future counts as now', async () => {
    await temporary.queue.budget.countAsSpent()
    temporary.clock.reboot(20 * minute)
    expect(await opensAfter(rules, temporary.reopen())).toBe(40 * minute + 1)
    temporary.clock.reboot(-year)
    const after = temporary.reopen()
    expect(await opensAfter(rules, after)).toBe(hour + 1)
    await temporary.clock.advance(hour + second)
    expect(await opensAfter(rules, after)).toBe(0)
  })
})
