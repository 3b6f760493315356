/** What a source says of its limits corrects what is booked, and never erases it. The clock is a fake one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Budget, BudgetAnswer, ToldWindow } from '../../src/domain/ports.js'
import type { BudgetRules } from '../../src/domain/source-model.js'
import { hour, minute, requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'

const headersOf = (periodMs: number) => ({ periodMs, limit: 'l', remaining: 'r', reset: 's' })
const rules: BudgetRules = rulesOf({ limits: [{ requests: 10, periodMs: minute }], headers: [headersOf(minute)] })
const ok: BudgetAnswer = { isRefusal: false, retryAfterMs: null }
const told = (
  limit: number,
  remaining: number,
  { resetMs = null, periodMs = minute }: Partial<ToldWindow> = {},
): ToldWindow => ({ periodMs, limit, remaining, resetMs })

let temporary: TemporaryQueue
let budget: Budget
beforeEach(() => {
  temporary = openTemporaryQueue()
  budget = temporary.queue.budget
})
afterEach(() => temporary.remove())

async function send(windows: readonly ToldWindow[] = [], by: BudgetRules = rules): Promise<void> {
  await budget.answered(await budget.book(requestOf(by)), by, { ...ok, windows })
}
/** How many may be sent at once from now on. */
async function room(by: BudgetRules = rules): Promise<number> {
  for (let count = 0; ; count += 1) {
    const booking = await budget.book(requestOf(by, { deadlineAt: temporary.clock.now() })).catch(() => null)
    if (booking === null) return count
    await budget.answered(booking, by, ok)
  }
}
const window = async (by: BudgetRules = rules) => (await budget.state(by)).windows[0]

describe('headers of limits', () => {
  test('replace the declared limit, up and down, for other processes and later ones too', async () => {
    await send([told(4, 3)])
    expect(await window()).toMatchObject({ requests: 4, used: 1, left: 3, others: 0, isTold: true })
    expect(await room()).toBe(3)
    budget = temporary.reopen().budget
    expect(await room()).toBe(0)
    await temporary.clock.advance(minute + 1)
    await send([told(25, 24)])
    expect(await room()).toBe(24)
    temporary.clock.reboot(hour)
    budget = temporary.reopen().budget
    expect(await room()).toBe(25)
  })

  test('name a window that is not declared', async () => {
    const undeclared = rulesOf({ key: 'undeclared', headers: [headersOf(minute)] })
    await send([told(3, 2)], undeclared)
    expect(await room(undeclared)).toBe(2)
  })

  test("add somebody else's requests as of now, and they age like ours", async () => {
    await send([told(10, 9)])
    await temporary.clock.advance(30_000)
    await send([told(10, 5)])
    expect(await window()).toMatchObject({ used: 5, others: 3, left: 5 })
    await send([told(10, 4)])
    expect(await window()).toMatchObject({ used: 6, others: 3 })
    // The first of ours leaves after a minute, the strangers half a minute later.
    await temporary.clock.advance(30_001)
    expect(await window()).toMatchObject({ used: 5, others: 3 })
    await temporary.clock.advance(30_001)
    expect(await window()).toMatchObject({ used: 0, others: 0 })
  })

  test('forget others as soon as an answer has no room for them, also those that were told of until a moment ago', async () => {
    await send([told(10, 4)])
    await temporary.clock.advance(59_000)
    await send([told(10, 3)])
    expect(await window()).toMatchObject({ used: 7, others: 5 })
    await temporary.clock.advance(1_500)
    // Only our last two are in the source's window now.
    await send([told(10, 8)])
    expect(await window()).toMatchObject({ used: 3, others: 1 })
    await temporary.clock.advance(1)
    await send([told(10, 7)])
    expect(await window()).toMatchObject({ used: 4, others: 1 })
  })

  test('erase nothing of ours', async () => {
    for (let count = 0; count < 6; count += 1) await send()
    await send([told(10, 10)])
    expect(await window()).toMatchObject({ used: 7, others: 0 })
    expect(await room()).toBe(3)
  })

  test('do not count twice what is under way', async () => {
    const sent = await Promise.all([1, 2, 3, 4].map(() => budget.book(requestOf(rules))))
    for (const [index, booking] of sent.entries()) {
      await temporary.clock.advance(5)
      // The server judged all four before it answered the first, or each as it answered: neither is a stranger.
      const remaining = index % 2 === 0 ? 6 : 9 - index
      await budget.answered(booking, rules, { ...ok, windows: [told(10, remaining)] })
    }
    expect(await window()).toMatchObject({ used: 4, others: 0 })
  })

  test('do not take for a stranger what left our window while the answer was on its way', async () => {
    await send()
    await temporary.clock.advance(minute - 10)
    const slow = await budget.book(requestOf(rules))
    await temporary.clock.advance(500)
    await budget.answered(slow, rules, { ...ok, windows: [told(10, 8)] })
    expect(await window()).toMatchObject({ used: 1, others: 0 })
  })

  test('empty a window at its reset only where what remains proves it', async () => {
    for (let count = 0; count < 8; count += 1) await send([told(10, 9 - count, { resetMs: 20_000 })])
    await temporary.clock.advance(20_100)
    // The reset alone opens nothing.
    expect(await window()).toMatchObject({ used: 8 })
    await send([told(10, 9, { resetMs: 60_000 })])
    expect(await window()).toMatchObject({ used: 1, left: 9 })
    expect(await room()).toBe(9)
  })

  test('of a window that goes on sliding empty nothing at its reset', async () => {
    for (let count = 0; count < 8; count += 1) await send([told(10, 9 - count, { resetMs: 20_000 })])
    await temporary.clock.advance(20_100)
    await send([told(10, 1, { resetMs: 20_000 })])
    expect(await window()).toMatchObject({ used: 9, left: 1, others: 0 })
  })

  test('tell of a daily quota, too', async () => {
    const quotas = [{ requests: 100, per: 'day' as const, resetMinute: 0, zone: 'UTC' }]
    const daily = rulesOf({ key: 'daily', quotas, headers: [headersOf(24 * hour)] })
    await send([told(50, 40, { periodMs: 24 * hour })], daily)
    const state = await budget.state(daily)
    expect(state.windows).toEqual([])
    expect(state.quotas).toMatchObject([{ requests: 50, used: 10, others: 9, left: 40, isTold: true }])
    await temporary.clock.advance(12 * hour)
    expect((await budget.state(daily)).quotas).toMatchObject([{ requests: 50, used: 0, others: 0, left: 50 }])
  })
})

describe('a refusal with headers', () => {
  const both = rulesOf({
    limits: [
      { requests: 100, periodMs: 1_000 },
      { requests: 1_000, periodMs: hour },
    ],
    headers: [headersOf(1_000), headersOf(hour)],
  })
  const refuse = async (windows: readonly ToldWindow[]): Promise<number> => {
    const opensAt = await budget.answered(await budget.book(requestOf(both)), both, {
      ...{ isRefusal: true, retryAfterMs: null },
      windows,
    })
    return (opensAt ?? 0) - temporary.clock.now()
  }

  test('shuts the gate for the window that is used up, or until its reset', async () => {
    expect(await refuse([told(2, 1, { periodMs: 1_000 }), told(1_200, 0, { periodMs: hour })])).toBe(hour)
    await temporary.clock.advance(2 * hour)
    expect(await refuse([told(1_200, 0, { resetMs: 90_000, periodMs: hour })])).toBe(90_000)
  })

  test('shuts it for the shortest window where none is used up', async () => {
    expect(await refuse([told(100, 50, { periodMs: 1_000 }), told(1_200, 600, { periodMs: hour })])).toBe(1_000)
  })
})
