import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import {
  AnswerInvalid,
  ConfigError,
  OverBudgetError,
  SourceRejected,
  SourceUnavailable,
  StoppedError,
} from '../../src/domain/errors.js'
import type { Source } from '../../src/domain/source-model.js'
import type { Answerer, Bench, StreamParts } from './support.js'
import { bench, closeAll, errorOf, idsOf, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const retrying = { settings: { retries: 3, retryDelayMs: 1000 } }

interface WalkParts extends StreamParts {
  readonly source?: Partial<Source>
}

async function walk(origin: string, { source = {}, ...parts }: WalkParts = {}, on: Bench = bench()) {
  const pages = await pagesOf(on.client, startOf(sourceOf(origin, source), streamOf(parts)))
  return { pages, ...on }
}

/** Answers the first requests with faults, then with two rows. */
async function faulty(faults: number, fault: Answerer) {
  let left = faults
  return await serve((request, response, at) => {
    left -= 1
    if (left >= 0) return void fault(request, response, at)
    json(response, rows(0, 2))
  })
}

const faults: Record<string, Answerer> = {
  'a reset before the answer': (request) => request.socket.destroy(),
  'a reset in the body': (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
    response.write('[{"id":', () => response.destroy())
  },
  'a body cut in chunks': (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('[{"id":1},', () => request.socket.destroy())
  },
  'a body that stops in the middle without saying so': (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('[{"id":1},{"id"')
  },
  'a content length shorter than the body': (_, response) => {
    response.socket?.end(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n[{"id":1},{"id":2}]',
    )
  },
  'an empty body': (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(),
  'damaged gzip': (_, response) => {
    const body = gzipSync('[{"id":1}]')
    body.fill(0, 12)
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(body)
  },
  'cut gzip': (_, response) => {
    const body = gzipSync(JSON.stringify(rows(0, 1000)))
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
      .end(body.subarray(0, 500))
  },
  'bytes that are no HTTP': (_, response) => response.socket?.end('nonsense\r\n\r\n'),
  'status 503': (_, response) => response.writeHead(503).end('down'),
  'status 502 with HTML': (_, response) =>
    response.writeHead(502, { 'content-type': 'text/html' }).end('<html>bad</html>'),
  'status 408': (_, response) => response.writeHead(408).end(),
}

describe('a fault of the wire', () => {
  for (const [name, fault] of Object.entries(faults)) {
    it(`is tried again and then forgotten: ${name}`, async () => {
      const server = await faulty(2, fault)
      const { pages, budget, clock } = await walk(server.origin, retrying)
      expect(idsOf(pages)).toEqual([0, 1])
      expect(pages[0]?.requests).toBe(3)
      expect(budget.sent).toBe(3)
      expect(budget.open).toBe(0)
      expect(clock.slept).toEqual([1000, 2000])
    })

    it(`is SourceUnavailable after the last try, never an empty page: ${name}`, async () => {
      const server = await faulty(10, fault)
      const on = bench()
      const error = await errorOf(walk(server.origin, retrying, on))
      expect(error).toBeInstanceOf(SourceUnavailable)
      expect(error.message).toContain(`GET ${server.origin}/things`)
      expect(server.seen).toHaveLength(4)
      expect(on.clock.slept).toEqual([1000, 2000, 4000])
      expect(on.budget.open).toBe(0)
    })
  }

  it('is named when nobody listens', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise<unknown>((resolve) => server.close(resolve))
    const error = await errorOf(walk(`http://127.0.0.1:${port}`))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.code).toBe('unreachable')
    expect(error.message).toContain('ECONNREFUSED')
  })

  it.each([
    ['before the answer', false],
    ['inside the body', true],
  ])('is a time-out when the source hangs %s, and the connection is given up', async (_name, isInBody) => {
    let closed = 0
    const server = await serve((request, response) => {
      request.socket.on('close', () => (closed += 1))
      if (isInBody) response.writeHead(200, { 'content-type': 'application/json' }).write('[')
    })
    const on = bench()
    const error = await errorOf(walk(server.origin, { settings: { timeoutMs: 100 } }, on))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.code).toBe('timeout')
    expect(on.budget.open).toBe(0)
    await expect.poll(() => closed).toBe(1)
  })

  it('stops at once when the signal aborts, booked as answered', async () => {
    const stop = new AbortController()
    const server = await serve(() => stop.abort())
    const on = bench()
    const start = startOf(sourceOf(server.origin), streamOf(retrying), { signal: stop.signal })
    expect(await errorOf(pagesOf(on.client, start))).toBeInstanceOf(StoppedError)
    expect(server.seen).toHaveLength(1)
    expect(on.budget.open).toBe(0)
  })
})

describe('encodings', () => {
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ['identity', (body: string) => Buffer.from(body)],
  ])('reads %s', async (encoding, pack) => {
    const server = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding })
      response.end(pack(JSON.stringify(rows(0, 2))))
    })
    expect(idsOf((await walk(server.origin)).pages)).toEqual([0, 1])
    expect(server.headers[0]?.['accept-encoding']).toBe('gzip, deflate, br')
  })

  it('refuses a body beyond the limit, packed or plain, declared or not', async () => {
    const large = JSON.stringify('x'.repeat(2_000_000))
    const answers: Answerer[] = [
      (_, response) => json(response, large),
      (_, response) =>
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '99999999' }).write('['),
      (_, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(large))
      },
    ]
    for (const answer of answers) {
      const server = await serve(answer)
      const error = await errorOf(walk(server.origin, retrying))
      expect(error).toBeInstanceOf(AnswerInvalid)
      expect(error.code).toBe('too_large')
      expect(server.seen).toHaveLength(1)
    }
  })
})

describe('a page of somebody else', () => {
  it.each([
    ['text/html', '<!doctype html><html><head><title>Making sure you are\nnot a bot</title></head></html>'],
    ['application/json', '\ufeff  <html><title>Making sure you are not a bot</title>'],
    ['text/plain', 'Making sure you are not a bot'],
  ])('with status 200 and %s is not_json, at once and with an excerpt', async (type, body) => {
    const server = await serve((_, response) => response.writeHead(200, { 'content-type': type }).end(body))
    const error = await errorOf(walk(server.origin, retrying))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.code).toBe('not_json')
    expect(error.message).toContain('Making sure you are not a bot')
    expect(server.seen).toHaveLength(1)
  })
})

describe('a redirect', () => {
  it('to another origin is refused, naming both', async () => {
    const server = await serve((_, response) => response.writeHead(302, { location: 'https://civic.example/' }).end())
    const error = await errorOf(walk(server.origin, retrying))
    expect(error).toBeInstanceOf(SourceRejected)
    expect(error.code).toBe('redirect')
    expect(error.message).toContain('https://civic.example')
    expect(error.message).toContain(server.origin)
    expect(server.seen).toHaveLength(1)
  })

  it('within the origin is followed, and every hop is booked', async () => {
    const server = await serve((_, response, at) => {
      if (at.pathname === '/things') return void response.writeHead(301, { location: '/v2/things?a=%5B1%5D' }).end()
      json(response, rows(0, 1))
    })
    const { pages, budget } = await walk(server.origin)
    expect(pages[0]?.requests).toBe(2)
    expect(budget.sent).toBe(2)
    expect(server.seen).toEqual(['/things', '/v2/things?a=%5B1%5D'])
  })

  it('in a circle, without an end, or to nowhere is refused', async () => {
    const circle = await serve((_, response, at) => {
      response.writeHead(302, { location: at.pathname === '/things' ? '/other' : '/things' }).end()
    })
    expect((await errorOf(walk(circle.origin))).message).toContain('circle')
    expect(circle.seen).toHaveLength(2)
    const endless = await serve((_, response, at) => response.writeHead(302, { location: `${at.pathname}x` }).end())
    expect((await errorOf(walk(endless.origin))).code).toBe('redirect')
    expect(endless.seen.length).toBeLessThan(8)
    const nowhere = await serve((_, response) => response.writeHead(302).end())
    expect(await errorOf(walk(nowhere.origin))).toBeInstanceOf(SourceRejected)
  })
})

describe('a status', () => {
  const withStatus = (status: number, headers: Record<string, string> = {}) =>
    serve((_, response) => response.writeHead(status, headers).end('{"error":"no"}'))

  it.each([400, 401, 403, 404, 410, 422])('%i is SourceRejected, at once', async (status) => {
    const server = await withStatus(status)
    const error = await errorOf(walk(server.origin, retrying))
    expect(error).toBeInstanceOf(SourceRejected)
    expect(error.code).toBe(`http_${status}`)
    expect(error.hint === undefined).toBe(status !== 401 && status !== 403)
    expect(server.seen).toHaveLength(1)
  })

  it('gets the fate that the definition gives it', async () => {
    const retry = await withStatus(404)
    const parts = { settings: { ...retrying.settings, statuses: { 404: 'retry', 503: 'dead' } as const } }
    expect(await errorOf(walk(retry.origin, parts))).toBeInstanceOf(SourceUnavailable)
    expect(retry.seen).toHaveLength(4)
    const dead = await withStatus(503)
    expect(await errorOf(walk(dead.origin, parts))).toBeInstanceOf(SourceRejected)
    expect(dead.seen).toHaveLength(1)
  })

  it('is not taken for empty when it is 204', async () => {
    const server = await serve((_, response) => response.writeHead(204).end())
    expect(await errorOf(walk(server.origin))).toBeInstanceOf(SourceUnavailable)
  })

  it.each([
    ['7', 7000],
    ['0', 0],
    ['Mon, 01 Jan 2024 00:01:00 GMT', 60_000],
    ['Sun, 31 Dec 2023 00:00:00 GMT', 0],
    ['99999999999999999999999', 86_400_000],
    ['-5', null],
    ['soon', null],
    ['2024', 2_024_000],
    // The server's clock is an hour ahead: its date counts from its own time.
    ['Mon, 01 Jan 2024 01:01:00 GMT', 60_000, 'Mon, 01 Jan 2024 01:00:00 GMT'],
    ['Mon, 01 Jan 2024 00:01:00 GMT', 60_000, 'no date'],
  ])('429 with Retry-After %s closes the gate, waits for it and spends no retry', async (...row) => {
    const [value, retryAfterMs, date = 'Mon, 01 Jan 2024 00:00:00 GMT'] = row
    let refusals = 6
    const server = await serve((_, response) => {
      refusals -= 1
      if (refusals >= 0) return void response.writeHead(429, { 'retry-after': value, date }).end('slow down')
      json(response, rows(0, 1))
    })
    const on = bench()
    on.budget.gate = 1
    const { pages } = await walk(server.origin, { settings: { retries: 0 } }, on)
    expect(idsOf(pages)).toEqual([0])
    expect(on.budget.answers.slice(0, 6)).toEqual(Array(6).fill({ isRefusal: true, retryAfterMs }))
    expect(on.budget.answers[6]).toEqual({ isRefusal: false, retryAfterMs: null })
    // Without a word of the source's, a question that alone is refused waits longer each time, also where the gate is open again.
    expect(on.clock.slept).toEqual(retryAfterMs === null ? [2000, 4000, 8000, 16_000, 32_000] : [])
  })

  it('429 waits even where the budget leaves the gate open', async () => {
    const server = await faulty(3, (_, response) => response.writeHead(429).end())
    const { clock } = await walk(server.origin)
    expect(clock.slept).toEqual([1000, 2000, 4000])
  })

  it('is over budget where the source declares it so, and the error is the budget’s', async () => {
    const server = await withStatus(402)
    const on = bench()
    on.budget.closes = true
    const source = sourceOf(server.origin)
    const error = await errorOf(
      walk(server.origin, { ...retrying, source: { budget: { ...source.budget, refusals: [402] } } }, on),
    )
    expect(error).toBeInstanceOf(OverBudgetError)
    expect(server.seen).toHaveLength(1)
  })

  it('tells the budget what its headers say of windows, and what a request weighs', async () => {
    const server = await faulty(1, (_, response) => response.writeHead(429, { 'x-limit': 9, 'x-left': '0' }).end())
    const source = sourceOf(server.origin)
    const headers = [{ periodMs: 3_600_000, limit: 'x-limit', remaining: 'x-left', reset: null }]
    const on = bench()
    on.budget.gate = 1
    const weighed = { source: { budget: { ...source.budget, headers } }, settings: { weight: 4 } }
    await walk(server.origin, weighed, on)
    const windows = [{ periodMs: 3_600_000, limit: 9, remaining: 0, resetMs: null }]
    expect(on.budget.answers).toEqual([
      { isRefusal: true, retryAfterMs: null, windows },
      { isRefusal: false, retryAfterMs: null },
    ])
    expect(on.budget.bookings).toMatchObject([
      { weight: 4, priority: 0, stream: 'acme.things' },
      { weight: 4, priority: 0, stream: 'acme.things' },
    ])
  })

  it('503 waits as long as a short Retry-After asks, and leaves a long one to the queue', async () => {
    const short = await faulty(1, (_, response) => response.writeHead(503, { 'retry-after': '9' }).end())
    const { clock, budget } = await walk(short.origin, retrying)
    expect(clock.slept).toEqual([9000])
    expect(budget.answers[0]).toEqual({ isRefusal: false, retryAfterMs: 9000 })
    const long = await faulty(9, (_, response) => response.writeHead(503, { 'retry-after': '3600' }).end())
    const on = bench()
    const error = await errorOf(walk(long.origin, retrying, on))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(on.clock.slept).toEqual([])
    expect(long.seen).toHaveLength(1)
  })
})

describe('an error inside a 200', () => {
  const errors = [{ path: ['ok'], equals: false, message: ['error'], fate: 'retry' as const }]

  it('has the fate that the definition gives it', async () => {
    const server = await serve((_, response) =>
      json(response, { ok: false, error: 'SQL took <b>too</b> long', rows: [] }),
    )
    const error = await errorOf(walk(server.origin, { ...retrying, answer: { rows: ['rows'], errors } }))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.message).toContain('too')
    expect(server.seen).toHaveLength(4)
    const dead = { rows: ['rows'], errors: [{ path: ['error'], equals: null, message: null, fate: 'dead' as const }] }
    expect(await errorOf(walk(server.origin, { ...retrying, answer: dead }))).toBeInstanceOf(AnswerInvalid)
  })

  it('may be the budget’s refusal', async () => {
    const server = await serve((_, response) => json(response, { ok: false, error: 'quota', rows: [] }))
    const on = bench()
    on.budget.closes = true
    const answer = {
      rows: ['rows'],
      errors: [{ path: ['ok'], equals: false, message: ['error'], fate: 'budget' as const }],
    }
    expect(await errorOf(walk(server.origin, { answer }, on))).toBeInstanceOf(OverBudgetError)
    expect(on.budget.answers).toEqual([{ isRefusal: true, retryAfterMs: null }])
  })

  it('is none where the value is null, false or empty', async () => {
    const server = await serve((_, response) => json(response, { error: null, errors: [], rows: rows(0, 1) }))
    const none = ['error', 'errors', 'absent'].map((name) => ({
      path: [name],
      equals: null,
      message: null,
      fate: 'dead' as const,
    }))
    expect(idsOf((await walk(server.origin, { answer: { rows: ['rows'], errors: none } })).pages)).toEqual([0])
  })
})

describe('secrets', () => {
  const environment = { TOKEN: 'hush/hush one&two', USERNAME: 'someone' }
  const secretive = {
    headers: { authorization: 'Bearer $TOKEN' },
  }

  it('appear in the request and nowhere else: not in errors, logs or addresses', async () => {
    const server = await serve((request, response) => {
      if (server.seen.length === 1) return void response.writeHead(500).end(`you sent ${request.headers.authorization}`)
      response.writeHead(404).end(`no ${request.url} for ${request.headers.authorization}`)
    })
    const on = bench(environment)
    const parts = { ...retrying, request: { query: { api_key: '$TOKEN' } } }
    const error = await errorOf(walk(server.origin, { ...parts, source: secretive }, on))
    expect(server.headers[0]?.authorization).toBe(`Bearer ${environment.TOKEN}`)
    expect(server.seen[0]).toBe('/things?api_key=hush%2Fhush+one%26two')
    expect(error.message).toContain('api_key=$TOKEN')
    const everything =
      JSON.stringify([error.message, error.hint, Object.entries(error), on.events]) + String(error.stack)
    expect(everything).not.toMatch(/hush/)
  })

  it('stay out of cursors that hold addresses, and come back when they are followed', async () => {
    const server = await serve((_, response, at) => {
      const next = at.searchParams.get('p') === null ? `${at.pathname}${at.search}&p=2` : null
      json(response, { rows: rows(0, 1), next })
    })
    const parts = {
      request: { query: { api_key: '$TOKEN' } },
      answer: { rows: ['rows'] },
      pagination: { kind: 'nextUrl', from: { path: ['next'] }, sizeParam: null } as const,
    }
    const { pages } = await walk(server.origin, parts, bench(environment))
    expect(JSON.stringify(pages)).not.toMatch(/hush/)
    expect(pages).toHaveLength(2)
    expect(new URL(server.seen[1] ?? '', server.origin).searchParams.get('api_key')).toBe(environment.TOKEN)
  })

  it('of an address become a header', async () => {
    const server = await serve((_, response) => json(response, []))
    const { pages } = await walk(server.origin.replace('//', '//$USERNAME:$TOKEN@'), {}, bench(environment))
    expect(server.headers[0]?.authorization).toBe(
      `Basic ${Buffer.from(`someone:${environment.TOKEN}`).toString('base64')}`,
    )
    expect(pages[0]?.address).toBe(`GET ${server.origin}/things`)
  })

  it('that are missing or would break a header are named, and nothing is sent', async () => {
    const server = await serve((_, response) => json(response, []))
    const missing = await errorOf(walk(server.origin, { source: secretive }))
    expect(missing).toBeInstanceOf(ConfigError)
    expect(missing.message).toContain('TOKEN')
    const broken = await errorOf(walk(server.origin, { source: secretive }, bench({ TOKEN: 'hush-hush\n' })))
    expect(broken).toBeInstanceOf(ConfigError)
    expect(broken.message).not.toContain('hush')
    expect(server.seen).toEqual([])
  })
})
