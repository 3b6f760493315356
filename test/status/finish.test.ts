// When the open tasks will be done, and when nobody can tell.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BudgetState, StreamCounts } from '../../src/domain/ports.js'
import { noTotals, type Task } from '../../src/domain/task.js'
import { finishOf, latest, notBeforeGates, requestsOwed, type StreamWork } from '../../src/status/finish.js'
import { sampleSource } from './sample-queue.js'

const none: StreamCounts = {
  source: 's',
  stream: 'x',
  ready: 0,
  retrying: 0,
  waiting: 0,
  leased: 0,
  done: 0,
  dead: 0,
  cancelled: 0,
  doneToday: 0,
  totals: noTotals,
  requests: 0,
  unproven: 0,
  differs: 0,
  medianWorkedMs: null,
  nextDueAt: null,
}
const now = 1_000_000
const rules = sampleSource('s', [{ requests: 60, periodMs: 60_000 }]).budget
const state: BudgetState = {
  key: 's',
  windows: [{ requests: 60, periodMs: 60_000, used: 60, left: 0, others: 0, isTold: false }],
  quotas: [],
  waiting: 0,
  closedUntil: null,
  opensAt: now,
}
const budget = { rules, state }

function work(counts: Partial<StreamCounts>, running: readonly Partial<Task>[] = []): StreamWork {
  const all = { ...none, ...counts }
  return {
    counts: all,
    running: running as readonly Task[],
    requestsPerTask: all.done === 0 ? null : all.requests / all.done,
  }
}

describe('what holds work back', () => {
  const finish = { kind: 'at', at: now + 60_000, requests: 1 } as const
  const pause = { source: 's', stream: null, since: 0, until: now + 7_200_000, note: null }
  const open = { kind: 'open' } as const

  test('is added to the end of the work', () => {
    const gates = [{ kind: 'paused', pause } as const, open]
    expect(notBeforeGates(finish, { now, gates, opensAt: null })).toMatchObject({ at: now + 7_260_000 })
    expect(notBeforeGates(finish, { now, gates, opensAt: now + 9_000_000 })).toMatchObject({ at: now + 9_060_000 })
    expect(notBeforeGates(finish, { now, gates: [open], opensAt: null })).toEqual(finish)
  })

  test('makes the end unknown where only a person ends it', () => {
    const gates = [open, { kind: 'paused', pause: { ...pause, stream: 'x', until: null } } as const]
    const why = 'it waits for "backfill resume s.x"'
    expect(notBeforeGates(finish, { now, gates, opensAt: null })).toEqual({ kind: 'unknown', why })
    expect(notBeforeGates({ kind: 'nothing open' }, { now, gates, opensAt: null })).toEqual({ kind: 'nothing open' })
  })
})

describe('finish', () => {
  test('is open tasks × mean requests through the binding limit', () => {
    const finish = finishOf({ works: [work({ ready: 100, done: 10, requests: 30 })], budget, now })
    // 300 requests at 60 a minute, none left in this one.
    expect(finish).toEqual({ kind: 'at', at: now + 5 * 60_000, requests: 300 })
  })

  test('is the tasks’ own time where they are slower than the budget', () => {
    const finish = finishOf({
      works: [work({ ready: 100, done: 10, requests: 10, medianWorkedMs: 60_000 })],
      budget,
      now,
    })
    expect(finish).toMatchObject({ at: now + (100 * 60_000) / rules.concurrency })
  })

  test('begins when a closed gate opens, and never before the only tasks are due', () => {
    const closed = { rules, state: { ...state, opensAt: now + 900_000 } }
    expect(finishOf({ works: [work({ ready: 60, done: 1, requests: 1 })], budget: closed, now })).toMatchObject({
      at: now + 960_000,
    })
    const later = work({ ready: 1, waiting: 1, done: 1, requests: 1, nextDueAt: now + 86_400_000 })
    expect(finishOf({ works: [later], budget, now })).toMatchObject({ at: now + 86_400_000 })
  })

  test('is unknown before the first task is done, unless the running ones tell', () => {
    expect(finishOf({ works: [work({ ready: 5 })], budget, now })).toEqual({
      kind: 'unknown',
      why: 'no task is done yet',
    })
    const running = { expected: 1000, totals: { ...noTotals, received: 250 }, requests: 10 }
    expect(finishOf({ works: [work({ leased: 1 }, [running])], budget, now })).toMatchObject({ requests: 30 })
    expect(finishOf({ works: [work({ ready: 1, leased: 1 }, [running])], budget, now })).toMatchObject({
      kind: 'unknown',
    })
  })

  test('is unknown for all as soon as it is for one', () => {
    const unknown = { kind: 'unknown', why: 'no task is done yet' } as const
    expect(latest([{ kind: 'at', at: 5, requests: 1 }, unknown])).toBe(unknown)
    expect(
      latest([{ kind: 'at', at: 5, requests: 1 }, { kind: 'at', at: 3, requests: 2 }, { kind: 'nothing open' }]),
    ).toEqual({ kind: 'at', at: 5, requests: 3 })
    expect(latest([])).toEqual({ kind: 'nothing open' })
  })

  test('more open tasks never end earlier nor need fewer requests', () => {
    const amounts = fc.record({ ready: fc.nat(1e6), done: fc.integer({ min: 1, max: 1e6 }), requests: fc.nat(1e7) })
    fc.assert(
      fc.property(amounts, fc.integer({ min: 1, max: 1000 }), (counts, more) => {
        const few = work({ ...counts, ready: counts.ready + 1 })
        const many = work({ ...counts, ready: counts.ready + 1 + more })
        const ends = [few, many].map((one) => finishOf({ works: [one], budget, now }))
        const [first, second] = ends.map((finish) => (finish.kind === 'at' ? finish.at : Number.NaN))
        expect(second).toBeGreaterThanOrEqual(first ?? Number.NaN)
        expect(requestsOwed(many)).toBeGreaterThanOrEqual(requestsOwed(few) ?? Number.NaN)
      }),
    )
  })
})
