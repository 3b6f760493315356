// Owns the credentials of all sources of one client: made for a partition from the definition's templates, with one token keeper for everything that the same secret
// is used for. Secrets are read from the environment when a walk begins, and stay in this adapter.
import type { Auth, OAuth2Auth } from '../domain/auth.js'
import { CredentialsRefused } from '../domain/errors.js'
import type { Clock, Log } from '../domain/ports.js'
import type { Source, Template } from '../domain/source-model.js'
import { expandTemplate, type TemplateScope } from '../domain/template.js'
import {
  basicPair,
  type Credentials,
  fixedCredentials,
  spokenOf,
  type TokenAsking,
  variablesOf,
  withHeader,
} from './credentials.js'
import { refusalText } from './refusal-text.js'
import type { WireRequest } from './request.js'
import { tokenMark } from './secrets.js'
import { tokenName } from './token-file.js'
import { TokenKeeper, type TokenNeed } from './token-keeper.js'
import { encodeForm, type TokenQuestion, tokenAddress } from './token-request.js'
import type { TokenStore } from './token-store.js'

export interface CredentialPlace {
  readonly scope: TemplateScope
  /** Of the base address. */
  readonly origin: () => string
}
export interface CredentialKeeper {
  /** Undefined where the source has no `auth`. @throws ConfigError where a variable is missing. */
  readonly of: (source: Source, place: CredentialPlace) => Credentials | undefined
  /** What a source's credentials became so far. */
  readonly spoken: (source: string) => readonly string[]
}
export interface KeeperOptions {
  readonly store: TokenStore
  readonly clock: Clock
  readonly log: Log
}

export function createCredentialKeeper(options: KeeperOptions): CredentialKeeper {
  const tokens = new Map<string, TokenKeeper>()
  const fixed = new Map<string, Set<string>>()
  const keep = (source: string, texts: readonly string[]): void => {
    const known = fixed.get(source) ?? new Set<string>()
    for (const text of texts) known.add(text)
    fixed.set(source, known)
  }
  const keeperOf = (source: string, question: TokenQuestion): TokenKeeper => {
    const { url, clientId, scope } = question
    const name = tokenName([source, url, clientId, scope])
    const key = `${source} ${name} ${question.clientSecret}`
    const known = tokens.get(key) ?? new TokenKeeper({ source, name, question, ...options })
    tokens.set(key, known)
    return known
  }
  return {
    of: (source, place) => {
      const { auth } = source
      if (auth === undefined) return undefined
      const texts = spokenBy(auth, place.scope)
      if (texts.length > 0) keep(source.name, texts)
      if (auth.kind !== 'oauth2') return fixedCredentials(auth, place.scope)
      return tokenCredentials(auth, keeperOf(source.name, questionOf(auth, source, place)))
    },
    spoken: (source) => {
      if (tokens.size === 0 && fixed.size === 0) return nothing
      const ofTokens = [...tokens].filter(([key]) => key.startsWith(`${source} `)).flatMap(([, one]) => one.spoken)
      return [...ofTokens, ...(fixed.get(source) ?? [])]
    },
  }
}

const nothing: readonly string[] = []

function spokenBy(auth: Auth, scope: TemplateScope): readonly string[] {
  if (auth.kind !== 'oauth2') return spokenOf(auth, scope)
  if (auth.send !== 'basic') return []
  const fill = (template: Template): string => encodeForm(expandTemplate(template, scope))
  return [basicPair(fill(auth.clientId), fill(auth.clientSecret))]
}

function questionOf(auth: OAuth2Auth, source: Source, { scope, origin }: CredentialPlace): TokenQuestion {
  const fill = (template: Template): string => expandTemplate(template, scope)
  return {
    auth,
    url: tokenAddress(fill(auth.tokenUrl), origin, source),
    clientId: fill(auth.clientId),
    clientSecret: fill(auth.clientSecret),
    scope: auth.scope === null ? null : fill(auth.scope),
  }
}

/** A walk's view of the token: what was refused before it began is no reason not to ask again. */
function tokenCredentials(auth: OAuth2Auth, keeper: TokenKeeper): Credentials {
  const seen = keeper.refusals
  const needOf = (request: WireRequest, asking: TokenAsking): TokenNeed => ({
    asking,
    userAgent: request.headers['user-agent'] ?? '',
    seen,
  })
  return {
    canRenew: true,
    authorise: async (request, asking) => {
      const { token, generation } = await keeper.current(needOf(request, asking))
      const { accessToken, expiresAt } = token
      const bearing = withHeader(request, 'authorization', `Bearer ${accessToken}`)
      return { request: unmarked(bearing, accessToken), generation, endsAt: expiresAt }
    },
    refused: async ({ authorised, answer, isRepeat }, asking) => {
      const { request, generation } = authorised
      if (!isRepeat) {
        await keeper.renew(generation, needOf(request, asking))
        return
      }
      const said = refusalText(answer, asking.caller.secrets.clean)
      const fact = `status ${answer.status} with a token that was just renewed${said === '' ? '' : `: ${said}`}`
      const { name } = asking.caller.source
      const ask = `ask the source whether the application of ${variablesOf(auth)[0] ?? 'auth'} is blocked`
      const refusal = new CredentialsRefused('token_refused', `fetch ${request.address} found ${fact}`, {
        hint: `${ask}; then run "backfill resume ${name}"`,
        context: { status: answer.status },
      })
      keeper.refuse(generation, refusal)
      throw refusal
    },
  }
}

/** A next address that came with a token in it was stored with a mark in its place. */
function unmarked(request: WireRequest, accessToken: string): WireRequest {
  if (!request.url.includes(tokenMark)) return request
  return { ...request, url: request.url.replaceAll(tokenMark, () => encodeURIComponent(accessToken)) }
}
