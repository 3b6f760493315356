/** Quotas that empty at a moment of the calendar. The clock is a fake one: it begins on 2024-01-15 at noon, UTC. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Booking, Budget } from '../../src/domain/ports.js'
import type { Quota } from '../../src/domain/source-model.js'
import { hour, minute, requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'

const ok = { isRefusal: false, retryAfterMs: null }
const daily: Quota = { requests: 4, per: 'day', resetMinute: 0, zone: 'UTC' }
const rules = rulesOf({ quotas: [daily] })

let temporary: TemporaryQueue
let budget: Budget
beforeEach(() => {
  temporary = openTemporaryQueue()
  budget = temporary.queue.budget
})
afterEach(() => temporary.remove())

async function room(by = rules, from = budget): Promise<number> {
  for (let count = 0; ; count += 1) {
    const booking = await from.book(requestOf(by, { deadlineAt: temporary.clock.now() })).catch(() => null)
    if (booking === null) return count
    await from.answered(booking, by, ok)
  }
}
const opensAt = async (): Promise<number> => (await budget.state(rules)).opensAt

describe('a quota', () => {
  test('lets so many through until its reset, then as many again, over processes', async () => {
    expect(await room()).toBe(4)
    expect(await room(rules, temporary.reopen().budget)).toBe(0)
    expect(await opensAt()).toBe(Date.UTC(2024, 0, 16))
    await temporary.clock.advance(12 * hour - 1)
    expect(await room()).toBe(0)
    await temporary.clock.advance(1)
    expect(await room()).toBe(4)
    expect((await budget.state(rules)).quotas).toMatchObject([
      { requests: 4, per: 'day', used: 4, left: 0, resetsAt: Date.UTC(2024, 0, 17) },
    ])
  })

  test('counts what is under way at the reset on both sides of it', async () => {
    await temporary.clock.advance(12 * hour - 1_000)
    const slow: Booking[] = []
    for (let index = 0; index < 3; index += 1) slow.push(await budget.book(requestOf(rules)))
    await temporary.clock.advance(2_000)
    for (const booking of slow) await budget.answered(booking, rules, ok)
    expect(await room()).toBe(1)
    await temporary.clock.advance(24 * hour)
    expect(await room()).toBe(4)
  })

  test('keeps the reserve for others, and weighs requests', async () => {
    const reserved = rulesOf({ key: 'r', quotas: [{ ...daily, requests: 10 }], reserve: 0.2 })
    await budget.answered(await budget.book(requestOf(reserved, { weight: 6 })), reserved, ok)
    expect(await room(reserved)).toBe(2)
    const verify = requestOf(reserved, { purpose: 'verify', deadlineAt: temporary.clock.now() })
    await budget.book(verify)
    await budget.book(verify)
    await expect(budget.book(verify)).rejects.toMatchObject({ code: 'over_budget' })
  })

  test('of a month and one of a day hold together', async () => {
    const both = rulesOf({ key: 'b', quotas: [daily, { requests: 6, per: 'month', resetMinute: 0, zone: 'UTC' }] })
    expect(await room(both)).toBe(4)
    await temporary.clock.advance(24 * hour)
    expect(await room(both)).toBe(2)
    await temporary.clock.advance(16 * 24 * hour)
    expect(await room(both)).toBe(4)
  })

  test('is not opened by a wall clock that is set back, and opens at the next reset', async () => {
    await temporary.clock.advance(13 * hour)
    expect(await room()).toBe(4)
    temporary.clock.shiftWall(-2 * hour)
    expect(await room()).toBe(0)
    await temporary.clock.advance(hour)
    expect(await room()).toBe(0)
  })

  test('is waited for, and refused at once where the wait ends after the deadline', async () => {
    await room()
    await expect(budget.book(requestOf(rules, { deadlineAt: temporary.clock.now() + hour }))).rejects.toMatchObject({
      opensAt: Date.UTC(2024, 0, 16),
    })
    const waiting = budget.book(requestOf(rules))
    await temporary.clock.advance(12 * hour + minute)
    await budget.answered(await waiting, rules, ok)
  })
})
