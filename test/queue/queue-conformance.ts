/** What every driver of the queue port must do. A second driver runs this file unchanged. */
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/domain/errors.js'
import type { Partition } from '../../src/domain/partition.js'
import type { ClaimRequest, NewTask, Queue, TaskFilter } from '../../src/domain/ports.js'
import { type Lease, noTotals, type Outcome, type Progress } from '../../src/domain/task.js'
import type { FakeClock } from '../support/fake-clock.js'

export interface QueueUnderTest {
  readonly queue: Queue
  readonly clock: FakeClock
  /** A second connection, as another process has it. */
  reopen(): Queue
  remove(): void
}

const users = { source: 'school', stream: 'users' }
const towns = { source: 'civic', stream: 'minutes' }
export const everything: TaskFilter = { streams: [users, towns], partitions: {} }
const run = 'run-1'
const plain = { supersede: false, skipDone: false }

export function progressOf(received: number, duplicates = 0): Progress {
  return {
    totals: { ...noTotals, pages: 1, received, created: received - duplicates, duplicates },
    requests: 1,
    expected: received,
    cursor: null,
  }
}

export function done(lease: Lease, received = 10): Outcome {
  return { kind: 'done', lease, progress: progressOf(received), attempts: 0, workedMs: 100, proof: 'proven' }
}

export function later(lease: Lease, readyAt: number, attempts = 1): Outcome {
  const failure = { code: 'timeout', message: 'answer took 120 s', hint: null }
  return { kind: 'later', lease, progress: progressOf(0), attempts, workedMs: 100, readyAt, ...failure }
}

export function dead(lease: Lease): Outcome {
  const failure = { code: 'not_found', message: 'answer was 404', hint: 'check the id' }
  return { kind: 'dead', lease, progress: progressOf(0), attempts: 3, workedMs: 100, ...failure }
}

function cancelled(lease: Lease): Outcome {
  return { ...dead(lease), kind: 'cancelled' } as Outcome
}
export function released(lease: Lease): Outcome {
  return { kind: 'released', lease, progress: progressOf(0), attempts: lease.task.attempts, workedMs: 0 }
}

export function claimOf(limit: number, more: Partial<ClaimRequest> = {}): ClaimRequest {
  return { settle: [], limit, filter: everything, runId: run, hasSuspect: false, ...more }
}

/** New tasks of `users`, one per id. */
export function userTasks(ids: readonly (number | string)[], priority = 0): NewTask[] {
  return ids.map((id) => ({ ...users, partition: { user_id: String(id) }, priority }))
}

export async function seed(queue: Queue, tasks: readonly NewTask[], options = plain): ReturnType<Queue['enqueue']> {
  const backfill = await queue.beginBackfill({
    scope: 'test',
    fingerprint: randomUUID(),
    reason: 'seed',
    isForced: false,
  })
  const result = await queue.enqueue(backfill, tasks, options)
  await queue.finishPlanning(backfill)
  return result
}

function idsOf(leases: readonly Lease[]): (string | undefined)[] {
  return leases.map(({ task }) => task.partition.user_id)
}

async function countsOf(
  queue: Queue,
  name: { source: string; stream: string },
): Promise<Awaited<ReturnType<Queue['counts']>>[number]> {
  const counts = (await queue.counts()).find(({ source, stream }) => source === name.source && stream === name.stream)
  if (counts === undefined) throw new Error(`no counts of ${name.stream}`)
  return counts
}

export function describeQueue(driver: string, open: () => QueueUnderTest): void {
  describe(`queue on ${driver}`, () => {
    let under: QueueUnderTest
    let queue: Queue
    let clock: FakeClock
    beforeEach(() => {
      under = open()
      queue = under.queue
      clock = under.clock
    })
    afterEach(() => under.remove())

    const claim = (limit: number, more: Partial<ClaimRequest> = {}): Promise<readonly Lease[]> =>
      queue.settleAndClaim(claimOf(limit, more))
    const settle = (...outcomes: Outcome[]): Promise<readonly Lease[]> => claim(0, { settle: outcomes })
    const one = async (): Promise<Lease> => {
      const [lease] = await claim(1)
      if (lease === undefined) throw new Error('nothing to claim')
      return lease
    }

    describe('identity', () => {
      test('keeps its id over connections and binds to one database for good', async () => {
        await queue.bindDatabase('db-1')
        const again = under.reopen()
        expect(again.id).toBe(queue.id)
        expect(queue.id).toMatch(/^[0-9a-f-]{36}$/)
        await again.bindDatabase('db-1')
        expect(await again.boundDatabase()).toBe('db-1')
        await expect(again.bindDatabase('db-2')).rejects.toThrow(ConfigError)
        await expect(again.bindDatabase('db-2')).rejects.toMatchObject({ code: 'wrong_database' })
        expect(await queue.boundDatabase()).toBe('db-1')
      })
    })

    describe('enqueue', () => {
      test('makes one open task per partition and says what it met', async () => {
        expect(await seed(queue, userTasks([1, 2]))).toMatchObject({ created: 2, openCount: 0 })
        const again = await seed(queue, userTasks([2, 3, 3]))
        expect(again).toMatchObject({ created: 1, superseded: 0, openCount: 2 })
        expect(again.open.map(({ partition }) => partition.user_id)).toEqual(['2', '3'])
        expect((await countsOf(queue, users)).ready).toBe(3)
      })

      test('takes partitions with other orders of names for the same', async () => {
        const make = (partition: Partition): NewTask => ({ ...users, partition, priority: 0 })
        await seed(queue, [make({ a: '1', b: '2' })])
        expect(await seed(queue, [make({ b: '2', a: '1' })])).toMatchObject({ created: 0, openCount: 1 })
      })

      test('supersedes open tasks where told to, a leased one loses its lease', async () => {
        await seed(queue, userTasks([1, 2, 3]))
        const [first, second] = await claim(2)
        if (first === undefined || second === undefined) throw new Error('two expected')
        await settle(dead(second))
        const result = await seed(queue, userTasks([1, 2, 3]), { supersede: true, skipDone: false })
        expect(result).toMatchObject({ created: 3, superseded: 3, openCount: 0 })
        expect(await queue.renew(first, progressOf(5))).toBe(false)
        expect(await countsOf(queue, users)).toMatchObject({ ready: 3, leased: 0, dead: 0, cancelled: 3 })
        const fresh = await claim(3)
        expect(idsOf(fresh)).toEqual(['1', '2', '3'])
        expect(fresh.map(({ task }) => task.id)).not.toContain(first.task.id)
      })

      test('makes a new task for a finished partition, or leaves it alone where told to', async () => {
        await seed(queue, userTasks([1]))
        await settle(done(await one()))
        expect(await seed(queue, userTasks([1]), { supersede: false, skipDone: true })).toMatchObject({
          created: 0,
          alreadyDone: 1,
        })
        expect(await seed(queue, userTasks([1]))).toMatchObject({ created: 1, alreadyDone: 0 })
        expect(await countsOf(queue, users)).toMatchObject({ ready: 1, done: 1 })
      })

      test('resumes a backfill that died while it was planned, without making again what it has made', async () => {
        const plan = { scope: 'all', fingerprint: 'same', reason: 'seed', isForced: false } as const
        const first = await queue.beginBackfill(plan)
        await queue.enqueue(first, userTasks([1, 2]), { supersede: true, skipDone: false })
        await settle(done(await one()))
        const second = await under.reopen().beginBackfill(plan)
        expect(second).toBe(first)
        const result = await queue.enqueue(second, userTasks([1, 2, 3]), { supersede: true, skipDone: false })
        expect(result).toMatchObject({ created: 1, superseded: 0, alreadyDone: 1, openCount: 1 })
        await queue.finishPlanning(second)
        expect(await queue.beginBackfill(plan)).not.toBe(first)
      })
    })

    describe('claim', () => {
      test('takes the highest priority first, then the oldest, over all streams of the filter', async () => {
        await seed(queue, userTasks([1, 2]))
        await seed(queue, [{ ...towns, partition: { user_id: 't' }, priority: 5 }])
        await seed(queue, userTasks([3], 9))
        expect(idsOf(await claim(10))).toEqual(['3', 't', '1', '2'])
      })

      test('takes no stream and no partition outside the filter', async () => {
        await seed(queue, [...userTasks([1, 2, 3]), { ...towns, partition: { user_id: '1' }, priority: 0 }])
        const filter = { streams: [users], partitions: { user_id: ['1', '3', '9'] } }
        expect(idsOf(await claim(10, { filter }))).toEqual(['1', '3'])
        expect(await claim(10, { filter })).toEqual([])
        expect(await claim(10, { filter: { streams: [{ source: 'nobody', stream: 'x' }], partitions: {} } })).toEqual(
          [],
        )
        expect(await claim(10, { filter: { streams: [towns], partitions: { month: ['2024-01'] } } })).toEqual([])
      })

      test('raises the epoch with every claim and never lowers it', async () => {
        await seed(queue, userTasks([1]))
        const first = await one()
        await settle(released(first))
        const second = await one()
        expect([first.epoch, second.epoch]).toEqual([1, 2])
        expect(second.task).toMatchObject({ id: first.task.id, epoch: 2, state: 'leased', runId: run })
      })

      test('gives a task to one of two connections only', async () => {
        await seed(queue, userTasks(Array.from({ length: 20 }, (_, index) => index)))
        const other = under.reopen()
        const [a, b] = [await claim(10), await other.settleAndClaim(claimOf(20, { runId: 'run-2' }))]
        const ids = [...a, ...b].map(({ task }) => task.id)
        expect(new Set(ids).size).toBe(20)
        expect(ids.length).toBe(20)
      })

      test('leaves a task alone until its time has come, then takes it in its turn', async () => {
        await seed(queue, [...userTasks([1], 5), ...userTasks([2])])
        const lease = await one()
        await settle(later(lease, clock.now() + 60_000))
        expect(await countsOf(queue, users)).toMatchObject({
          ready: 2,
          waiting: 1,
          retrying: 1,
          nextDueAt: clock.now() + 60_000,
        })
        const [two] = await claim(10)
        expect(two?.task.partition).toEqual({ user_id: '2' })
        if (two !== undefined) await settle(released(two))
        await clock.advance(60_000)
        expect(await countsOf(queue, users)).toMatchObject({ ready: 2, waiting: 0, nextDueAt: null })
        expect(idsOf(await claim(10))).toEqual(['1', '2'])
      })

      test('settles and claims in one call, also what it has just released', async () => {
        await seed(queue, userTasks([1, 2]))
        const [first, second] = await claim(2)
        if (first === undefined || second === undefined) throw new Error('two expected')
        const next = await claim(10, { settle: [released(first), done(second)] })
        expect(idsOf(next)).toEqual(['1'])
        expect(next[0]?.epoch).toBe(2)
      })

      test('claims one reclaimed task at a time', async () => {
        await seed(queue, userTasks([1, 2, 3]))
        await claim(2)
        await queue.reclaim('run-2')
        const leases = await claim(10, { runId: 'run-2' })
        expect(idsOf(leases)).toEqual(['1', '3'])
        expect(await claim(10, { runId: 'run-2', hasSuspect: true })).toEqual([])
        expect(idsOf(await claim(10, { runId: 'run-2' }))).toEqual(['2'])
      })

      test('claims one reclaimed task at a time over all streams, in its turn', async () => {
        await seed(queue, [...userTasks([1]), { ...towns, partition: { user_id: 't' }, priority: 5 }])
        await claim(2)
        await queue.reclaim('run-2')
        await seed(queue, userTasks([2], 1))
        expect(idsOf(await claim(10, { runId: 'run-2' }))).toEqual(['t', '2'])
        expect(idsOf(await claim(10, { runId: 'run-2' }))).toEqual(['1'])
      })
    })

    describe('settle', () => {
      test('writes what became of each task', async () => {
        await seed(queue, userTasks([1, 2, 3, 4]))
        const [a, b, c, d] = await claim(4)
        if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('four expected')
        await settle(
          { ...done(a, 7), proof: 'differs' } as Outcome,
          later(b, clock.now() + 5_000),
          dead(c),
          released(d),
        )
        const tasks = await queue.tasks({ limit: 10 })
        const byId = new Map(tasks.map((task) => [task.partition.user_id, task]))
        expect(byId.get('1')).toMatchObject({
          state: 'done',
          proof: 'differs',
          finishedAt: clock.now(),
          workedMs: 100,
          totals: { received: 7 },
        })
        expect(byId.get('2')).toMatchObject({
          state: 'ready',
          readyAt: clock.now() + 5_000,
          attempts: 1,
          code: 'timeout',
        })
        expect(byId.get('3')).toMatchObject({
          state: 'dead',
          code: 'not_found',
          message: 'answer was 404',
          hint: 'check the id',
        })
        expect(byId.get('4')).toMatchObject({ state: 'ready', readyAt: null, attempts: 0, leasedAt: null })
        expect(await countsOf(queue, users)).toMatchObject({
          ready: 2,
          retrying: 1,
          waiting: 1,
          leased: 0,
          done: 1,
          dead: 1,
          differs: 1,
          doneToday: 1,
        })
      })

      test('keeps the last failure while the task is released again, and forgets it when done', async () => {
        await seed(queue, userTasks([1]))
        await settle(later(await one(), clock.now()))
        await settle(released(await one()))
        expect((await queue.tasks({ limit: 1 }))[0]).toMatchObject({ state: 'ready', code: 'timeout', attempts: 1 })
        await settle(done(await one()))
        expect((await queue.tasks({ limit: 1 }))[0]).toMatchObject({ state: 'done', code: null, message: null })
      })

      test('may be replayed without effect, and loses no other outcome for it', async () => {
        await seed(queue, userTasks([1, 2]))
        const [a, b] = await claim(2)
        if (a === undefined || b === undefined) throw new Error('two expected')
        await settle(done(a))
        const before = await countsOf(queue, users)
        await settle(done(a), done(a), done(b))
        expect(await countsOf(queue, users)).toMatchObject({ done: 2, doneToday: before.doneToday + 1, requests: 2 })
      })

      test('of a task that has nothing left to do cancels it, and leaves its partition to a new one', async () => {
        await seed(queue, userTasks([1]))
        const lease = await one()
        await settle(cancelled(lease))
        await settle(cancelled(lease))
        expect(await countsOf(queue, users)).toMatchObject({ leased: 0, ready: 0, dead: 0, cancelled: 1 })
        expect((await queue.tasks({ id: lease.task.id, limit: 1 }))[0]).toMatchObject({
          state: 'cancelled',
          finishedAt: clock.now(),
          code: expect.any(String) as string,
        })
        expect(await queue.latestTasks(users, [lease.task.partition])).toEqual([null])
        expect(await seed(queue, userTasks([1]))).toMatchObject({ created: 1 })
      })

      test('of a newer epoch wins over an older one that slept', async () => {
        await seed(queue, userTasks([1]))
        const slept = await one()
        await queue.reclaim('run-2')
        const [fresh] = await claim(1, { runId: 'run-2' })
        if (fresh === undefined) throw new Error('one expected')
        await settle(dead(slept))
        expect(await queue.renew(slept, progressOf(3))).toBe(false)
        expect((await queue.tasks({ limit: 1 }))[0]).toMatchObject({ state: 'leased', epoch: 2 })
        await settle(done(fresh))
        expect((await queue.tasks({ limit: 1 }))[0]).toMatchObject({ state: 'done', epoch: 2 })
      })

      test('counts a day by the zone and starts again at midnight', async () => {
        await seed(queue, userTasks([1, 2]))
        await settle(done(await one()))
        expect((await countsOf(queue, users)).doneToday).toBe(1)
        await clock.advance(24 * 3_600_000)
        expect((await countsOf(queue, users)).doneToday).toBe(0)
        await settle(done(await one()))
        expect(await countsOf(queue, users)).toMatchObject({ doneToday: 1, done: 2 })
      })
    })

    describe('renew', () => {
      test('writes progress, and a new row ends a row of failures', async () => {
        await seed(queue, userTasks([1]))
        await settle(later(await one(), clock.now(), 2))
        const lease = await one()
        expect(await queue.renew(lease, { ...progressOf(50), cursor: 'page 2' })).toBe(true)
        const [task] = await queue.tasks({ limit: 1 })
        expect(task).toMatchObject({ attempts: 0, cursor: 'page 2', requests: 1, totals: { received: 50 } })
        expect((await countsOf(queue, users)).totals.received).toBe(50)
      })

      test('takes no repeated row for progress', async () => {
        await seed(queue, userTasks([1]))
        await settle(later(await one(), clock.now(), 2))
        const lease = await one()
        expect(await queue.renew(lease, progressOf(50, 50))).toBe(true)
        expect((await queue.tasks({ limit: 1 }))[0]?.attempts).toBe(2)
      })
    })

    describe('reclaim', () => {
      test('takes back what other runs left leased, and nothing of the own run', async () => {
        await seed(queue, userTasks([1, 2]))
        await claim(1)
        await claim(1, { runId: 'run-2' })
        const result = await queue.reclaim('run-2')
        expect(result.dead).toEqual([])
        expect(result.reclaimed.map(({ partition }) => partition.user_id)).toEqual(['1'])
        expect(await countsOf(queue, users)).toMatchObject({ ready: 1, leased: 1 })
      })

      test('kills a task that outlived ten workers without progress', async () => {
        await seed(queue, userTasks([1]))
        for (let round = 1; round <= 9; round += 1) {
          await claim(1, { runId: `run-${round}` })
          expect((await queue.reclaim(`run-${round + 1}`)).dead).toEqual([])
        }
        await claim(1, { runId: 'run-10' })
        const { dead: killed } = await queue.reclaim('run-11')
        expect(killed).toHaveLength(1)
        expect(killed[0]).toMatchObject({ state: 'dead', code: 'crash_loop', reclaims: 10 })
        expect(await countsOf(queue, users)).toMatchObject({ ready: 0, leased: 0, dead: 1 })
      })

      test('counts from zero again after progress', async () => {
        await seed(queue, userTasks([1]))
        for (let round = 1; round <= 25; round += 1) {
          const [lease] = await claim(1, { runId: `run-${round}` })
          if (lease === undefined) throw new Error(`dead in round ${round}`)
          if (round % 9 === 0) await queue.renew(lease, progressOf(round))
          expect((await queue.reclaim(`run-${round + 1}`)).dead).toEqual([])
        }
      })
    })

    describe('retry', () => {
      test('puts back dead tasks by id, number, code or partition, as new', async () => {
        await seed(queue, userTasks([1, 2, 3]))
        const leases = await claim(3)
        await settle(...leases.map(dead))
        const none = { filter: everything, tasks: null, codes: ['timeout'] }
        expect(await queue.retry(none)).toEqual([])
        const first = leases[0]?.task
        if (first === undefined) throw new Error('one expected')
        expect(await queue.retry({ filter: everything, tasks: [first.id], codes: null })).toMatchObject([
          {
            id: first.id,
            state: 'ready',
            attempts: 0,
            reclaims: 0,
            readyAt: null,
            finishedAt: null,
            code: 'not_found',
          },
        ])
        expect(
          await queue.retry({ filter: everything, tasks: [String(first.number + 1)], codes: ['not_found'] }),
        ).toHaveLength(1)
        const byPartition = { streams: [users], partitions: { user_id: ['3'] } }
        expect(await queue.retry({ filter: byPartition, tasks: null, codes: null })).toHaveLength(1)
        expect(await countsOf(queue, users)).toMatchObject({ ready: 3, dead: 0, retrying: 0 })
      })
    })

    describe('rounds', () => {
      test('names the partitions whose last finished task is old enough and that have no open one', async () => {
        await seed(queue, userTasks([1, 2, 3]))
        await settle(done(await one()))
        await clock.advance(1_000)
        await settle(done(await one()))
        await clock.advance(500)
        expect(await queue.dueRounds(users, 1_500)).toEqual([{ user_id: '1' }])
        await seed(queue, userTasks([1]))
        expect(await queue.dueRounds(users, 1_500)).toEqual([])
        expect(await queue.dueRounds({ source: 'nobody', stream: 'x' }, 1)).toEqual([])
      })
    })

    describe('what status reads', () => {
      test('lists tasks by state, code and limit', async () => {
        await seed(queue, userTasks([1, 2, 3, 4]))
        const [a, b] = await claim(2)
        if (a === undefined || b === undefined) throw new Error('two expected')
        await settle(dead(a))
        expect((await queue.tasks({ states: ['dead'], limit: 5 })).map(({ id }) => id)).toEqual([a.task.id])
        expect(await queue.tasks({ states: ['dead'], codes: ['other'], limit: 5 })).toEqual([])
        expect(await queue.tasks({ states: ['ready'], limit: 1 })).toHaveLength(1)
        expect(await queue.tasks({ id: a.task.id, limit: 5 })).toHaveLength(1)
        expect(await queue.tasks({ number: b.task.number, limit: 5 })).toMatchObject([{ state: 'leased' }])
        expect(await queue.tasks({ limit: 50 })).toHaveLength(4)
      })

      test('finds the newest task of each partition', async () => {
        await seed(queue, userTasks([1, 2]))
        const lease = await one()
        await settle(done(lease))
        await seed(queue, userTasks([1]))
        const found = await queue.latestTasks(users, [{ user_id: '1' }, { user_id: '2' }, { user_id: '9' }])
        expect(found.map((task) => task?.state ?? null)).toEqual(['ready', 'ready', null])
        expect(found[0]?.id).not.toBe(lease.task.id)
        expect(await queue.latestTasks(towns, [{ user_id: '1' }])).toEqual([null])
      })

      test('gives the median of the last hundred done tasks', async () => {
        await seed(queue, userTasks(Array.from({ length: 150 }, (_, index) => index)))
        expect((await countsOf(queue, users)).medianWorkedMs).toBeNull()
        const leases = await claim(150)
        for (const [index, lease] of leases.entries()) {
          await settle({ ...done(lease), workedMs: index })
          await clock.advance(1)
        }
        expect((await countsOf(queue, users)).medianWorkedMs).toBe(99.5)
      })

      test('says when the next task is due', async () => {
        expect(await queue.nextDueAt(everything)).toBeNull()
        await seed(queue, userTasks([1]))
        expect(await queue.nextDueAt(everything)).toBeLessThanOrEqual(clock.now())
        expect(await queue.nextDueAt({ streams: [users], partitions: { user_id: ['2'] } })).toBeNull()
        const lease = await one()
        expect(await queue.nextDueAt(everything)).toBeNull()
        await settle(later(lease, clock.now() + 7_000))
        expect(await queue.nextDueAt(everything)).toBe(clock.now() + 7_000)
      })

      test('keeps runs with their last sign of life and their end', async () => {
        await queue.beginRun({ id: 'a', command: 'worker', pid: 17 })
        await clock.advance(5_000)
        await queue.touchRun('a', { requests: 3, done: 2, dead: 1, rows: 200 })
        const [running] = await queue.runs(5)
        expect(running).toMatchObject({
          id: 'a',
          pid: 17,
          finishedAt: null,
          requests: 3,
          rows: 200,
          touchedAt: clock.now(),
        })
        expect(running?.startedAt).toBe(clock.now() - 5_000)
        await queue.beginRun({ id: 'b', command: 'worker', pid: 18 })
        await queue.endRun('a', { exitCode: 0, reason: 'nothing due' })
        expect((await queue.runs(1)).map(({ id }) => id)).toEqual(['b'])
        expect((await queue.runs(5))[1]).toMatchObject({
          id: 'a',
          exitCode: 0,
          reason: 'nothing due',
          finishedAt: clock.now(),
        })
      })

      test('remembers the last run that wrote rows', async () => {
        expect(await queue.lastRunId()).toBeNull()
        await queue.setLastRunId('a')
        await queue.setLastRunId('b')
        expect(await under.reopen().lastRunId()).toBe('b')
      })
    })
  })
}
