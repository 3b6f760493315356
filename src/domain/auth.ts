import type { Template } from './source-model.js'

/**
 * How a source knows who asks. Templates name secrets as `$NAME`; what they stand for is known at the request only. A dimension or setting that one of them names
 * makes the credential another one for each of its values.
 */
export type Auth = OAuth2Auth | BearerAuth | ApiKeyAuth | BasicAuth

/** OAuth2 client credentials: a token is asked for, kept, and renewed. */
export interface OAuth2Auth {
  readonly kind: 'oauth2'
  /** An address, or a path from the origin of the base address on. */
  readonly tokenUrl: Template
  readonly clientId: Template
  readonly clientSecret: Template
  /** null: none is asked for. */
  readonly scope: Template | null
  /** How id and secret travel: in a form, in a JSON body, or in a Basic header. */
  readonly send: 'form' | 'json' | 'basic'
  /** Life that a token must have left to be used while another one can be had, ms; a quarter of its life at most. */
  readonly marginMs: number
  /** Life that a token must have left where a run begins, ms; half of its life at most. */
  readonly aheadMs: number
}
/** A token that never changes, as `Authorization: Bearer`. */
export interface BearerAuth {
  readonly kind: 'bearer'
  readonly token: Template
}
export interface ApiKeyAuth {
  readonly kind: 'apiKey'
  readonly key: Template
  readonly place: { readonly header: string } | { readonly query: string }
}
/** `Authorization: Basic`. Either may be empty, not both. */
export interface BasicAuth {
  readonly kind: 'basic'
  readonly user: Template
  readonly password: Template
}

/** Every template of it. */
export function authTemplates(auth: Auth | undefined): readonly Template[] {
  if (auth === undefined) return []
  switch (auth.kind) {
    case 'oauth2':
      return [auth.tokenUrl, auth.clientId, auth.clientSecret, ...(auth.scope === null ? [] : [auth.scope])]
    case 'bearer':
      return [auth.token]
    case 'apiKey':
      return [auth.key]
    case 'basic':
      return [auth.user, auth.password]
  }
}

/** What a token's answer said of the client secret's own end. */
export interface SecretEnd {
  readonly source: string
  /** Where the token was asked for, without secrets. */
  readonly tokenUrl: string
  /** Unix ms. */
  readonly validUntil: number
}

/** The end of a client secret is worth a word from so long before it on, ms. */
export const secretWarningMs = 7 * 86_400_000
