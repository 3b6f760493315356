/** Rows that a source is asked about together, before they are deleted: an answer that goes on on another page proves nothing of those that it does not list. */
import { afterEach, describe, expect, it } from 'vitest'
import { compileStreamYaml, usersYaml } from '../definition/compile-yaml.js'
import { bench, closeAll, errorOf, json, rows, serve, sourceOf, startOf } from './support.js'

afterEach(closeAll)

const keys = rows(1, 4).map(({ id }) => ({ id: String(id) }))

/** Asks about four rows, of which the source has all but the last; it lists at most one in an answer. */
async function ask(paginate: string, sign: (hasMore: boolean) => object, headers = (_: boolean) => ({})) {
  const server = await serve((_, response, at) => {
    const asked = (at.searchParams.get('ids') ?? '').split(',').map(Number)
    const known = asked.filter((id) => id !== 4)
    const hasMore = known.length > 1
    json(response, { rows: known.slice(0, 1).map((id) => ({ id })), ...sign(hasMore) }, headers(hasMore))
  })
  const stream = compileStreamYaml(
    usersYaml(
      'answer: { rows: rows }',
      `paginate: ${paginate}`,
      'page_size: 10',
      'disposition: mirror',
      'prune: { confirm: { path: /users, many: { param: ids, max: 4 } } }',
    ),
  )
  const gone = await bench().client.areGone(startOf(sourceOf(server.origin), stream), keys)
  return { gone, requests: server.seen.length }
}

describe('an answer about several rows', () => {
  it.each([
    ['{ cursor: next, param: c }', (more: boolean) => ({ next: more ? 'x' : null })],
    ['{ cursor: next, param: c, end: { cursors: [end] } }', (more: boolean) => ({ next: more ? 'x' : 'end' })],
    ['{ cursor: next, param: c, more: m }', (more: boolean) => ({ next: 'x', m: more })],
    ['{ continue: next }', (more: boolean) => (more ? { next: { c: 'x' } } : {})],
    ['{ next_url: next }', (more: boolean) => ({ next: more ? '/users?c=x' : '' })],
    ['{ last_row: id, param: after, done: d }', (more: boolean) => ({ d: !more })],
  ])('with a further page is asked for with fewer at a time: %s', async (paginate, sign) => {
    expect(await ask(paginate, sign)).toEqual({ gone: [false, false, false, true], requests: 6 })
  })

  it('says so by a Link header, too', async () => {
    const link = (more: boolean): Record<string, string> => (more ? { link: '</users?c=x>; rel="next"' } : {})
    expect(await ask('{ link: next }', () => ({}), link)).toEqual({ gone: [false, false, false, true], requests: 6 })
  })

  it('is an error where it still goes on for one row alone', async () => {
    const error = await errorOf(ask('{ cursor: next, param: c }', () => ({ next: 'x' })))
    expect(error).toMatchObject({ code: 'confirm_incomplete' })
  })

  it('goes by its length where the source names a cursor at every page', async () => {
    const { gone } = await ask('{ cursor: next, param: c, end: { empty_page: true } }', () => ({ next: 'x' }))
    expect(gone).toHaveLength(4)
  })
})
