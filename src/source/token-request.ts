// Owns the question for a token (RFC 6749 §4.4) and the reading of its answer: a token, or why there is none. Its tries, its budget and its time-out are those of
// every request. Keeps nothing.
import type { OAuth2Auth } from '../domain/auth.js'
import { ConfigError, CredentialsRefused, SourceUnavailable } from '../domain/errors.js'
import type { Json, JsonObject } from '../domain/json.js'
import { isJsonObject } from '../domain/json.js'
import { basicPair, mendHint, type TokenAsking, variablesOf } from './credentials.js'
import { tryJson } from './decode.js'
import { excerptOf, isHtml } from './excerpt.js'
import { exchange } from './exchange.js'
import { oauthErrorOf, refusalText } from './refusal-text.js'
import { checkHeader, type WireRequest } from './request.js'
import type { TokenAnswer } from './token-life.js'
import type { WireAnswer } from './transport.js'

/** What is asked for, with its secrets. */
export interface TokenQuestion {
  readonly auth: OAuth2Auth
  /** Absolute. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scope: string | null
}
export interface TokenContext {
  readonly userAgent: string
  /** When the client secret ends, as the last token's answer said; null: not known. */
  readonly secretValidUntil: number | null
}

/** @throws CredentialsRefused where the source gives no token; what {@link exchange} throws. */
export async function askToken(
  question: TokenQuestion,
  context: TokenContext,
  { caller, dependencies }: TokenAsking,
): Promise<TokenAnswer> {
  const { clock } = dependencies
  const request = requestOf(question, context.userAgent, caller.secrets.clean)
  const reading: Reading = { question, context, address: request.address, now: () => clock.now(), caller }
  // A try's own beginning: what was waited for before it is no part of the token's life.
  let sentAt = clock.now()
  const { settings } = caller.stream
  return await exchange<TokenAnswer>(
    request,
    {
      ...caller,
      credentials: undefined,
      // What the definition says of statuses is about its data.
      stream: { ...caller.stream, settings: { ...settings, statuses: {} } },
      onRequest: () => {
        sentAt = clock.now()
        caller.onRequest()
      },
      read: (answer) => ({ ...readToken(answer, reading), sentAt, servedAt: dateOf(answer) }),
      readError: (answer) => refuse(answer, reading),
    },
    dependencies,
  )
}

function requestOf(question: TokenQuestion, userAgent: string, clean: (text: string) => string): WireRequest {
  const { auth, url, clientId, clientSecret, scope } = question
  const grant = { grant_type: 'client_credentials', ...(scope === null ? {} : { scope }) }
  const id = { client_id: clientId, client_secret: clientSecret }
  const fields = auth.send === 'basic' ? grant : { ...grant, ...id }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const common = { 'user-agent': userAgent, accept: 'application/json' }
  const base = { method: 'POST' as const, url, address: `POST ${clean(url)}` }
  if (auth.send === 'json')
    return { ...base, headers: { ...common, 'content-type': 'application/json' }, body: JSON.stringify(fields) }
  const body = new URLSearchParams(fields).toString()
  if (auth.send === 'form') return { ...base, headers: { ...common, ...form }, body }
  const authorization = `Basic ${basicPair(encodeForm(clientId), encodeForm(clientSecret))}`
  return { ...base, headers: { ...common, ...form, authorization }, body }
}

/** RFC 6749 §2.3.1: both are encoded like a form's values before they become a pair. */
export function encodeForm(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}

/** The address that tokens are asked for at. A path begins at the origin. @throws ConfigError where it is none. */
export function tokenAddress(
  text: string,
  origin: () => string,
  { name, file }: { name: string; file: string },
): string {
  const base = text.startsWith('/') ? origin() : undefined
  const url = URL.canParse(text, base) ? new URL(text, base) : null
  if (url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.href
  throw new ConfigError('bad_address', `read the token address of "${name}" found no http or https address`, {
    hint: `correct auth.oauth2.token_url in ${file}`,
  })
}

interface Reading {
  readonly question: TokenQuestion
  readonly context: TokenContext
  readonly address: string
  readonly now: () => number
  readonly caller: TokenAsking['caller']
}

/** Also of a 200 with an error in it. */
function readToken(answer: WireAnswer, reading: Reading): Omit<TokenAnswer, 'sentAt' | 'servedAt'> {
  const root = tryJson(answer.body)
  if (root === undefined) throw disguised(answer, reading)
  if (!isJsonObject(root)) throw noToken(answer, reading, 'no object')
  const token = root.access_token
  if (oauthErrorOf(answer) !== null && typeof token !== 'string') throw refusal(answer, reading)
  if (typeof token !== 'string' || token === '' || !isHeaderText(token))
    throw noToken(answer, reading, 'no access_token')
  const type = root.token_type
  if (typeof type === 'string' && type.toLowerCase() !== 'bearer')
    throw noToken(answer, reading, 'a token_type other than bearer')
  const validUntil = secondsOf(root, 'secret_valid_until')
  return {
    accessToken: token,
    expiresIn: secondsOf(root, 'expires_in'),
    createdAt: secondsOf(root, 'created_at'),
    secretValidUntil: validUntil === null ? null : validUntil * 1000,
  }
}

function secondsOf(root: JsonObject, name: string): number | null {
  const value: Json | undefined = root[name]
  const number = typeof value === 'string' && /^\d{1,12}(\.\d+)?$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) && Math.abs(number) < 1e11 ? number : null
}

function isHeaderText(token: string): boolean {
  try {
    checkHeader('authorization', `Bearer ${token}`)
    return true
  } catch {
    return false
  }
}

function dateOf({ headers }: WireAnswer): number | null {
  const at = Date.parse(headers.date ?? '')
  return Number.isNaN(at) ? null : at
}

/** Null: an error like any request's (5xx, 408, a redirect). Whatever else is not a token is the end of these credentials. */
function refuse(answer: WireAnswer, reading: Reading): null {
  const { status } = answer
  if (status >= 500 || status === 408 || status < 400) return null
  const error = oauthErrorOf(answer)
  if (error === 'temporarily_unavailable' || error === 'server_error')
    throw transient(answer, reading, `http_${status}`)
  // A wall in front of the source, not the source.
  if (status === 403 && isHtml(answer.body.subarray(0, 256).toString('latin1'))) throw disguised(answer, reading)
  throw refusal(answer, reading)
}

function refusal(answer: WireAnswer, reading: Reading): CredentialsRefused {
  const { caller, question, context } = reading
  const said = refusalText(answer, caller.secrets.clean)
  const { secretValidUntil } = context
  const endedAt = secretValidUntil !== null && secretValidUntil <= reading.now() ? isoOf(secretValidUntil) : null
  const end = endedAt === null ? '' : `; its client secret ended at ${endedAt}`
  const hint = refusalHint(answer.status, endedAt !== null, { caller, question })
  return refusedToken(reading, `status ${answer.status}${said === '' ? '' : `, ${said}`}${end}`, { answer, hint })
}

function refusalHint(
  status: number,
  hasEnded: boolean,
  { caller, question }: Pick<Reading, 'caller' | 'question'>,
): string {
  const { name, file } = caller.source
  if (status === 404 || status === 405) return `correct auth.oauth2.token_url in ${file}`
  const names = variablesOf(question.auth)
  if (!hasEnded) return mendHint(names, name)
  return `make a new client secret at the source, write it into .env as ${names.at(-1)?.slice(1) ?? 'before'}, then run "backfill resume ${name}"`
}

function noToken(answer: WireAnswer, reading: Reading, fact: string): CredentialsRefused {
  const hint = `compare auth.oauth2.token_url in ${reading.caller.source.file} with the documentation of the source`
  return refusedToken(reading, `status ${answer.status} with ${fact}`, { answer, hint })
}

function refusedToken(
  { address, caller }: Reading,
  fact: string,
  { answer, hint }: { readonly answer: WireAnswer; readonly hint: string },
): CredentialsRefused {
  const message = `ask ${address} for a token of "${caller.source.name}" found ${fact}`
  return new CredentialsRefused('credentials_refused', message, { hint, context: { status: answer.status } })
}

function disguised(answer: WireAnswer, reading: Reading): SourceUnavailable {
  return transient(answer, reading, 'not_json')
}

function transient(answer: WireAnswer, { address, caller }: Reading, code: string): SourceUnavailable {
  const excerpt = excerptOf(answer.body, caller.secrets.clean)
  const message = `ask ${address} for a token of "${caller.source.name}" found status ${answer.status}: "${excerpt}"`
  // No status in its context: it is not the source that says no.
  return new SourceUnavailable(code, message)
}

/** Seconds are enough. */
export function isoOf(at: number): string {
  return new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
