// Owns what a request carries so that its source knows who asks: a header or a parameter, set at the last moment before it leaves, and the end of the matter
// where credentials that never change are refused. Tokens that have to be asked for are in `token-keeper.ts`.
import { type Auth, authTemplates } from '../domain/auth.js'
import { CredentialsRefused } from '../domain/errors.js'
import type { Template } from '../domain/source-model.js'
import { expandTemplate, type TemplateScope, templateVariables } from '../domain/template.js'
import type { Caller, ExchangeDependencies } from './exchange.js'
import { refusalText } from './refusal-text.js'
import { checkHeader, type WireRequest } from './request.js'
import type { WireAnswer } from './transport.js'

/** Who asks, without how the answer is read. */
export type Asker = Omit<Caller<unknown>, 'read' | 'readError' | 'credentials'>
export interface TokenAsking {
  readonly caller: Asker
  readonly dependencies: ExchangeDependencies
}

/** A request as it leaves. */
export interface Authorised {
  readonly request: WireRequest
  /** Which token it carries, counted; 0 where none had to be asked for. */
  readonly generation: number
  /** When what it carries runs out, Unix ms; null: unknown, or never. */
  readonly endsAt: number | null
}
export interface Refused {
  readonly authorised: Authorised
  readonly answer: WireAnswer
  /** The same request was repeated already, with credentials that were renewed for it. */
  readonly isRepeat: boolean
}
/** The credentials of one source for one partition. */
export interface Credentials {
  /** False: what is refused stays refused. */
  readonly canRenew: boolean
  /** @throws CredentialsRefused, and what a request for a token meets: SourceUnavailable, OverBudgetError, StoppedError. */
  readonly authorise: (request: WireRequest, asking: TokenAsking) => Promise<Authorised>
  /** A 401 came. Comes back where the same request may be repeated, once. @throws as `authorise`. */
  readonly refused: (refused: Refused, asking: TokenAsking) => Promise<void>
}

/** Credentials that are the same for every request. @throws ConfigError where a variable is missing. */
export function fixedCredentials(auth: Exclude<Auth, { kind: 'oauth2' }>, scope: TemplateScope): Credentials {
  const fill = (template: Template): string => expandTemplate(template, scope)
  const put = putterOf(auth, fill)
  return {
    canRenew: false,
    authorise: async (request) => ({ request: put(request), generation: 0, endsAt: null }),
    refused: async ({ authorised, answer }, { caller }) => {
      const names = variablesOf(auth)
      const said = refusalText(answer, caller.secrets.clean)
      const fact = `status ${answer.status}${said === '' ? '' : `: ${said}`}`
      throw new CredentialsRefused(
        'credentials_refused',
        `fetch ${authorised.request.address} found ${fact}; "${caller.source.name}" does not take ${names.join(' and ')}`,
        { hint: mendHint(names, caller.source.name), context: { status: answer.status } },
      )
    },
  }
}

function putterOf(
  auth: Exclude<Auth, { kind: 'oauth2' }>,
  fill: (template: Template) => string,
): (request: WireRequest) => WireRequest {
  switch (auth.kind) {
    case 'bearer': {
      const value = `Bearer ${fill(auth.token)}`
      return (request) => withHeader(request, 'authorization', value)
    }
    case 'basic': {
      const value = `Basic ${basicPair(fill(auth.user), fill(auth.password))}`
      return (request) => withHeader(request, 'authorization', value)
    }
    case 'apiKey': {
      const { place } = auth
      const value = fill(auth.key)
      return 'header' in place
        ? (request) => withHeader(request, place.header, value)
        : (request) => withParameter(request, place.query, value)
    }
  }
}

/** What fixed credentials become on the wire, beside the variables' own values. */
export function spokenOf(auth: Auth, scope: TemplateScope): readonly string[] {
  if (auth.kind !== 'basic') return []
  return [basicPair(expandTemplate(auth.user, scope), expandTemplate(auth.password, scope))]
}

export function basicPair(user: string, password: string): string {
  return Buffer.from(`${user}:${password}`).toString('base64')
}

/** @throws ConfigError where the value cannot stand in a header. */
export function withHeader(request: WireRequest, name: string, value: string): WireRequest {
  checkHeader(name, value)
  return { ...request, headers: { ...request.headers, [name]: value } }
}

/** Only in what leaves: the address of messages stays without it, and a query that a source wrote itself stays as it is. */
function withParameter(request: WireRequest, name: string, value: string): WireRequest {
  const url = new URL(request.url)
  const found = url.searchParams.getAll(name)
  if (found.length === 1 && found[0] === value) return request
  if (found.length > 0) url.searchParams.set(name, value)
  else url.search = `${url.search}${url.search === '' ? '' : '&'}${new URLSearchParams({ [name]: value }).toString()}`
  return { ...request, url: url.href }
}

/** `$ID` and `$SECRET`: the variables that an operator looks for in .env. */
export function variablesOf(auth: Auth): readonly string[] {
  const secrets = auth.kind === 'oauth2' ? [auth.clientId, auth.clientSecret] : authTemplates(auth)
  const names = secrets.flatMap(templateVariables)
  return [...new Set(names.filter((name) => name.startsWith('$')))]
}

export function mendHint(names: readonly string[], source: string): string {
  return `correct ${names.join(' and ')} in .env, then run "backfill resume ${source}"`
}
