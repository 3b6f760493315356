// What must not be hidden by what came after it, and what must not be told for ever: finished walks that differed, failed runs, verdicts, rows set aside, tasks of nobody.
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inkFor } from '../../src/cli/ink.js'
import { statusLines } from '../../src/cli/status/view.js'
import { width } from '../../src/cli/text.js'
import { useZone } from '../../src/cli/zone.js'
import { noTotals, type Proof } from '../../src/domain/task.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { status } from '../../src/status/status.js'
import type { StatusReport } from '../../src/status/types.js'
import { fillQueue, type SampleSize, sampleSource, standingClock } from './sample-queue.js'

const start = Date.UTC(2026, 0, 10, 9)
const none: SampleSize = { ready: 0, running: 0, done: 0, dead: 0, retrying: 0 }
const filter = { streams: [{ source: 'sample', stream: 'pages' }], partitions: {} }

let folder = ''
let queue: OpenQueue
let clock = standingClock(start)

beforeEach(() => {
  useZone('UTC')
  folder = mkdtempSync(join(tmpdir(), 'backfill-alarms-'))
  clock = standingClock(start)
  queue = openQueue({ file: join(folder, 'queue.db'), mode: 'create', clock, timezone: 'UTC' })
})
afterEach(() => {
  queue.close()
  rmSync(folder, { recursive: true })
})

async function look(source = sampleSource('sample')): Promise<StatusReport> {
  const streams = Object.values(source.streams).map((stream) => ({ source, stream }))
  return status(
    { streams, filter: {}, isEverything: true, timezone: 'UTC', deadLimit: 50, runLimit: 50 },
    { queue, budget: queue.budget, findings: queue.findings, controls: queue.controls, clock, isAlive: () => true },
  )
}

function draw(report: StatusReport): string {
  const look = { ink: inkFor({ isTTY: false }, {}), columns: 80, deadShown: 5, isDeadOnly: false, workspace: 'test' }
  const lines = statusLines(report, { ...look, label: () => '' })
  for (const line of lines) expect(width(line)).toBeLessThanOrEqual(80)
  return lines.join('\n')
}

/** A finished walk of a partition, by a task of its own. */
async function walk(city: string, proof: Proof, supersede = false): Promise<void> {
  await enqueue(city, supersede)
  const [lease] = await queue.settleAndClaim({ settle: [], limit: 1, filter, runId: 'run', hasSuspect: false })
  if (lease === undefined) throw new Error('it is due')
  const progress = { totals: noTotals, requests: 1, expected: null, cursor: null }
  const outcome = { lease, progress, attempts: 0, workedMs: 1, kind: 'done' as const, proof }
  await queue.settleAndClaim({ settle: [outcome], limit: 0, filter, runId: 'run', hasSuspect: false })
}

async function enqueue(city: string, supersede = false, stream = 'pages'): Promise<void> {
  const backfill = await queue.beginBackfill({
    scope: 'sample',
    fingerprint: randomUUID(),
    reason: 'seed',
    isForced: false,
  })
  const task = { source: 'sample', stream, partition: { city }, priority: 0 }
  await queue.enqueue(backfill, [task], { supersede, skipDone: false })
  await queue.finishPlanning(backfill)
}

async function run(command: string, exitCode: number, reason: string): Promise<void> {
  const id = randomUUID()
  clock.advance(1000)
  await queue.beginRun({ id, command, pid: 1 })
  await queue.endRun(id, { exitCode, reason })
}

describe('status', () => {
  test('names a walk that differs, and forgets it where its partition was seeded and walked again', async () => {
    await walk('oakland', 'differs')
    await walk('alameda', 'differs')
    expect((await look()).problems).toMatchObject([{ code: 'count_differs', count: 2 }])
    await enqueue('alameda', true)
    const [problem] = (await look()).problems
    expect(problem).toMatchObject({ code: 'count_differs', count: 1, task: { partition: { city: 'oakland' } } })
    expect(draw(await look())).toContain("1 finished walk differs from the source's own count: sample.pages oakland")
    await queue.settleAndClaim({ settle: [], limit: 0, filter, runId: 'run', hasSuspect: false })
    await walk('alameda', 'proven')
    await walk('oakland', 'proven')
    expect((await look()).problems).toEqual([])
    expect((await look()).streams).toMatchObject([{ counts: { differs: 0 } }])
  })

  test('does not let a verify hide that the last worker failed, however many came after it', async () => {
    await walk('oakland', 'proven')
    await run('worker', 1, 'a bug')
    for (let times = 0; times < 60; times += 1) await run('verify', 0, '1 partition equal')
    expect((await look()).problems).toMatchObject([{ code: 'run_failed', run: { command: 'worker' } }])
    await run('worker', 0, 'nothing due')
    expect((await look()).problems).toEqual([])
  })

  test('tells of a verify that found a difference until one finds none', async () => {
    await walk('oakland', 'proven')
    await run('verify', 3, '4 partitions equal, 1 discrepancy')
    await run('worker', 0, 'nothing due')
    const report = await look()
    expect(report.problems.map(({ code }) => code)).toEqual(['verify_differs'])
    expect(draw(report)).toContain('the last verify (09:00) found 4 partitions equal, 1 discrepancy')
    await run('verify', 2, 'mistyped')
    await run('verify', 130, 'signal SIGINT')
    expect((await look()).problems.map(({ code }) => code)).toEqual(['verify_differs'])
    await run('verify', 0, '5 partitions equal')
    expect((await look()).problems).toEqual([])
  })

  test('tells what a verify found of a partition until one that looks at it finds none, whatever others looked at since', async () => {
    await walk('oakland', 'proven')
    const found = { source: 'sample', stream: 'pages', partition: { city: 'oakland' }, verdict: 'discrepancy' as const }
    await queue.findings.keep(found)
    await run('verify', 3, '1 discrepancy, 4 partitions equal')
    await run('worker', 0, 'nothing due')
    await run('verify', 0, '1 partition equal')
    expect((await look()).problems).toMatchObject([{ code: 'verify_differs', count: 1 }])
    expect(draw(await look())).toContain('verify found 1 discrepancy: sample.pages oakland (09:00)')
    await queue.findings.keep({ ...found, partition: { city: 'alameda' }, verdict: 'unproven' })
    expect(draw(await look())).toContain('verify found 1 discrepancy and 1 partition unproven, sample.pages oakland')
    await queue.findings.takeBack(found, [{ city: 'oakland' }])
    expect(draw(await look())).toContain('verify found 1 partition unproven: sample.pages alameda')
    await queue.findings.takeBack(found, [{ city: 'alameda' }])
    // Of a stream that no definition names nothing could take it back.
    await queue.findings.keep({ ...found, stream: 'stranger' })
    expect((await look()).problems).toEqual([])
  })

  test('does not call it all well while rows are set aside, and says which of the rows ever held still are', async () => {
    const last = await fillQueue(queue, { ...none, done: 4 }, { clock })
    await queue.endRun(last, { exitCode: 0, reason: 'nothing due' })
    await queue.noteHeld([{ source: 'sample', stream: 'pages', waiting: 0, rejected: 1 }])
    const text = draw(await look())
    expect(text).toMatch(/^ROWS SET ASIDE/)
    expect(text).toContain('! 1 row is set aside with a reason, and not in the table')
    expect(text).toContain('1 row is set aside now, of 8 that were held in all walks')
    expect((await look()).problems).toEqual([])
    await queue.noteHeld([])
    expect(draw(await look())).toMatch(/^ALL IS WELL[^]*of the rows held, none is set aside any more/)
  })

  test('calls it all well where all that is set aside was given up, and says how many rows that are', async () => {
    const last = await fillQueue(queue, { ...none, done: 4 }, { clock })
    await queue.endRun(last, { exitCode: 0, reason: 'nothing due' })
    const note = { source: 'sample', stream: 'pages', waiting: 0, rejected: 0, dismissed: { rows: 3, waiting: 1 } }
    await queue.noteHeld([note])
    const report = await look()
    expect(report.streams[0]?.held).toMatchObject({ waiting: 0, rejected: 0, dismissed: 3 })
    expect(draw(report)).toMatch(/^ALL IS WELL[^]*3 rows are set aside and given up: "backfill status --held"/)
    expect(draw(report)).not.toContain('none is set aside any more')
    await queue.noteHeld([{ ...note, waiting: 1, rejected: 1 }])
    expect(draw(await look())).toMatch(/^ROWS SET ASIDE[^]*1 row is set aside with a reason/)
    expect(draw(await look()).replaceAll(/\s+/g, ' ')).toContain(
      '2 rows are set aside now, 1 of them until their parent comes (3 more given up), of 8 that were held in all walks',
    )
  })

  test('says of tasks that no definition names that nobody claims them, instead of waiting for cron', async () => {
    await walk('oakland', 'proven')
    await enqueue('oakland', false, 'gone')
    const report = await look()
    expect(report).toMatchObject({
      verdict: { activity: 'waiting' },
      problems: [{ code: 'unknown_stream', count: 1 }],
    })
    expect(draw(report)).toContain('1 task is of streams that no definition of the workspace names')
  })

  test('misses a worker a day after the seed, where none ever ran', async () => {
    await enqueue('oakland')
    expect((await look()).problems).toEqual([])
    clock.advance(24 * 3_600_000 + 1)
    expect((await look()).problems).toMatchObject([{ code: 'no_worker', run: null }])
    expect(draw(await look())).toContain('1 task is due and no worker ever ran')
  })
})
