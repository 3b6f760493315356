/**
 * Doorkeeper as School 42 runs it (wire/school42.md §2.1, §2.2): client credentials in a form, JSON, the query or Basic; a living token is handed out again. Tokens
 * live in the process; the audit names them by number.
 */
import { createHash } from 'node:crypto'
import { jsonAnswer, type SimulatorAnswer, type SimulatorRequest } from '../simulator.js'
import type { School42Switches } from './switches.js'

export interface Application {
  readonly clientId: string
  readonly clientSecret: string
  /** What a token may be asked for; `public` is what it gets where nothing is asked. */
  readonly scopes: readonly string[]
}

export const syntheticApplication: Application = {
  clientId: 'u-s4t2ud-synthetic',
  clientSecret: 's-s4t2ud-synthetic',
  scopes: ['public', 'projects'],
}

interface Token {
  readonly number: number
  readonly value: string
  readonly application: Application
  readonly scopes: readonly string[]
  readonly createdMs: number
  readonly lifeMs: number
  served: number
  isRevoked: boolean
}

/** A request that may go on: whose it is, and by which token. */
export interface Bearer {
  readonly application: string
  readonly token: number
  readonly scopes: readonly string[]
}

const refusals = {
  invalid_client:
    'Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.',
  invalid_grant:
    'The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
  unsupported_grant_type: 'The authorization grant type is not supported by the authorization server.',
  invalid_scope: 'The requested scope is invalid, unknown, or malformed.',
} as const

export class Tokens {
  readonly #applications: ReadonlyMap<string, Application>
  readonly #seed: string
  readonly #tokens: Token[] = []

  constructor(applications: readonly Application[], seed: string) {
    this.#applications = new Map(applications.map((application) => [application.clientId, application]))
    this.#seed = seed
  }

  /** Answers `POST /oauth/token`. */
  grant(request: SimulatorRequest, switches: School42Switches, at: number): SimulatorAnswer {
    const asked = grantRequest(request)
    const application = this.#authenticated(asked, switches, at)
    if (application === null) return refusal('invalid_client')
    if (asked.grant_type === 'authorization_code' || asked.grant_type === 'refresh_token')
      return refusal('invalid_grant')
    if (asked.grant_type !== 'client_credentials') return refusal('unsupported_grant_type')
    const scopes = (asked.scope ?? 'public').split(/[ +]/).filter((scope) => scope !== '')
    if (!scopes.every((scope) => application.scopes.includes(scope))) return refusal('invalid_scope')
    const living = switches.reusesToken ? this.#living(application, scopes, at) : undefined
    const token = living ?? this.#mint({ application, scopes, createdMs: at, lifeMs: switches.tokenLifeS * 1000 })
    return granted(token, { isNew: living === undefined, at, secretValidUntil: switches.secretValidUntil })
  }

  /** Whose token it is, or the 401 that refuses it. Counts what a token serves, and revokes it in time. */
  admit(request: SimulatorRequest, switches: School42Switches, at: number): Bearer | SimulatorAnswer {
    const token = this.#bearer(request)
    if (token === undefined || switches.refusesTokens) return unauthorized('is invalid', switches, token)
    if (switches.killTokenAfter !== null && token.served >= switches.killTokenAfter) token.isRevoked = true
    if (token.isRevoked) return unauthorized('was revoked', switches, token)
    if (at >= token.createdMs + token.lifeMs) return unauthorized('expired', switches, token)
    token.served += 1
    return { application: token.application.clientId, token: token.number, scopes: token.scopes }
  }

  /** Answers `GET /oauth/token/info`. */
  describe(request: SimulatorRequest, switches: School42Switches, at: number): SimulatorAnswer {
    const token = this.#bearer(request)
    const isAlive = token !== undefined && !token.isRevoked && at < token.createdMs + token.lifeMs
    if (!isAlive || switches.refusesTokens) return unauthorized('is invalid', switches, token)
    const answer = jsonAnswer(200, {
      resource_owner_id: null,
      scopes: token.scopes,
      expires_in_seconds: secondsLeft(token, at),
      application: { uid: token.application.clientId },
      created_at: Math.floor(token.createdMs / 1000),
    })
    return { ...answer, labels: { token: token.number } }
  }

  /** Revokes all tokens: the next request with any of them is refused. */
  revokeAll(): void {
    for (const token of this.#tokens) token.isRevoked = true
  }

  /** The application that a token request names, for its limits; null where it names none. */
  applicationOf(request: SimulatorRequest): string | null {
    const { client_id: id } = grantRequest(request)
    return id !== undefined && this.#applications.has(id) ? id : null
  }

  #authenticated(asked: GrantRequest, switches: School42Switches, at: number): Application | null {
    const application = this.#applications.get(asked.client_id ?? '')
    const isExpired = switches.secretValidUntil !== null && at / 1000 >= switches.secretValidUntil
    return application === undefined || isExpired || asked.client_secret !== application.clientSecret
      ? null
      : application
  }

  #living(application: Application, scopes: readonly string[], at: number): Token | undefined {
    return this.#tokens.find(
      (token) =>
        token.application === application &&
        !token.isRevoked &&
        at < token.createdMs + token.lifeMs &&
        token.scopes.join() === scopes.join(),
    )
  }

  #mint(of: Pick<Token, 'application' | 'scopes' | 'createdMs' | 'lifeMs'>): Token {
    const number = this.#tokens.length + 1
    const value = createHash('sha256').update(`${this.#seed} token ${number} ${of.createdMs}`).digest('hex')
    const token = { ...of, number, value, served: 0, isRevoked: false }
    this.#tokens.push(token)
    return token
  }

  #bearer(request: SimulatorRequest): Token | undefined {
    const header = /^bearer +(.*)$/i.exec(request.headers.authorization ?? '')?.[1]?.trim()
    const value = header ?? request.url.searchParams.get('access_token')
    return this.#tokens.find((token) => token.value === value)
  }
}

/** A 401 of the API; the body is unverified, so status and header are what counts. */
function unauthorized(reason: string, switches: School42Switches, token: Token | undefined): SimulatorAnswer {
  const description = `The access token ${reason}`
  const body = switches.unauthorizedBody === 'json' ? { status: 401, error: description } : null
  const answer = body === null ? { status: 401, headers: {}, body: '', rows: 0 } : jsonAnswer(401, body)
  const challenge = `Bearer realm="42 API", error="invalid_token", error_description="${description}"`
  return {
    ...answer,
    headers: { ...answer.headers, 'www-authenticate': challenge },
    labels: { token: token?.number ?? 0 },
  }
}

function refusal(error: keyof typeof refusals): SimulatorAnswer {
  const description = refusals[error]
  const answer = jsonAnswer(401, { error, error_description: description })
  const challenge = `Bearer realm="42 API", error="${error}", error_description="${description}"`
  return { ...answer, headers: { ...answer.headers, ...unstored, 'www-authenticate': challenge } }
}

const unstored = { 'cache-control': 'no-store', pragma: 'no-cache' }

function granted(
  token: Token,
  how: { readonly isNew: boolean; readonly at: number; readonly secretValidUntil: number | null },
): SimulatorAnswer {
  const expiresIn = secondsLeft(token, how.at)
  const answer = jsonAnswer(200, {
    access_token: token.value,
    token_type: 'Bearer',
    expires_in: expiresIn,
    scope: token.scopes.join(' '),
    created_at: Math.floor(token.createdMs / 1000),
    secret_valid_until: how.secretValidUntil,
  })
  const labels = { token: token.number, granted: how.isNew ? 'new' : 'again', life_s: token.lifeMs / 1000 }
  return { ...answer, headers: { ...answer.headers, ...unstored }, labels }
}

function secondsLeft(token: Token, at: number): number {
  return Math.floor((token.createdMs + token.lifeMs - at) / 1000)
}

type GrantRequest = Partial<Record<'grant_type' | 'client_id' | 'client_secret' | 'scope', string>>

/** The query, the body and Basic, the later over the earlier. */
function grantRequest(request: SimulatorRequest): GrantRequest {
  const asked: Record<string, string> = Object.fromEntries(request.url.searchParams)
  const type = request.headers['content-type'] ?? ''
  Object.assign(
    asked,
    type.includes('json') ? jsonFields(request.body) : Object.fromEntries(new URLSearchParams(request.body)),
  )
  const basic = /^basic +(.*)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (basic === undefined) return asked
  const [id = '', ...secret] = Buffer.from(basic, 'base64').toString('utf8').split(':')
  return { ...asked, client_id: id, client_secret: secret.join(':') }
}

function jsonFields(body: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, string>) : {}
  } catch {
    return {}
  }
}
