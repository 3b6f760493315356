// An API behind OAuth2 client credentials, on loopback: tokens that end, are handed back or revoked, a secret that ends, and a count of all that it was asked.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { json, rows, serve, type TestServer } from './support.js'

export interface TokenApi {
  readonly origin: string
  readonly server: TestServer
  /** Bodies of the token requests, in order. */
  readonly asked: string[]
  /** Page of each data request, with the status it got: `2 200`. */
  readonly pages: string[]
  /** Tokens that data requests may carry. */
  readonly good: Set<string>
  /** What the next token's answer is; by default a new token for 7,200 s. */
  answer: (number: number, request: IncomingMessage, response: ServerResponse) => unknown
  /** Looks at a data request first; true: it answered. */
  before: (page: number, response: ServerResponse, request: IncomingMessage) => boolean
  lastPage: number
}

/** The n-th token of this server. */
export function tokenOf(number: number): string {
  return `tok${String(number).padStart(4, '0')}${'abcdef0123456789'.repeat(3)}`
}

export async function startTokenApi(): Promise<TokenApi> {
  const asked: string[] = []
  const pages: string[] = []
  const good = new Set<string>()
  const server = await serve(async (request, response, at) => {
    if (at.pathname === '/oauth/token') {
      asked.push(server.bodies.at(-1) ?? '')
      await api.answer(asked.length, request, response)
      return
    }
    const page = Number(at.searchParams.get('page') ?? '1')
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    if (api.before(page, response, request)) {
      pages.push(`${page} ${response.statusCode}`)
      return
    }
    pages.push(`${page} ${good.has(token) ? 200 : 401}`)
    if (!good.has(token)) refuseToken(response)
    else json(response, rows(page * 10, page === api.lastPage ? 5 : 10))
  })
  const api: TokenApi = {
    origin: server.origin,
    server,
    asked,
    pages,
    good,
    answer: (number, _request, response) => {
      good.add(tokenOf(number))
      giveToken(response, { access_token: tokenOf(number) })
    },
    before: () => false,
    lastPage: 1,
  }
  return api
}

export function giveToken(response: ServerResponse, fields: Record<string, unknown>): void {
  // Its own clock is for the tests that set it.
  response.sendDate = false
  json(response, { token_type: 'bearer', expires_in: 7200, ...fields })
}

/** As Doorkeeper does. */
export function refuseToken(response: ServerResponse, text = 'The access token expired'): void {
  response.writeHead(401, {
    'content-type': 'application/json',
    'www-authenticate': `Bearer realm="API", error="invalid_token", error_description="${text}"`,
  })
  response.end('{}')
}

export function refuseClient(response: ServerResponse, more = ''): void {
  response.writeHead(401, { 'content-type': 'application/json' })
  const text = `Client authentication failed due to unknown client${more}.`
  response.end(JSON.stringify({ error: 'invalid_client', error_description: text }))
}
