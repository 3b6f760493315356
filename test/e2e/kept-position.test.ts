/** A source that keeps the position itself: it names one scroll for all pages, and each request moves it on. What it answered and nobody got is not asked for again. */
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type Loopback, listenHere } from '../support/loopback.js'

let workspace: CliWorkspace
let server: Loopback
afterEach(async () => {
  await workspace.close()
  await server.close()
})

const total = 50

/** Pages of ten; the answer to a request whose number is in `lost` never arrives. */
async function open(lost: readonly number[]): Promise<string[]> {
  const asked: string[] = []
  let at = 0
  server = await listenHere((request, response) => {
    asked.push(request.url ?? '')
    if (request.url === '/list') at = 0
    const rows = Array.from({ length: Math.min(10, total - at) }, (_, index) => ({ id: at + index + 1 }))
    at += rows.length
    if (lost.includes(asked.length)) {
      response.destroy()
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ rows, scroll: 'S' }))
  })
  const definition = `source: lists
base_url: ${server.url}
budget: { delay: 0s }
retry_delay: 10ms
flush: { rows: 10 }
streams:
  item:
    path: /list
    answer: { rows: rows }
    paginate: { cursor: scroll, next: { path: /scroll, body: { id: '{cursor}' } }, end: { empty_page: true } }
    key: id
    columns: { id: bigint }
`
  workspace = await makeWorkspace({ 'lists.yaml': definition })
  await workspace.run('seed')
  return asked
}
const work = (...more: string[]) => workspace.run('worker', '--until-empty', ...more)
const rowCount = async () => (await workspace.query<{ n: number }>('select count(*)::int as n from item'))[0]?.n

it('is walked to its end in one go', { timeout: 60_000 }, async () => {
  const asked = await open([])
  expect(await work()).toMatchObject({ code: 0 })
  expect(await rowCount()).toBe(total)
  expect(asked).toHaveLength(6)
})

it.each([2, 3, 6])('is walked anew where answer %d was lost', { timeout: 60_000 }, async (lost) => {
  const asked = await open([lost])
  expect(await work()).toMatchObject({ code: 0 })
  expect(await rowCount()).toBe(total)
  expect(asked.filter((path) => path === '/list')).toHaveLength(2)
})

it('is walked anew after a stop, with all its rows', { timeout: 60_000 }, async () => {
  const asked = await open([])
  expect(await work('--max-requests', '3')).toMatchObject({ code: 0 })
  expect(await rowCount()).toBeLessThan(total)
  expect(await work()).toMatchObject({ code: 0 })
  expect(await rowCount()).toBe(total)
  expect(asked.slice(3)).toEqual(['/list', ...Array<string>(5).fill('/scroll')])
})
