// A real HTTP server per test, a budget in memory, and definitions as short as a test needs them.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { OverBudgetError, StoppedError } from '../../src/domain/errors.js'
import type {
  BookingRequest,
  Budget,
  BudgetAnswer,
  Clock,
  LogLevel,
  Page,
  SourceClient,
  WalkStart,
} from '../../src/domain/ports.js'
import type {
  AnswerShape,
  Pagination,
  RequestShape,
  Source,
  Stream,
  StreamSettings,
} from '../../src/domain/source-model.js'
import { createSourceClient } from '../../src/source/client.js'

export interface TestServer {
  readonly origin: string
  /** Path and query of each request, in order of arrival. */
  readonly seen: string[]
  readonly headers: IncomingMessage['headers'][]
  readonly bodies: string[]
  close(): Promise<void>
}
export type Answerer = (request: IncomingMessage, response: ServerResponse, at: URL) => unknown

const cleanups: (() => Promise<void>)[] = []

/** Closes every server and client that this test opened. */
export async function closeAll(): Promise<void> {
  for (const close of cleanups.splice(0).reverse()) await close()
}

/** A server on loopback that answers as the test says. */
export async function serve(answer: Answerer): Promise<TestServer> {
  const seen: string[] = []
  const headers: IncomingMessage['headers'][] = []
  const bodies: string[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer((request, response) => {
    seen.push(request.url ?? '')
    headers.push(request.headers)
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      bodies.push(Buffer.concat(pieces).toString())
      void answer(request, response, new URL(request.url ?? '', 'http://server'))
    })
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  cleanups.push(close)
  return { origin, seen, headers, bodies, close }
}

/** 200 with JSON. */
export function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
}

/** Rows `{ id }` from `first` on. */
export function rows(first: number, count: number): { id: number }[] {
  return Array.from({ length: Math.max(0, count) }, (_, index) => ({ id: first + index }))
}

/** The port in memory: nothing waits, a refusal closes the gate until the test opens it. */
export class MemoryBudget implements Budget {
  sent = 0
  open = 0
  readonly answers: BudgetAnswer[] = []
  readonly bookings: BookingRequest[] = []
  /** What `answered` says of a refusal: when the gate opens. */
  gate: number | null = null
  /** After a refusal the next booking is refused with OverBudgetError. */
  closes = false
  #isClosed = false

  async book(request: BookingRequest): Promise<{ id: number; key: string }> {
    if (request.signal.aborted) throw new StoppedError()
    if (this.#isClosed) throw new OverBudgetError('book found the gate closed', this.gate ?? 0)
    this.sent += 1
    this.open += 1
    this.bookings.push(request)
    return { id: this.sent, key: request.rules.key }
  }
  async answered(_booking: unknown, _rules: unknown, answer: BudgetAnswer): Promise<number | null> {
    this.open -= 1
    this.answers.push(answer)
    if (answer.isRefusal && this.closes) this.#isClosed = true
    return answer.isRefusal ? this.gate : null
  }
  async refusedSince(): Promise<null> {
    return null
  }
  async state(): Promise<never> {
    throw new Error('not asked for in these tests')
  }
}

/** Waits take no time and are recorded. */
export class TestClock implements Clock {
  readonly bootId = 'test'
  readonly slept: number[] = []
  now(): number {
    return Date.parse('2024-01-01T00:00:00Z')
  }
  monotonic(): number {
    return performance.now()
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw new StoppedError()
    this.slept.push(ms)
  }
}

export interface StreamParts {
  readonly request?: Partial<RequestShape>
  readonly answer?: Partial<AnswerShape>
  readonly pagination?: Pagination
  readonly settings?: Partial<StreamSettings>
  readonly count?: Stream['count']
  /** Everything else of a stream. */
  readonly more?: Partial<Stream>
}

/** A stream with defaults: JSON, the answer itself is the list of rows, one request, no retries. */
export function streamOf(parts: StreamParts = {}): Stream {
  return {
    source: 'acme',
    name: 'things',
    dimensions: [],
    table: { schema: 'public', name: 'things' },
    request: {
      method: 'GET',
      path: '/things',
      query: {},
      headers: {},
      body: null,
      bodyParams: false,
      ...parts.request,
    },
    answer: {
      format: 'json',
      rows: [],
      shape: 'auto',
      header: null,
      contentTypes: [],
      expect: [],
      errors: [],
      csv: { delimiter: ',', header: true, columns: [] },
      ...parts.answer,
    },
    pagination: parts.pagination ?? { kind: 'none' },
    count: parts.count ?? [],
    columns: null,
    key: ['id'],
    version: null,
    references: [],
    disposition: 'merge',
    prune: { confirm: 'again', most: { share: 0.05 }, cascades: false },
    extrasColumn: null,
    unstorableText: 'hold',
    everyMs: null,
    settings: {
      pageSize: null,
      claim: 10,
      timeoutMs: 5000,
      retries: 0,
      retryDelayMs: 1000,
      attempts: 3,
      backoffMs: 5000,
      flush: { rows: 10_000, bytes: 8 << 20, ageMs: 1000 },
      checksForeignKeys: true,
      missingParent: 'wait',
      maxPages: 1000,
      maxAnswerBytes: 1 << 20,
      maxWalkAgeMs: 86_400_000,
      maxShrink: 0.5,
      statuses: {},
      ...parts.settings,
    },
    requestHash: 'hash',
    ...{ fanOut: null, incremental: null, windows: null, match: {} },
    ...parts.more,
  }
}

/** A source at an origin, without limits. */
export function sourceOf(origin: string, parts: Partial<Source> = {}): Source {
  return {
    name: 'acme',
    baseUrl: origin,
    headers: {},
    budget: { limits: [], reserve: 0, key: 'acme', refusals: [429], delayMs: 0, concurrency: 1, verifyShare: 0.5 },
    park: { after: 5, firstMs: 300_000, longestMs: 3_600_000, refusedMs: 21_600_000 },
    dimensions: {},
    streams: {},
    config: {},
    file: 'sources/acme.yaml',
    ...parts,
  }
}

export interface Bench {
  readonly client: SourceClient
  readonly budget: MemoryBudget
  readonly clock: TestClock
  readonly events: { level: LogLevel; event: string; fields: unknown }[]
}

/** A client with everything around it in memory. */
export function bench(environment: Record<string, string> = {}): Bench {
  const budget = new MemoryBudget()
  const clock = new TestClock()
  const events: Bench['events'] = []
  const log = (level: LogLevel, event: string, fields: unknown) => events.push({ level, event, fields })
  const client = createSourceClient({ budget, clock, environment, log, random: () => 1 })
  cleanups.push(async () => client.close())
  return { client, budget, clock, events }
}

/** A walk from its beginning. */
export function startOf(source: Source, stream: Stream, parts: Partial<WalkStart> = {}): WalkStart {
  return {
    source,
    stream,
    partition: {},
    cursor: null,
    since: null,
    until: null,
    loop: null,
    pages: 0,
    received: 0,
    purpose: 'worker',
    deadlineAt: null,
    maxWaitMs: null,
    readsAhead: true,
    signal: new AbortController().signal,
    onRequest: () => undefined,
    ...parts,
  }
}

/** All pages of a walk. */
export async function pagesOf(client: SourceClient, start: WalkStart): Promise<Page[]> {
  const pages: Page[] = []
  for await (const page of client.walk(start)) pages.push(page)
  return pages
}

/** The ids of all rows, in order. */
export function idsOf(pages: readonly Page[]): unknown[] {
  return pages.flatMap((page) => page.records.map((record) => (record as { id: unknown }).id))
}

/** What a promise is rejected with. */
export async function errorOf(promise: Promise<unknown>): Promise<Error & { code?: string; hint?: string }> {
  try {
    await promise
  } catch (error) {
    return error as Error & { code?: string }
  }
  throw new Error('expected a rejection')
}
