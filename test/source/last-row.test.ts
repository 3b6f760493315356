/** Walks that go on behind the last row of a page: no cursor in the answer, the row itself is the position. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Pagination } from '../../src/domain/source-model.js'
import { compileStreamYaml, compileYaml, usersYaml } from '../definition/compile-yaml.js'
import { bench, closeAll, errorOf, idsOf, json, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

type LastRow = Pagination & { readonly kind: 'lastRow' }
const behind: LastRow = {
  kind: 'lastRow',
  row: ['id'],
  param: 'after',
  more: null,
  sizeParam: 'limit',
  end: { shortPage: false, errors: [] },
}
interface Row {
  readonly id: unknown
}
interface Case {
  readonly ids: readonly unknown[]
  readonly pagination?: Partial<LastRow>
  readonly pageSize?: number | null
  /** Rows that the server puts in a page at most. */
  readonly most?: number
  readonly body?: (page: readonly Row[], hasMore: boolean) => unknown
}

/** Walks a list that a server gives in pieces, each behind the row that is asked for. */
async function walk({ ids, pagination = {}, pageSize = 2, most = 100, body = (page) => page }: Case) {
  const server = await serve((_, response, at) => {
    const after = at.searchParams.get('after')
    const from = after === null ? 0 : ids.findIndex((id) => String(id) === after) + 1
    const page = ids.slice(from, from + Math.min(most, Number(at.searchParams.get('limit') ?? '2')))
    response.writeHead(200, { 'content-type': 'application/json' })
    // As the source would write them: a bigint is a number of 64 bits.
    response.end(
      JSON.stringify(
        body(
          page.map((id) => ({ id })),
          from + page.length < ids.length,
        ),
        (_name, value: unknown) => (typeof value === 'bigint' ? `#${value}#` : value),
      ).replaceAll(/"#(\d+)#"/g, '$1'),
    )
  })
  const stream = streamOf({
    pagination: { ...behind, ...pagination },
    answer: { rows: Array.isArray(body([], false)) ? [] : ['data'] },
    settings: { pageSize },
  })
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), stream))
  return { ids: idsOf(pages), seen: server.seen.map((path) => path.replace('/things', '')), pages }
}

describe('behind the last row', () => {
  it('goes on until a page is empty', async () => {
    expect(await walk({ ids: ['a', 'b', 'c', 'd', 'e'] })).toMatchObject({
      ids: ['a', 'b', 'c', 'd', 'e'],
      seen: ['?limit=2', '?limit=2&after=b', '?limit=2&after=d', '?limit=2&after=e'],
    })
    expect((await walk({ ids: [] })).seen).toEqual(['?limit=2'])
  })

  it('takes no short page for the end, unless the source says so', async () => {
    const clipped = { ids: ['a', 'b', 'c'], most: 1 }
    expect((await walk(clipped)).ids).toEqual(['a', 'b', 'c'])
    const shortPage = { pagination: { end: { shortPage: true, errors: [] } } }
    expect((await walk({ ids: ['a', 'b', 'c'], ...shortPage })).seen).toEqual(['?limit=2', '?limit=2&after=b'])
  })

  it('ends where the answer says that there is no more, and only there', async () => {
    const body: Case['body'] = (data, has_more) => ({ data, has_more })
    const given = { ids: ['a', 'b', 'c', 'd'], body, pagination: { more: { path: ['has_more'] } } }
    expect(await walk(given)).toMatchObject({ ids: ['a', 'b', 'c', 'd'], seen: ['?limit=2', '?limit=2&after=b'] })
    expect((await walk({ ...given, ids: [] })).seen).toHaveLength(1)
    // Clipped pages are no end either.
    expect((await walk({ ...given, most: 1 })).ids).toEqual(['a', 'b', 'c', 'd'])
  })

  it.each([
    ['says nothing of more', (data: readonly Row[]) => ({ data }), 'nothing at "has_more"'],
    ['says more and brings no row', () => ({ data: [], has_more: true }), 'no row to go on behind'],
    ['says neither yes nor no', (data: readonly Row[]) => ({ data, has_more: 'perhaps' }), 'neither true nor false'],
  ])('refuses an answer that %s', async (_, body, fact) => {
    const error = await errorOf(walk({ ids: ['a', 'b', 'c'], body, pagination: { more: { path: ['has_more'] } } }))
    expect(error).toMatchObject({ code: 'bad_cursor' })
    expect(error.message).toContain(fact)
  })

  it.each([
    [1, 0],
    ['true', 'false'],
    ['True', 'False'],
    ['1', '0'],
  ])('reads %s and %s as yes and no', async (yes, no) => {
    let asked = 0
    const server = await serve((_, response) => {
      asked += 1
      json(response, { data: [{ id: asked }], more: asked === 3 ? no : yes })
    })
    const stream = streamOf({ pagination: { ...behind, more: { path: ['more'] } }, answer: { rows: ['data'] } })
    expect(idsOf(await pagesOf(bench().client, startOf(sourceOf(server.origin), stream)))).toEqual([1, 2, 3])
  })

  it('refuses a last row without its value', async () => {
    for (const id of [null, { nested: 1 }, '']) {
      const error = await errorOf(walk({ ids: ['a', id, 'c'] }))
      expect(error).toMatchObject({ code: 'bad_cursor' })
      expect(error.message).toContain('the last row has no text or number at "id"')
    }
  })

  it('asks behind 64 bits exactly, and behind numbers', async () => {
    const ids = [1, 9007199254740993n, 9007199254740995n]
    const { seen } = await walk({ ids })
    expect(seen).toEqual(['?limit=2', '?limit=2&after=9007199254740993', '?limit=2&after=9007199254740995'])
    expect((await walk({ ids: [-3, 0, 0.5] })).ids).toEqual([-3, 0, 0.5])
  })

  it('finds a source that does not look at the row it is asked behind', async () => {
    const server = await serve((_, response) => json(response, [{ id: 1 }, { id: 2 }]))
    const stream = streamOf({ pagination: behind, settings: { pageSize: 2 } })
    const error = await errorOf(pagesOf(bench().client, startOf(sourceOf(server.origin), stream)))
    expect(error).toMatchObject({ code: 'loop' })
    expect(server.seen.length).toBeLessThanOrEqual(3)
  })

  it('goes on in another process from its cursor alone', async () => {
    const { pages } = await walk({ ids: ['a', 'b', 'c', 'd', 'e'] })
    const seen: string[] = []
    const server = await serve((_, response, at) => {
      seen.push(at.search)
      json(response, at.searchParams.get('after') === 'b' ? [{ id: 'c' }] : [])
    })
    const stream = streamOf({ pagination: behind, settings: { pageSize: 2 } })
    const cursor = pages[0]?.next ?? null
    await pagesOf(bench().client, startOf(sourceOf(server.origin), stream, { cursor, pages: 1 }))
    expect(seen).toEqual(['?limit=2&after=b', '?limit=2&after=c'])
  })
})

const definition = (paginate: string, more = '') => usersYaml(`paginate: ${paginate}`, more)

describe('in a definition', () => {
  it('is a place in the row, with a sign of more beside it', () => {
    const full = '{ last_row: meta.id, param: after, more: has_more, size: limit, end: { errors: [404] } }'
    expect(compileStreamYaml(definition(full, 'answer: { rows: data }')).pagination).toEqual({
      kind: 'lastRow',
      row: ['meta', 'id'],
      param: 'after',
      more: { path: ['has_more'] },
      sizeParam: 'limit',
      end: { shortPage: false, errors: [{ status: 404, path: null, equals: null }] },
    })
  })

  it('goes with rows alone, and puts the value where {cursor} stands', () => {
    const text = definition('{ last_row: id }', 'request: { headers: { X-After: "{cursor}" } }')
    expect(compileYaml(text).lines).toEqual([])
  })

  it.each([
    [
      '{ last_row: id }',
      '',
      '8  ~.paginate.param  expected the name of a parameter, or {cursor} in the request, found nothing',
    ],
    ['{ last_row: $, param: a }', '', '8  ~.paginate.last_row  expected a place in the row, like id, found "$"'],
    [
      '{ last_row: id, param: a, more: more }',
      '',
      '8  ~.paginate.more  expected a header, or a place like [0].next, because without "rows" the whole answer is the list of rows, found "more"',
    ],
    [
      '{ last_row: id, param: a, end: { short_page: true } }',
      '',
      '8  ~.paginate  expected page_size or used_size, so that a page can be called short, found short_page without either',
    ],
    [
      '{ last_row: id, param: a }',
      'answer: { shape: entries }',
      '8  ~.paginate.last_row  expected another pagination, because rows by name have no order, found last_row',
    ],
  ])('is refused: %s', (paginate, more, line) => {
    const { lines } = compileYaml(definition(paginate, more))
    expect(lines.map((one) => one.replace('sources/acme.yaml:', '').replace('streams.users', '~'))).toEqual([line])
  })
})
