// The simulated civic.band against the recorded facts of the real one: every switch, seen from outside over HTTP.
import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { type CivicBand, type CivicBandSwitches, startCivicBand } from '../../src/simulators/civic-band/civic-band.js'
import { contentId } from '../../src/simulators/civic-band/pages.js'
import { tildeDecode, tildeEncode } from '../../src/simulators/civic-band/tilde.js'
import { ask, askJson } from './ask.js'

interface TableBody {
  readonly ok?: boolean
  readonly rows: readonly Record<string, unknown>[]
  readonly next: string | null
  readonly next_url?: string | null
  readonly count?: number | null
  readonly count_truncated?: boolean
  readonly filtered_table_rows_count?: number | null
  readonly columns?: readonly string[]
}
interface ErrorBody {
  readonly ok: boolean
  readonly error: string
  readonly title?: string | null
  readonly errors?: readonly string[]
}

let running: CivicBand | null = null
afterEach(async () => {
  await running?.close()
  running = null
})

const sites = { 'oakland.ca': { agendas: 230, minutes: 250 }, 'alameda.ca': { agendas: 20, minutes: 20 } }

async function start(switches: Partial<CivicBandSwitches> = {}): Promise<CivicBand> {
  running = await startCivicBand({ sites, switches: { limit: null, ...switches } })
  return running
}

const minutes = (band: CivicBand, query = '', site = 'oakland.ca') =>
  `${band.url}/${site}/meetings/minutes.json${query}`

async function walk(band: CivicBand, query = '?_size=1000'): Promise<TableBody[]> {
  const pages: TableBody[] = []
  let next: string | null = null
  do {
    const token: string = next === null ? '' : `&_next=${encodeURIComponent(next)}`
    const page: TableBody = await askJson<TableBody>(minutes(band, `${query}${token}`))
    pages.push(page)
    next = page.next
  } while (next !== null && pages.length < 100)
  return pages
}

describe('rows', () => {
  it('have the ids that clerk gives them', () => {
    // Computed with Python: sha256(json.dumps({...}, sort_keys=True)).hexdigest()[:12].
    const folder = { meeting: 'CityCouncil', date: '2024-01-02' }
    const text = 'Caf\u00e9 \u201c7-B\u201d\n\ttab \\ \u007f \u{1f600}'
    expect(contentId({ ...folder, table: 'agendas', page: 5, text })).toBe('8db3101df966')
    expect(contentId({ ...folder, table: 'minutes', page: 2, text: '' })).toBe('ed9cb33188dc')
  })

  it('are the same for the same seed, and others for another', async () => {
    const first = (await start()).rows('oakland.ca', 'minutes')
    await running?.close()
    const again = (await start()).rows('oakland.ca', 'minutes')
    await running?.close()
    running = await startCivicBand({ sites, seed: 'another' })
    expect(again).toEqual(first)
    expect(running.rows('oakland.ca', 'minutes')).not.toEqual(first)
  })

  it('share an id between two municipalities where the page is the same', async () => {
    const band = await start()
    const blank = (site: string) => band.rows(site, 'minutes').filter((page) => page.text === '')
    expect(blank('oakland.ca')).toHaveLength(1)
    expect(blank('oakland.ca')).toEqual(blank('alameda.ca'))
  })

  it('have one row per meeting, date and page, malformed dates and unstorable texts as asked', async () => {
    running = await startCivicBand({
      sites: { 'x.ca': { agendas: 3000, minutes: 10, malformedDates: 2, unstorableTexts: 3 } },
    })
    const rows = running.rows('x.ca', 'agendas')
    expect(new Set(rows.map((row) => `${row.meeting}/${row.date}/${row.page}`)).size).toBe(3000)
    expect(new Set(rows.map((row) => row.date).filter((date) => !/^\d{4}-\d\d-\d\d$/.test(date))).size).toBe(2)
    expect(rows.filter((row) => row.text.includes('\u0000'))).toHaveLength(3)
    expect(rows.every((row) => row.page_image.startsWith('/_agendas/'))).toBe(true)
  })
})

describe('a walk', () => {
  it('comes in the order of the ids, ends with next null on a full last page, and misses nothing', async () => {
    running = await startCivicBand({ sites: { 'oakland.ca': { agendas: 1, minutes: 200 } }, switches: { limit: null } })
    const pages = await walk(running)
    const rows = pages.flatMap((page) => page.rows)
    expect(pages.map((page) => page.rows.length)).toEqual([100, 100])
    expect(pages.map((page) => page.next === null)).toEqual([false, true])
    expect(rows).toEqual(running.rows('oakland.ca', 'minutes'))
    expect(pages[0]?.next).toBe(rows[99]?.id)
  })

  it('cuts the page size silently to 100 for whoever has no key', async () => {
    const band = await start({ acceptedKeys: ['k1'] })
    const size = async (query: string, headers = {}) =>
      (await askJson<TableBody>(minutes(band, query), headers)).rows.length
    expect(await size('')).toBe(100)
    expect(await size('?_size=max')).toBe(100)
    expect(await size('?_size=1000')).toBe(100)
    expect(await size('?_size=7')).toBe(7)
    expect(await size('?_size=0')).toBe(0)
    expect(await size('?_size=1000', { 'x-api-key': 'k1' })).toBe(250)
    expect(await size('?_size=1000&api_key=k1')).toBe(250)
    expect(await size('?_size=max', { authorization: 'Bearer k1' })).toBe(250)
  })

  it('refuses sizes that Datasette refuses', async () => {
    const band = await start({ sizeCut: null })
    const error = async (query: string) => (await askJson<ErrorBody>(minutes(band, query))).error
    expect(await error('?_size=1001')).toBe('_size must be <= 1000')
    expect(await error('?_size=-1')).toBe('_size must be a positive integer')
    expect(await error('?_size=ten')).toBe('_size must be a positive integer')
  })

  it('takes opaque cursors back only when they were URL-encoded', async () => {
    const band = await start({ cursor: 'opaque' })
    const rows = (await walk(band)).flatMap((page) => page.rows)
    expect(rows).toEqual(band.rows('oakland.ca', 'minutes'))
    const first = await askJson<TableBody>(minutes(band))
    expect((await ask(minutes(band, `?_next=${first.next ?? ''}`))).status).toBe(400)
  })

  it('sorts and filters with keyset cursors of two parts', async () => {
    const band = await start()
    const rows = (await walk(band, '?_sort=date&date__gte=2023-06-01&_size=9')).flatMap((page) => page.rows)
    const expected = band.rows('oakland.ca', 'minutes').filter((page) => page.date >= '2023-06-01')
    expect(expected.length).toBeGreaterThan(20)
    expect(rows).toHaveLength(expected.length)
    expect(rows.map((row) => row.date)).toEqual(expected.map((page) => page.date).sort())
  })

  it('over a database rebuilt between pages loses rows that were added before the cursor', async () => {
    const band = await start({ rebuild: { afterPages: 1, changed: 5, added: 4, removed: 0, extracted: true } })
    const before = band.rows('oakland.ca', 'minutes')
    const seen = (await walk(band)).flatMap((page) => page.rows.map((row) => row.id))
    const after = band.rows('oakland.ca', 'minutes')
    const key = (page: { meeting: string; date: string; page: number }) => `${page.meeting} ${page.date} ${page.page}`
    const oldIds = new Map(before.map((page) => [key(page), page.id]))
    const changed = after.filter((page) => oldIds.has(key(page)) && oldIds.get(key(page)) !== page.id)
    expect(after).toHaveLength(254)
    expect(changed).toHaveLength(5)
    expect(after.filter((page) => page.id.startsWith('0') && !seen.includes(page.id)).length).toBeGreaterThanOrEqual(4)
    expect(after.every((page) => page.votes_json.includes('adopt'))).toBe(true)
  })
})

describe('access', () => {
  it('answers 402 without Retry-After when the window of 15 is spent, counts every site together, and opens again', async () => {
    running = await startCivicBand({ sites, switches: { limit: { requests: 15, periodMs: 60_000 } } })
    for (let number = 1; number <= 15; number += 1) {
      const site = number % 2 === 0 ? 'oakland.ca' : 'alameda.ca'
      expect((await ask(minutes(running, '?_size=1', site))).status).toBe(200)
    }
    const refused = await ask(minutes(running))
    expect(refused.status).toBe(402)
    expect(refused.headers['retry-after']).toBeUndefined()
    expect(JSON.parse(refused.body)).toEqual({
      error: 'rate_limit_exceeded',
      message: 'Rate limit exceeded. Maximum 15 requests per minute.',
      get_api_key: 'https://civic.observer/api-keys',
    })
    expect((await ask(minutes(running), { 'x-forwarded-for': '192.0.2.7, 10.0.0.1' })).status).toBe(200)
    expect(running.audit.totals().statuses).toEqual({ 200: 16, 402: 1 })
  })

  it('refuses a key that it does not know with 401, and lifts limit and cut for the service secret', async () => {
    running = await startCivicBand({
      sites,
      switches: { limit: { requests: 1, periodMs: 60_000 }, serviceSecret: 's1' },
    })
    const wrong = await ask(minutes(running), { authorization: 'Bearer nope' })
    expect(wrong.status).toBe(401)
    expect(JSON.parse(wrong.body)).toEqual({ error: 'API key required', docs: 'https://civic.observer/api-keys' })
    const trusted = await askJson<TableBody>(minutes(running, '?_size=1000'), { 'x-service-secret': 's1' })
    expect(trusted.rows).toHaveLength(250)
  })

  it('redirects an unknown site home with an empty body', async () => {
    const answer = await ask(minutes(await start(), '', 'nowhere.zz'))
    expect([answer.status, answer.headers.location, answer.body]).toEqual([302, 'https://civic.band/', ''])
  })

  it('finds the site by the Host header', async () => {
    const band = await start()
    const answer = await ask(`${band.url}/meetings/agendas.json?_size=3`, { host: 'alameda.ca.civic.band' })
    expect((JSON.parse(answer.body) as TableBody).rows).toEqual(band.rows('alameda.ca', 'agendas').slice(0, 3))
    expect((await ask(`${band.url}/meetings/agendas.json`, { host: 'nowhere.civic.band' })).status).toBe(302)
  })

  it('shows browsers a challenge page with status 200', async () => {
    const band = await start()
    const answer = await ask(minutes(band), { 'user-agent': 'Mozilla/5.0' })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(answer.body).toContain('<!doctype html>')
    band.set({ challenge: 'never' })
    expect((await ask(minutes(band), { 'user-agent': 'Mozilla/5.0' })).headers['content-type']).toContain('json')
  })

  it('refuses texts of more than 500 characters with 402 query_too_long', async () => {
    const answer = await ask(minutes(await start(), `?_search=${'a'.repeat(501)}`))
    expect(answer.status).toBe(402)
    expect(JSON.parse(answer.body)).toMatchObject({ error: 'query_too_long' })
  })
})

describe('versions of Datasette', () => {
  it('0.65 gives arrays with columns, an exact count, and objects when asked', async () => {
    const band = await start({ version: '0.65' })
    const body = await askJson<TableBody>(minutes(band, '?_size=2&_extra=count'))
    expect(Object.keys(body)).toEqual([
      'database',
      'table',
      'is_view',
      'human_description_en',
      'rows',
      'truncated',
      'filtered_table_rows_count',
      'expanded_columns',
      'expandable_columns',
      'columns',
      'primary_keys',
      'units',
      'query',
      'facet_results',
      'suggested_facets',
      'next',
      'next_url',
      'private',
      'allow_execute_sql',
      'query_ms',
    ])
    expect(body.rows[0]).toEqual(Object.values(band.rows('oakland.ca', 'minutes')[0] ?? {}))
    expect(body.filtered_table_rows_count).toBe(250)
    expect((await askJson<TableBody>(body.next_url ?? '')).rows).toHaveLength(2)
    const objects = await askJson<TableBody>(minutes(band, '?_size=1&_shape=objects'))
    expect(objects.rows[0]).toEqual(band.rows('oakland.ca', 'minutes')[0])
  })

  it('1.0a28 gives ok, next, rows and truncated, more only as extras, and ignores unknown ones', async () => {
    const band = await start()
    expect(Object.keys(await askJson(minutes(band)))).toEqual(['ok', 'next', 'rows', 'truncated'])
    const body = await askJson<TableBody>(minutes(band, '?_extra=count,next_url&_extra=nope'))
    expect(body.count).toBe(250)
    expect(body.next_url).toContain('_next=')
  })

  it('1.0a36 adds next_url and count_truncated, and refuses unknown extras', async () => {
    const band = await start({ version: '1.0a36' })
    const body = await askJson<TableBody>(minutes(band, '?_extra=count'))
    expect([body.count, body.count_truncated, typeof body.next_url]).toEqual([250, false, 'string'])
    const error = await ask(minutes(band, '?_extra=nope'))
    expect(error.status).toBe(400)
    expect(JSON.parse(error.body)).toEqual({
      ok: false,
      error: 'Unknown _extra: nope',
      errors: ['Unknown _extra: nope'],
      status: 400,
    })
  })

  it('counts no further than 10,001 in 1.0, exactly in 0.65 and by SQL', async () => {
    const band = await startCivicBand({
      sites: { 'oakland.ca': { agendas: 1, minutes: 10_050 } },
      switches: { limit: null },
    })
    running = band
    const count = async () => await askJson<TableBody>(minutes(band, '?_size=1&_extra=count'))
    expect((await count()).count).toBe(10_001)
    band.set({ version: '1.0a36' })
    expect(await count()).toMatchObject({ count: 10_001, count_truncated: true })
    const sql = 'sql=select+count(*)+as+n+from+minutes&_shape=array'
    expect(await askJson(`${band.url}/oakland.ca/meetings/-/query.json?${sql}`)).toEqual([{ n: 10_050 }])
    band.set({ version: '0.65' })
    expect((await count()).filtered_table_rows_count).toBe(10_050)
  })

  it('leaves the count out, or null, as switched', async () => {
    const band = await start({ count: 'absent' })
    const body = async () => await askJson<TableBody>(minutes(band, '?_size=1&_extra=count'))
    expect(await body()).not.toHaveProperty('count')
    band.set({ count: 'timed out' })
    expect((await body()).count).toBeNull()
    band.set({ version: '0.65' })
    expect((await body()).filtered_table_rows_count).toBeNull()
  })

  it('answers a query that takes too long with 400, as HTML before 1.0a36', async () => {
    const band = await start({ interrupt: { target: 'table', aboveSize: 10, times: 1 } })
    expect((await ask(minutes(band, '?_size=10'))).status).toBe(200)
    const html = await ask(minutes(band))
    expect(html.status).toBe(400)
    expect(JSON.parse(html.body)).toMatchObject({ ok: false, status: 400, title: 'SQL Interrupted' })
    expect((JSON.parse(html.body) as ErrorBody).error).toMatch(/^<p>SQL query took too long/)
    expect((await ask(minutes(band))).status).toBe(200)
    band.set({ version: '1.0a36', interrupt: { target: 'table', aboveSize: 0, times: null } })
    expect(await askJson<ErrorBody>(minutes(band))).not.toHaveProperty('title')
  })

  it('answers custom SQL at the address of its version, and errors of SQLite as Invalid SQL', async () => {
    const band = await start({ sizeCut: null })
    const site = `${band.url}/oakland.ca/meetings`
    const redirect = await ask(`${site}.json?sql=select+1+as+n`)
    expect([redirect.status, redirect.headers.location]).toEqual([302, `${site}/-/query.json?sql=select+1+as+n`])
    expect(await askJson(`${site}/-/query.json?sql=select+1+as+n`)).toEqual({
      ok: true,
      rows: [{ n: 1 }],
      truncated: false,
    })
    expect(await askJson<ErrorBody>(`${site}/-/query.json?sql=select+x`)).toMatchObject({
      title: 'Invalid SQL',
      error: 'no such column: x',
    })
    expect(await askJson<ErrorBody>(`${site}/-/query.json?sql=delete+from+minutes`)).toMatchObject({
      title: 'Invalid SQL',
    })
    expect((await ask(`${site}/-/query.json`)).status).toBe(400)
    band.set({ executesSql: false })
    expect((await ask(`${site}/-/query.json?sql=select+1`)).status).toBe(403)
    band.set({ version: '0.65', executesSql: true })
    expect(await askJson(`${site}.json?sql=select+1+as+n`)).toMatchObject({ rows: [[1]], columns: ['n'] })
    expect((await ask(`${site}/-/query.json?sql=select+1`)).status).toBe(404)
  })

  it('gives the cursor of a bare array only in the Link header', async () => {
    const band = await start()
    const answer = await ask(minutes(band, '?_shape=array'))
    expect(JSON.parse(answer.body)).toEqual(band.rows('oakland.ca', 'minutes').slice(0, 100))
    const next = /^<(.*)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? ''
    expect(await askJson(next)).toEqual(band.rows('oakland.ca', 'minutes').slice(100, 200))
  })

  it('answers a missing table as HTML, or as JSON where switched', async () => {
    const band = await start()
    const missing = `${band.url}/oakland.ca/meetings/votes.json`
    expect((await ask(missing)).body).toContain('<h1>Page not found</h1>')
    band.set({ missingTable: 'json' })
    expect(await askJson<ErrorBody>(missing)).toMatchObject({ ok: false, error: 'Table not found' })
  })
})

it('tilde-encodes as Datasette does', () => {
  expect(tildeEncode('a/b, é~')).toBe('a~2Fb~2C+~C3~A9~7E')
  expect(tildeDecode('a~2Fb~2C+~C3~A9~7E')).toBe('a/b, é~')
  const bytes = createHash('sha256').update('x').digest('base64')
  expect(tildeDecode(tildeEncode(bytes))).toBe(bytes)
})
