/** The queue against a model of twenty lines: whatever the order of calls, both hold the same tasks, and the counters are those of a recount. */
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Lease, TaskState } from '../../src/domain/task.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, dead, done, everything, later, progressOf, released, seed, userTasks } from './queue-conformance.js'

interface ModelTask {
  readonly user: string
  readonly number: number
  readonly priority: number
  state: TaskState
  readyAt: number
  epoch: number
  attempts: number
  reclaims: number
  received: number
}

class Model {
  readonly tasks: ModelTask[] = []

  enqueue(user: string, options: { priority: number; supersede: boolean }): void {
    const open = this.tasks.find((task) => task.user === user && ['ready', 'leased', 'dead'].includes(task.state))
    if (open !== undefined && !options.supersede) return
    if (open !== undefined) open.state = 'cancelled'
    const number = this.tasks.length + 1
    this.tasks.push({
      user,
      number,
      priority: options.priority,
      state: 'ready',
      readyAt: 0,
      epoch: 0,
      attempts: 0,
      reclaims: 0,
      received: 0,
    })
  }

  claim(limit: number, now: number): ModelTask[] {
    let suspects = 0
    const due = this.tasks
      .filter(({ state, readyAt }) => state === 'ready' && readyAt <= now)
      .sort((a, b) => b.priority - a.priority || a.number - b.number)
      .filter(({ reclaims }) => reclaims === 0 || (suspects += 1) === 1)
      .slice(0, limit)
    for (const task of due) {
      task.state = 'leased'
      task.epoch += 1
    }
    return due
  }

  holder(lease: Lease): ModelTask | undefined {
    return this.tasks.find(
      ({ number, epoch, state }) => number === lease.task.number && epoch === lease.epoch && state === 'leased',
    )
  }

  progress(task: ModelTask, received: number): void {
    if (received > task.received) task.reclaims = 0
    task.received = received
  }
}

interface Real {
  readonly temporary: TemporaryQueue
  readonly leases: Lease[]
}
type Step = fc.AsyncCommand<Model, Real>

class Enqueue implements Step {
  readonly users: readonly number[]
  readonly options: { priority: number; supersede: boolean }
  constructor(users: readonly number[], options: { priority: number; supersede: boolean }) {
    this.users = users
    this.options = options
  }
  check = (): boolean => true
  async run(model: Model, { temporary }: Real): Promise<void> {
    const { priority, supersede } = this.options
    for (const user of this.users) model.enqueue(String(user), this.options)
    await seed(temporary.queue, userTasks(this.users, priority), { supersede, skipDone: false })
    await compare(model, temporary)
  }
  toString = (): string => `enqueue ${this.users.join(',')} ${JSON.stringify(this.options)}`
}

class Claim implements Step {
  readonly limit: number
  constructor(limit: number) {
    this.limit = limit
  }
  check = (): boolean => true
  async run(model: Model, { temporary, leases }: Real): Promise<void> {
    const claimed = await temporary.queue.settleAndClaim(claimOf(this.limit))
    const expected = model.claim(this.limit, temporary.clock.now())
    expect(claimed.map(({ task, epoch }) => [task.number, epoch])).toEqual(
      expected.map(({ number, epoch }) => [number, epoch]),
    )
    leases.push(...claimed)
    await compare(model, temporary)
  }
  toString = (): string => `claim ${this.limit}`
}

type Ending = 'done' | 'later' | 'released' | 'dead' | 'renew'

class End implements Step {
  readonly pick: number
  readonly ending: Ending
  readonly received: number
  constructor(pick: number, ending: Ending, received: number) {
    this.pick = pick
    this.ending = ending
    this.received = received
  }
  check = (): boolean => true
  async run(model: Model, { temporary, leases }: Real): Promise<void> {
    const lease = leases[this.pick % Math.max(1, leases.length)]
    if (lease === undefined) return
    const task = model.holder(lease)
    if (this.ending === 'renew') await this.renew(model, temporary, { lease, task })
    else await this.settle(model, temporary, { lease, task, ending: this.ending })
    await compare(model, temporary)
  }
  async renew(
    model: Model,
    { queue }: TemporaryQueue,
    { lease, task }: { lease: Lease; task: ModelTask | undefined },
  ): Promise<void> {
    expect(await queue.renew(lease, progressOf(this.received))).toBe(task !== undefined)
    if (task === undefined) return
    if (this.received > task.received) task.attempts = 0
    model.progress(task, this.received)
  }
  async settle(
    model: Model,
    { queue, clock }: TemporaryQueue,
    { lease, task, ending }: { lease: Lease; task: ModelTask | undefined; ending: Exclude<Ending, 'renew'> },
  ): Promise<void> {
    const readyAt = clock.now() + 1_000
    const made = { done: done(lease), later: later(lease, readyAt), released: released(lease), dead: dead(lease) }[
      ending
    ]
    await queue.settleAndClaim(claimOf(0, { settle: [{ ...made, progress: progressOf(this.received) }] }))
    if (task === undefined) return
    model.progress(task, this.received)
    task.attempts = made.attempts
    task.state = ending === 'done' || ending === 'dead' ? ending : 'ready'
    if (ending === 'done') task.reclaims = 0
    task.readyAt = ending === 'later' ? readyAt : 0
  }
  toString = (): string => `${this.ending} ${this.pick} after ${this.received}`
}

class Reclaim implements Step {
  check = (): boolean => true
  async run(model: Model, { temporary }: Real): Promise<void> {
    await temporary.queue.reclaim('somebody else')
    for (const task of model.tasks.filter(({ state }) => state === 'leased')) {
      task.reclaims += 1
      task.state = task.reclaims >= 10 ? 'dead' : 'ready'
      task.readyAt = 0
    }
    await compare(model, temporary)
  }
  toString = (): string => 'reclaim'
}

class Retry implements Step {
  check = (): boolean => true
  async run(model: Model, { temporary }: Real): Promise<void> {
    await temporary.queue.retry({ filter: everything, tasks: null, codes: null })
    for (const task of model.tasks.filter(({ state }) => state === 'dead')) {
      Object.assign(task, { state: 'ready', attempts: 0, reclaims: 0, readyAt: 0 })
    }
    await compare(model, temporary)
  }
  toString = (): string => 'retry'
}

class Wait implements Step {
  readonly ms: number
  constructor(ms: number) {
    this.ms = ms
  }
  check = (): boolean => true
  async run(model: Model, { temporary }: Real): Promise<void> {
    await temporary.clock.advance(this.ms)
    await compare(model, temporary)
  }
  toString = (): string => `wait ${this.ms} ms`
}

async function compare(model: Model, { queue, clock, file }: TemporaryQueue): Promise<void> {
  const facts = (task: {
    number: number
    state: TaskState
    epoch: number
    attempts: number
    reclaims: number
  }): unknown[] => [...[task.number, task.state, task.epoch, task.attempts, task.reclaims]]
  const tasks = [...(await queue.tasks({ limit: 10_000 }))].sort((a, b) => a.number - b.number)
  expect(tasks.map(facts)).toEqual(model.tasks.map(facts))
  const [counts] = await queue.counts()
  const count = (fits: (task: ModelTask) => boolean): number => model.tasks.filter(fits).length
  const states = Object.fromEntries(
    (['ready', 'leased', 'done', 'dead', 'cancelled'] as const).map((state) => [
      state,
      count((task) => task.state === state),
    ]),
  )
  if (model.tasks.length === 0) return
  expect(counts).toMatchObject({
    ...states,
    retrying: count(({ state, attempts }) => state === 'ready' && attempts > 0),
    waiting: count(({ state, readyAt }) => state === 'ready' && readyAt > clock.now()),
  })
  expect(counts?.totals.received).toBe(model.tasks.reduce((sum, { received }) => sum + received, 0))
  expectRecount(file)
}

/** Every counter, those included that no port shows, is what counting the tasks gives. */
function expectRecount(file: string): void {
  const db = new Database(file, { readonly: true })
  const counters = db
    .prepare('select ready, waiting, suspect, retrying, unproven, differs, pages, duplicates, requests from stream')
    .get()
  const recount = db
    .prepare(
      `select sum(state = 'ready') as ready, count(ready_at) as waiting, sum(state = 'ready' and reclaims > 0) as suspect,
         sum(state = 'ready' and attempts > 0) as retrying, sum(proof is 'unproven') as unproven, sum(proof is 'differs') as differs,
         sum(pages) as pages, sum(duplicates) as duplicates, sum(requests) as requests from task`,
    )
    .get()
  db.close()
  expect(counters).toEqual(recount)
}

const priority = fc.integer({ min: 0, max: 2 })
const steps = [
  fc
    .tuple(fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 4 }), priority, fc.boolean())
    .map(([ids, rank, supersede]) => new Enqueue(ids, { priority: rank, supersede })),
  fc.integer({ min: 1, max: 4 }).map((limit) => new Claim(limit)),
  fc
    .tuple(
      fc.nat(30),
      fc.constantFrom<Ending>('done', 'later', 'released', 'dead', 'renew'),
      fc.integer({ min: 0, max: 3 }),
    )
    .map(([pick, ending, received]) => new End(pick, ending, received)),
  fc.constant(new Reclaim()),
  fc.constant(new Retry()),
  fc.constantFrom(400, 1_000).map((ms) => new Wait(ms)),
]

test('does what the model does, in every order of calls', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(steps, { maxCommands: 40, size: 'max' }), async (commands) => {
      const temporary = openTemporaryQueue()
      try {
        await fc.asyncModelRun(() => ({ model: new Model(), real: { temporary, leases: [] } }), commands)
      } finally {
        temporary.remove()
      }
    }),
    { numRuns: 60 },
  )
})
