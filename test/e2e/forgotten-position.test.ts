/** A source that forgets where a walk stood: what was asked for before a stop can not be gone on with, and the walk begins anew by itself. */
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type Loopback, listenHere } from '../support/loopback.js'

let workspace: CliWorkspace
let server: Loopback
/** Cursor of each request. */
const asked: string[] = []
/** The generation of cursors that the source knows. */
let generation = 1
/** The first page is refused as a forgotten position is. */
let isClosed = false
/** Rows up to this one are gone. */
let first = 0
/** Called before each answer. */
let before: (cursor: string | null) => void
let forget: (response: ServerResponse) => void
const total = 47

beforeEach(async () => {
  asked.length = 0
  generation = 1
  first = 0
  isClosed = false
  before = () => undefined
  forget = (response) => {
    response.writeHead(422, { 'content-type': 'application/json' })
    response.end('{"error":{"type":"ITERATOR_NOT_AVAILABLE"}}')
  }
  server = await listenHere((request, response) => {
    const cursor = new URL(request.url ?? '/', 'http://localhost').searchParams.get('after')
    asked.push(cursor ?? 'first')
    before(cursor)
    const [made = String(generation), from = String(first)] = cursor?.split('-') ?? []
    if (Number(made) !== generation || (isClosed && cursor === null)) {
      forget(response)
      return
    }
    const ids = Array.from({ length: 10 }, (_, at) => Number(from) + at + 1).filter((id) => id <= total)
    const last = ids.at(-1) ?? total
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({
        rows: ids.map((id) => ({ id })),
        total: total - first,
        next: last < total ? `${generation}-${last}` : null,
      }),
    )
  })
})
afterEach(async () => {
  await workspace.close()
  await server.close()
})

async function open(
  expired: string,
  disposition = 'mirror',
  key = 'key: id\n    prune: { confirm: later }',
): Promise<void> {
  const definition = `source: lists
base_url: ${server.url}
budget: { delay: 0s }
retry_delay: 10ms
backoff: 10ms
attempts: 2
flush: { rows: 10 }
streams:
  item:
    path: /items
    disposition: ${disposition}
    answer: { rows: rows }
    count: total
    paginate: { cursor: next, param: after${expired} }
    ${key}
    columns: { id: bigint }
`
  workspace = await makeWorkspace({ 'lists.yaml': definition })
  await workspace.run('seed', 'lists')
}
const work = () => workspace.run('worker', '--until-empty')
const rowCount = async () => (await workspace.query<{ n: number }>('select count(*)::int as n from item'))[0]?.n
const named = ', expired: [{ status: 422, path: error.type, equals: ITERATOR_NOT_AVAILABLE }]'

describe('a source that forgets a position', { timeout: 120_000 }, () => {
  it('is walked anew from its beginning, with every row once and a proven end', async () => {
    await open(named)
    before = (cursor) => {
      if (cursor === '1-20' && generation === 1) generation = 2
    }
    expect(await work()).toMatchObject({ code: 0 })
    expect(asked).toEqual(['first', '1-10', '1-20', 'first', '2-10', '2-20', '2-30', '2-40'])
    expect(await rowCount()).toBe(total)
    expect(await workspace.query('select proof, walk_received::int as n, done from backfill.ledger')).toEqual([
      { proof: 'proven', n: total, done: true },
    ])
    expect(await workspace.query('select * from delta_item')).toEqual([])
  })

  it('is walked anew after a stop, too', async () => {
    await open(named)
    expect(await workspace.run('worker', '--max-requests', '2')).toMatchObject({ code: 0 })
    expect(await rowCount()).toBe(20)
    generation = 2
    expect(await work()).toMatchObject({ code: 0 })
    expect(asked.slice(2)).toEqual(['1-20', 'first', '2-10', '2-20', '2-30', '2-40'])
    expect(await rowCount()).toBe(total)
  })

  it('leaves nothing of the forgotten walk in a table that is replaced', async () => {
    await open(named, 'replace')
    before = (cursor) => {
      if (cursor !== '1-20' || generation !== 1) return
      generation = 2
      // What the first walk brought is gone by now.
      first = 5
    }
    expect(await work()).toMatchObject({ code: 0 })
    expect(await workspace.query('select min(id)::int as first, count(*)::int as n from item')).toEqual([
      { first: 6, n: 42 },
    ])
    expect(await workspace.query('select * from delta_item')).toEqual([])
  })

  it('that always forgets ends its task after the second time, and keeps what came', async () => {
    await open(named)
    before = (cursor) => {
      if (cursor?.endsWith('-20') === true) generation += 1
    }
    expect(await work()).toMatchObject({ code: 3 })
    expect(asked).toHaveLength(6)
    expect(await workspace.json('status', '--dead')).toMatchObject({ dead: [{ code: 'position_forgotten' }] })
    expect(await rowCount()).toBe(20)
  })

  it('is asked no further by a task whose walks it forgot run after run', async () => {
    await open(named)
    for (let run = 1; run <= 12; run += 1) {
      await workspace.run('worker', '--max-requests', '3')
      generation += 1
    }
    expect(asked).toHaveLength(31)
    const [dead] = ((await workspace.json('status', '--dead')) as { dead: { code: string; hint: string }[] }).dead
    expect(dead).toMatchObject({ code: 'position_forgotten' })
    expect(dead?.hint).toContain('backfill seed lists.item --force')
    await workspace.run('seed', 'lists.item', '--force')
    expect(await work()).toMatchObject({ code: 0 })
    expect(await rowCount()).toBe(total)
  })

  it.each(['mirror', 'replace'])('delays no deletion by what only the forgotten walk saw: %s', async (disposition) => {
    await open(named, disposition)
    expect(await work()).toMatchObject({ code: 0 })
    await workspace.run('seed', 'lists', '--force')
    before = (cursor) => {
      if (cursor !== '1-20' || generation !== 1) return
      generation = 2
      // The source deletes them after the walk has brought them, and before it begins anew.
      first = 2
    }
    expect(await work()).toMatchObject({ code: 0 })
    await workspace.run('seed', 'lists', '--force')
    expect(await work()).toMatchObject({ code: 0 })
    expect(await workspace.query('select min(id)::int as first, count(*)::int as n from item')).toEqual([
      { first: 3, n: 45 },
    ])
  })

  it('does not store the rows of a stream without a key twice', async () => {
    await open(named, 'append', '')
    before = (cursor) => {
      if (cursor === '1-20' && generation === 1) generation = 2
    }
    expect(await work()).toMatchObject({ code: 3 })
    expect(await rowCount()).toBe(20)
    const [dead] = ((await workspace.json('status', '--dead')) as { dead: { code: string; hint: string }[] }).dead
    expect(dead).toMatchObject({ code: 'position_forgotten' })
    expect(dead?.hint).toContain('key')
  })

  it('may say so inside a good answer', async () => {
    forget = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end('{"ok":false,"error":"invalid_cursor"}')
    }
    await open(', expired: [{ status: 200, path: error, equals: invalid_cursor }]')
    before = (cursor) => {
      if (cursor === '1-10') generation = 2
    }
    expect(await work()).toMatchObject({ code: 0 })
    expect(await rowCount()).toBe(total)
  })

  it('has forgotten nothing at the first page: that is an error', async () => {
    await open(named)
    isClosed = true
    expect(await work()).toMatchObject({ code: 3 })
    expect(asked).toEqual(['first'])
    expect(await workspace.json('status', '--dead')).toMatchObject({ dead: [{ code: 'http_422' }] })
  })

  it('is dead where the definition does not name it, and for another error', async () => {
    await open(', expired: [{ status: 422, path: error.type, equals: other }]')
    before = (cursor) => {
      if (cursor === '1-10') generation = 2
    }
    expect(await work()).toMatchObject({ code: 3 })
    expect(await workspace.json('status', '--dead')).toMatchObject({ dead: [{ code: 'http_422' }] })
  })
})
