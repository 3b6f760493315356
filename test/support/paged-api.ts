/** A small paginated API on loopback for end-to-end tests: `/<site>/things?page=&size=`, total in `X-Total`, an audit of what it received. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface PagedApi {
  readonly url: string
  /** `a 1`, `a 2`, …: site and page of each request, in order. */
  readonly requests: string[]
  /** Rows of each site; may be changed while it runs. */
  readonly rows: Record<string, number>
  /** Called before each answer; what it returns is waited for. */
  before: (site: string, page: number, response: ServerResponse) => Promise<void> | void
  close(): Promise<void>
}

const pageSize = 10

export async function startPagedApi(rows: Record<string, number>): Promise<PagedApi> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  const api: PagedApi = {
    url: '',
    requests: [],
    rows,
    before: () => {},
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => {
          resolve()
        })
      }),
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const site = url.pathname.split('/')[1] ?? ''
    const page = Number(url.searchParams.get('page') ?? '1')
    api.requests.push(`${site} ${page}`)
    await api.before(site, page, response)
    if (response.writableEnded || response.destroyed) return
    const total = api.rows[site] ?? 0
    const ids = Array.from({ length: total }, (_, index) => index + 1).slice((page - 1) * pageSize, page * pageSize)
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': total })
    response.end(JSON.stringify(ids.map((id) => ({ id, name: `${site} ${id}` }))))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(api, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

/** The definition of this API as a source `paged` with the stream `thing`. */
export function pagedYaml(url: string, sites: readonly string[], more = ''): string {
  return [
    'source: paged',
    `base_url: ${url}`,
    'budget: { delay: 0s }',
    `dimensions: { site: [${sites.join(', ')}] }`,
    'retry_delay: 20ms',
    'streams:',
    '  thing:',
    "    path: '/{site}/things'",
    '    paginate: { page: page, size: size, total: header X-Total }',
    `    page_size: ${pageSize}`,
    '    key: [site, id]',
    '    columns:',
    '      site: { type: text, dimension: site }',
    '      id: bigint',
    '      name: text',
    more,
    '',
  ].join('\n')
}
