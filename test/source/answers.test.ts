import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { AnswerInvalid, SourceUnavailable } from '../../src/domain/errors.js'
import type { Json } from '../../src/domain/json.js'
import { ExactDecimal } from '../../src/domain/json.js'
import type { AnswerShape } from '../../src/domain/source-model.js'
import { isCutJson, parseExactJson } from '../../src/source/exact-json.js'
import type { StreamParts } from './support.js'
import { bench, closeAll, errorOf, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

/** The records of one answer of these bytes. */
async function read(body: string | Buffer, type: string, answer: Partial<AnswerShape> = {}): Promise<readonly Json[]> {
  const server = await serve((_, response) => {
    if (type !== '') response.setHeader('content-type', type)
    response.end(body)
  })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), streamOf({ answer })))
  return pages.flatMap((page) => page.records)
}

describe('numbers', () => {
  it('beyond 2^53 arrive exact, and so do decimals that a double would change', () => {
    expect(parseExactJson('[9007199254740993,-9223372036854775808,9007199254740991]')).toEqual([
      9007199254740993n,
      -9223372036854775808n,
      9007199254740991,
    ])
    expect(parseExactJson('[0.12345678901234567890,123456789.123456789,1e400,1.5e-400]')).toEqual(
      ['0.12345678901234567890', '123456789.123456789', '1e400', '1.5e-400'].map((text) => new ExactDecimal(text)),
    )
    expect(parseExactJson('[0.1000000000000000000, 1.50e3, 1E+002, "12345678901234567890", 1.0]')).toEqual([
      0.1,
      1500,
      100,
      '12345678901234567890',
      1,
    ])
  })

  it('of any length keep their value, on the fast path and on the slow one', () => {
    const decimal = fc
      .tuple(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), fc.nat(24), fc.integer({ min: -20, max: 20 }))
      .map(([digits, point, exponent]) => {
        const text = String(digits)
          .replace('-', '')
          .padStart(point + 1, '0')
        const dotted = point === 0 ? text : `${text.slice(0, -point)}.${text.slice(-point)}`
        return `${digits < 0n ? '-' : ''}${dotted}${exponent === 0 ? '' : `e${exponent}`}`
      })
    fc.assert(
      fc.property(decimal, (text) => valueOf(String((parseExactJson(`[${text}]`) as unknown[])[0])) === valueOf(text)),
    )
  })

  it('that cannot be changed are read as JSON.parse reads them', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value)
        expect(JSON.stringify(parseExactJson(text), plain)).toBe(JSON.stringify(JSON.parse(text)))
      }),
    )
  })

  it('leave `__proto__`, lone surrogates and U+0000 as they are on both paths', () => {
    for (const extra of ['1', '12345678901234567890']) {
      const value = parseExactJson(
        `{"__proto__":{"a":1},"s":"\\ud800","n":"\\u0000","x":${extra},"x":${extra}}`,
      ) as Record<string, Json>
      expect(Object.keys(value)).toEqual(['__proto__', 's', 'n', 'x'])
      expect(({} as Record<string, unknown>).a).toBeUndefined()
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
      expect([value.s, value.n]).toEqual(['\ud800', '\u0000'])
    }
  })

  it('are found cut wherever a text of them is cut', () => {
    const text = '{"a":[{"b":"x]}\\"y"},[1,2]],"c":{}}'
    for (let at = 1; at < text.length; at += 1) expect(isCutJson(text.slice(0, at)), text.slice(0, at)).toBe(true)
    expect(isCutJson(text)).toBe(false)
  })
})

/** Exact value of a decimal text as `digits e exponent`, by BigInt. */
function valueOf(text: string): string {
  const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  let digits = BigInt(`${whole}${fraction}`)
  let power = Number(exponent) - fraction.length
  if (digits === 0n) return '0'
  while (digits % 10n === 0n) {
    digits /= 10n
    power += 1
  }
  return `${digits}e${power}`
}

function plain(_: string, value: unknown): unknown {
  return typeof value === 'bigint' || value instanceof ExactDecimal ? Number(value.toString()) : value
}

describe('rows', () => {
  it('are objects, arrays with a header, or plain values', async () => {
    const body = JSON.stringify({
      columns: ['id', '__proto__'],
      rows: [
        [1, 'x'],
        [2, null],
      ],
    })
    const records = await read(body, 'application/json', { rows: ['rows'], header: ['columns'] })
    expect(records.map((record) => Object.entries(record as object))).toEqual([
      [
        ['id', 1],
        ['__proto__', 'x'],
      ],
      [
        ['id', 2],
        ['__proto__', null],
      ],
    ])
    const objects = { rows: ['rows'], header: ['columns'] }
    expect(await read('{"rows":[{"id":1}]}', 'application/json', objects)).toEqual([{ id: 1 }])
    expect(await read('["a",null,3]', 'application/json')).toEqual([{ value: 'a' }, { value: null }, { value: 3 }])
    expect(await read('[[1],{"a":2}]', 'application/json', { shape: 'values' })).toEqual([
      { value: [1] },
      { value: { a: 2 } },
    ])
  })

  it.each([
    ['{"data":[]}', { rows: ['rows'] }, 'rows_missing'],
    ['{"rows":null}', { rows: ['rows'] }, 'rows_missing'],
    ['{"rows":{"id":1}}', { rows: ['rows'] }, 'rows_missing'],
    ['{"id":1}', {}, 'rows_missing'],
    ['[[1,2]]', {}, 'bad_row'],
    ['{"columns":["a","b"],"rows":[[1]]}', { rows: ['rows'], header: ['columns'] }, 'bad_row'],
    ['{"columns":["a","a"],"rows":[[1,2]]}', { rows: ['rows'], header: ['columns'] }, 'bad_header'],
    ['[1]', { shape: 'objects' as const }, 'bad_row'],
    ['[{"a":1}]', { shape: 'arrays' as const }, 'bad_row'],
    ['[1}', {}, 'unparsable'],
    ['{"a":1} x', {}, 'unparsable'],
  ])('that are not where or what they should be are an error, never no rows: %s', async (body, answer, code) => {
    const error = await errorOf(read(body, 'application/json', answer))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe(code)
  })
})

describe('media types and character sets', () => {
  it('accepts what is JSON by another label, and what the definition adds', async () => {
    for (const type of ['application/vnd.api+json; charset=utf-8', 'text/json', '']) {
      expect(await read('\ufeff[{"id":1}]', type), type).toEqual([{ id: 1 }])
    }
    expect(await read('[1]', 'text/plain', { contentTypes: ['text/plain'] })).toEqual([{ value: 1 }])
    const error = await errorOf(read('[1]', 'text/plain'))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe('content_type')
  })

  it('decodes the character set that is named, strictly', async () => {
    expect(await read(Buffer.from('["é"]', 'latin1'), 'application/json; charset="ISO-8859-1"')).toEqual([
      { value: 'é' },
    ])
    for (const type of ['application/json', 'application/json; charset=nonsense']) {
      const error = await errorOf(read(Buffer.from('["é"]', 'latin1'), type))
      expect(error).toBeInstanceOf(AnswerInvalid)
      expect(error.code).toBe('bad_text')
    }
  })
})

describe('NDJSON', () => {
  const ndjson = { format: 'ndjson' } as const

  it('is a row a line, the last one without a line end too', async () => {
    expect(await read('{"id":1}\r\n\n{"id":12345678901234567890}', 'application/x-ndjson', ndjson)).toEqual([
      { id: 1 },
      { id: 12345678901234567890n },
    ])
    expect(await read('', 'application/x-ndjson', ndjson)).toEqual([])
  })

  it('names a bad line, and takes a cut last one for a cut answer', async () => {
    const bad = await errorOf(read('{"id":1}\n{"id"}\n{"id":3}\n', 'application/x-ndjson', ndjson))
    expect(bad).toBeInstanceOf(AnswerInvalid)
    expect(bad.message).toContain('line 2')
    expect(await errorOf(read('{"id":1}\n{"id":', 'application/x-ndjson', ndjson))).toBeInstanceOf(SourceUnavailable)
  })
})

describe('CSV', () => {
  const csv = { format: 'csv', csv: { delimiter: ';', header: true, columns: [] } } as const

  it('keeps every value as text: quotes, delimiters, line ends, empty strings', async () => {
    const body = '\ufeffid;name;note\r\n1;"a;""b""\r\nc";\r\n\r\n007;NULL;é\r\n'
    expect(await read(body, 'text/csv', csv)).toEqual([
      { id: '1', name: 'a;"b"\r\nc', note: '' },
      { id: '007', name: 'NULL', note: 'é' },
    ])
    expect(await read(Buffer.from('id\né\n', 'latin1'), 'text/csv; charset=latin1', csv)).toEqual([{ id: 'é' }])
    expect(await read('id\n1\n\n3\n', 'text/csv', csv)).toEqual([{ id: '1' }, { id: '' }, { id: '3' }])
    expect(await read('id;name\n', 'text/csv', csv)).toEqual([])
  })

  it('takes names from the definition where there is no header', async () => {
    const answer = { format: 'csv', csv: { delimiter: ',', header: false, columns: ['a', 'b'] } } as const
    expect(await read('1,2\n', 'text/plain', answer)).toEqual([{ a: '1', b: '2' }])
  })

  it.each([
    ['id;name\n1\n', 'bad_row'],
    ['id;name\n1;2;3\n', 'bad_row'],
    ['id;id\n1;2\n', 'bad_header'],
    ['', 'no_header'],
    ['id;name\n1;"open\n', 'unparsable'],
  ])('with a row or header that does not fit is refused: %j', async (body, code) => {
    const error = await errorOf(read(body, 'text/csv', csv))
    expect(error).toBeInstanceOf(AnswerInvalid)
    expect(error.code).toBe(code)
  })

  it('is not HTML, nor a JSON error', async () => {
    for (const [body, type] of [
      ['<html><h1>Down</h1></html>', 'text/csv'],
      ['{"error":"down"}', 'application/json'],
    ] as const) {
      expect((await errorOf(read(body, type, csv))).code).toBe('not_csv')
    }
  })
})

describe('counts', () => {
  const inHeader = { request: null, from: { header: 'X-Total' }, exactBelow: null }
  const capped = { request: null, from: { path: ['count'] }, exactBelow: 10_001 }
  const request = {
    method: 'GET',
    path: '/count',
    query: { sql: 'select count(*) as n' },
    headers: {},
    body: null,
    bodyParams: false,
  } as const
  const bySql = { request, from: { path: [0, 'n'] }, exactBelow: null }

  async function count(parts: StreamParts, answer: { count?: unknown; sql?: unknown; total?: string }) {
    const server = await serve((_, response, at) => {
      if (at.pathname !== '/count') {
        json(
          response,
          { rows: rows(0, 2), count: answer.count },
          answer.total === undefined ? {} : { 'x-total': answer.total },
        )
        return
      }
      if (answer.sql === undefined) return void response.writeHead(400).end('SQL Interrupted')
      json(response, answer.sql)
    })
    const found = await bench().client.count(
      startOf(sourceOf(server.origin), streamOf({ answer: { rows: ['rows'] }, ...parts })),
    )
    return { ...found, seen: server.seen }
  }

  it('come with every page, exact ones before capped ones', async () => {
    const server = await serve((_, response) =>
      json(response, { rows: rows(0, 2), count: 10_001 }, { 'x-total': '22222' }),
    )
    const parts = { answer: { rows: ['rows'] }, count: [capped, bySql, inHeader] }
    const [page] = await pagesOf(bench().client, startOf(sourceOf(server.origin), streamOf(parts)))
    expect(page?.count).toEqual({ value: 22_222, trust: 'exact' })
    const [only] = await pagesOf(
      bench().client,
      startOf(sourceOf(server.origin), streamOf({ ...parts, count: [capped] })),
    )
    expect(only?.count).toEqual({ value: 10_001, trust: 'at least' })
    const [none] = await pagesOf(
      bench().client,
      startOf(sourceOf(server.origin), streamOf({ ...parts, count: [bySql] })),
    )
    expect(none?.count).toBeNull()
  })

  it('are asked for by the first rule that is exact', async () => {
    expect(await count({ count: [capped, bySql] }, { count: 10_000 })).toMatchObject({
      count: { value: 10_000, trust: 'exact' },
      requests: 1,
    })
    const finer = await count({ count: [capped, bySql] }, { count: 10_001, sql: [{ n: 547_000 }] })
    expect(finer).toMatchObject({ count: { value: 547_000, trust: 'exact' }, requests: 2 })
    expect(finer.seen[1]).toBe('/count?sql=select+count%28*%29+as+n')
  })

  it('fall back to "at least" where the finer rule is refused, and throw where nothing is left', async () => {
    expect(await count({ count: [capped, bySql] }, { count: 10_001 })).toMatchObject({
      count: { value: 10_001, trust: 'at least' },
      requests: 2,
    })
    expect((await errorOf(count({ count: [bySql] }, {}))).code).toBe('http_400')
  })

  it('are null where the source gives none, and cost nothing where no rule is declared', async () => {
    expect(await count({ count: [capped, inHeader] }, { count: null })).toMatchObject({ count: null, requests: 1 })
    expect(await count({ count: [] }, {})).toMatchObject({ count: null, requests: 0 })
  })
})

describe('a request', () => {
  it('fills dimensions into host, path, query and body, encoded for each place', async () => {
    const server = await serve((_, response) => json(response, []))
    const source = sourceOf(server.origin.replace('127.0.0.1', '{host}'), {
      headers: { 'X-Board': '{config.board}', 'User-Agent': 'mine' },
      config: { board: 'north' },
      dimensions: {
        day: { kind: 'dates', from: '2024-01-01', to: 'today', step: 'day', exclude: [], aliases: {} },
        name: { kind: 'list', values: [], fromConfig: null, exclude: [], aliases: {} },
      },
    })
    const stream = streamOf({
      request: {
        method: 'POST',
        path: '/v1/{name}',
        query: { at: '{day:M/D/YYYY}' },
        body: { since: '{day}', until: '{day.next}', n: 5, deep: [{ brace: '{{}}' }], after: '{cursor}' },
        bodyParams: true,
      },
      pagination: { kind: 'cursor', from: { path: ['next'] }, param: '', sizeParam: 'limit' },
      settings: { pageSize: 50 },
    })
    const partition = { host: '127.0.0.1', day: '2024-02-29', name: 'a/b ?é' }
    await pagesOf(bench().client, startOf(source, stream, { partition }))
    expect(server.seen).toEqual(['/v1/a%2Fb%20%3F%C3%A9?at=2%2F29%2F2024'])
    expect(JSON.parse(server.bodies[0] ?? '')).toEqual({
      since: '2024-02-29',
      until: '2024-03-01',
      n: 5,
      deep: [{ brace: '{}' }],
      after: null,
      limit: 50,
    })
    expect(server.headers[0]).toMatchObject({
      'x-board': 'north',
      'user-agent': 'mine',
      'content-type': 'application/json',
    })
  })

  it('says who asks', async () => {
    const server = await serve((_, response) => json(response, []))
    await pagesOf(bench().client, startOf(sourceOf(server.origin), streamOf()))
    expect(server.headers[0]?.['user-agent']).toMatch(/^api-backfill\/\d+\.\d+\.\d+ \(/)
    expect(server.headers[0]?.accept).toBe('application/json')
  })

  it('never leaves its host or its path by a value', async () => {
    const server = await serve((_, response) => json(response, []))
    const inPath = streamOf({ request: { path: '/a/{name}/b' } })
    for (const name of ['..', '.', '']) {
      const error = await errorOf(
        pagesOf(bench().client, startOf(sourceOf(server.origin), inPath, { partition: { name } })),
      )
      expect(error.code, name).toMatch(/^(bad_path|empty_path_part)$/)
    }
    const inHost = sourceOf('https://{name}.civic.example')
    for (const name of ['evil.example/', 'a@evil', 'a#', 'a..b', '', 'a b', 'ä']) {
      const error = await errorOf(pagesOf(bench().client, startOf(inHost, streamOf(), { partition: { name } })))
      expect(error.code, name).toBe('bad_host')
    }
    expect(server.seen).toEqual([])
  })
})
