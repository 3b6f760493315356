import { describe, expect, it } from 'vitest'
import { requestsOfWalk } from '../../src/domain/request-count.js'
import type { Pagination } from '../../src/domain/source-model.js'
import { makeStream } from '../support/stream.js'

const page = {
  kind: 'page',
  param: 'page',
  first: 1,
  sizeParam: null,
  total: null,
  pages: null,
  usedSize: null,
  end: { shortPage: false, errors: [] },
} as const
interface Case {
  readonly pagination: Pagination
  readonly rows: number
  readonly requests: number
}
const cases: [string, Pagination, number, number][] = [
  ['a cursor', { kind: 'cursor', from: { path: ['next'] }, param: 'c', sizeParam: null }, 250, 3],
  [
    'a cursor whose last page is full',
    { kind: 'cursor', from: { path: ['next'] }, param: 'c', sizeParam: null },
    300,
    3,
  ],
  ['page numbers with a total', { ...page, total: { header: 'x-total' } }, 300, 3],
  ['page numbers until an empty page', page, 300, 4],
  ['page numbers until an empty page, last one short', page, 250, 4],
  ['page numbers until a short page', { ...page, end: { shortPage: true, errors: [] } }, 250, 3],
  ['page numbers until a short page, last one full', { ...page, end: { shortPage: true, errors: [] } }, 300, 4],
  [
    'a cursor until an empty page',
    { kind: 'cursor', from: { path: ['next'] }, param: 'c', sizeParam: null, end: { emptyPage: true, errors: [] } },
    250,
    4,
  ],
  ['page numbers over nothing', page, 0, 1],
  ['an offset with a number of pages', { ...page, kind: 'offset', pages: { path: ['pages'] } }, 300, 3],
  ['no pages', { kind: 'none' }, 300, 1],
]

const named = cases.map(([name, pagination, rows, requests]): [string, Case] => [name, { pagination, rows, requests }])

describe('requestsOfWalk', () => {
  it.each(named)('%s', (_, { pagination, rows, requests }) => {
    expect(requestsOfWalk(makeStream({ pagination }), { rows, pageRows: 100 })).toBe(requests)
  })
})
