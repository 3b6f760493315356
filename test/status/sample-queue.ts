// A queue with a bit of everything, made through the port: running, retrying, waiting, dead and done tasks, and runs.
import { randomUUID } from 'node:crypto'
import type { Clock, NewTask, Queue } from '../../src/domain/ports.js'
import type { Source, Stream } from '../../src/domain/source-model.js'
import { type Lease, noTotals, type Outcome } from '../../src/domain/task.js'

/** A clock that stands until it is told. */
export function standingClock(start: number): Clock & { advance(ms: number): void } {
  let now = start
  return {
    now: () => now,
    monotonic: () => now - start,
    bootId: 'test',
    sleep: async () => undefined,
    advance: (ms) => {
      now += ms
    },
  }
}

/** A source of one stream, as `status` needs it. */
export function sampleSource(
  name: string,
  limits: Source['budget']['limits'] = [{ requests: 15, periodMs: 60_000 }],
): Source {
  const stream = {
    source: name,
    name: 'pages',
    dimensions: ['city', 'kind'],
    settings: {},
  } as unknown as Stream
  return {
    name,
    baseUrl: 'https://api.example.com',
    headers: {},
    budget: { limits, reserve: 0, key: name, refusals: [429], delayMs: 0, concurrency: 2, verifyShare: 0.5 },
    park: { after: 5, firstMs: 300_000, longestMs: 3_600_000, refusedMs: 21_600_000 },
    dimensions: {},
    streams: { pages: stream },
    config: {},
    file: 'sources/sample.yaml',
  }
}

export interface SampleSize {
  readonly ready: number
  readonly running: number
  readonly done: number
  readonly dead: number
  readonly retrying: number
}

export interface FillOptions {
  readonly clock: Clock & { advance(ms: number): void }
  readonly source?: string
}

/** Fills the queue of a source's `pages` and leaves a worker run open. Answers the run's id. */
export async function fillQueue(
  queue: Queue,
  size: SampleSize,
  { clock, source = 'sample' }: FillOptions,
): Promise<string> {
  const all = size.ready + size.running + size.done + size.dead + size.retrying
  const tasks = Array.from(
    { length: all },
    (_, index): NewTask => ({
      source,
      stream: 'pages',
      partition: { city: `city-${index}`, kind: 'minutes' },
      priority: 0,
    }),
  )
  const backfill = await queue.beginBackfill({
    scope: source,
    fingerprint: randomUUID(),
    reason: 'seed',
    isForced: false,
  })
  for (let at = 0; at < tasks.length; at += 1000)
    await queue.enqueue(backfill, tasks.slice(at, at + 1000), { supersede: false, skipDone: false })
  await queue.finishPlanning(backfill)
  const earlier = randomUUID()
  await queue.beginRun({ id: earlier, command: 'worker', pid: 1 })
  const filter = { streams: [{ source, stream: 'pages' }], partitions: {} }
  const claim = (limit: number, runId: string, settle: readonly Outcome[] = []) =>
    queue.settleAndClaim({ settle, limit, filter, runId, hasSuspect: false })
  const settled: Outcome[] = []
  for (const [index, lease] of (await claim(size.done + size.dead + size.retrying, earlier)).entries()) {
    clock.advance(2100)
    settled.push(outcomeOf(lease, index, { size, now: clock.now() }))
  }
  await claim(0, earlier, settled)
  await queue.touchRun(earlier, { requests: size.done * 3, done: size.done, dead: size.dead, rows: size.done * 1000 })
  await queue.endRun(earlier, { exitCode: size.dead > 0 ? 3 : 0, reason: 'the longest run time was reached' })
  for (let times = 0; times < 3; times += 1) {
    const idle = randomUUID()
    clock.advance(300_000)
    await queue.beginRun({ id: idle, command: 'worker', pid: 1 })
    await queue.endRun(idle, { exitCode: 0, reason: 'nothing due' })
  }
  const run = randomUUID()
  await queue.beginRun({ id: run, command: 'worker', pid: process.pid })
  for (const lease of await claim(size.running, run)) {
    clock.advance(1000)
    await queue.renew(lease, {
      totals: { ...noTotals, pages: 4, received: 3200, created: 3200 },
      requests: 5,
      expected: 12_000,
      cursor: '{"page":5}',
    })
  }
  await queue.touchRun(run, { requests: size.running * 5, done: 0, dead: 0, rows: size.running * 3200 })
  return run
}

function outcomeOf(
  lease: Lease,
  index: number,
  { size, now }: { readonly size: SampleSize; readonly now: number },
): Outcome {
  const totals = { ...noTotals, pages: 2, received: 1000, created: 900, updated: 60, unchanged: 38, held: 2 }
  const base = { lease, attempts: 1, workedMs: 2100 }
  if (index < size.done)
    return {
      ...base,
      progress: { totals, requests: 3, expected: 1000, cursor: null },
      kind: 'done',
      proof: index % 50 === 0 ? 'unproven' : 'proven',
    }
  const progress = { totals: noTotals, requests: 1, expected: null, cursor: null }
  if (index < size.done + size.dead) {
    const isOdd = index % 2 === 1
    return isOdd
      ? {
          ...base,
          progress,
          kind: 'dead',
          code: 'source_rejected',
          message: 'ask page 3 got status 403 with the answer "key expired"',
          hint: 'renew the token in .env, then run "backfill retry --code source_rejected"',
        }
      : {
          ...base,
          progress,
          kind: 'dead',
          code: 'answer_invalid',
          message:
            'read page 1 found no rows at "rows" in the answer of https://api.example.com/a/rather/long/path/that/goes/on?page=1&per_page=100',
          hint: null,
        }
  }
  return {
    ...base,
    progress,
    kind: 'later',
    readyAt: now + 900_000,
    code: 'source_unavailable',
    message: 'ask page 1 got status 503',
    hint: null,
  }
}
