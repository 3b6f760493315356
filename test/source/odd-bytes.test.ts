/** Answers as servers really write them: marks and labels of character sets, line ends, labels that are wrong, errors in the middle of lines. */
import { afterEach, describe, expect, it } from 'vitest'
import { AnswerInvalid, SourceUnavailable } from '../../src/domain/errors.js'
import type { AnswerShape } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const csv = { format: 'csv' } as const
const two = [
  { id: '1', name: 'é' },
  { id: '2', name: 'x' },
]
const table = 'id,name\r\n1,é\r\n2,x\r\n'

async function read(body: string | Buffer, type: string, answer: Partial<AnswerShape> = {}) {
  const server = await serve((_, response) => {
    response.setHeader('content-type', type)
    response.end(body)
  })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), streamOf({ answer })))
  return pages.flatMap((page) => page.records)
}

describe('a character set', () => {
  it.each<[string, string, Buffer]>([
    ['UTF-8 by its mark, whatever the label', 'text/csv; charset=iso-8859-1', Buffer.from(`\ufeff${table}`)],
    ['UTF-16 by its mark, without a label', 'text/csv', Buffer.from(`\ufeff${table}`, 'utf16le')],
    ['big-endian UTF-16 by its mark', 'text/csv; charset=utf-16', Buffer.from(`\ufeff${table}`, 'utf16le').swap16()],
    ['a label in single quotes', "text/csv; charset='utf-8'", Buffer.from(table)],
    ['Latin-1 by its label', 'text/csv; charset=ISO-8859-1', Buffer.from(table, 'latin1')],
  ])('is %s', async (_, type, body) => {
    expect(await read(body, type, csv)).toEqual(two)
  })

  it('of Windows has its own euro sign, quotes and dashes, also under the name of Latin-1', async () => {
    const body = Buffer.concat([Buffer.from('id\n'), Buffer.from([0x80, 0x93, 0x96, 0x9f, 0x81, 0xe9])])
    for (const label of ['windows-1252', 'iso-8859-1']) {
      expect(await read(body, `text/csv; charset=${label}`, csv)).toEqual([{ id: '€“–Ÿ\u0081é' }])
    }
  })
})

describe('CSV lines', () => {
  it('end as each of them does: no line end gets into a value', async () => {
    expect(await read('id,name\n1,é\r\n2,x\r\n', 'text/csv', csv)).toEqual(two)
    expect(await read('id,name\r\n1,é\n2,x\n', 'text/csv', csv)).toEqual(two)
    expect(await read('id,name\r1,é\r2,x', 'text/csv', csv)).toEqual(two)
    expect(await read('id,name\r\n1,"a\nb\r\n"\n2,x\r\n', 'text/csv', csv)).toEqual([
      { id: '1', name: 'a\nb\r\n' },
      { id: '2', name: 'x' },
    ])
  })

  it('that are empty before the header are not the header', async () => {
    expect(await read(`\r\n\n${table}`, 'text/csv', csv)).toEqual(two)
    for (const body of ['\r\n', '\ufeff\n\n']) {
      expect((await errorOf(read(body, 'text/csv', csv))).code, JSON.stringify(body)).toBe('no_header')
    }
  })
})

describe('a label', () => {
  it('of text/html is taken where the definition says so, and HTML is not', async () => {
    const answer = { contentTypes: ['Text/HTML'] }
    expect(await read('[{"id":1}]', 'text/html; charset=utf-8', answer)).toEqual([{ id: 1 }])
    expect(await read(table, 'text/html', { ...csv, ...answer })).toEqual(two)
    const error = await errorOf(read('<html>down</html>', 'text/html', answer))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.code).toBe('not_json')
    expect((await errorOf(read('[{"id":1}]', 'text/html'))).code).toBe('not_json')
  })
})

describe('an error in NDJSON', () => {
  it('is found in whatever line it stands', async () => {
    const errors = [{ path: ['error'], equals: null, message: ['error', 'reason'], fate: 'dead' as const }]
    const body = '{"id":1}\n{"error":{"reason":"broken pipe"}}\n'
    const error = await errorOf(read(body, 'application/x-ndjson', { format: 'ndjson', errors }))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe('answer_error')
    expect(error.message).toContain('broken pipe')
    expect(await read('{"id":1,"error":null}\n', 'application/x-ndjson', { format: 'ndjson', errors })).toHaveLength(1)
  })
})

describe('a key with dots', () => {
  const body = (next: string) => JSON.stringify({ value: [{ id: 1 }], '@odata.nextLink': next })
  const walk = async (from: string[], rows = ['value']) => {
    const server = await serve((_, response, at) => {
      response.setHeader('content-type', 'application/json')
      response.end(at.searchParams.has('skip') ? '{"value":[{"id":2}]}' : body('?skip=1'))
    })
    const pagination = { kind: 'nextUrl', from: { path: from }, sizeParam: null } as const
    const stream = streamOf({ pagination, answer: { rows } })
    const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), stream))
    return pages.flatMap((page) => page.records)
  }

  it('that a path takes apart is an error that says how to write it, not the end', async () => {
    const error = await errorOf(walk(['@odata', 'nextLink']))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe('bad_cursor')
    expect(error.hint).toContain("['@odata.nextLink']")
    expect(await walk(['@odata.nextLink'])).toEqual([{ id: 1 }, { id: 2 }])
    const missing = await errorOf(read('{"a.b":[]}', 'application/json', { rows: ['a', 'b'] }))
    expect([missing.code, missing.hint]).toEqual(['rows_missing', expect.stringContaining("['a.b']")])
  })
})
