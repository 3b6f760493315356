// The shipped civic.band definition, as a workspace loads it: what it compiles to, without a request.
import { expect, it } from 'vitest'
import { compileCivicband as compile } from './compiled.js'

it('needs only a list of subdomains, and crosses it with agendas and minutes', () => {
  const { source, stream } = compile({ subdomains: ['oakland.ca', 'alameda.ca'] })
  expect(source.baseUrl).toBe('https://{subdomain}.civic.band')
  expect(stream.dimensions).toEqual(['subdomain', 'document_type'])
  expect(source.dimensions.subdomain).toMatchObject({ kind: 'list', values: ['oakland.ca', 'alameda.ca'] })
  expect(source.dimensions.document_type).toMatchObject({
    values: ['agendas', 'minutes'],
    aliases: { agenda: 'agendas', minute: 'minutes' },
  })
})

it('holds 15 requests a minute per machine, and takes 402 as well as 429 for a refusal', () => {
  const { source, stream } = compile({ subdomains: ['oakland.ca'] })
  expect(source.budget).toMatchObject({
    limits: [{ requests: 15, periodMs: 60_000 }],
    refusals: [402, 429],
    key: 'civic.band',
    delayMs: 0,
  })
  expect(stream.settings.statuses).toEqual({ 400: 'retry' })
})

it('keeps the refusals and the key where backfill.yaml changes the address and the limits', () => {
  const changed = {
    subdomains: ['oakland.ca'],
    baseUrl: 'http://127.0.0.1:9/{subdomain}',
    budget: { limits: ['10/s'] },
  }
  const { source, stream } = compile(changed)
  expect(source.budget).toMatchObject({
    limits: [{ requests: 10, periodMs: 1000 }],
    refusals: [402, 429],
    key: 'civic.band',
  })
  expect(stream.dimensions).toEqual(['subdomain', 'document_type'])
  expect(stream.requestHash).not.toBe(compile({ subdomains: ['oakland.ca'] }).stream.requestHash)
})

it('walks by the cursor alone, asks for 1,000 rows, and counts by SQL or exactly below 10,001', () => {
  const { stream } = compile({ subdomains: ['oakland.ca'] })
  expect(stream.pagination).toEqual({ kind: 'cursor', from: { path: ['next'] }, param: '_next', sizeParam: '_size' })
  expect(stream.settings.pageSize).toBe(1000)
  expect(stream.request).toMatchObject({ path: '/meetings/{document_type}.json', query: { _extra: 'count' } })
  expect(stream.answer).toMatchObject({ format: 'json', rows: ['rows'], shape: 'auto', header: ['columns'] })
  expect(stream.count.map((rule) => [rule.from, rule.exactBelow, rule.request?.path ?? null])).toEqual([
    [{ path: [0, 'n'] }, null, '/meetings/-/query.json'],
    [{ path: ['count'] }, 10_001, null],
    [{ path: ['filtered_table_rows_count'] }, null, null],
  ])
})

it('keys a page by its place in the document, never by the hash of its content, and keeps the date as the source wrote it', () => {
  const { stream } = compile({ subdomains: ['oakland.ca'] })
  expect(stream.key).toEqual(['subdomain', 'document_type', 'meeting', 'date', 'page'])
  expect(stream.disposition).toBe('mirror')
  expect(stream.columns?.map(({ name, type }) => `${name} ${type}`)).toEqual([
    'subdomain text',
    'document_type text',
    'meeting text',
    'date text',
    'page integer',
    'id text',
    'text text',
    'page_image text',
    'entities jsonb',
    'votes jsonb',
  ])
  expect(stream.columns?.find(({ name }) => name === 'votes')).toMatchObject({ path: ['votes_json'], parsesJson: true })
})
