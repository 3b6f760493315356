/** Sources whose next step never runs out, or that have nothing to say past their end: what the definition calls the end is one, and nothing else. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Pagination } from '../../src/domain/source-model.js'
import { compileStreamYaml } from '../definition/compile-yaml.js'
import {
  type Answerer,
  bench,
  closeAll,
  errorOf,
  idsOf,
  json,
  pagesOf,
  rows,
  serve,
  sourceOf,
  startOf,
  streamOf,
} from './support.js'

afterEach(closeAll)

const past404 = { status: 404, path: null, equals: null }
const cursor = { kind: 'cursor', from: { path: ['next'] }, param: 'c', sizeParam: null } as const

async function walk(answerer: Answerer, pagination: Pagination, place: string[] = ['rows']) {
  const server = await serve(answerer)
  const stream = streamOf({ pagination, answer: { rows: place } })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), stream))
  return { ids: idsOf(pages), seen: server.seen }
}

describe('an empty page', () => {
  const scroll =
    (next: (at: number) => string): Answerer =>
    (_, response, at) => {
      const from = Number(at.searchParams.get('c') ?? 0)
      json(response, { next: next(from + 2), rows: rows(from, Math.min(2, 5 - from)) })
    }

  it('is the end of a cursor that never runs out, where the definition says so', async () => {
    const end = { emptyPage: true, errors: [] }
    expect(await walk(scroll(String), { ...cursor, end })).toEqual({
      ids: [0, 1, 2, 3, 4],
      seen: ['/things', '/things?c=2', '/things?c=4', '/things?c=6'],
    })
  })

  it('is the end of a scroll whose cursor is always the same one, and a page that repeats is a loop', async () => {
    const end = { emptyPage: true, errors: [] }
    let asked = 0
    const { ids } = await walk(
      (_, response) => {
        asked += 1
        json(response, { next: 'scroll', rows: asked < 4 ? rows(asked, 1) : [] })
      },
      { ...cursor, end },
    )
    expect(ids).toEqual([1, 2, 3])
    const error = await errorOf(
      walk((_, response) => json(response, { next: 's', rows: rows(0, 2) }), { ...cursor, end }),
    )
    expect(error.code).toBe('loop')
  })

  it('is none where the definition does not', async () => {
    expect(
      (
        await errorOf(
          walk(
            scroll(() => '9'),
            cursor,
          ),
        )
      ).code,
    ).toBe('loop')
  })
})

describe('an error past the end', () => {
  const answerer: Answerer = (_, response, at) => {
    if (at.searchParams.has('c')) response.writeHead(404).end('gone')
    else json(response, { next: 'x', rows: rows(0, 2) })
  }

  it('ends a walk by cursor, link or next address where it is declared, but never its first page', async () => {
    const end = { emptyPage: false, errors: [past404] }
    expect((await walk(answerer, { ...cursor, end })).ids).toEqual([0, 1])
    expect((await errorOf(walk(answerer, cursor))).code).toBe('http_404')
    const always: Answerer = (_, response) => response.writeHead(404).end()
    expect((await errorOf(walk(always, { ...cursor, end }))).code).toBe('http_404')
  })
})

describe('204, no content', () => {
  const numbered = (errors: readonly (typeof past404)[]): Pagination => ({
    ...{ kind: 'page', param: 'page', first: 1, sizeParam: null, total: null, pages: null, usedSize: null },
    end: { shortPage: false, errors },
  })
  const until =
    (last: number): Answerer =>
    (_, response, at) => {
      const page = Number(at.searchParams.get('page'))
      if (page <= last) json(response, { rows: rows(page, 1) })
      else response.writeHead(204).end()
    }

  it('is an end where it is declared, of an empty partition too; else an answer that is none', async () => {
    const declared = numbered([{ ...past404, status: 204 }])
    expect((await walk(until(2), declared)).ids).toEqual([1, 2])
    expect((await walk(until(0), declared)).ids).toEqual([])
    expect((await errorOf(walk(until(2), numbered([])))).code).toBe('not_json')
  })
})

it('a definition says all of this, and what it leaves out changes no request hash', () => {
  const stream = (end: string) =>
    compileStreamYaml(`source: acme
base_url: https://acme.example
streams: { users: { path: /users, key: id, columns: { id: int }, answer: { rows: rows }, paginate: { cursor: next, param: c${end} } } }
`).pagination
  expect(stream('')).toEqual({ ...cursor })
  expect(stream(', end: { empty_page: true, errors: [204, { status: 400, path: code, equals: past }] }')).toEqual({
    ...cursor,
    end: {
      emptyPage: true,
      errors: [
        { status: 204, path: null, equals: null },
        { status: 400, path: ['code'], equals: 'past' },
      ],
    },
  })
})
