/**
 * An API on loopback over one table that may change between any two answers: `?page=&per_page=`, total in `X-Total`, `sort=id` (the default) or
 * `sort=updated_at,id`, `range[updated_at]=a,b` and `range[begin_at]=a,b` (both ends included), `filter[owner_id]=a,b`, `filter[id]=a,b`.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface MovingRow {
  readonly id: number
  readonly owner_id: number
  readonly name: string
  /** ISO with milliseconds. */
  readonly updated_at: string
  readonly begin_at?: string
}

export interface MovingApi {
  readonly url: string
  /** Path and query of each request, decoded, in order. */
  readonly requests: string[]
  readonly tables: Record<string, MovingRow[]>
  /** Most ids in a filter; more is answered with 502. */
  mostIds: number
  /** Answers without a total. */
  isTotalHidden: boolean
  /** The filter by owner is accepted and ignored. */
  ignoresOwner: boolean
  /** Called before each answer is put together; may answer itself. */
  before: (url: URL, response: ServerResponse) => void
  close(): Promise<void>
}

export async function startMovingApi(tables: Record<string, MovingRow[]>): Promise<MovingApi> {
  const server = createServer((request, response) => answer(request, response))
  const api: MovingApi = {
    ...{ url: '', requests: [], tables, mostIds: 100, isTotalHidden: false, ignoresOwner: false },
    before: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://localhost')
    api.requests.push(decodeURIComponent(`${url.pathname}${url.search}`))
    api.before(url, response)
    if (response.headersSent || response.destroyed) return
    const ids = url.searchParams.get('filter[owner_id]')?.split(',') ?? []
    if (ids.length > api.mostIds) {
      response.writeHead(502, { 'content-type': 'text/html' })
      response.end('<html>Bad Gateway</html>')
      return
    }
    const [, name = ''] = url.pathname.split('/')
    const rows = select(api.tables[name] ?? [], url, api.ignoresOwner)
    const size = Math.min(100, Number(url.searchParams.get('per_page') ?? '30'))
    const page = Number(url.searchParams.get('page') ?? '1')
    const begin = Number(url.searchParams.get('offset') ?? (page - 1) * size)
    const total = api.isTotalHidden ? {} : { 'x-total': String(rows.length), 'x-per-page': String(size) }
    response.writeHead(200, { 'content-type': 'application/json', ...total })
    response.end(JSON.stringify(rows.slice(begin, begin + size)))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(api, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

function select(table: readonly MovingRow[], url: URL, ignoresOwner: boolean): readonly MovingRow[] {
  const { searchParams } = url
  let rows = [...table]
  for (const field of ['updated_at', 'begin_at'] as const) {
    const range = searchParams.get(`range[${field}]`)?.split(',')
    if (range === undefined) continue
    const [from = '', to = ''] = range
    rows = rows.filter((row) => {
      const at = Date.parse(row[field] ?? '')
      return at >= Date.parse(from) && at <= Date.parse(to)
    })
  }
  const owners = searchParams.get('filter[owner_id]')?.split(',')
  if (owners !== undefined && !ignoresOwner) rows = rows.filter((row) => owners.includes(String(row.owner_id)))
  const ids = searchParams.get('filter[id]')?.split(',')
  if (ids !== undefined) rows = rows.filter((row) => ids.includes(String(row.id)))
  const byId = (a: MovingRow, b: MovingRow) => a.id - b.id
  if (searchParams.get('sort') !== 'updated_at,id') return rows.sort(byId)
  return rows.sort((a, b) => Date.parse(a.updated_at) - Date.parse(b.updated_at) || byId(a, b))
}
