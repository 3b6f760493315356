/** A paginated API on loopback over lists of rows: `<path>?page=&size=`, the total in `X-Total`. Each test says how it misbehaves. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Asked {
  readonly path: string
  readonly page: number
  readonly size: number
}
export type ApiRow = Readonly<Record<string, unknown>>

export interface TableApi {
  readonly port: number
  readonly url: string
  /** In the order in which they came. */
  readonly requests: Asked[]
  /** Rows by path; may be changed while it runs. */
  rows: Record<string, readonly ApiRow[]>
  /** Called before each answer, and waited for. What has ended the answer itself, or taken its socket, is left alone. */
  before: (asked: Asked, response: ServerResponse, request: IncomingMessage) => Promise<void> | void
  /** The honest answer, for a `before` that only bends it. */
  pageOf(asked: Asked): { readonly rows: readonly ApiRow[]; readonly total: number }
  close(): Promise<void>
}

export async function startTableApi(rows: TableApi['rows'], port = 0): Promise<TableApi> {
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  const api: Omit<TableApi, 'port' | 'url'> = {
    requests: [],
    rows,
    before: () => {},
    pageOf: ({ path, page, size }) => {
      const all = api.rows[path] ?? []
      return { rows: all.slice((page - 1) * size, page * size), total: all.length }
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const number = (name: string): number => Number(url.searchParams.get(name) ?? '1')
    const asked: Asked = { path: url.pathname, page: number('page'), size: number('size') }
    api.requests.push(asked)
    response.on('error', () => undefined)
    await api.before(asked, response, request)
    if (response.headersSent || response.writableEnded || response.destroyed || response.socket?.destroyed === true)
      return
    const page = api.pageOf(asked)
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': page.total })
    response.end(JSON.stringify(page.rows))
  }
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const taken = (server.address() as AddressInfo).port
  return Object.assign(api, { port: taken, url: `http://127.0.0.1:${taken}` })
}

/** Rows `1 … count` of a site, named as `expectExactlyOnce` expects them. */
export function thingsOf(site: string, count: number): ApiRow[] {
  return Array.from({ length: count }, (_, index) => ({ id: index + 1, name: `${site} ${index + 1}` }))
}
