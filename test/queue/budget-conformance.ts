/** What every driver of the budget port must do. Several budgets over one store stand for several processes; the clock is a fake one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OverBudgetError, StoppedError } from '../../src/domain/errors.js'
import type { Booking, BookingRequest, Budget } from '../../src/domain/ports.js'
import type { BudgetRules } from '../../src/domain/source-model.js'
import type { FakeClock } from '../support/fake-clock.js'

export interface BudgetUnderTest {
  readonly budget: Budget
  readonly clock: FakeClock
  /** A second process. */
  reopen(): Budget
  /** Bytes written to the store so far, or a number that changes with every write. */
  writes(): number
  remove(): void
}

const second = 1_000
export const minute = 60_000
export const hour = 3_600_000

export function rulesOf(more: Partial<BudgetRules> = {}): BudgetRules {
  return {
    limits: [],
    reserve: 0,
    key: 'civic',
    refusals: [429],
    delayMs: 0,
    concurrency: 1_000,
    verifyShare: 0.5,
    ...more,
  }
}

export function requestOf(rules: BudgetRules, more: Partial<BookingRequest> = {}): BookingRequest {
  return {
    rules,
    purpose: 'worker',
    timeoutMs: 30 * second,
    deadlineAt: null,
    signal: new AbortController().signal,
    ...more,
  }
}

const ok = { isRefusal: false, retryAfterMs: null }
const refused = { isRefusal: true, retryAfterMs: null }

/** What a promise is at this moment. */
async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'fulfilled' | 'rejected'> {
  const pending = Symbol('pending')
  const settled = promise.then(
    () => 'fulfilled' as const,
    () => 'rejected' as const,
  )
  await new Promise((resolve) => setImmediate(resolve))
  const first = await Promise.race([settled, Promise.resolve(pending)])
  return first === pending ? 'pending' : first
}

export function describeBudget(driver: string, open: () => BudgetUnderTest): void {
  describe(`budget on ${driver}`, () => {
    let under: BudgetUnderTest
    let budget: Budget
    let clock: FakeClock
    beforeEach(() => {
      under = open()
      budget = under.budget
      clock = under.clock
    })
    afterEach(() => under.remove())

    const spend = async (rules: BudgetRules, count: number, by: Budget = budget): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        const booking = await by.book(requestOf(rules))
        await by.answered(booking, rules, ok)
      }
    }
    /** Refused at once where it would have to wait. */
    const opensAfter = async (
      rules: BudgetRules,
      by: Budget = budget,
      more: Partial<BookingRequest> = {},
    ): Promise<number> => {
      try {
        const booking = await by.book(requestOf(rules, { deadlineAt: clock.now(), ...more }))
        await by.answered(booking, rules, ok)
        return 0
      } catch (error) {
        if (!(error instanceof OverBudgetError)) throw error
        return error.opensAt - clock.now()
      }
    }

    test('lets no more than its limit through and opens a whole window after the first answer', async () => {
      const rules = rulesOf({ limits: [{ requests: 2, periodMs: second }] })
      const first = await budget.book(requestOf(rules))
      await clock.advance(300)
      await budget.answered(first, rules, ok)
      await clock.advance(100)
      await spend(rules, 1)
      const waiting = budget.book(requestOf(rules))
      await clock.advance(900)
      expect(await stateOf(waiting)).toBe('pending')
      await clock.advance(1)
      expect(await stateOf(waiting)).toBe('fulfilled')
      expect(budget.sent).toBe(3)
    })

    test('counts a request that is under way in every window, however long it takes', async () => {
      const rules = rulesOf({ limits: [{ requests: 1, periodMs: second }] })
      const slow = await budget.book(requestOf(rules, { timeoutMs: 20 * second }))
      const waiting = budget.book(requestOf(rules))
      await clock.advance(15 * second)
      expect(await stateOf(waiting)).toBe('pending')
      await budget.answered(slow, rules, ok)
      await clock.advance(second)
      expect(await stateOf(waiting)).toBe('pending')
      await clock.advance(1)
      expect(await stateOf(waiting)).toBe('fulfilled')
    })

    test('takes a request without an answer for ended at its time-out', async () => {
      const rules = rulesOf({ limits: [{ requests: 1, periodMs: second }] })
      await budget.book(requestOf(rules, { timeoutMs: 5 * second }))
      const waiting = budget.book(requestOf(rules))
      await clock.advance(6 * second)
      expect(await stateOf(waiting)).toBe('pending')
      await clock.advance(5)
      expect(await stateOf(waiting)).toBe('fulfilled')
    })

    test('holds every window of several', async () => {
      const rules = rulesOf({
        limits: [
          { requests: 2, periodMs: second },
          { requests: 3, periodMs: minute },
        ],
      })
      await spend(rules, 2)
      await clock.advance(second + 1)
      await spend(rules, 1)
      expect(await opensAfter(rules)).toBeGreaterThan(minute - 2 * second)
      expect((await budget.state(rules)).windows).toEqual([
        { requests: 2, periodMs: second, used: 1, left: 1, others: 0, isTold: false },
        { requests: 3, periodMs: minute, used: 3, left: 0, others: 0, isTold: false },
      ])
    })

    test('holds across processes and leaves other keys alone', async () => {
      const rules = rulesOf({ limits: [{ requests: 3, periodMs: minute }] })
      const other = under.reopen()
      await spend(rules, 2)
      await spend(rules, 1, other)
      expect(await opensAfter(rules, other)).toBeGreaterThan(0)
      expect(await opensAfter(rules)).toBeGreaterThan(0)
      expect(await opensAfter({ ...rules, key: 'school' })).toBe(0)
    })

    test('keeps its reserve unspent, but never more than all', async () => {
      const rules = rulesOf({ limits: [{ requests: 20, periodMs: minute }], reserve: 0.1 })
      await spend(rules, 18)
      expect(await opensAfter(rules)).toBeGreaterThan(0)
      const tiny = rulesOf({ key: 'tiny', limits: [{ requests: 1, periodMs: minute }], reserve: 0.5 })
      expect(await opensAfter(tiny)).toBe(0)
    })

    test('leaves its delay between the starts of two requests, over processes', async () => {
      const rules = rulesOf({ delayMs: 2 * second })
      await spend(rules, 1)
      const waiting = under.reopen().book(requestOf(rules))
      await clock.advance(2 * second - 1)
      expect(await stateOf(waiting)).toBe('pending')
      await clock.advance(1)
      expect(await stateOf(waiting)).toBe('fulfilled')
    })

    test('has no more requests under way than allowed, over processes where limits are declared', async () => {
      const rules = rulesOf({ limits: [{ requests: 100, periodMs: second }], concurrency: 2 })
      const other = under.reopen()
      const first = await budget.book(requestOf(rules))
      await other.book(requestOf(rules))
      const waiting = other.book(requestOf(rules))
      await clock.advance(second)
      expect(await stateOf(waiting)).toBe('pending')
      await budget.answered(first, rules, ok)
      await clock.advance(200)
      expect(await stateOf(waiting)).toBe('fulfilled')
    })

    test('has no more requests under way than allowed in one process where no limits are declared', async () => {
      const rules = rulesOf({ concurrency: 1 })
      const first = await budget.book(requestOf(rules))
      const waiting = budget.book(requestOf(rules))
      expect(await stateOf(waiting)).toBe('pending')
      await budget.answered(first, rules, ok)
      expect(await stateOf(waiting)).toBe('fulfilled')
    })

    test('serves first come, first', async () => {
      const rules = rulesOf({ limits: [{ requests: 1, periodMs: second }] })
      const order: number[] = []
      await spend(rules, 1)
      const waiting = [1, 2, 3].map(async (place) => {
        const booking = await budget.book(requestOf(rules))
        order.push(place)
        await budget.answered(booking, rules, ok)
      })
      await clock.advance(4 * second)
      await Promise.all(waiting)
      expect(order).toEqual([1, 2, 3])
    })

    describe('waiting', () => {
      const rules = rulesOf({ limits: [{ requests: 1, periodMs: hour }] })

      test('is refused at once where it would end after the deadline, with the moment it opens', async () => {
        await spend(rules, 1)
        const opening = clock.now() + hour + 1
        await expect(budget.book(requestOf(rules, { deadlineAt: clock.now() + minute }))).rejects.toMatchObject({
          code: 'over_budget',
          opensAt: opening,
        })
        expect(await budget.state(rules)).toMatchObject({ opensAt: opening })
      })

      test('is refused at once to those behind the first, too', async () => {
        await spend(rules, 1)
        const first = budget.book(requestOf(rules))
        first.catch(() => undefined)
        await expect(budget.book(requestOf(rules, { deadlineAt: clock.now() + minute }))).rejects.toBeInstanceOf(
          OverBudgetError,
        )
        expect(await stateOf(first)).toBe('pending')
      })

      test('ends with the signal, and its place goes to the next', async () => {
        await spend(rules, 1)
        const stop = new AbortController()
        const first = budget.book(requestOf(rules, { signal: stop.signal }))
        const next = budget.book(requestOf(rules))
        const failed = expect(first).rejects.toBeInstanceOf(StoppedError)
        await clock.advance(minute)
        stop.abort()
        await failed
        await clock.advance(hour)
        expect(await stateOf(next)).toBe('fulfilled')
      })

      test('books nothing', async () => {
        await spend(rules, 1)
        await opensAfter(rules)
        const [window] = (await budget.state(rules)).windows
        expect(window?.used).toBe(1)
      })
    })

    describe('a refusal', () => {
      const limited = rulesOf({
        limits: [
          { requests: 100, periodMs: 10 * second },
          { requests: 1_000, periodMs: hour },
        ],
      })
      const refuse = async (rules: BudgetRules, retryAfterMs: number | null = null): Promise<number> => {
        const opensAt = await budget.answered(await budget.book(requestOf(rules)), rules, {
          isRefusal: true,
          retryAfterMs,
        })
        return (opensAt ?? 0) - clock.now()
      }

      test('shuts the gate for the shortest window, for a minute where none is declared', async () => {
        expect(await refuse(limited)).toBe(10 * second)
        expect(await opensAfter(limited)).toBe(10 * second)
        expect(await budget.state(limited)).toMatchObject({
          closedUntil: clock.now() + 10 * second,
          opensAt: clock.now() + 10 * second,
        })
        expect(await refuse(rulesOf({ key: 'plain' }))).toBe(minute)
        expect(await opensAfter(rulesOf({ key: 'plain' }), under.reopen())).toBe(minute)
      })

      test('is obeyed as long as it asks for, within a second and a day', async () => {
        expect(await refuse(rulesOf({ key: 'a' }), 90 * second)).toBe(90 * second)
        expect(await refuse(rulesOf({ key: 'b' }), 0)).toBe(second)
        expect(await refuse(rulesOf({ key: 'c' }), 100 * 24 * hour)).toBe(24 * hour)
      })

      test('is taken from Retry-After without a limit status, too', async () => {
        const booking = await budget.book(requestOf(limited))
        expect(await budget.answered(booking, limited, { isRefusal: false, retryAfterMs: 5 * second })).toBe(
          clock.now() + 5 * second,
        )
      })

      test('doubles the wait each time, up to an hour', async () => {
        const waits: number[] = []
        for (let round = 0; round < 9; round += 1) {
          const waitMs = await refuse(rulesOf())
          waits.push(waitMs / minute)
          await clock.advance(waitMs)
        }
        expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
      })

      test.each([
        ['limits', limited],
        ['no limits', rulesOf({ key: 'plain' })],
      ])('lets one request at a time ask again, then all: %s', async (_, rules) => {
        const other = under.reopen()
        await clock.advance(await refuse(rules))
        const probe = await budget.book(requestOf(rules))
        const waiting = other.book(requestOf(rules))
        await clock.advance(second)
        expect(await stateOf(waiting)).toBe('pending')
        await budget.answered(probe, rules, ok)
        await clock.advance(200)
        expect(await stateOf(waiting)).toBe('fulfilled')
        expect(await stateOf(budget.book(requestOf(rules)))).toBe('fulfilled')
        expect(await budget.state(rules)).toMatchObject({ closedUntil: null })
      })

      test('of several requests sent before it counts once, and their success opens nothing', async () => {
        const sent: Booking[] = []
        for (let index = 0; index < 4; index += 1) sent.push(await budget.book(requestOf(limited)))
        const [a, b, c, d] = sent
        if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('four expected')
        await clock.advance(100)
        await budget.answered(a, limited, refused)
        await clock.advance(10)
        await budget.answered(b, limited, refused)
        await budget.answered(c, limited, ok)
        expect(await opensAfter(limited)).toBe(10 * second - 10)
        await budget.answered(d, limited, { isRefusal: true, retryAfterMs: minute })
        expect(await opensAfter(limited)).toBe(minute)
      })
    })

    describe('others beside the worker', () => {
      const rules = rulesOf({ limits: [{ requests: 10, periodMs: minute }], verifyShare: 0.3 })

      test('have the whole budget while no task is open', async () => {
        for (let index = 0; index < 10; index += 1)
          expect(await opensAfter(rules, budget, { purpose: 'verify' })).toBe(0)
        expect(await opensAfter(rules, budget, { purpose: 'verify' })).toBeGreaterThan(0)
      })
    })

    describe('time', () => {
      const rules = rulesOf({ limits: [{ requests: 1, periodMs: hour }] })

      test('is told by the monotonic clock within a boot, whatever the wall clock says', async () => {
        await spend(rules, 1)
        clock.shiftWall(30 * 24 * hour)
        expect(await opensAfter(rules)).toBe(hour + 1)
        clock.shiftWall(-60 * 24 * hour)
        expect(await opensAfter(rules)).toBe(hour + 1)
      })

      test('is told by the wall clock across boots', async () => {
        await spend(rules, 1)
        clock.reboot(20 * minute)
        const after = under.reopen()
        expect((await after.state(rules)).windows[0]?.used).toBe(1)
        expect(await opensAfter(rules, after)).toBe(hour - 20 * minute + 1)
        clock.reboot(41 * minute)
        expect(await opensAfter(rules, under.reopen())).toBe(0)
      })

      test('in the future counts as now', async () => {
        await spend(rules, 1)
        clock.reboot(-10 * hour)
        expect(await opensAfter(rules, under.reopen())).toBe(hour + 1)
      })

      test('keeps a gate shut across a boot, never longer than it was shut for', async () => {
        const plain = rulesOf()
        await budget.answered(await budget.book(requestOf(plain)), plain, { isRefusal: true, retryAfterMs: hour })
        clock.reboot(10 * minute)
        expect(await opensAfter(plain, under.reopen())).toBe(50 * minute)
        // Set back at the next boot: what was left then is left now, and it ends.
        clock.reboot(-10 * hour)
        expect(await opensAfter(plain, under.reopen())).toBe(50 * minute)
        await clock.advance(50 * minute)
        expect(await opensAfter(plain, under.reopen())).toBe(0)
      })
    })

    test('writes nothing for a source without limits, delay and refusal', async () => {
      const before = under.writes()
      await spend(rulesOf(), 50)
      expect(under.writes()).toBe(before)
      await spend(rulesOf({ limits: [{ requests: 10, periodMs: second }] }), 1)
      expect(under.writes()).not.toBe(before)
    })
  })
}
