/**
 * The wrapper in front of Datasette at civic.band (wire/civicband.md §3.3): challenge page, unknown sites, over-long queries, the window per IP, keys, and
 * the silent cut of `_size`, in the order of its code. It knows nothing of tables. The window lives in the process.
 */
import { htmlAnswer, jsonAnswer, type SimulatorAnswer, type SimulatorRequest } from '../simulator.js'
import type { CivicBandSwitches } from './switches.js'

const longestQueryText = 500
const researchTools = /zotero|mendeley|endnote|papers/i
const browsers = /Mozilla|Opera/

/** One window per IP: it begins with the first request, does not slide, and refused requests do not extend it. */
export class AccessWindows {
  readonly #windows = new Map<string, { readonly endsAt: number; used: number }>()

  /** Counts the request; false where the window is spent. */
  admits(ip: string, at: number, limit: { readonly requests: number; readonly periodMs: number }): boolean {
    let open = this.#windows.get(ip)
    if (open === undefined || at >= open.endsAt) {
      open = { endsAt: at + limit.periodMs, used: 0 }
      this.#windows.set(ip, open)
    }
    if (open.used >= limit.requests) return false
    open.used += 1
    return true
  }
}

/** A challenge page where the bot policy asks for one; it stands in front of everything. */
export function challenge(request: SimulatorRequest, switches: CivicBandSwitches): SimulatorAnswer | null {
  const isBrowser = browsers.test(request.headers['user-agent'] ?? '')
  const isChallenged = switches.challenge === 'always' || (switches.challenge === 'browsers' && isBrowser)
  if (!isChallenged) return null
  const body =
    '<!doctype html><html><head><title>Making sure you&#39;re not a bot!</title></head><body>Loading...</body></html>'
  return htmlAnswer(200, body)
}

/** The answer for a subdomain that civic.band does not have. */
export function unknownSite(): SimulatorAnswer {
  return { status: 302, headers: { location: 'https://civic.band/', 'content-type': 'text/plain' }, body: '', rows: 0 }
}

/** A refusal, or the parameters with which Datasette goes on: `_size` cut where the caller has no key. */
export function admit(
  request: SimulatorRequest,
  site: { readonly subdomain: string; readonly path: string },
  rules: { readonly switches: CivicBandSwitches; readonly windows: AccessWindows },
): SimulatorAnswer | URLSearchParams {
  const params = new URLSearchParams(request.url.search)
  if (isQueryTooLong(params)) return tooLong()
  if (!site.path.endsWith('.json') || isTrusted(request, site.subdomain, rules.switches)) return params

  const { limit } = rules.switches
  if (limit !== null && !rules.windows.admits(clientIp(request), request.at, limit)) return overLimit(limit.requests)
  const key = keyOf(request, params)
  if (key === null) return cutSize(params, rules.switches.sizeCut)
  if (rules.switches.acceptedKeys.includes(key)) return params
  return jsonAnswer(401, { error: 'API key required', docs: 'https://civic.observer/api-keys' })
}

function isQueryTooLong(params: URLSearchParams): boolean {
  const texts = [...params.getAll('text'), ...params.getAll('_search')]
  return texts.some((text) => text.length > longestQueryText)
}

function tooLong(): SimulatorAnswer {
  const message = 'Automated queries require an API key'
  return jsonAnswer(402, { error: 'query_too_long', message, get_api_key: 'https://civic.observer/api' })
}

// No Retry-After: when the window ends is not said.
function overLimit(requests: number): SimulatorAnswer {
  const message = `Rate limit exceeded. Maximum ${requests} requests per minute.`
  return jsonAnswer(402, { error: 'rate_limit_exceeded', message, get_api_key: 'https://civic.observer/api-keys' })
}

function isTrusted(request: SimulatorRequest, subdomain: string, switches: CivicBandSwitches): boolean {
  const { referer, 'user-agent': agent, 'x-service-secret': secret } = request.headers
  if (referer?.startsWith(`https://${subdomain}.civic.band/`) === true) return true
  if (switches.serviceSecret !== null && secret === switches.serviceSecret) return true
  return researchTools.test(agent ?? '')
}

function clientIp(request: SimulatorRequest): string {
  const forwarded = request.headers['x-forwarded-for']
  const list = Array.isArray(forwarded) ? forwarded.join(',') : forwarded
  return list?.split(',')[0]?.trim() ?? request.remote
}

function keyOf(request: SimulatorRequest, params: URLSearchParams): string | null {
  const { authorization, 'x-api-key': header } = request.headers
  const bearer = /^bearer (.*)$/i.exec(authorization ?? '')?.[1]
  return bearer?.trim() ?? (typeof header === 'string' ? header.trim() : params.get('api_key'))
}

// Silently: missing, `max` and anything larger all become the cut, and nothing in the answer says so.
function cutSize(params: URLSearchParams, cut: number | null): URLSearchParams {
  if (cut === null) return params
  const asked = params.get('_size')
  const size = asked === null || asked === '' || asked === 'max' ? Number.POSITIVE_INFINITY : Number(asked)
  if (size > cut) params.set('_size', String(cut))
  return params
}
