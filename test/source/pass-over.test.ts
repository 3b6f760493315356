/** A page asked for alone, and the place behind a page that gave no answer. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Pagination } from '../../src/domain/source-model.js'
import { bench, closeAll, json, pagesOf, rows, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const numbered = {
  sizeParam: 'size',
  total: { header: 'X-Total' },
  pages: null,
  usedSize: null,
  end: { shortPage: false, errors: [{ status: 404, path: null, equals: null }] },
}
const byPage: Pagination = { kind: 'page', param: 'page', first: 1, ...numbered }
const byOffset: Pagination = { kind: 'offset', param: 'offset', ...numbered }
const streamBy = (pagination: Pagination, pageSize: number | null = 10) =>
  streamOf({ pagination, settings: { pageSize } })

describe('the place behind a page without an answer', () => {
  const { client } = bench()
  const place = (at: number, pages: number, [seen, total]: readonly [number, number?]) => ({
    ...{ at, pages, seen },
    total: total ?? null,
  })

  it('is the next page, also of the first', () => {
    expect(client.passOver(streamBy(byPage), null)).toEqual({ page: { number: 1, at: 1 }, next: place(2, 1, [10]) })
    expect(client.passOver(streamBy(byPage), place(7, 6, [60, 200]))).toEqual({
      page: { number: 7, at: 7 },
      next: place(8, 7, [70, 200]),
    })
    expect(client.passOver(streamBy(byPage, null), null)).toMatchObject({ next: place(2, 1, [0]) })
  })

  it('is as many rows on as pages had, and no more than are asked for; unknown where no size is', () => {
    expect(client.passOver(streamBy(byOffset), place(60, 6, [60]))).toEqual({
      page: { number: 7, at: 60 },
      next: place(70, 7, [70]),
    })
    expect(client.passOver(streamBy(byOffset, 500), place(60, 6, [60]))).toMatchObject({ next: place(70, 7, [70]) })
    expect(client.passOver(streamBy(byOffset), place(65, 6, [65]))).toMatchObject({ next: place(75, 7, [75]) })
    expect(client.passOver(streamBy(byOffset, null), null)).toBeNull()
  })

  it('is none behind the last page of an exact total', () => {
    expect(client.passOver(streamBy(byPage), place(20, 19, [190, 195]))).toEqual({
      page: { number: 20, at: 20 },
      next: null,
    })
  })

  it('is not known where the answer names it', () => {
    expect(client.passOver(streamBy({ kind: 'link', rel: 'next', sizeParam: null }), null)).toBeNull()
    expect(client.passOver(streamBy({ kind: 'none' }), null)).toBeNull()
  })
})

describe('a page asked for alone', () => {
  const serving = () =>
    serve((_, response, at) => {
      const page = Number(at.searchParams.get('page') ?? at.searchParams.get('offset'))
      if (page === 99) response.writeHead(404, { 'content-type': 'application/json' }).end('{}')
      else json(response, rows(page * 10, 10), { 'x-total': '200' })
    })

  it('is one request with its number, and the whole of its walk', async () => {
    const server = await serving()
    const { client } = bench()
    const pages = await pagesOf(
      client,
      startOf(sourceOf(server.origin), streamBy(byPage), { page: { number: 7, at: 7 } }),
    )
    expect(pages).toMatchObject([{ number: 7, next: null, count: null, requests: 1 }])
    const [page] = await pagesOf(
      client,
      startOf(sourceOf(server.origin), streamBy(byOffset), { page: { number: 7, at: 60 } }),
    )
    expect(page?.records).toHaveLength(10)
    expect(server.seen).toEqual(['/things?size=10&page=7', '/things?size=10&offset=60'])
  })

  it('that is past the end by now is empty', async () => {
    const server = await serving()
    const pages = await pagesOf(
      bench().client,
      startOf(sourceOf(server.origin), streamBy(byPage), { page: { number: 99, at: 99 } }),
    )
    expect(pages).toMatchObject([{ records: [], next: null }])
  })
})
