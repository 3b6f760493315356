/** Processes that are killed, and processes side by side: every call that resolved is kept, nothing is claimed or settled twice. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, seed, userTasks } from './queue-conformance.js'

const taskCount = 2_000
const seedCount = 10_000

interface Child {
  readonly process: ChildProcess
  readonly lines: AsyncIterableIterator<string>
  /** All lines it wrote until it ended. */
  readonly written: Promise<string[]>
}

describe('queue.db', () => {
  let temporary: TemporaryQueue
  const children: Child[] = []
  beforeEach(() => {
    temporary = openTemporaryQueue()
  })
  afterEach(() => {
    for (const { process: child } of children.splice(0)) child.kill('SIGKILL')
    temporary.remove()
  })

  function start(
    mode: 'work' | 'seed' | 'create',
    name: string,
    { file = temporary.file, count = seedCount } = {},
  ): Child {
    const script = join(import.meta.dirname, 'crasher.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', script, mode, file, name, String(count)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const all: string[] = []
    const reader = createInterface({ input: child.stdout })
    reader.on('line', (line) => all.push(line))
    const written = Promise.all([once(child, 'exit'), once(reader, 'close')]).then(() => all)
    const started = { process: child, lines: reader[Symbol.asyncIterator](), written }
    children.push(started)
    return started
  }

  /** Kills it as soon as it has written so many lines, which is inside a later call. */
  async function killAfter(child: Child, lines: number): Promise<string[]> {
    for (let seen = 0; seen < lines; seen += 1) await child.lines.next()
    child.process.kill('SIGKILL')
    return child.written
  }

  function numbersOf(lines: readonly string[]): number[] {
    return lines.filter((line) => /^\d/.test(line)).flatMap((line) => line.split(' ').map(Number))
  }

  function expectSound(): void {
    const db = new Database(temporary.file, { readonly: true })
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
    const counters = db.prepare('select ready, leased, done, received from stream').get()
    const recount = db
      .prepare(
        `select sum(state = 'ready') as ready, sum(state = 'leased') as leased, sum(state = 'done') as done, sum(received) as received from task`,
      )
      .get()
    db.close()
    expect(counters).toEqual(recount)
  }

  test('keeps what a killed worker settled and gives the next one the rest', async () => {
    const { queue } = temporary
    await seed(queue, userTasks(Array.from({ length: taskCount }, (_, index) => index)))
    const kept: number[] = []
    for (const [round, lines] of [3, 20, 30].entries()) {
      const written = await killAfter(start('work', `run-${round}`), lines)
      kept.push(...numbersOf(written))
      expectSound()
      const { reclaimed } = await queue.reclaim(`run-${round + 1}`)
      expect(reclaimed.length).toBeLessThanOrEqual(10)
      const done = await queue.tasks({ states: ['done'], limit: taskCount })
      const doneNumbers = new Set(done.map(({ number }) => number))
      expect(kept.filter((number) => !doneNumbers.has(number))).toEqual([])
      expect((await queue.tasks({ states: ['leased'], limit: 5 })).length).toBe(0)
    }
    expect(new Set(kept).size).toBe(kept.length)
    for (const lease of await queue.settleAndClaim(claimOf(1))) expect(lease.epoch).toBeGreaterThanOrEqual(1)
  })

  test('resumes a seed that was killed with every partition once', async () => {
    const written = await killAfter(start('seed', 'a'), 6)
    expect(written).not.toContain('planned')
    const [counts] = await temporary.queue.counts()
    expect(counts?.ready).toBeGreaterThanOrEqual(Math.max(...numbersOf(written)))
    const again = await start('seed', 'b').written
    expect(again.at(-1)).toBe('planned')
    expect((await temporary.queue.counts())[0]).toMatchObject({ ready: seedCount, cancelled: 0 })
    const db = new Database(temporary.file, { readonly: true })
    expect(db.prepare('select count(*) as tasks, count(distinct partition) as partitions from task').get()).toEqual({
      tasks: seedCount,
      partitions: seedCount,
    })
    expect(db.prepare('select count(*) from backfill').pluck().get()).toBe(1)
    db.close()
  })

  test('gives each task to one of two workers and a seed at the same time', async () => {
    const { queue } = temporary
    await seed(queue, userTasks(Array.from({ length: taskCount / 2 }, (_, index) => -1 - index)))
    const lines = await Promise.all([
      start('work', 'a').written,
      start('work', 'b').written,
      start('seed', 'c', { count: 1_000 }).written,
    ])
    const settled = [...numbersOf(lines[0]), ...numbersOf(lines[1])]
    expect(lines[0].at(-1)).toBe('empty')
    expect(lines[2].at(-1)).toBe('planned')
    expect(new Set(settled).size).toBe(settled.length)
    expect(settled.length).toBeGreaterThanOrEqual(taskCount / 2)
    const [counts] = await queue.counts()
    expect(counts?.done).toBe(settled.length)
    expectSound()
  })

  test('is created by one of several who try at once, and used by all', async () => {
    const file = join(temporary.folder, 'fresh.db')
    const lines = await Promise.all(['a', 'b', 'c'].map((name) => start('create', name, { file }).written))
    expect(lines).toEqual([['open'], ['open'], ['open']])
    const db = new Database(file, { readonly: true })
    expect(db.prepare(`select count(*) from meta where name = 'queue_id'`).pluck().get()).toBe(1)
    db.close()
  })
})
