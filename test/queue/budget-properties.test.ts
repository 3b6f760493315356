/** Whatever the limits, latencies and processes: at no moment between sending and answer could the server have counted more than a limit allows. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Budget } from '../../src/domain/ports.js'
import type { BudgetRules, Limit } from '../../src/domain/source-model.js'
import { requestOf, rulesOf } from './budget-conformance.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'

interface Sent {
  readonly from: number
  readonly to: number
}
interface Caller {
  readonly process: number
  /** Time from sending to answer, one per request; longer than the time-out: no answer comes. */
  readonly latencies: readonly number[]
}

const timeoutMs = 700
const limit = fc.record({ requests: fc.integer({ min: 1, max: 5 }), periodMs: fc.constantFrom(100, 500, 1_000, 3_000) })
const caller = fc.record({
  process: fc.nat(2),
  latencies: fc.array(fc.constantFrom(0, 1, 30, 99, 400, 2_000), { minLength: 1, maxLength: 6 }),
})

/** Requests of which some moment between sending and end lies in a window that begins at `start`. */
function countedIn(sent: readonly Sent[], start: number, periodMs: number): number {
  return sent.filter(({ from, to }) => from < start + periodMs && to >= start).length
}

function mostCounted(sent: readonly Sent[], periodMs: number): number {
  const starts = sent.flatMap(({ from, to }) => [from, to, from - periodMs + 1])
  return Math.max(...starts.map((start) => countedIn(sent, start, periodMs)))
}

async function call(
  temporary: TemporaryQueue,
  budget: Budget,
  { rules, latencies }: { rules: BudgetRules; latencies: readonly number[] },
): Promise<Sent[]> {
  const { clock } = temporary
  const sent: Sent[] = []
  for (const latencyMs of latencies) {
    const booking = await budget.book(requestOf(rules, { timeoutMs }))
    const from = clock.now()
    await clock.sleep(Math.min(latencyMs, timeoutMs))
    sent.push({ from, to: clock.now() })
    // A request that timed out in a process that then says nothing more.
    if (latencyMs <= timeoutMs) await budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null })
  }
  return sent
}

async function runAll(rules: BudgetRules, callers: readonly Caller[]): Promise<Sent[]> {
  const temporary = openTemporaryQueue()
  try {
    const budgets = [temporary.queue, temporary.reopen(), temporary.reopen()].map(({ budget }) => budget)
    const progress = { isOver: false }
    const all = Promise.all(
      callers.map(({ process, latencies }) =>
        call(temporary, budgets[process] ?? temporary.queue.budget, { rules, latencies }),
      ),
    ).finally(() => {
      progress.isOver = true
    })
    for (let spent = 0; !progress.isOver; spent += 1) {
      if (spent > 5_000) throw new Error('it never ends')
      await temporary.clock.advance(100)
    }
    return (await all).flat()
  } finally {
    temporary.remove()
  }
}

test('never lets more requests into any window than its limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(limit, { minLength: 1, maxLength: 2 }),
      fc.array(caller, { minLength: 1, maxLength: 4 }),
      fc.record({ delayMs: fc.constantFrom(0, 50), concurrency: fc.integer({ min: 1, max: 4 }) }),
      async (limits: Limit[], callers, more) => {
        const sent = await runAll(rulesOf({ limits, ...more }), callers)
        expect(sent).toHaveLength(callers.reduce((sum, { latencies }) => sum + latencies.length, 0))
        for (const { requests, periodMs } of limits) expect(mostCounted(sent, periodMs)).toBeLessThanOrEqual(requests)
        const moments = sent.map(({ from }) => from).sort((a, b) => a - b)
        for (const [index, moment] of moments.slice(1).entries()) {
          expect(moment - (moments[index] ?? 0)).toBeGreaterThanOrEqual(more.delayMs)
        }
        for (const { from } of sent) {
          const underWay = sent.filter((other) => other.from <= from && other.to > from).length
          expect(underWay).toBeLessThanOrEqual(more.concurrency)
        }
      },
    ),
    { numRuns: 40 },
  )
})

test('uses all that the limit allows where answers come at once', async () => {
  await fc.assert(
    fc.asyncProperty(limit, fc.integer({ min: 1, max: 15 }), async ({ requests, periodMs }, count) => {
      const latencies = Array.from({ length: count }, () => 0)
      const sent = await runAll(rulesOf({ limits: [{ requests, periodMs }] }), [{ process: 0, latencies }])
      const tookMs = (sent.at(-1)?.to ?? 0) - (sent[0]?.from ?? 0)
      expect(tookMs).toBe((Math.ceil(count / requests) - 1) * (periodMs + 1))
    }),
    { numRuns: 20 },
  )
})
