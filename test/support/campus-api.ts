/** A small API on loopback whose rows may be changed while it runs: `/<campus>/users?page=&size=` with the total in `X-Total`, and `/users/<id>` for one. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CampusUser {
  readonly id: number | string
  readonly name: string
}

export interface CampusApi {
  readonly url: string
  /** `a 1`, `user 7`: each request, in order. */
  readonly requests: string[]
  /** Users of each campus, in the order of their pages. */
  readonly users: Record<string, CampusUser[]>
  /** Added to the total that the source claims. */
  totalOffset: number
  /** Called before each page is put together. */
  before: (campus: string, page: number) => Promise<void> | void
  close(): Promise<void>
}

const pageSize = 10

export async function startCampusApi(users: Record<string, CampusUser[]>): Promise<CampusApi> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  const api: CampusApi = {
    url: '',
    requests: [],
    users,
    totalOffset: 0,
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
    const [, first = '', second = ''] = url.pathname.split('/')
    if (first === 'users') {
      api.requests.push(`user ${second}`)
      const user = Object.values(api.users)
        .flat()
        .find(({ id }) => String(id) === second)
      response.writeHead(user === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(user ?? { error: 'not found' }))
      return
    }
    const page = Number(url.searchParams.get('page') ?? '1')
    api.requests.push(`${first} ${page}`)
    await api.before(first, page)
    if (response.destroyed) return
    const list = api.users[first] ?? []
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': list.length + api.totalOffset })
    response.end(JSON.stringify(list.slice((page - 1) * pageSize, page * pageSize)))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(api, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

/** Users `first` to `last`, named after their campus. */
export function usersOf(first: number, last: number): CampusUser[] {
  return Array.from({ length: last - first + 1 }, (_, index) => ({ id: first + index, name: `user ${first + index}` }))
}

/** This API as the source `school` with the stream `users`; `more` are lines of the stream. */
export function schoolYaml(
  url: string,
  campuses: readonly string[],
  { key = '[campus, id]', more = [] }: { readonly key?: string; readonly more?: readonly string[] } = {},
): string {
  return [
    'source: school',
    `base_url: ${url}`,
    // One at a time: which page is asked for when does not depend on the machine.
    'budget: { delay: 0s, concurrency: 1 }',
    `dimensions: { campus: [${campuses.join(', ')}] }`,
    'retry_delay: 20ms',
    'streams:',
    '  users:',
    "    path: '/{campus}/users'",
    '    paginate: { page: page, size: size, total: header X-Total }',
    `    page_size: ${pageSize}`,
    `    key: ${key}`,
    '    columns:',
    ...(key.includes('campus') ? ['      campus: { type: text, dimension: campus }'] : []),
    '      id: bigint',
    '      name: text',
    ...more.map((line) => `    ${line}`),
    '',
  ].join('\n')
}
