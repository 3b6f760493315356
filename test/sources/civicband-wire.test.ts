// The shipped civic.band definition and the real source client against the simulated service: each trap of the wire, and what becomes of it.
import { afterEach, expect, it } from 'vitest'
import type { Json } from '../../src/domain/json.js'
import type { Page, WalkStart } from '../../src/domain/ports.js'
import { type CivicBand, type CivicBandOptions, startCivicBand } from '../../src/simulators/civic-band/civic-band.js'
import { type Bench, bench, errorOf, pagesOf, startOf } from '../source/support.js'
import { compileCivicband } from './compiled.js'

let band: CivicBand | null = null
afterEach(async () => {
  await band?.close()
  band = null
})

interface Scene extends Bench {
  readonly band: CivicBand
  readonly start: (parts?: Partial<WalkStart>) => WalkStart
}

async function scene(options: Partial<CivicBandOptions> = {}): Promise<Scene> {
  const sites = { 'oakland.ca': { agendas: 20, minutes: 250 } }
  const running = await startCivicBand({ sites, ...options, switches: { limit: null, ...options.switches } })
  band = running
  const { source, stream } = compileCivicband({
    subdomains: ['oakland.ca', 'nowhere.zz'],
    baseUrl: `${running.url}/{subdomain}`,
  })
  const partition = { subdomain: 'oakland.ca', document_type: 'minutes' }
  return { ...bench(), band: running, start: (parts = {}) => startOf(source, stream, { partition, ...parts }) }
}

const rowsOf = (pages: readonly Page[]): Json[] => pages.flatMap((page) => page.records)

it('walks to the end although the page size is cut silently, and knows the count', async () => {
  const { client, start, band } = await scene()
  const pages = await pagesOf(client, start())
  expect(rowsOf(pages)).toEqual(band.rows('oakland.ca', 'minutes'))
  expect(pages.map((page) => page.records.length)).toEqual([100, 100, 50])
  expect(pages[0]?.count).toEqual({ value: 250, trust: 'exact' })
  expect(band.audit.entries()[0]?.path).toBe('/oakland.ca/meetings/minutes.json?_extra=count&_size=1000')
})

it.each(['0.65', '1.0a28', '1.0a36'] as const)('reads Datasette %s alike', async (version) => {
  const { client, start, band } = await scene({ switches: { version } })
  const pages = await pagesOf(client, start())
  expect(rowsOf(pages)).toEqual(band.rows('oakland.ca', 'minutes'))
  expect(pages[0]?.count).toEqual({ value: 250, trust: 'exact' })
  expect((await client.count(start())).count).toEqual({ value: 250, trust: 'exact' })
})

it('hands cursors back unharmed, whatever is in them', async () => {
  const { client, start, band } = await scene({ switches: { cursor: 'opaque' } })
  expect(rowsOf(await pagesOf(client, start()))).toEqual(band.rows('oakland.ca', 'minutes'))
})

it('counts more than 10,000 rows by SQL, asking for none of them', async () => {
  const { client, start, band } = await scene({ sites: { 'oakland.ca': { agendas: 1, minutes: 10_020 } } })
  expect(await client.count(start())).toEqual({ count: { value: 10_020, trust: 'exact' }, requests: 1 })
  expect(band.audit.totals()).toMatchObject({ requests: 1, rows: 0 })
})

it('says "at least" where SQL is not allowed, and why there is no count where that timed out, too', async () => {
  const { client, start, band } = await scene({
    sites: { 'oakland.ca': { agendas: 1, minutes: 10_020 } },
    switches: { executesSql: false },
  })
  expect((await client.count(start())).count).toEqual({ value: 10_001, trust: 'at least' })
  band.set({ count: 'timed out' })
  expect(await errorOf(client.count(start()))).toMatchObject({ name: 'SourceRejected', code: 'http_403' })
})

it('tells the budget of a 402, and asks for the same page again', async () => {
  const { client, start, band, budget } = await scene({
    faults: [{ from: 2, fault: { kind: 'status', status: 402, body: '{"error":"rate_limit_exceeded"}' } }],
  })
  expect(rowsOf(await pagesOf(client, start()))).toEqual(band.rows('oakland.ca', 'minutes'))
  expect(band.audit.entries().map((entry) => entry.status)).toEqual([200, 402, 200, 200])
  expect(budget.answers.filter((answer) => answer.isRefusal)).toHaveLength(1)
})

it('takes a query that was too slow for a failure that time may heal', async () => {
  const { client, start, band } = await scene({ switches: { interrupt: { target: 'table', aboveSize: 0, times: 2 } } })
  expect(rowsOf(await pagesOf(client, start()))).toEqual(band.rows('oakland.ca', 'minutes'))
  band.set({ version: '1.0a36', interrupt: { target: 'table', aboveSize: 0, times: null } })
  expect(await errorOf(pagesOf(client, start()))).toMatchObject({ name: 'SourceUnavailable', code: 'http_400' })
})

it('refuses an unknown site instead of following it home', async () => {
  const { client, start, band } = await scene()
  const unknown = start({ partition: { subdomain: 'nowhere.zz', document_type: 'minutes' } })
  expect(await errorOf(pagesOf(client, unknown))).toMatchObject({ name: 'SourceRejected', code: 'redirect' })
  expect(band.audit.totals().requests).toBe(1)
})

it('takes a challenge page with status 200 for no answer', async () => {
  const { client, start } = await scene({ switches: { challenge: 'always' } })
  expect(await errorOf(pagesOf(client, start()))).toMatchObject({ name: 'SourceUnavailable', code: 'not_json' })
})

it('takes a body that is cut for no answer, and repeats the page', async () => {
  const { client, start, band } = await scene({
    faults: [
      { from: 2, fault: { kind: 'cut' } },
      { from: 3, fault: { kind: 'truncate' } },
      { from: 4, fault: { kind: 'reset' } },
    ],
  })
  expect(rowsOf(await pagesOf(client, start()))).toEqual(band.rows('oakland.ca', 'minutes'))
  expect(band.audit.entries().map((entry) => entry.fault)).toEqual([null, 'cut', 'truncate', 'reset', null, null])
})
