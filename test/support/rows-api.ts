/** A small API on loopback for end-to-end tests: `/<name>?page=&size=` answers a page of that name's rows, total in `X-Total`. What it holds may change. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RowsApi {
  readonly url: string
  /** `users 1`, …: name and page of each request, in order. */
  readonly requests: string[]
  readonly rows: Record<string, readonly object[]>
  /** Called before each answer; may answer itself. */
  before: (name: string, page: number, response: ServerResponse) => void
  close(): Promise<void>
}

export async function startRowsApi(rows: Record<string, readonly object[]>): Promise<RowsApi> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const name = url.pathname.slice(1)
    const page = Number(url.searchParams.get('page') ?? '1')
    const size = Number(url.searchParams.get('size') ?? '10')
    api.requests.push(`${name} ${page}`)
    api.before(name, page, response)
    if (response.headersSent || response.destroyed) return
    const all = api.rows[name] ?? []
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': all.length })
    response.end(JSON.stringify(all.slice((page - 1) * size, page * size)))
  })
  const api: RowsApi = {
    url: '',
    requests: [],
    rows,
    before: () => undefined,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(api, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}
