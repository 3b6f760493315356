/** Where the rows are, in answers that are no plain list: rows by name, and a list that is left out where it would be empty. */
import { afterEach, describe, expect, it } from 'vitest'
import { compileStreamYaml, compileYaml, usersYaml } from '../definition/compile-yaml.js'
import { bench, closeAll, errorOf, pagesOf, type StreamParts, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

type Shape = NonNullable<StreamParts['answer']>

async function recordsOf(body: string, answer: Shape) {
  const server = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(body)
  })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), streamOf({ answer })))
  return pages.flatMap(({ records }) => records)
}

describe('rows by name', () => {
  const byName = { shape: 'entries', rows: [] } as const

  it('are the values of an object, each with its name', async () => {
    const body = '{ "ISBN:1": { "title": "A" }, "ISBN:2": { "title": "B" } }'
    expect(await recordsOf(body, byName)).toEqual([
      { title: 'A', _key: 'ISBN:1' },
      { title: 'B', _key: 'ISBN:2' },
    ])
  })

  it('may be plain values, lists, and anything under any name', async () => {
    expect(
      await recordsOf('{ "rates": { "EUR": 1.1, "__proto__": [2], "": null } }', { ...byName, rows: ['rates'] }),
    ).toEqual([
      { value: 1.1, _key: 'EUR' },
      { value: [2], _key: '__proto__' },
      { value: null, _key: '' },
    ])
  })

  it('are none in an empty object, and in the empty list that PHP makes of one', async () => {
    expect(await recordsOf('{}', byName)).toEqual([])
    expect(await recordsOf('[]', byName)).toEqual([])
  })

  it.each(['[1]', '3', 'null', '"text"'])('are not %s', async (body) => {
    const error = await errorOf(recordsOf(body, byName))
    expect(error).toMatchObject({ code: 'rows_missing' })
    expect(error.message).toContain('expected an object of rows')
  })
})

describe('a list left out where it would be empty', () => {
  const mayLack = { rows: ['items'], emptyWithoutRows: true } as const

  it('is no row', async () => {
    expect(await recordsOf('{ "totalItems": 0 }', mayLack)).toEqual([])
    expect(await recordsOf('{ "items": null, "error": null }', mayLack)).toEqual([])
    expect(await recordsOf('{ "items": [{ "id": 1 }] }', mayLack)).toEqual([{ id: 1 }])
  })

  it('is looked for where it would be: what is around it must be there', async () => {
    const deep = { ...mayLack, rows: ['data', 'items'] }
    expect(await recordsOf('{ "data": {} }', deep)).toEqual([])
    for (const body of ['{}', '{ "data": null }', '{ "data": [] }']) {
      expect(await errorOf(recordsOf(body, deep))).toMatchObject({ code: 'rows_missing' })
    }
  })

  it.each(['[]', '3', 'null', '{ "items": {} }', '{ "items": "" }', '{ "items": false }'])(
    'is not %s',
    async (body) => {
      expect(await errorOf(recordsOf(body, mayLack))).toMatchObject({ code: 'rows_missing' })
    },
  )

  it.each(['{ "error": { "code": 500 } }', '{ "errors": ["no"] }', '{ "errorMessage": "x" }', '{ "fault": "x" }'])(
    'is not an answer that names an error: %s',
    async (body) => {
      expect(await errorOf(recordsOf(body, mayLack))).toMatchObject({ code: 'rows_missing' })
    },
  )

  it.each([
    '{ "data": { "error": "no such account" } }',
    '{ "data": {}, "errors": ["no"] }',
    '{ "data": {}, "success": false, "message": "come back later" }',
    '{ "data": {}, "ok": "false" }',
    '{ "status": "error", "data": {} }',
    '{ "data": { "status": "Failed" } }',
  ])('is not an answer that says at any level above the list that it failed: %s', async (body) => {
    const deep = { ...mayLack, rows: ['data', 'items'] }
    expect(await errorOf(recordsOf(body, deep))).toMatchObject({ code: 'rows_missing' })
  })

  it.each([
    '{ "message": "Forbidden" }',
    '{ "message": "Not Found", "documentation_url": "https://docs", "status": "404" }',
    '{ "code": 7, "detail": "come back later", "requestId": "r" }',
    '{ "code": 500, "message": "system busy", "items": null }',
    '{ "status": 200, "code": "E17", "msg": "token invalid", "items": null }',
    '{ "message": "Forbidden", "items": null }',
  ])('is not an answer that says nothing but why: %s', async (body) => {
    expect(await errorOf(recordsOf(body, mayLack))).toMatchObject({ code: 'rows_missing' })
  })

  it('may have a message beside what it says of the list, and an empty one', async () => {
    expect(await recordsOf('{ "message": "no results", "totalItems": 0 }', mayLack)).toEqual([])
    expect(await recordsOf('{ "code": 200, "message": "" }', mayLack)).toEqual([])
  })

  it('may say that all went well, with null in the place of the list', async () => {
    expect(await recordsOf('{ "code": 0, "msg": "nothing found", "items": null }', mayLack)).toEqual([])
    expect(await recordsOf('{ "code": 200, "status": "ok", "message": "done", "items": null }', mayLack)).toEqual([])
    expect(await recordsOf('{ "message": "Success", "items": null }', mayLack)).toEqual([])
  })

  it('may say that there is no error', async () => {
    expect(await recordsOf('{ "ok": true, "success": 1, "status": "success" }', mayLack)).toEqual([])
    expect(await recordsOf('{ "error_code": 0, "error": "", "errors": [], "exception": null }', mayLack)).toEqual([])
  })

  it('is an error where the definition says nothing of it', async () => {
    expect(await errorOf(recordsOf('{ "totalItems": 0 }', { rows: ['items'] }))).toMatchObject({ code: 'rows_missing' })
  })
})

const definition = (answer: string, more = '') => usersYaml(`answer: ${answer}`, more)

describe('in a definition', () => {
  it('is said with the answer', () => {
    const { answer } = compileStreamYaml(definition('{ rows: items, empty_without_rows: true }'))
    expect(answer).toMatchObject({ rows: ['items'], emptyWithoutRows: true })
    expect(compileStreamYaml(definition('{ shape: entries }')).answer).toMatchObject({ rows: [], shape: 'entries' })
  })

  it('leaves walks of older definitions as they are', () => {
    const of = (answer: string) => compileStreamYaml(definition(answer)).requestHash
    expect(of('{ rows: items }')).toBe(of('{ rows: items, empty_without_rows: false }'))
    expect(of('{ rows: items }')).toBe(of('{ rows: items, shape: objects }'))
  })

  it.each([
    [
      '{ empty_without_rows: true }',
      'answer.empty_without_rows  expected "rows", the place of the list that may be left out, found nothing',
    ],
    [
      '{ format: csv, empty_without_rows: true }',
      'answer.empty_without_rows  expected no "empty_without_rows", because an answer of format csv has none, found one',
    ],
    [
      '{ format: csv, shape: entries }',
      'answer.shape  expected objects, arrays or values, because an answer of format csv is a list, found "entries"',
    ],
    [
      '{ format: ndjson, shape: entries }',
      'answer.shape  expected objects, arrays or values, because an answer of format ndjson is a list, found "entries"',
    ],
    [
      '{ rows: data, shape: entries, header: names }',
      'answer.header  expected no "header", because rows by name are no lists, found one',
    ],
  ])('is refused: %s', (answer, line) => {
    const { lines } = compileYaml(definition(answer))
    expect(lines.map((one) => one.replace('sources/acme.yaml:8  streams.users.', ''))).toEqual([line])
  })

  it('is refused: a place in rows by name that are the whole answer', () => {
    const { lines } = compileYaml(definition('{ shape: entries }', 'paginate: { cursor: next, param: c }'))
    expect(lines).toEqual([
      'sources/acme.yaml:9  streams.users.paginate.cursor  expected a header, because without "rows" the whole answer is rows by name, found "next"',
    ])
  })
})
