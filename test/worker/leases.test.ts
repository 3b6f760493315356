/** Leases at hand and outcomes that wait to be told: nothing that was claimed is lost, whatever the queue or the ledger says. The ports are played by hand. */
import { describe, expect, it } from 'vitest'
import { DestinationUnavailable, TerminalError } from '../../src/domain/errors.js'
import type { Checkpoint } from '../../src/domain/ports.js'
import { type Lease, noTotals, type Outcome, type Task } from '../../src/domain/task.js'
import { Leases } from '../../src/worker/leases.js'
import { Run } from '../../src/worker/run.js'
import { createFakeClock } from '../support/fake-clock.js'

const leaseOf = (number: number, fields: Partial<Task> = {}): Lease => ({
  epoch: 1,
  task: {
    ...{ id: `task-${number}`, number, source: 'test', stream: 'thing', partition: {}, backfillId: 'b' },
    ...{ state: 'leased', priority: 0, epoch: 1, attempts: 0, reclaims: 0, createdAt: 0, readyAt: null, leasedAt: 0 },
    ...{ renewedAt: null, finishedAt: null, runId: 'r', code: null, message: null, hint: null, totals: noTotals },
    ...{ requests: 0, expected: null, proof: null, cursor: null, workedMs: 0 },
    ...fields,
  },
})
const checkpointOf = ({ task, epoch }: Lease): Checkpoint => ({
  ...{ taskId: task.id, epoch, sequence: 0, done: false, proof: null, walk: null, totals: noTotals, requests: 0 },
})
const locked = new DestinationUnavailable('database_locked', 'm', { context: { sqlstate: '55P03' } })

interface Scene {
  /** What is due, in the order of the queue. */
  readonly due?: readonly Lease[]
  readonly maxTasks?: number
  /** What the ledger says to a task that is opened alone; absent: it is opened. */
  readonly alone?: (lease: Lease) => Error | undefined
  /** Most tasks that a stream may still take. */
  readonly cap?: number
}

function play({ due = [], maxTasks, alone, cap = Number.POSITIVE_INFINITY }: Scene) {
  const clock = createFakeClock({ now: 1_000 })
  const options = { runId: 'r', filter: {}, maxTasks: maxTasks ?? null }
  const run = new Run(
    {
      ...options,
      ...{ streams: [], today: '2026-01-01', timezone: 'UTC', maxRuntimeMs: null, maxRequests: null, claim: null },
      ...{ concurrency: null, metricsIntervalMs: null, untilEmpty: false, signal: new AbortController().signal },
    },
    clock,
  )
  const told: Outcome[] = []
  const suspects: boolean[] = []
  const refused: string[] = []
  const state = { queueFails: null as Error | null, ledgerFails: null as Error | null }
  const rest = [...due]
  const leases = new Leases({
    ...{ source: 'test', options, run, clock, log: () => undefined },
    queue: {
      settleAndClaim: ({ settle, limit, hasSuspect }) => {
        if (state.queueFails !== null) return Promise.reject(state.queueFails)
        told.push(...settle)
        suspects.push(hasSuspect)
        return Promise.resolve(rest.splice(0, limit))
      },
    },
    destination: {
      openTasks: (wanted) => {
        if (state.ledgerFails !== null) return Promise.reject(state.ledgerFails)
        const failures = wanted.map((lease) => alone?.(lease))
        const [failure] = failures
        if (wanted.length === 1 && failure !== undefined) return Promise.reject(failure)
        const opened = wanted.filter((_, at) => failures[at] === undefined)
        return Promise.resolve(new Map(opened.map((lease) => [lease.task.id, checkpointOf(lease)])))
      },
    },
    caps: { takeTasks: (all) => ({ taken: all.slice(0, cap), over: all.slice(cap) }) },
    onRefused: ({ task }) => {
      refused.push(task.id)
    },
  })
  const claim = (limit: number) => leases.claim(['thing'], { limit, hasSuspect: false })
  const start = () => {
    const { next } = leases
    leases.shift()
    return next?.lease.task.number
  }
  return { leases, run, state, told, suspects, refused, claim, start }
}
const kinds = (told: readonly Outcome[]) => told.map(({ kind, lease }) => `${kind} ${lease.task.number}`)
const some = (count: number) => Array.from({ length: count }, (_, at) => leaseOf(at + 1))

describe('leases', () => {
  it('are handed out in the order of the queue, those of a dead worker last', async () => {
    const scene = play({ due: [leaseOf(1), leaseOf(2, { reclaims: 1 }), leaseOf(3)] })
    expect(await scene.claim(10)).toBe(true)
    expect([scene.start(), scene.start(), scene.start(), scene.start()]).toEqual([1, 3, 2, undefined])
    expect(scene.run.claimed).toBe(3)
  })

  it('are asked for without suspects while one is at hand', async () => {
    const scene = play({ due: [leaseOf(1, { reclaims: 1 }), leaseOf(2)] })
    await scene.claim(1)
    await scene.claim(1)
    expect(scene.suspects).toEqual([false, true])
  })

  it('are claimed up to --max-tasks, what the queue did not have is not counted', async () => {
    const scene = play({ due: some(5), maxTasks: 4 })
    await scene.claim(3)
    await scene.claim(3)
    expect(scene.run).toMatchObject({ claimed: 4, end: null })
    expect(await scene.claim(3)).toBe(false)
    expect(scene.run.end).toBe('max tasks')
    const empty = play({ maxTasks: 4 })
    expect(await empty.claim(3)).toBe(false)
    expect(empty.run).toMatchObject({ claimed: 0, end: null })
  })

  it('beyond the cap of their stream go back, and do not count for --max-tasks', async () => {
    const scene = play({ due: some(3), cap: 1 })
    await scene.claim(3)
    expect(scene.run.claimed).toBe(1)
    await scene.leases.tell(false)
    expect(kinds(scene.told)).toEqual(['released 2', 'released 3'])
  })

  it('go back where the ledger cannot be reached, and all that was not started at the end', async () => {
    const scene = play({ due: some(2) })
    scene.state.ledgerFails = new DestinationUnavailable('database_lost', 'm')
    await expect(scene.claim(2)).rejects.toThrow(DestinationUnavailable)
    await scene.leases.releaseAll()
    expect(kinds(scene.told)).toEqual(['released 1', 'released 2'])
    const open = play({ due: some(3) })
    await open.claim(3)
    open.start()
    await open.leases.releaseAll()
    expect(kinds(open.told)).toEqual(['released 2', 'released 3'])
  })

  it('stay untold where the queue cannot be written, in their order', async () => {
    const scene = play({ due: some(2) })
    await scene.claim(2)
    scene.leases.keepOnly(({ task }) => task.number !== 1)
    scene.state.queueFails = new Error('busy')
    await expect(scene.leases.tell(false)).rejects.toThrow('busy')
    scene.leases.keepOnly(() => false)
    scene.state.queueFails = null
    await scene.leases.tell(false)
    expect(kinds(scene.told)).toEqual(['released 1', 'released 2'])
    expect(scene.leases.hasOutcomes).toBe(false)
  })

  it('whose ledger row is locked are put off alone; the second in a row ends the claim, and nothing is lost', async () => {
    const one = play({ due: some(3), alone: ({ task }) => (task.number === 2 ? locked : undefined) })
    await one.claim(3)
    expect([one.start(), one.start()]).toEqual([1, 3])
    await one.leases.tell(false)
    expect(one.told).toMatchObject([{ kind: 'later', readyAt: 61_000, lease: { task: { number: 2 } } }])
    const all = play({ due: some(3), alone: () => locked })
    await expect(all.claim(3)).rejects.toBe(locked)
    await all.leases.releaseAll()
    expect(kinds(all.told)).toEqual(['later 1', 'released 2', 'released 3'])
  })

  it('that the ledger refuses are over before they begin, and their neighbours go on', async () => {
    class Refused extends TerminalError {}
    const scene = play({
      due: some(2),
      alone: ({ task }) => (task.number === 1 ? new Refused('other_task', 'm') : undefined),
    })
    await scene.claim(2)
    expect(scene.refused).toEqual(['task-1'])
    expect(scene.start()).toBe(2)
  })
})
