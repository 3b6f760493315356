/**
 * A `seed`, and a worker that lets new days in, killed before each of their writes: no day may be missing for good, and none may be made twice. What a kill leaves is what
 * the writes before it left, for each is a transaction of its own.
 */
import { randomUUID } from 'node:crypto'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SelectedStream } from '../../src/domain/selection.js'
import { seed } from '../../src/seed/seed.js'
import { letInNewDates } from '../../src/worker/new-dates.js'
import { openTemporaryQueue, type TemporaryQueue } from '../queue/open-temporary.js'
import { done } from '../queue/queue-conformance.js'
import { makeSource, makeStream } from '../support/stream.js'

let temporary: TemporaryQueue
beforeEach(() => {
  temporary = openTemporaryQueue()
})
afterEach(() => {
  temporary.remove()
})

const [monday, tuesday, wednesday] = ['2024-03-04', '2024-03-05', '2024-03-06']
const name = { source: 'test', stream: 'thing' }
const selected: SelectedStream = (() => {
  const stream = makeStream({ dimensions: ['day'], everyMs: 3_600_000, key: ['day', 'id'] })
  const days = { kind: 'dates', from: monday, to: 'today', step: 'day', exclude: [], aliases: {} } as const
  return { source: makeSource([stream], { dimensions: { day: days } }), stream }
})()
const silent = () => undefined

class Killed extends Error {}
const writes = ['beginBackfill', 'enqueue', 'finishPlanning', 'follow', 'planned']

/** The same object, whose n-th write, and every later one, never comes. */
function mortal<T extends object>(whole: T, life: { left: number }): T {
  return new Proxy(whole, {
    get: (target, key) => {
      const found: unknown = Reflect.get(target, key)
      if (typeof found !== 'function' || !writes.includes(String(key))) return found
      return (...given: readonly unknown[]): unknown => {
        if (life.left <= 0) throw new Killed()
        life.left -= 1
        return Reflect.apply(found, target, given)
      }
    },
  })
}

/** True where it was killed before its end. */
async function livesFor(writesLeft: number, what: (deps: ReturnType<typeof depsOf>) => Promise<unknown>) {
  try {
    await what(depsOf({ left: writesLeft }))
    return false
  } catch (error) {
    if (!(error instanceof Killed)) throw error
    return true
  }
}
const immortal = Number.POSITIVE_INFINITY
function depsOf(life: { left: number }) {
  const { queue, clock } = temporary
  return { queue: mortal(queue, life), follows: mortal(queue.follows, life), clock, log: silent, uuid: randomUUID }
}

function seedOn(today: string, deps: ReturnType<typeof depsOf>, force = false) {
  const request = {
    streams: [selected],
    filter: {},
    lines: null,
    order: 'oldest',
    priority: null,
    scope: 'test',
  } as const
  return seed({ ...request, force, today, signal: new AbortController().signal }, deps)
}
function nextRun(today: string, deps = depsOf({ left: immortal })) {
  return letInNewDates({ streams: [selected], today }, deps)
}
/** Works off what is there. */
async function work(): Promise<void> {
  const { queue } = temporary
  const filter = { streams: [name], partitions: {} }
  const request = { limit: 100, filter, runId: randomUUID(), hasSuspect: false }
  const leases = await queue.settleAndClaim({ ...request, settle: [] })
  await queue.settleAndClaim({ ...request, limit: 0, settle: leases.map((lease) => done(lease)) })
}
async function days(): Promise<readonly (string | undefined)[]> {
  const tasks = await temporary.queue.tasks({ filter: { streams: [name], partitions: {} }, limit: 100 })
  return tasks.map(({ partition }) => partition.day).sort()
}
/** What the queue says of the seed: all its tasks are there. */
function isPlanned(): boolean {
  const file = new Sqlite(temporary.file, { readonly: true })
  try {
    return file.prepare('select planned_at from backfill').pluck().get() !== null
  } finally {
    file.close()
  }
}

describe('a seed killed before one of its writes', () => {
  it.each([0, 1, 2, 3, 4, 5])('write %i: it is known as cut off, or the calendar goes on', async (writesLeft) => {
    const isKilled = await livesFor(writesLeft, (deps) => seedOn(tuesday, deps))
    expect(isKilled).toBe(writesLeft < 5)
    await work()
    // Whoever is told that it was cut off types it again; nobody types one again whose plan is there.
    if (isKilled && !(writesLeft > 0 && isPlanned())) await seedOn(tuesday, depsOf({ left: immortal }))
    await work()
    await nextRun(wednesday)
    expect(await days()).toEqual([monday, tuesday, wednesday])
  })
})

describe('a worker killed while it lets new days in', () => {
  it.each([0, 1, 2, 3, 4])('write %i: each day has one task in the end, made once', async (writesLeft) => {
    await seedOn(monday, depsOf({ left: immortal }))
    await work()
    expect(await livesFor(writesLeft, (deps) => nextRun(tuesday, deps))).toBe(writesLeft < 4)
    await work()
    await nextRun(wednesday)
    await work()
    await nextRun(wednesday)
    expect(await days()).toEqual([monday, tuesday, wednesday])
  })
})
