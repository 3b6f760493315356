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
import type { Stream } from '../../src/domain/source-model.js'
import type { Task } from '../../src/domain/task.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { status } from '../../src/status/status.js'
import type { StatusReport } from '../../src/status/types.js'
import { gonePlanner, noteBackfillPlanner } from '../support/planner.js'
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

async function look(isAlive = true, source = sampleSource('sample')): Promise<StatusReport> {
  const streams = Object.values(source.streams).map((stream) => ({ source, stream }))
  return status(
    { streams, filter: {}, isEverything: true, timezone: 'Europe/Berlin', deadLimit: 50, runLimit: 50 },
    { queue, budget: queue.budget, findings: queue.findings, controls: queue.controls, clock, isAlive: () => isAlive },
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

  test.each([
    [
      null,
      'has not come to its end: tasks are missing',
      'where it does not run any more, run the same "backfill seed" again, with its flags',
    ],
    [
      gonePlanner(),
      'was cut off (killed, or power lost): tasks are missing',
      '→ run the same "backfill seed" again, with its flags',
    ],
  ])('is not all well while a seed that was cut off has left tasks out: %s', async (planner, fact, hint) => {
    await fillQueue(queue, quiet, { clock })
    const plan = { scope: 'all', fingerprint: 'again', reason: 'seed', isForced: false } as const
    noteBackfillPlanner(join(folder, 'queue.db'), await queue.beginBackfill(plan), planner)
    clock.advance(60_000)
    const report = await look()
    expect(report.verdict.state).toBe('attention')
    expect(report.problems.map(({ code }) => code)).toEqual(['seed_cut_off'])
    const text = draw(report).join(' ').replaceAll(/\s+/g, ' ')
    expect(text).toContain(`the seed of everything begun at 10:15 ${fact}`)
    expect(text).toContain(hint)
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

  test('shows every window and quota, what others use, what the source told, the reserve and the line, at 80 columns', async () => {
    await fillQueue(queue, { ...quiet, ready: 5 }, { clock })
    const source = sampleSource('sample', [
      { requests: 2, periodMs: 1_000 },
      { requests: 1_200, periodMs: 3_600_000 },
    ])
    const hour = { periodMs: 3_600_000, limit: 'l', remaining: 'r', reset: null }
    const quota = { requests: 7_500, per: 'day' as const, resetMinute: 0, zone: 'UTC' }
    const budget = { ...source.budget, reserve: 0.05, headers: [hour], quotas: [quota] }
    const request = { rules: budget, purpose: 'worker' as const, timeoutMs: 1_000, deadlineAt: null }
    const stop = new AbortController()
    const booking = await queue.budget.book({ ...request, signal: stop.signal })
    const windows = [{ periodMs: 3_600_000, limit: 1_000, remaining: 900, resetMs: null }]
    await queue.budget.answered(booking, budget, { isRefusal: true, retryAfterMs: 600_000, windows })
    const waiting = queue.budget.book({ ...request, signal: stop.signal }).catch(() => undefined)

    const report = await look(true, { ...source, budget })
    stop.abort()
    await waiting
    expect(report.budgets[0]?.state).toMatchObject({
      windows: [
        { requests: 2, used: 1, left: 0, others: 0, isTold: false },
        { requests: 1_000, used: 100, left: 850, others: 99, isTold: true },
      ],
      quotas: [{ requests: 7_500, used: 1, left: 7_124 }],
      waiting: 1,
    })
    for (const columns of [60, 80, 120])
      for (const line of draw(report, columns)) expect(width(line)).toBeLessThanOrEqual(columns)
    const lines = draw(report)
    const at = lines.findIndex((line) => line.startsWith('BUDGET'))
    expect(lines.slice(at, at + 5)).toMatchInlineSnapshot(`
      [
        "BUDGET  LIMIT           USED   LEFT  GATE",
        "sample  2 per second       1      0  closed until 10:25, 15 requests owed",
        "        1,000 per hour   100    850  99 by others, limit told",
        "        7,500 a day        1  7,124  resets Sun 01:00",
        "                                     5.0 % kept for verify, 1 in line",
      ]
    `)
  })

  test('waits for the hours of a stream, and is not done before them', async () => {
    const run = await fillQueue(queue, { ...quiet, ready: 3 }, { clock })
    await queue.endRun(run, { exitCode: 0, reason: 'nothing due' })
    const source = sampleSource('sample')
    const pages = { ...source.streams.pages, settings: { hours: [{ from: 1320, to: 360 }] } } as unknown as Stream
    const report = await look(true, { ...source, streams: { pages } })
    // 22:00 in Berlin.
    const opensAt = Date.UTC(2026, 0, 10, 21)
    expect(report).toMatchObject({ verdict: { state: 'waiting' }, streams: [{ opensAt }] })
    expect(report.finish).toMatchObject({ kind: 'at' })
    expect(report.finish.kind === 'at' ? report.finish.at : 0).toBeGreaterThanOrEqual(opensAt)
    expect(draw(report).join(' ')).toContain('sample.pages opens at 22:00')
  })
})
