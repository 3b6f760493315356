// What status finds in a real queue: counts, verdict, problems, and the picture it draws at 80 columns.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inkFor } from '../../src/cli/ink.js'
import { statusLines } from '../../src/cli/status/view.js'
import { width } from '../../src/cli/text.js'
import { useZone } from '../../src/cli/zone.js'
import { partitionLabel } from '../../src/domain/partition.js'
import type { Task } from '../../src/domain/task.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { status } from '../../src/status/status.js'
import type { StatusReport } from '../../src/status/types.js'
import { fillQueue, type SampleSize, sampleSource, standingClock } from './sample-queue.js'

// A Saturday in winter, 09:00 UTC.
const start = Date.UTC(2026, 0, 10, 9)
const quiet: SampleSize = { ready: 0, running: 0, done: 20, dead: 0, retrying: 0 }

let folder = ''
let queue: OpenQueue
let clock = standingClock(start)

beforeEach(() => {
  useZone('Europe/Berlin')
  folder = mkdtempSync(join(tmpdir(), 'backfill-status-'))
  clock = standingClock(start)
  queue = openQueue({ file: join(folder, 'queue.db'), mode: 'create', clock, timezone: 'Europe/Berlin' })
})
afterEach(() => {
  queue.close()
  rmSync(folder, { recursive: true })
})

async function look(isAlive = true): Promise<StatusReport> {
  const source = sampleSource('sample')
  const streams = Object.values(source.streams).map((stream) => ({ source, stream }))
  return status(
    { streams, filter: {}, isEverything: true, timezone: 'UTC', deadLimit: 50, runLimit: 50 },
    { queue, budget: queue.budget, controls: queue.controls, clock, isAlive: () => isAlive },
  )
}

function draw(report: StatusReport, columns = 80): readonly string[] {
  const label = (task: Task): string => partitionLabel(task.partition, ['city', 'kind'])
  return statusLines(report, {
    ink: inkFor({ isTTY: false }, {}),
    columns,
    deadShown: 5,
    isDeadOnly: false,
    workspace: 'test',
    label,
  })
}

describe('status', () => {
  test('counts ready, leased, retrying, done, dead, rows and the success rate', async () => {
    await fillQueue(queue, { ready: 30, running: 2, done: 20, dead: 3, retrying: 4 }, { clock })
    const [stream] = (await look()).streams
    // Two of those to be retried were due again and are running.
    expect(stream?.counts).toMatchObject({ ready: 34, leased: 2, done: 20, doneToday: 20, dead: 3 })
    expect(stream?.counts.totals).toMatchObject({
      received: 26_400,
      created: 24_400,
      updated: 1200,
      unchanged: 760,
      held: 40,
    })
    expect(stream?.successRate).toBeCloseTo(20 / 23)
    expect(stream?.counts.medianWorkedMs).toBe(2100)
  })

  test('needs somebody as long as a task is dead, and nobody any more when it was put back', async () => {
    const run = await fillQueue(queue, { ...quiet, dead: 2 }, { clock })
    await queue.endRun(run, { exitCode: 0, reason: 'nothing due' })
    expect(await look()).toMatchObject({
      verdict: { state: 'attention', activity: 'done' },
      problems: [{ code: 'dead_tasks', count: 2 }],
    })
    await queue.retry({
      filter: { streams: [{ source: 'sample', stream: 'pages' }], partitions: {} },
      tasks: null,
      codes: null,
    })
    expect((await look()).problems).toEqual([])
  })

  test('tells a worker at work from a stuck one and from one that is gone', async () => {
    await fillQueue(queue, { ...quiet, running: 1, ready: 1 }, { clock })
    expect(await look()).toMatchObject({ verdict: { state: 'working' }, worker: { state: 'working' } })
    expect((await look(false)).problems.map(({ code }) => code)).toEqual(['run_cut_off'])
    clock.advance(10 * 60_000 + 1)
    expect((await look()).problems.map(({ code }) => code)).toEqual(['stuck_worker'])
  })

  test.each([
    [1, true],
    [2, true],
    [75, true],
    [3, false],
    [0, false],
    [143, false],
  ])('a last run that ended with %i is a problem: %s', async (exitCode, isProblem) => {
    const run = await fillQueue(queue, quiet, { clock })
    await queue.endRun(run, { exitCode, reason: 'whatever it was' })
    expect((await look()).problems.some(({ code }) => code === 'run_failed')).toBe(isProblem)
  })

  test('misses a worker after a day, but only where something is due', async () => {
    const run = await fillQueue(queue, { ...quiet, ready: 1 }, { clock })
    await queue.endRun(run, { exitCode: 0, reason: 'the longest run time was reached' })
    expect(await look()).toMatchObject({ verdict: { state: 'due' }, problems: [] })
    clock.advance(24 * 3_600_000 + 1)
    expect((await look()).problems.map(({ code }) => code)).toEqual(['no_worker'])
  })

  test('waits where all that is open is due later', async () => {
    const run = await fillQueue(queue, { ...quiet, retrying: 1 }, { clock })
    await queue.endRun(run, { exitCode: 0, reason: 'nothing due' })
    clock.advance(-600_000)
    expect(await look()).toMatchObject({ verdict: { state: 'waiting' } })
  })

  test('draws the verdict first, and nothing wider than the terminal', async () => {
    await fillQueue(queue, { ready: 1800, running: 2, done: 1200, dead: 3, retrying: 14 }, { clock })
    const report = await look()
    for (const columns of [60, 80, 120])
      for (const line of draw(report, columns)) expect(width(line)).toBeLessThanOrEqual(columns)
    const lines = draw(report)
    expect(lines[0]).toMatch(/^NEEDS YOU/)
    // The pid is this process's.
    expect(lines.join('\n').replaceAll(/worker \d{2,}/g, 'worker 4711')).toMatchSnapshot()
  })
})
