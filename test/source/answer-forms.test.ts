/** Answers that are no list of rows: one record, JSON inside a text, CSV with a footer, and the ways of a source to say that it has nothing. */
import { afterEach, describe, expect, it } from 'vitest'
import type { AnswerShape } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

type Shape = Partial<AnswerShape>
interface Told {
  readonly status?: number
  readonly type?: string
  readonly body: string
}

async function walk({ status = 200, type = 'application/json', body }: Told, answer: Shape, around = bench()) {
  const server = await serve((_, response) => response.writeHead(status, { 'content-type': type }).end(body))
  const days = { kind: 'dates', from: '2024-01-01', to: 'today', step: 'day', exclude: [], aliases: {} } as const
  const source = sourceOf(server.origin, { dimensions: { day: days } })
  const stream = streamOf({ answer, more: { dimensions: ['day'] } })
  const pages = await pagesOf(around.client, startOf(source, stream, { partition: { day: '2024-03-09' } }))
  return pages.flatMap(({ records }) => records)
}

describe('one record', () => {
  const one: Shape = { shape: 'one', rows: ['book'] }

  it('is the row', async () => {
    expect(await walk({ body: '{ "book": { "id": 1, "error": "said of itself" } }' }, one)).toEqual([
      { id: 1, error: 'said of itself' },
    ])
    expect(await walk({ body: '{ "id": 1, "errors": [] }' }, { shape: 'one', rows: [] })).toEqual([
      { id: 1, errors: [] },
    ])
  })

  it.each(['{}', '{ "book": null }', '{ "book": [] }', '{ "book": "x" }'])('is not %s', async (body) => {
    const error = await errorOf(walk({ body }, one))
    expect(error).toMatchObject({ code: 'rows_missing' })
    expect(error.message).toContain('expected one record')
  })

  it.each(['{ "error": "no" }', '{ "errorMessage": "no", "id": 1 }', '{ "fault": { "code": 1 } }'])(
    'is not an error in its place: %s',
    async (body) => {
      for (const shape of ['one', 'entries'] as const) {
        const error = await errorOf(walk({ body }, { shape, rows: [] }))
        expect(error).toMatchObject({ code: 'rows_missing' })
        expect(error.message).toContain('an object that names an error')
      }
    },
  )

  it('is named where a list was expected', async () => {
    const error = await errorOf(walk({ body: '{ "book": { "id": 1 } }' }, { rows: ['book'] }))
    expect(error.hint).toContain('shape: one')
  })
})

describe('an error that means "there is nothing"', () => {
  const emptyOn = [{ status: 404, path: ['message'], equals: 'Not Found' }]

  it('is written to the log, as nothing else tells it from a list without rows', async () => {
    const around = bench()
    await walk({ status: 404, body: '{ "message": "Not Found" }' }, { emptyOn }, around)
    expect(around.events).toEqual([
      {
        level: 'info',
        event: 'source.nothing',
        fields: { source: 'acme', stream: 'things', address: expect.stringMatching(/^GET http/) as string },
      },
    ])
    const other = bench()
    await walk({ body: '[]' }, { emptyOn }, other)
    expect(other.events).toEqual([])
  })

  it('is an answer without rows', async () => {
    const told = { status: 404, body: '{ "message": "Not Found" }' }
    expect(await walk(told, { emptyOn })).toEqual([])
    expect(await walk({ status: 404, body: 'none' }, { emptyOn: [{ status: 404, path: null, equals: null }] })).toEqual(
      [],
    )
  })

  it.each([
    [404, 'application/json', '{ "message": "No such route" }'],
    [404, 'application/json', ''],
    [410, 'application/json', '{ "message": "Not Found" }'],
  ])('is an error where it is another one: %j', async (status, type, body) => {
    expect(await errorOf(walk({ status, type, body }, { emptyOn }))).toMatchObject({ code: `http_${status}` })
  })

  it('is never a page of somebody else', async () => {
    const told = { status: 404, type: 'text/html', body: '<!doctype html><html><title>404</title></html>' }
    const error = await errorOf(walk(told, { emptyOn: [{ status: 404, path: null, equals: null }] }))
    expect(error).toMatchObject({ code: 'http_404' })
  })
})

describe('JSON inside a text', () => {
  const parse = ['choices', 0, 'text']
  const books: Shape = { parse, rows: [...parse, 'books'] }
  const saying = (text: string, more: object = {}) => ({ body: JSON.stringify({ choices: [{ text, ...more }] }) })

  it('is read where it stands', async () => {
    expect(await walk(saying('{ "books": [{ "id": 12345678901234567890 }] }'), books)).toEqual([
      { id: 12345678901234567890n },
    ])
    expect(await walk(saying('[{ "id": 1 }]'), { parse, rows: parse })).toEqual([{ id: 1 }])
  })

  it('is an error where it stops in the middle, and may be whole the next time', async () => {
    for (const text of ['{ "books": [{ "id": 1 }, {', '', ' ']) {
      expect(await errorOf(walk(saying(text), books))).toMatchObject({ code: 'cut_body' })
    }
  })

  it('says first why it stops, where the answer does', async () => {
    const cut = saying('{ "books": [', { finish: 'length' })
    const error = await errorOf(
      walk(cut, {
        ...books,
        errors: [{ path: ['choices', 0, 'finish'], equals: 'length', message: null, fate: 'dead' }],
      }),
    )
    expect(error).toMatchObject({ code: 'answer_error' })
    const expectation = { from: { path: ['choices', 0, 'finish'] }, is: 'stop' }
    const inside = { from: { path: [...parse, 'kind'] }, is: 'books' }
    expect((await errorOf(walk(cut, { ...books, expect: [inside, expectation] }))).message).toContain(
      '"length" at choices[0].finish, expected "stop"',
    )
  })

  it('may name an error itself', async () => {
    const errors = [{ path: [...parse, 'error'], equals: null, message: null, fate: 'dead' }] as const
    expect(await errorOf(walk(saying('{ "error": "no", "books": [] }'), { ...books, errors }))).toMatchObject({
      code: 'answer_error',
    })
  })

  it.each([
    ['no JSON', saying('Here are the books:')],
    ['another list', saying('{ "titles": [] }')],
    ['nothing', { body: '{ "blocked": true }' }],
  ])('is no empty list where it is %s', async (_, told) => {
    expect((await errorOf(walk(told, books))).code).toMatch(/^(unparsable|rows_missing)$/)
  })

  it('is named where the rows are such a text', async () => {
    expect((await errorOf(walk(saying('[{ "id": 1 }]'), { rows: parse }))).hint).toContain('parse: choices[0].text')
  })
})

describe('CSV with a footer', () => {
  const csv = { delimiter: ',', header: true, columns: [], footer: 1 }
  const told = (...lines: string[]) => ({ type: 'text/csv', body: `${lines.join('\r\n')}\r\n` })
  const footer = 'Month of Mar, As of 03/09/2024'
  const rightDay = { from: { path: ['footer', 0] }, is: 'Month of {day:MMM}, As of {day:MM/DD/YYYY}' }

  it('is its rows, and says what it is for', async () => {
    const rows = await walk(told('"id","name","x"', '"1","A",""', footer, ''), {
      format: 'csv',
      csv,
      expect: [rightDay],
    })
    expect(rows).toEqual([{ id: '1', name: 'A', x: '' }])
    expect(await walk(told('"id","name","x"', footer), { format: 'csv', csv })).toEqual([])
  })

  it('is cut where the footer is missing, and no row is taken for it', async () => {
    for (const lines of [['id,name,x', '1,A,', '2,B,'], ['id,name,x']]) {
      expect(await errorOf(walk(told(...lines), { format: 'csv', csv }))).toMatchObject({ code: 'cut_body' })
    }
  })

  it('may be as wide as a row where it is known by what it says', async () => {
    const expectation = { from: { path: ['footer', 0] }, is: 'total,2' }
    const answer: Shape = { format: 'csv', csv, expect: [expectation] }
    expect(await walk(told('id,n', '1,2', 'total,2'), answer)).toEqual([{ id: '1', n: '2' }])
    expect(await errorOf(walk(told('id,n', '1,2', '2,3'), answer))).toMatchObject({ code: 'other_answer' })
  })

  it('is named where the definition does not know it', async () => {
    const error = await errorOf(walk(told('id,n,x', '1,2,3', footer), { format: 'csv' }))
    expect(error).toMatchObject({ code: 'bad_row' })
    expect(error.hint).toContain('footer: 1')
    expect((await errorOf(walk(told('id,n,x', '1,2', '1,2,3'), { format: 'csv' }))).hint).toBeUndefined()
  })

  it('has values that stand for nothing where the definition names them', async () => {
    const answer: Shape = { format: 'csv', csv: { ...csv, footer: 0, nulls: ['', 'n/a'] } }
    expect(await walk(told('id,n,x', '1,,n/a'), answer)).toEqual([{ id: '1', n: null, x: null }])
  })
})

describe('an answer for somebody else', () => {
  const path = ['about']
  const body = (about: string) => ({ body: JSON.stringify({ about, rows: [{ id: 1 }] }) })
  const rows = ['rows']

  it('may be named in several ways', async () => {
    const expectations = [{ from: { path }, is: '{day:MMM}', or: ['March', '{day:M}'] }]
    for (const about of ['Mar', 'March', '3'])
      expect(await walk(body(about), { rows, expect: expectations })).toHaveLength(1)
    expect((await errorOf(walk(body('Feb'), { rows, expect: expectations }))).message).toContain(
      '"Feb" at about, expected "Mar" or "March" or "3"',
    )
  })

  it('is the word for "nothing" where the definition says so, and only where it says of what it is', async () => {
    const expectations = [{ from: { path }, is: '{day:MMM}', otherwise: 'empty' } as const]
    expect(await walk(body('Feb'), { rows, expect: expectations })).toEqual([])
    expect(await walk(body('Mar'), { rows, expect: expectations })).toHaveLength(1)
    expect(await errorOf(walk({ body: '{ "rows": [] }' }, { rows, expect: expectations }))).toMatchObject({
      code: 'other_answer',
    })
  })
})
