/**
 * The simulated School 42 as a function from request to answer: what stands in front of it, tokens, limits, then data, in that order. State lives in the process. Each trap that
 * met a request is named in the audit (`labels.trap`).
 */
import { htmlAnswer, type SimulatorAnswer, type SimulatorRequest } from '../simulator.js'
import { type Random, randomFrom } from '../synthetic.js'
import { dataAnswer, slowness } from './answers.js'
import { Churn } from './churn.js'
import { RateLimits } from './limits.js'
import { makeSchool } from './make-school.js'
import { routeOf } from './routes.js'
import type { School } from './school.js'
import { type SchoolSize, stamp } from './size.js'
import type { School42Switches } from './switches.js'
import { type Application, type Bearer, Tokens } from './tokens.js'

const justAMoment = '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body></body></html>'
const signIn = '<!DOCTYPE html><html><head><title>Sign in to Intra</title></head><body><form></form></body></html>'
const tokenPaths: readonly string[] = ['/oauth/token', '/v2/oauth/token']

export interface ServiceOptions {
  readonly size: SchoolSize
  readonly seed: string
  readonly applications: readonly Application[]
}

export class School42Service {
  readonly school: School
  readonly churn: Churn
  readonly tokens: Tokens
  readonly #limits = new RateLimits()
  readonly #latency: Random
  /** Requests that each trap has seen. */
  readonly #seen = new Map<string, number>()
  #answers = 0

  constructor(options: ServiceOptions) {
    this.school = makeSchool(options.size, options.seed)
    this.churn = new Churn(this.school, options.size.oddities)
    this.tokens = new Tokens(options.applications, options.seed)
    this.#latency = randomFrom(`${options.seed} latency`)
  }

  /** How long a request lies with the service. */
  delayMs(request: SimulatorRequest, switches: School42Switches): number {
    const { least, most } = switches.latencyMs
    const latency = most > 0 ? least + Math.floor(this.#latency() * (most - least + 1)) : 0
    return Math.max(latency, slowness(request, switches))
  }

  /** Judged at the answer (`at`, Unix ms), not at the arrival: limits, tokens and secrets may have ended meanwhile. */
  answer(request: SimulatorRequest, switches: School42Switches, at: number): SimulatorAnswer {
    if ((request.headers['user-agent'] ?? '') === '') return trapped('no user agent', { ...empty, status: 403 })
    if (this.#isDue('cloudflare', switches.cloudflareEvery)) return trapped('cloudflare', htmlAnswer(403, justAMoment))
    const { pathname } = request.url
    if (tokenPaths.includes(pathname) && request.method === 'POST') return this.#grant(request, switches, at)
    if (pathname === '/oauth/token/info') return this.tokens.describe(request, switches, at)
    return this.#data(request, switches, at)
  }

  #grant(request: SimulatorRequest, switches: School42Switches, at: number): SimulatorAnswer {
    const application = this.tokens.applicationOf(request)
    if (application !== null && switches.countsTokenRequests) this.#limits.count(application, at, switches)
    return this.tokens.grant(request, switches, at)
  }

  #data(request: SimulatorRequest, switches: School42Switches, at: number): SimulatorAnswer {
    if (this.#isDue('html', switches.htmlEvery)) return trapped('html', htmlAnswer(200, signIn))
    const bearer = this.tokens.admit(request, switches, at)
    if ('status' in bearer) return bearer
    const labels = { token: bearer.token }
    const judged = this.#limits.judge(bearer.application, at, switches)
    const { refusedBy, retryAfterS } = judged
    if (refusedBy !== null) {
      return labelled(this.#tooMany(retryAfterS, switches), { ...labels, window: refusedBy }, judged.headers)
    }
    const spurious = this.#spurious(switches)
    if (spurious !== null)
      return labelled(spurious, { ...labels, trap: 'spurious 429' }, { ...judged.headers, ...spurious.headers })
    const forbidden = forbiddenBy(request, bearer, switches)
    if (forbidden !== null) return labelled(forbidden, labels, judged.headers)
    this.churn.beforeRequest(switches.churn, at)
    this.#answers += 1
    const hidesTotal = this.#isDue('no total', switches.noTotalEvery)
    const moment = { school: this.school, now: stamp(at) }
    return labelled(
      dataAnswer({ request, moment, switches, number: this.#answers, hidesTotal }),
      hidesTotal ? { ...labels, hides: 'total' } : labels,
      judged.headers,
    )
  }

  #tooMany(retryAfterS: number, switches: School42Switches): SimulatorAnswer {
    const isTold =
      switches.retryAfter === 'always' || (switches.retryAfter === 'sometimes' && this.#isDue('retry after', 2))
    const headers = { 'content-type': 'text/plain', ...(isTold ? { 'retry-after': String(retryAfterS) } : {}) }
    return { status: 429, headers, body: '429 Too Many Requests (Spam Rate Limit Exceeded)', rows: 0 }
  }

  #spurious(switches: School42Switches): SimulatorAnswer | null {
    const rule = switches.spurious429
    if (rule === null || !this.#isDue('spurious 429', rule.every)) return null
    const answer = this.#tooMany(1, switches)
    return { ...answer, headers: { ...answer.headers, [`x-${rule.window}-ratelimit-remaining`]: '0' } }
  }

  #isDue(trap: string, every: number | null): boolean {
    if (every === null) return false
    const seen = (this.#seen.get(trap) ?? 0) + 1
    this.#seen.set(trap, seen)
    return seen % every === 0
  }
}

const empty: SimulatorAnswer = { status: 200, headers: {}, body: '', rows: 0 }

/** Scope or staff: 403 in JSON, unlike Cloudflare's (wire/school42.md §2.4). */
function forbiddenBy(request: SimulatorRequest, bearer: Bearer, switches: School42Switches): SimulatorAnswer | null {
  const route = routeOf(request.path)
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  if (switches.staffOnly.includes(route)) {
    const body = { error: 'Access Denied', message: 'You are not authorized to access this page.' }
    return { status: 403, headers, body: JSON.stringify(body), rows: 0 }
  }
  const scope = switches.neededScopes[route]
  if (scope === undefined || bearer.scopes.includes(scope)) return null
  const needed = `The action need the following scopes: [${scope}]`
  const challenge = `Bearer realm="42 API", error="insufficient scope", error_description="${needed}"`
  const body = { error: 'Forbidden', message: `Insufficient scope. ${needed}` }
  return { status: 403, headers: { ...headers, 'www-authenticate': challenge }, body: JSON.stringify(body), rows: 0 }
}

function trapped(trap: string, answer: SimulatorAnswer): SimulatorAnswer {
  return { ...answer, labels: { trap } }
}

function labelled(
  answer: SimulatorAnswer,
  labels: Readonly<Record<string, string | number>>,
  headers: Readonly<Record<string, string>>,
): SimulatorAnswer {
  return { ...answer, headers: { ...answer.headers, ...headers }, labels: { ...answer.labels, ...labels } }
}
