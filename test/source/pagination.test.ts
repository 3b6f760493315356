import { afterEach, describe, expect, it } from 'vitest'
import { AnswerInvalid, SourceRejected } from '../../src/domain/errors.js'
import type { Page, WalkStart } from '../../src/domain/ports.js'
import type { Pagination } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, idsOf, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const end = { shortPage: false, errors: [] }
const byPage = {
  kind: 'page',
  param: 'page',
  first: 1,
  sizeParam: 'size',
  total: null,
  pages: null,
  usedSize: null,
  end,
} as const
const byOffset = {
  kind: 'offset',
  param: 'offset',
  sizeParam: 'limit',
  total: null,
  pages: null,
  usedSize: null,
  end,
} as const
const inHeader = { header: 'X-Total' }

/** A server of `total` rows that clips pages at `most`. */
function numbered(total: number, most: number, headers: (page: number) => Record<string, string> = () => ({})) {
  return serve((_, response, at) => {
    const page = Number(at.searchParams.get('page') ?? '1')
    const size = Math.min(Number(at.searchParams.get('size') ?? most), most)
    json(response, rows((page - 1) * size, Math.min(size, total - (page - 1) * size)), headers(page))
  })
}

async function walkAll(origin: string, pagination: Pagination, parts: Parameters<typeof streamOf>[0] = {}) {
  const { client, budget } = bench()
  const pages = await pagesOf(client, startOf(sourceOf(origin), streamOf({ pagination, ...parts })))
  return { pages, budget }
}

/** Cursor and loop as another process reads them. */
function throughLedger({ next, loop }: Page): Pick<WalkStart, 'cursor' | 'loop'> {
  return JSON.parse(JSON.stringify({ cursor: next, loop })) as Pick<WalkStart, 'cursor' | 'loop'>
}

describe('numbered walks', () => {
  it('ends exactly at the total, without a request for an empty page', async () => {
    const server = await numbered(30, 10, () => ({ 'x-total': '30' }))
    const { pages } = await walkAll(server.origin, { ...byPage, total: inHeader }, { settings: { pageSize: 10 } })
    expect(idsOf(pages)).toEqual(rows(0, 30).map((row) => row.id))
    expect(server.seen).toEqual(['/things?size=10&page=1', '/things?size=10&page=2', '/things?size=10&page=3'])
    expect(pages.map((page) => page.next === null)).toEqual([false, false, true])
    expect(pages.map((page) => page.number)).toEqual([1, 2, 3])
  })

  it('does not take a clipped page for the end', async () => {
    const server = await numbered(25, 10)
    const { pages } = await walkAll(server.origin, byPage, { settings: { pageSize: 100 } })
    expect(idsOf(pages)).toHaveLength(25)
    expect(server.seen).toHaveLength(4)
  })

  it('ends at a short page where the source says so, measured by the size that the server used', async () => {
    const server = await numbered(25, 10, () => ({ 'x-per-page': '10' }))
    const pagination = { ...byPage, usedSize: { header: 'x-per-page' }, end: { shortPage: true, errors: [] } }
    const { pages } = await walkAll(server.origin, pagination, { settings: { pageSize: 100 } })
    expect(idsOf(pages)).toHaveLength(25)
    expect(server.seen).toHaveLength(3)
  })

  it('goes on to the empty page where the total is missing, null, or smaller than what came', async () => {
    for (const value of ['', 'null', '3', '-1', 'many']) {
      const server = await numbered(20, 10, () => ({ 'x-total': value }))
      const { pages } = await walkAll(server.origin, { ...byPage, total: inHeader })
      expect(idsOf(pages), value).toHaveLength(20)
      expect(server.seen, value).toHaveLength(3)
    }
  })

  it('remembers a total that only some pages name', async () => {
    const server = await numbered(30, 10, (page): Record<string, string> => (page === 1 ? { 'x-total': '30' } : {}))
    const { pages } = await walkAll(server.origin, { ...byPage, total: inHeader })
    expect(idsOf(pages)).toHaveLength(30)
    expect(server.seen).toHaveLength(3)
  })

  it('does not end at a total that is capped', async () => {
    const server = await serve((_, response, at) => {
      const page = Number(at.searchParams.get('page'))
      json(response, { count: 20, rows: rows(page * 10, page < 4 ? 10 : 0) })
    })
    const from = { path: ['count'] }
    const parts = { answer: { rows: ['rows'] }, count: [{ request: null, from, exactBelow: 20 }] }
    const { pages } = await walkAll(server.origin, { ...byPage, total: from }, parts)
    expect(idsOf(pages)).toHaveLength(30)
    expect(pages[0]?.count).toEqual({ value: 20, trust: 'at least' })
  })

  it('ends at the number of pages, counted from zero or one', async () => {
    const server = await serve((_, response, at) =>
      json(response, { pages: 2, rows: rows(Number(at.searchParams.get('page')) * 5, 5) }),
    )
    const pagination = { ...byPage, first: 0, pages: { path: ['pages'] } }
    const { pages } = await walkAll(server.origin, pagination, { answer: { rows: ['rows'] } })
    expect(idsOf(pages)).toEqual(rows(0, 10).map((row) => row.id))
    expect(server.seen).toEqual(['/things?page=0', '/things?page=1'])
  })

  it('advances an offset by the rows that came, not by the size asked for', async () => {
    const server = await serve((_, response, at) => {
      const offset = Number(at.searchParams.get('offset'))
      json(response, { total: 7, rows: rows(offset, Math.min(3, 7 - offset)) })
    })
    const pagination = { ...byOffset, total: { path: ['total'] } }
    const { pages } = await walkAll(server.origin, pagination, {
      answer: { rows: ['rows'] },
      settings: { pageSize: 5 },
    })
    expect(idsOf(pages)).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(server.seen.map((url) => new URL(url, 'http://x').searchParams.get('offset'))).toEqual(['0', '3', '6'])
  })

  it('takes a declared error past the end for the end, but never on the first page', async () => {
    const pagination = {
      ...byPage,
      end: { shortPage: false, errors: [{ status: 400, path: ['code'], equals: 'past_end' }] },
    }
    const answerFrom = (lastPage: number, code: string) =>
      serve((_, response, at) => {
        if (Number(at.searchParams.get('page')) <= lastPage) {
          json(response, rows(0, 2))
          return
        }
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ code }))
      })
    const server = await answerFrom(1, 'past_end')
    const { pages } = await walkAll(server.origin, pagination)
    expect(pages.map((page) => page.records.length)).toEqual([2, 0])
    expect(pages[1]?.next).toBeNull()
    const other = await answerFrom(1, 'overload')
    expect((await errorOf(walkAll(other.origin, pagination))).code).toBe('http_400')
    const first = await answerFrom(0, 'past_end')
    expect(await errorOf(walkAll(first.origin, pagination))).toBeInstanceOf(SourceRejected)
  })

  it('finds a source that ignores the page number', async () => {
    const server = await serve((_, response) => json(response, rows(0, 3)))
    const error = await errorOf(walkAll(server.origin, byPage))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe('loop')
    expect(server.seen.length).toBeLessThan(5)
  })

  it('calls a walk endless at its page cap, after the last page is delivered', async () => {
    const server = await serve((_, response, at) => json(response, rows(Number(at.searchParams.get('page')) * 3, 3)))
    const { client } = bench()
    const stream = streamOf({ pagination: byPage, settings: { maxPages: 3 } })
    const pages: number[] = []
    const error = await errorOf(
      (async () => {
        for await (const page of client.walk(startOf(sourceOf(server.origin), stream))) pages.push(page.number)
      })(),
    )
    expect(error.code).toBe('endless')
    expect(pages).toEqual([1, 2, 3])
    expect(server.seen).toHaveLength(3)
  })

  it('resumes in another process exactly where it stood', async () => {
    const server = await numbered(30, 10, () => ({ 'x-total': '30' }))
    const stream = streamOf({ pagination: { ...byPage, total: inHeader } })
    const source = sourceOf(server.origin)
    const first = bench()
    const walk = first.client.walk(startOf(source, stream))
    const page = (await walk.next()).value as Page
    await walk.return?.(undefined)
    const kept = throughLedger(page)
    const asked = server.seen.length
    const rest = await pagesOf(bench().client, startOf(source, stream, { ...kept, pages: 1, received: 10 }))
    expect(idsOf(rest)).toEqual(rows(10, 20).map((row) => row.id))
    expect(rest.map((one) => one.number)).toEqual([2, 3])
    expect(server.seen.length - asked).toBe(2)
  })

  it('asks two pages ahead only where no budget limits and a total is known, and still delivers in order', async () => {
    const waiting: (() => void)[] = []
    const server = await serve((_, response, at) => {
      const page = Number(at.searchParams.get('page'))
      const answer = () => json(response, rows(page * 10, 10), { 'x-total': '50' })
      if (page === 1) {
        answer()
        return
      }
      waiting.push(answer)
      // Both are on their way before the first of them is answered, and the later one comes first.
      if (page === 3 || waiting.length > 1) for (const go of waiting.splice(0).reverse()) go()
      if (page >= 4) for (const go of waiting.splice(0)) go()
    })
    const source = sourceOf(server.origin)
    const unlimited = { ...source, budget: { ...source.budget, concurrency: 4 } }
    const { client, budget } = bench()
    const pages = await pagesOf(client, startOf(unlimited, streamOf({ pagination: { ...byPage, total: inHeader } })))
    expect(idsOf(pages)).toEqual(rows(10, 50).map((row) => row.id))
    expect(budget.sent).toBe(5)
    expect(pages.reduce((sum, page) => sum + page.requests, 0)).toBe(5)
  })

  it('drops a wrong guess and counts its request', async () => {
    const server = await serve((_, response, at) => {
      const offset = Number(at.searchParams.get('offset'))
      const size = offset === 4 ? 1 : 4
      json(response, rows(offset, Math.min(size, 13 - offset)), { 'x-total': '13' })
    })
    const source = sourceOf(server.origin)
    const unlimited = { ...source, budget: { ...source.budget, concurrency: 4 } }
    const { client, budget } = bench()
    const pages = await pagesOf(client, startOf(unlimited, streamOf({ pagination: { ...byOffset, total: inHeader } })))
    expect(idsOf(pages)).toEqual(rows(0, 13).map((row) => row.id))
    expect(pages.reduce((sum, page) => sum + page.requests, 0)).toBe(budget.sent)
    expect(budget.sent).toBeGreaterThan(4)
  })
})

describe('walks by token', () => {
  const cursor = { kind: 'cursor', from: { path: ['next'] }, param: '_next', sizeParam: '_size' } as const

  it('follows a cursor, encoded, until it is null, absent or empty', async () => {
    for (const last of [null, undefined, '', false]) {
      const server = await serve((_, response, at) => {
        const token = at.searchParams.get('_next')
        if (token === null) json(response, { rows: rows(0, 2), next: 'a&b=c/é +' })
        else if (token === 'a&b=c/é +') json(response, { rows: [], next: 17 })
        else json(response, { rows: rows(2, 1), next: last })
      })
      const { pages } = await walkAll(server.origin, cursor, { answer: { rows: ['rows'] }, settings: { pageSize: 2 } })
      // The empty page in the middle is no end: the cursor says so.
      expect(idsOf(pages)).toEqual([0, 1, 2])
      expect(server.seen[1]).toBe('/things?_size=2&_next=a%26b%3Dc%2F%C3%A9+%2B')
      expect(server.seen[2]).toContain('_next=17')
    }
  })

  it('keeps a cursor beyond 2^53 exact', async () => {
    const server = await serve((_, response, at) => {
      response.setHeader('content-type', 'application/json')
      response.end(at.searchParams.has('_next') ? '{"rows":[]}' : '{"rows":[],"next":9007199254740993}')
    })
    const { pages } = await walkAll(server.origin, cursor, { answer: { rows: ['rows'] } })
    expect(pages).toHaveLength(2)
    expect(server.seen[1]).toBe('/things?_next=9007199254740993')
    expect(JSON.parse(JSON.stringify(pages[0]?.next))).toEqual({ cursor: '9007199254740993' })
  })

  it('finds a loop of several cursors, also one that is longer than a run', async () => {
    const tokens = ['a', 'b', 'c', 'd', 'e']
    const server = await serve((_, response, at) => {
      const index = tokens.indexOf(at.searchParams.get('_next') ?? 'e')
      json(response, { rows: rows(index, 1), next: tokens[(index + 1) % tokens.length] })
    })
    const stream = streamOf({ pagination: cursor, answer: { rows: ['rows'] } })
    let state: ReturnType<typeof throughLedger> = { cursor: null, loop: null }
    let error: (Error & { code?: string }) | null = null
    // Each run takes three pages and hands cursor and loop to the next as the ledger would.
    for (let run = 0; run < 20 && error === null; run += 1) {
      const walk = bench().client.walk(startOf(sourceOf(server.origin), stream, state))
      try {
        for (let page = 0; page < 3; page += 1) {
          state = throughLedger((await walk.next()).value as Page)
        }
        await walk.return?.(undefined)
      } catch (caught) {
        error = caught as Error & { code?: string }
      }
    }
    expect(error?.code).toBe('loop')
  })

  it('puts every parameter of a continuation into the next request', async () => {
    const server = await serve((_, response, at) => {
      if (!at.searchParams.has('apcontinue')) {
        json(response, { rows: rows(0, 1), continue: { apcontinue: 'B[1]', continue: '-||' } })
        return
      }
      json(response, { rows: rows(1, 1) })
    })
    const pagination = { kind: 'continue', from: ['continue'], sizeParam: null } as const
    const { pages } = await walkAll(server.origin, pagination, {
      answer: { rows: ['rows'] },
      request: { query: { 'f[a]': 'x' } },
    })
    expect(idsOf(pages)).toEqual([0, 1])
    expect(server.seen[1]).toBe('/things?f%5Ba%5D=x&apcontinue=B%5B1%5D&continue=-%7C%7C')
  })

  it('follows a relative Link among several, and keeps its query as given', async () => {
    const links =
      '<https://other.example/a,b>; rel="help license", </things?x=%5B1%5D&page=2,3>; title="a, \\"b\\""; REL="prev Next"'
    const server = await serve((_, response, at) => {
      json(response, rows(0, 1), at.searchParams.has('x') ? { link: '</>; rel=first' } : { link: links })
    })
    const { pages } = await walkAll(
      server.origin,
      { kind: 'link', rel: 'next', sizeParam: 'size' },
      { settings: { pageSize: 5 } },
    )
    expect(pages).toHaveLength(2)
    expect(server.seen).toEqual(['/things?size=5', '/things?x=%5B1%5D&page=2,3'])
  })

  it('follows a next address, relative to the one that answered', async () => {
    const server = await serve((_, response, at) => {
      const isFirst = at.searchParams.get('p') === null
      json(response, { rows: rows(isFirst ? 0 : 1, 1), next_url: isFirst ? '?p=2' : null })
    })
    const pagination = { kind: 'nextUrl', from: { path: ['next_url'] }, sizeParam: null } as const
    const { pages } = await walkAll(server.origin, pagination, { answer: { rows: ['rows'] } })
    expect(idsOf(pages)).toEqual([0, 1])
    expect(server.seen).toEqual(['/things', '/things?p=2'])
  })

  it('refuses a next address at another origin and sends it nothing', async () => {
    const other = await serve((_, response) => json(response, { rows: [] }))
    const server = await serve((_, response) =>
      json(response, { rows: rows(0, 1), next_url: `${other.origin}/things` }),
    )
    const pagination = { kind: 'nextUrl', from: { path: ['next_url'] }, sizeParam: null } as const
    const error = await errorOf(walkAll(server.origin, pagination, { answer: { rows: ['rows'] } }))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.message).toContain(other.origin)
    expect(error.message).toContain(server.origin)
    expect(other.seen).toEqual([])
  })
})

describe('a consumer', () => {
  it('that stops early aborts what is in flight, and everything is booked as answered', async () => {
    const server = await serve((_, response, at) => {
      if (at.searchParams.get('page') === '1') json(response, rows(0, 3))
      // The second page never comes.
    })
    const { client, budget } = bench()
    for await (const page of client.walk(startOf(sourceOf(server.origin), streamOf({ pagination: byPage })))) {
      expect(page.number).toBe(1)
      break
    }
    expect(budget.sent).toBe(2)
    expect(budget.open).toBe(0)
  })

  it('that only probes the first page costs one request', async () => {
    const server = await numbered(30, 10)
    const { client, budget } = bench()
    const probe = startOf(sourceOf(server.origin), streamOf({ pagination: byPage }), { readsAhead: false })
    const walk = client.walk(probe)
    await walk.next()
    await walk.return?.(undefined)
    expect(budget.sent).toBe(1)
    expect(idsOf(await pagesOf(client, probe))).toHaveLength(30)
  })

  it('waits for the budget no longer than its deadline and its patience', async () => {
    const server = await numbered(3, 10)
    const { client, budget, clock } = bench()
    const walkWith = (deadlineMs: number | null, maxWaitMs: number | null) => {
      const deadlineAt = deadlineMs === null ? null : clock.now() + deadlineMs
      return pagesOf(client, startOf(sourceOf(server.origin), streamOf(), { deadlineAt, maxWaitMs }))
    }
    await walkWith(null, null)
    await walkWith(null, 500)
    await walkWith(100, 500)
    await walkWith(100, null)
    const waits = budget.bookings.map(({ deadlineAt }) => (deadlineAt === null ? null : deadlineAt - clock.now()))
    expect(waits).toEqual([null, 500, 100, 100])
  })

  it('gets the next page asked for while it still works on this one', async () => {
    const server = await numbered(30, 10)
    const { client } = bench()
    const walk = client.walk(startOf(sourceOf(server.origin), streamOf({ pagination: byPage })))
    await walk.next()
    await expect.poll(() => server.seen.length).toBe(2)
    await walk.return?.(undefined)
    expect(server.seen).toHaveLength(2)
  })
})
