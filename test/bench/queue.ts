/**
 * Measures claim and settle in calls of ten (ten settled, ten claimed, one commit with synchronous=FULL) on this folder's disk: at 10,000 tasks,
 * at 1,000,000, and at 1,000,000 of which half are due only tomorrow at a higher priority; and what a warm `status` reads there.
 * Run: npx tsx test/bench/queue.ts [folder]. Exits 1 below the targets.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { systemClock } from '../../src/clock/system-clock.js'
import { type Lease, noTotals, type Outcome } from '../../src/domain/task.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'

const targets = { tasksPerSecond: 20_000, ratio: 0.7 }
const perCall = 10
const tasksPerRound = 1_500
const rounds = 5
const filter = { streams: [{ source: 'bench', stream: 'users' }], partitions: {} }
const runId = 'bench-run'
const progress = {
  totals: { ...noTotals, pages: 1, received: 100, created: 100 },
  requests: 1,
  expected: 100,
  cursor: null,
}

interface Scene {
  readonly name: string
  readonly tasks: number
  readonly laterTasks: number
}
const scenes: readonly Scene[] = [
  { name: '10,000 tasks', tasks: 10_000, laterTasks: 0 },
  { name: '1,000,000 tasks', tasks: 1_000_000, laterTasks: 0 },
  { name: '1,000,000 tasks, half due tomorrow at a higher priority', tasks: 1_000_000, laterTasks: 500_000 },
]

const folder = mkdtempSync(join(process.argv[2] ?? process.cwd(), '.bench-'))
try {
  process.exitCode = await measureAll()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

interface Measured extends Scene {
  readonly file: string
  readonly queue: OpenQueue
  /** Tasks per second, one a round. */
  readonly rates: number[]
  held: readonly Lease[]
}

/** The scenes take turns in every round, so that whatever else the machine does meets all of them alike. */
async function measureAll(): Promise<number> {
  const measured: Measured[] = []
  for (const scene of scenes) measured.push(await prepare(scene))
  await warmUp()
  const floor = openFloor()
  for (let round = 0; round <= rounds; round += 1) {
    floor.measure()
    for (const scene of measured) {
      const rate = await measureRound(scene)
      // In the first round pages are read.
      if (round > 0) scene.rates.push(rate)
    }
  }
  for (const { queue } of measured) queue.close()
  return report(measured, floor.close())
}

async function prepare(scene: Scene): Promise<Measured> {
  const file = join(folder, `queue-${scene.tasks}-${scene.laterTasks}.db`)
  await fill(file, scene)
  return { ...scene, file, queue: open(file), rates: [], held: [] }
}

/** A worker runs long enough for its code to be compiled: two thousand calls on a queue that is not measured. */
async function warmUp(): Promise<void> {
  const scene = await prepare({ name: 'warm-up', tasks: 20_000, laterTasks: 0 })
  do await measureRound(scene)
  while (scene.held.length > 0)
  scene.queue.close()
}

async function report(measured: readonly Measured[], commitMs: number): Promise<number> {
  const first = measured[0]?.rates ?? []
  let isMet = true
  for (const { name, file, rates } of measured) {
    const rate = median(rates)
    const ratio = median(rates.map((value, round) => value / (first[round] ?? value)))
    isMet &&= rate >= targets.tasksPerSecond && ratio >= targets.ratio
    const statusMs = await measureStatus(file)
    print(
      `${name}: ${Math.round(rate)} tasks/s, ${ratio.toFixed(2)} of the first; status reads ${statusMs.toFixed(1)} ms`,
    )
  }
  const atMost = Math.round((perCall * 1_000) / commitMs)
  print(`a commit of one row takes ${commitMs.toFixed(2)} ms here: ${atMost} tasks/s where a call were nothing else`)
  print(`targets: ${targets.tasksPerSecond} tasks/s and ${targets.ratio} of the first: ${isMet ? 'met' : 'MISSED'}`)
  return isMet ? 0 : 1
}

/** The floor that the disk sets: commits of one row, in turn with the scenes, so that it is of the same minutes. */
function openFloor(): { measure(): void; close(): number } {
  const db = new Database(join(folder, 'floor.db'))
  db.pragma('journal_mode = wal')
  db.pragma('synchronous = full')
  db.exec('create table floor (number integer primary key, value integer); insert into floor values (1, 0)')
  const statement = db.prepare('update floor set value = value + 1')
  const times: number[] = []
  return {
    measure: () => {
      for (let commit = 0; commit < tasksPerRound / perCall; commit += 1) {
        const begin = performance.now()
        statement.run()
        times.push(performance.now() - begin)
      }
    },
    close: () => {
      db.close()
      return median(times)
    },
  }
}

function open(file: string): OpenQueue {
  return openQueue({ file, mode: 'create', clock: systemClock, timezone: 'UTC' })
}

async function fill(file: string, scene: Scene): Promise<void> {
  const queue = open(file)
  const backfill = await queue.beginBackfill({ scope: 'bench', fingerprint: 'bench', reason: 'seed', isForced: false })
  for (let from = 0; from < scene.tasks; from += 10_000) {
    const isLater = from < scene.laterTasks
    const tasks = Array.from({ length: Math.min(10_000, scene.tasks - from) }, (_, index) => ({
      source: 'bench',
      stream: 'users',
      partition: { user_id: String(from + index) },
      priority: isLater ? 10 : 0,
    }))
    await queue.enqueue(backfill, tasks, { supersede: false, skipDone: false })
  }
  await queue.finishPlanning(backfill)
  for (let left = scene.laterTasks; left > 0; ) left -= await postpone(queue)
  queue.close()
}

async function postpone(queue: OpenQueue): Promise<number> {
  const leases = await queue.settleAndClaim({ settle: [], limit: 10_000, filter, runId, hasSuspect: false })
  const readyAt = systemClock.now() + 86_400_000
  const settle = leases.map((lease): Outcome => later(lease, readyAt))
  await queue.settleAndClaim({ settle, limit: 0, filter, runId, hasSuspect: false })
  return leases.length
}

function later(lease: Lease, readyAt: number): Outcome {
  const message = 'wait until tomorrow'
  return { kind: 'later', lease, progress, attempts: 0, workedMs: 250, readyAt, code: 'bench', message, hint: null }
}

function done(lease: Lease): Outcome {
  return { kind: 'done', lease, progress, attempts: 0, workedMs: 250, proof: 'proven' }
}

/** Tasks per second, settled and claimed. */
async function measureRound(scene: Measured): Promise<number> {
  const begin = performance.now()
  for (let moved = 0; moved < tasksPerRound; moved += perCall) {
    scene.held = await scene.queue.settleAndClaim({
      settle: scene.held.map(done),
      limit: perCall,
      filter,
      runId,
      hasSuspect: false,
    })
  }
  return tasksPerRound / ((performance.now() - begin) / 1_000)
}

async function measureStatus(file: string): Promise<number> {
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const begin = performance.now()
    const queue = openQueue({ file, mode: 'read', clock: systemClock, timezone: 'UTC' })
    await queue.counts()
    await queue.runs(5)
    await queue.tasks({ states: ['dead', 'leased'], limit: 20 })
    await queue.nextDueAt(filter)
    queue.close()
    times.push(performance.now() - begin)
  }
  return median(times)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
