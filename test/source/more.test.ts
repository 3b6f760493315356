/** Sources that say in a place of its own whether there is more, and sources that name a next step at their end, too. */
import { afterEach, describe, expect, it } from 'vitest'
import { compileStreamYaml, compileYaml, usersYaml } from '../definition/compile-yaml.js'
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
} from './support.js'

afterEach(closeAll)

/** Walks as a definition says, whose stream stands under `users`. */
async function walk(paginate: string, answerer: Answerer, more = '') {
  const server = await serve(answerer)
  const stream = compileStreamYaml(usersYaml('answer: { rows: rows }', `paginate: ${paginate}`, 'retries: 0', more))
  const pages = await pagesOf(bench().client, startOf(sourceOf(server.origin), stream))
  return { ids: idsOf(pages), seen: server.seen.map((path) => path.replace('/users', '')) }
}

/** Five rows in pages of two; the cursor after the last page is named as well, and asking behind it is an error. */
const always =
  (sign: (isLast: boolean) => object): Answerer =>
  (_, response, at) => {
    const from = Number(at.searchParams.get('c') ?? at.searchParams.get('offset') ?? 0)
    if (from >= 5) {
      response.writeHead(400, { 'content-type': 'application/json' })
      response.end('{}')
      return
    }
    const next = Math.min(5, from + 2)
    const url = `/users?c=${next}`
    json(response, { next, url, rows: rows(from, Math.min(2, 5 - from)), total: 9, ...sign(next === 5) })
  }
const all = { ids: [0, 1, 2, 3, 4] }

describe('a word on whether there is more', () => {
  it.each([
    ['{ cursor: next, param: c, more: meta.has_more }', (last: boolean) => ({ meta: { has_more: !last } })],
    ['{ cursor: next, param: c, done: end_of_stream }', (last: boolean) => ({ end_of_stream: last })],
    ['{ cursor: next, param: c, more: m }', (last: boolean) => ({ m: last ? '0' : '1' })],
    ['{ next_url: url, more: meta.has_more }', (last: boolean) => ({ meta: { has_more: !last } })],
    ['{ offset: offset, more: m }', (last: boolean) => ({ m: !last })],
    ['{ offset: offset, total: total, done: d }', (last: boolean) => ({ d: last })],
  ])('ends %s, though a next step is named', async (paginate, sign) => {
    const { ids, seen } = await walk(paginate, always(sign))
    expect({ ids }).toEqual(all)
    expect(seen).toHaveLength(3)
  })

  it('goes before a total that is reached, and before a short page', async () => {
    const lying: Answerer = (_, response, at) => {
      const page = Number(at.searchParams.get('page') ?? 1)
      json(response, { rows: rows(page * 10, page), total: 1, more: page < 3 })
    }
    const paginate = '{ page: page, size: n, total: total, more: more, end: { short_page: true } }'
    const { ids } = await walk(paginate, lying, 'page_size: 3')
    expect(ids).toEqual([10, 20, 21, 30, 31, 32])
  })

  it('stands for itself where page numbers have no total', async () => {
    const { seen } = await walk('{ page: page, more: more }', (_, response, at) => {
      const page = Number(at.searchParams.get('page') ?? 1)
      json(response, { rows: rows(page, 1), more: page < 2 })
    })
    expect(seen).toEqual(['?page=1', '?page=2'])
  })

  it.each([
    ['{ cursor: next, param: c, more: more }', {}, 'nothing at "more"'],
    ['{ cursor: next, param: c, done: done }', { done: 'perhaps' }, 'neither true nor false at "done"'],
    ['{ cursor: none, param: c, more: more }', { more: true }, 'more to come, and no next step'],
    ['{ offset: offset, more: more }', { more: true, rows: [] }, 'more to come, and no row'],
    ['{ page: page, more: more }', {}, 'nothing at "more"'],
  ])('refuses, with %s, %j', async (paginate, sign, fact) => {
    const error = await errorOf(
      walk(
        paginate,
        always(() => sign),
      ),
    )
    expect(error).toMatchObject({ code: 'bad_cursor' })
    expect(error.message).toContain(fact)
  })

  it('may be left out where no next step is named', async () => {
    const { ids } = await walk(
      '{ cursor: none, param: c, more: more }',
      always(() => ({})),
    )
    expect(ids).toEqual([0, 1])
  })

  it.each([
    ['{ cursor: next, param: c, more: a, done: b }', 'paginate.done  expected either more or done, found both'],
    [
      '{ page: page, total: total, backwards: id, more: a }',
      'paginate.more  expected no "more" and no "done" beside "backwards", which ends at the first page, found one',
    ],
  ])('is refused in a definition: %s', (paginate, line) => {
    const { lines } = compileYaml(usersYaml('answer: { rows: rows }', `paginate: ${paginate}`))
    expect(lines.join('\n')).toContain(line)
  })

  it('is refused where an answer is nothing but its rows', () => {
    const { lines } = compileYaml(usersYaml('paginate: { link: next, done: done }'))
    expect(lines.join('\n')).toContain('paginate.done  expected a header')
  })
})

describe('a cursor that stands for the end', () => {
  it.each([
    ['0', 0],
    ["'0'", '0'],
    ["'null'", 'null'],
    ['-1', -1],
  ])('is %s', async (written, last) => {
    const { ids } = await walk(
      `{ cursor: next, param: c, end: { cursors: [${written}] } }`,
      always((isLast) => (isLast ? { next: last } : {})),
    )
    expect(ids).toEqual(all.ids)
  })

  it('is none where the definition names none', async () => {
    const given = walk(
      '{ cursor: next, param: c }',
      always((isLast) => (isLast ? { next: 'null' } : {})),
    )
    expect(await given.then(({ seen }) => seen.at(-1))).toBe('?c=null')
  })
})
