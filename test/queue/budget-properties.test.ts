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

/**
 * A server with one sliding window that judges each request somewhere between its sending and its answer, counts strangers, too, and says in headers what is left. Its
 * limit may change. Answers whether each of ours had room but for strangers that came since the last answer, which nobody can know of.
 */
function createServer(clock: TemporaryQueue['clock'], first: Limit) {
  const judged: { readonly at: number; readonly isOurs: boolean; readonly weight: number }[] = []
  const server = {
    limit: first.requests,
    /** What was judged from one moment to another. */
    judgedBetween: (from: number, to: number) =>
      judged.filter((one) => one.at >= from && one.at <= to).reduce((sum, one) => sum + one.weight, 0),
    all: (at: number) =>
      judged.filter((one) => one.at > at - first.periodMs && one.at <= at).reduce((sum, one) => sum + one.weight, 0),
    judge: (isOurs: boolean, weight = 1): number => {
      judged.push({ at: clock.monotonic(), isOurs, weight })
      return Math.max(0, server.limit - server.all(clock.monotonic()))
    },
    judged,
  }
  return server
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      latencyMs: fc.constantFrom(0, 5, 60),
      weight: fc.constantFrom(1, 1, 1, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('stranger' as const), count: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 50, 300, 999, 1_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('limit' as const), requests: fc.integer({ min: 3, max: 9 }) }),
  },
)

const send = (latencyMs: 0 | 5 | 60) => ({ kind: 'send', latencyMs, weight: 1 }) as const
const wait = (ms: 1 | 300 | 999 | 1_000) => ({ kind: 'wait', ms }) as const
const strangers = (count: number) => ({ kind: 'stranger', count }) as const
/** Others came as others left: the number stayed, and they count from when it was last told. */
const taking = [strangers(1), wait(300), send(0), wait(999), strangers(2), send(60), strangers(1), wait(1)]
/** Others left the window while the answer that counts them was on its way. */
const leaving = [strangers(1), send(0), { kind: 'limit', requests: 3 } as const, wait(1000), strangers(2), send(5)]

test('with headers of a window that strangers use and that changes its limit, sends only where the server has room as far as it said', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const temporary = openTemporaryQueue()
      try {
        const { clock } = temporary
        const limit: Limit = { requests: 6, periodMs: 1_000 }
        const server = createServer(clock, limit)
        const headers = [{ periodMs: 1_000, limit: 'l', remaining: 'r', reset: null }]
        const rules = rulesOf({ limits: [limit], headers })
        const budgets = [temporary.queue.budget, temporary.reopen().budget]
        /** Strangers, and a lower limit, that no answer has told yet. */
        let unknown = 0
        let toldLimit = limit.requests
        for (const [index, action] of steps.entries()) {
          if (action.kind === 'wait') await clock.advance(action.ms)
          if (action.kind === 'limit') server.limit = action.requests
          if (action.kind === 'stranger') {
            for (let count = 0; count < action.count; count += 1) server.judge(false)
            unknown += action.count
          }
          if (action.kind !== 'send') continue
          const budget = budgets[index % 2] ?? temporary.queue.budget
          const request = requestOf(rules, { timeoutMs, weight: action.weight, deadlineAt: clock.now() })
          const booking = await budget.book(request).catch(() => null)
          if (booking === null) continue
          const sentAt = clock.monotonic()
          await clock.advance(Math.floor(action.latencyMs / 2))
          const remaining = server.judge(true, action.weight)
          // All that the server holds now lies within what it told, but for strangers that came since.
          expect(server.all(clock.monotonic()) - unknown).toBeLessThanOrEqual(toldLimit)
          await clock.advance(Math.ceil(action.latencyMs / 2))
          const windows = [{ periodMs: 1_000, limit: server.limit, remaining, resetMs: null }]
          await budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null, windows })
          // What an answer cannot say: that more than its limit is used, and whether it still counted what left the window while it was on its way.
          const left = server.judgedBetween(sentAt - 1_000 - 60, clock.monotonic() - 1_000)
          unknown = Math.max(0, server.all(clock.monotonic()) - server.limit) + left
          toldLimit = Math.max(server.limit, server.all(clock.monotonic()))
          const [window] = (await budget.state(rules)).windows
          expect(window?.requests).toBe(server.limit)
          expect((window?.used ?? 0) + unknown).toBeGreaterThanOrEqual(server.all(clock.monotonic()))
        }
      } finally {
        temporary.remove()
      }
    }),
    { numRuns: 60, examples: [[taking], [leaving]] },
  )
})

test('of several in line, over processes, with weights, exceeds no window and serves everybody', async () => {
  const asker = fc.record({
    process: fc.nat(2),
    weight: fc.integer({ min: 1, max: 4 }),
    priority: fc.nat(2),
    latencyMs: fc.constantFrom(0, 7, 90),
  })
  await fc.assert(
    fc.asyncProperty(
      limit,
      fc.array(asker, { minLength: 1, maxLength: 12 }),
      async ({ requests, periodMs }, askers) => {
        const temporary = openTemporaryQueue()
        try {
          const { clock } = temporary
          const rules = rulesOf({ limits: [{ requests, periodMs }] })
          const budgets = [temporary.queue, temporary.reopen(), temporary.reopen()].map(({ budget }) => budget)
          const sent: (Sent & { readonly weight: number })[] = []
          const progress = { isOver: false }
          const all = Promise.all(
            askers.map(async ({ process, weight, priority, latencyMs }) => {
              const budget = budgets[process] ?? temporary.queue.budget
              const booking = await budget.book(requestOf(rules, { timeoutMs, weight, priority }))
              const from = clock.now()
              await clock.sleep(latencyMs)
              sent.push({ from, to: clock.now(), weight: Math.min(weight, requests) })
              await budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null })
            }),
          ).finally(() => {
            progress.isOver = true
          })
          for (let spent = 0; !progress.isOver; spent += 1) {
            if (spent > 5_000) throw new Error('it never ends')
            await clock.advance(100)
          }
          await all
          expect(sent).toHaveLength(askers.length)
          for (const start of sent.flatMap(({ from, to }) => [from, to, from - periodMs + 1])) {
            const counted = sent.filter(({ from, to }) => from < start + periodMs && to >= start)
            expect(counted.reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(requests)
          }
        } finally {
          temporary.remove()
        }
      },
    ),
    { numRuns: 30 },
  )
})
