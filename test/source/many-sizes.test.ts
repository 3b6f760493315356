// Walks over many values that share what they learn of the size of a request: one that has begun goes on with the values it began with.
import { afterEach, expect, it } from 'vitest'
import type { Pagination } from '../../src/domain/source-model.js'
import { bench, closeAll, idsOf, json, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const paged: Pagination = {
  ...{ kind: 'page', param: 'page', first: 1, sizeParam: 'per_page', pages: null },
  total: { header: 'x-total' },
  usedSize: { header: 'x-per-page' },
  end: { shortPage: false, errors: [] },
}
const stream = streamOf({
  request: { path: '/things' },
  pagination: paged,
  settings: { pageSize: 2 },
  count: [{ request: null, from: { header: 'x-total' }, exactBelow: null }],
  more: {
    dimensions: ['owner'],
    fanOut: { dimension: 'owner', many: { param: 'owners', join: ',', max: 4, shrinkOn: [502] } },
  },
})

it('passes over no row though another walk learns of a smaller size before its first answer', async () => {
  // The rows of the last owners come first.
  const table = [4, 3, 2, 1].flatMap((owner, index) =>
    [1, 2].map((n) => ({ id: index * 10 + n, owner_id: String(owner) })),
  )
  let shrank: () => void = () => undefined
  const hasShrunk = new Promise<void>((resolve) => {
    shrank = resolve
  })
  const server = await serve(async (_request, response, at) => {
    const owners = at.searchParams.get('owners')?.split(',') ?? []
    const page = Number(at.searchParams.get('page'))
    if (owners.includes('5') && owners.length > 2) {
      response.writeHead(502).end()
      return
    }
    // Asked with half of them: the client knows the smaller size now.
    if (owners.includes('5')) shrank()
    if (owners.includes('1') && page === 1) await hasShrunk
    const rows = table.filter(({ owner_id }) => owners.includes(owner_id))
    json(response, rows.slice((page - 1) * 2, page * 2), { 'x-total': String(rows.length), 'x-per-page': '2' })
  })
  const { client } = bench()
  const walk = async (owner: string) =>
    await pagesOf(client, startOf(sourceOf(server.origin), stream, { partition: { owner } }))
  const [pages] = await Promise.all([walk('1,2,3,4'), walk('5,6,7,8')])
  expect(idsOf(pages)).toEqual([1, 2, 11, 12, 21, 22, 31, 32])
  expect(pages.at(-1)?.judged?.verdict).toBe('proven')
  const asked = server.seen.filter((path) => path.includes('owners=1'))
  expect(new Set(asked.map((path) => new URL(path, 'http://h').searchParams.get('owners')))).toEqual(
    new Set(['1,2,3,4']),
  )
})

it('counts all values of a partition: fewer at a time where the source takes fewer, or where an address would be too long', async () => {
  const long = Array.from({ length: 4 }, (_, index) => `${String(index)}${'x'.repeat(2500)}`)
  const counts = new Map([...['1', '2', '3', '4'], ...long].map((owner, index) => [owner, index + 1]))
  const server = await serve((_request, response, at) => {
    const owners = at.searchParams.get('owners')?.split(',') ?? []
    if (owners.includes('3') && owners.length > 1) {
      response.writeHead(502).end()
      return
    }
    const total = owners.reduce((sum, owner) => sum + (counts.get(owner) ?? 0), 0)
    json(response, [], { 'x-total': String(total), 'x-per-page': '2' })
  })
  const { client } = bench()
  const count = async (owner: string) =>
    (await client.count(startOf(sourceOf(server.origin), stream, { partition: { owner } }))).count
  expect(await count(long.join(','))).toEqual({ value: 26, trust: 'exact' })
  expect(server.seen).toHaveLength(2)
  expect(await count('1,2,3,4')).toEqual({ value: 10, trust: 'exact' })
})
