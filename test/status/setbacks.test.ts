// What status says while nothing is wrong and nothing is well either: a task that is only tried again, a source that refuses.
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { inkFor } from '../../src/cli/ink.js'
import { statusDocument } from '../../src/cli/status/document.js'
import { statusLines } from '../../src/cli/status/view.js'
import { width } from '../../src/cli/text.js'
import { useZone } from '../../src/cli/zone.js'
import { noTotals } from '../../src/domain/task.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { status } from '../../src/status/status.js'
import type { StatusReport } from '../../src/status/types.js'
import { fillQueue, type SampleSize, sampleSource, standingClock } from './sample-queue.js'

const start = Date.UTC(2026, 0, 10, 9)
const none: SampleSize = { ready: 0, running: 0, done: 0, dead: 0, retrying: 0 }
const source = sampleSource('sample')

let folder = ''
let queue: OpenQueue
let clock = standingClock(start)

beforeEach(() => {
  useZone('Europe/Berlin')
  folder = mkdtempSync(join(tmpdir(), 'backfill-setbacks-'))
  clock = standingClock(start)
  queue = openQueue({ file: join(folder, 'queue.db'), mode: 'create', clock, timezone: 'Europe/Berlin' })
})
afterEach(() => {
  queue.close()
  rmSync(folder, { recursive: true })
})

async function fill(size: Partial<SampleSize>): Promise<void> {
  const run = await fillQueue(queue, { ...none, ...size }, { clock })
  if ((size.running ?? 0) === 0) await queue.endRun(run, { exitCode: 0, reason: 'nothing due' })
}

async function look(): Promise<StatusReport> {
  const streams = Object.values(source.streams).map((stream) => ({ source, stream }))
  return status(
    { streams, filter: {}, isEverything: true, timezone: 'Europe/Berlin', deadLimit: 50, runLimit: 50 },
    { queue, budget: queue.budget, findings: queue.findings, controls: queue.controls, clock, isAlive: () => true },
  )
}

function draw(report: StatusReport, columns = 80): readonly string[] {
  const ink = inkFor({ isTTY: false }, {})
  return statusLines(report, {
    ...{ ink, columns, deadShown: 5, isDeadOnly: false, workspace: 'test' },
    label: () => '',
  })
}

describe('status', () => {
  test('says of a first task that is only tried again why it failed and when it is tried next, not that all is well', async () => {
    await fill({ retrying: 1 })
    clock.advance(-600_000)
    const report = await look()
    expect(report).toMatchObject({ verdict: { state: 'waiting' }, problems: [], retrying: { count: 1 } })
    expect(draw(report).slice(0, 4)).toMatchInlineSnapshot(`
      [
        "RETRYING                                               test, 2026-01-10 10:05:02",
        "! 1 task is retrying: source_unavailable: ask page 1 got status 503; next try at",
        "  10:15",
        "● 1 task waits: the next is due at 10:15, end unknown: no task is done yet",
      ]
    `)
    for (const columns of [60, 80, 120])
      for (const line of draw(report, columns)) expect(width(line)).toBeLessThanOrEqual(columns)
    expect(statusDocument(report, { directory: '/w', timezone: 'UTC' })).toMatchObject({
      state: 'waiting',
      retrying: {
        count: 1,
        next_try_at: '2026-01-10T09:15:02.100Z',
        task: { number: 1, stream: 'pages' },
        code: 'source_unavailable',
        message: 'ask page 1 got status 503',
      },
    })
  })

  test('counts what is being tried again, too, and names the one that is tried next', async () => {
    await fill({ ready: 3, retrying: 2 })
    // All are due by now; the claim takes one of the two that failed.
    const filter = { streams: [{ source: 'sample', stream: 'pages' }], partitions: {} }
    const claim = async (limit: number) =>
      queue.settleAndClaim({ settle: [], limit, filter, runId: randomUUID(), hasSuspect: false })
    await queue.beginRun({ id: randomUUID(), command: 'worker', pid: process.pid })
    expect(await claim(1)).toMatchObject([{ task: { attempts: 1 } }])
    expect(await look()).toMatchObject({ retrying: { count: 2, task: { state: 'ready', attempts: 1 } } })
    expect(
      draw(await look())
        .slice(0, 3)
        .join(' '),
    ).toMatch(
      /^RETRYING .*2 tasks are retrying: source_unavailable: ask page 1 got status 503; the next   try is due now/,
    )
    await claim(4)
    expect(await look()).toMatchObject({ retrying: { count: 2, task: { state: 'leased', attempts: 1 } } })
    expect(
      draw(await look())
        .slice(0, 3)
        .join(' '),
    ).toMatch(/it is +being tried now/)
  })

  test('does not take a task that its budget put off for one that failed', async () => {
    await fill({ ready: 2 })
    const filter = { streams: [{ source: 'sample', stream: 'pages' }], partitions: {} }
    const progress = { totals: noTotals, requests: 1, expected: null, cursor: null }
    const [first, second] = await queue.settleAndClaim({
      ...{ settle: [], limit: 2, filter, runId: randomUUID(), hasSuspect: false },
    })
    if (first === undefined || second === undefined) throw new Error('both are due')
    const later = { kind: 'later' as const, progress, workedMs: 1, message: 'was put off', hint: null }
    await queue.settleAndClaim({
      settle: [{ ...later, lease: first, attempts: 0, readyAt: clock.now() + 1000, code: 'over_budget' }],
      ...{ limit: 0, filter, runId: randomUUID(), hasSuspect: false },
    })
    expect(await look()).toMatchObject({ retrying: null })
    await queue.settleAndClaim({
      settle: [{ ...later, lease: second, attempts: 1, readyAt: clock.now() + 2000, code: 'timeout' }],
      ...{ limit: 0, filter, runId: randomUUID(), hasSuspect: false },
    })
    expect(await look()).toMatchObject({
      verdict: { state: 'waiting' },
      retrying: { count: 1, task: { code: 'timeout' } },
    })
  })

  test('is well again when nothing is left to be tried again, and READY is not said of what failed', async () => {
    await fill({ ready: 2, done: 1 })
    expect(await look()).toMatchObject({ retrying: null, refusing: [] })
    expect(draw(await look())[0]).toMatch(/^READY/)
    await fill({ retrying: 1 })
    expect(draw(await look())[0]).toMatch(/^RETRYING/)
  })

  test('says REFUSED while a source answers nothing but refusals, and no more once it answers', async () => {
    await fill({ ready: 3 })
    const ask = async (isRefusal: boolean): Promise<void> => {
      const deadline = { timeoutMs: 1000, deadlineAt: null, signal: new AbortController().signal }
      const booking = await queue.budget.book({ rules: source.budget, purpose: 'worker', ...deadline })
      await queue.budget.answered(booking, source.budget, { isRefusal, retryAfterMs: isRefusal ? 600_000 : null })
    }
    await ask(true)
    const report = await look()
    expect(report.refusing).toMatchObject([{ key: 'sample', sources: ['sample'] }])
    expect(draw(report)[0]).toMatch(/^REFUSED/)
    expect(draw(report).join(' ')).toContain('sample refuses every request since 10:15')
    expect(draw(report).join(' ')).toMatch(/asked +again at 10:25/)
    clock.advance(601_000)
    await ask(false)
    expect((await look()).refusing).toEqual([])
    expect(draw(await look())[0]).toMatch(/^READY/)
  })
})
