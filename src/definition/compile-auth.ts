// Owns the meaning of `auth`: which kind it is, that its secrets are named and not written, and that no header of the source says the same. backfill.yaml's
// entry replaces the definition's as a whole.
import type { ApiKeyAuth, Auth, BasicAuth, OAuth2Auth } from '../domain/auth.js'
import type { Template } from '../domain/source-model.js'
import { parseTemplate } from '../domain/template.js'
import type { AuthDraft } from './auth-schema.js'
import { keysAt, refuse, type SourceScope, type Spot, spotAt } from './compilation.js'
import { checkTemplate } from './compile-templates.js'

/** What the definition and backfill.yaml say, each with where its source begins. */
export interface AuthPlaces {
  readonly own: AuthDraft | undefined
  readonly top: Spot
  readonly changed: AuthDraft | undefined
  readonly override: Spot
  readonly notes: string[]
}
export interface CompiledAuth {
  readonly auth: Auth | undefined
  /** Dimensions that its templates name. */
  readonly dimensions: readonly string[]
}

const defaultMarginMs = 60_000
const defaultAheadMs = 3_600_000
const defaultKeyHeader = 'x-api-key'

/** Only good where no mistake was added. */
export function compileAuth(scope: SourceScope, places: AuthPlaces): CompiledAuth {
  const { own, top, changed, override } = places
  const draft = changed ?? own
  if (draft === undefined || draft === 'none') return { auth: undefined, dimensions: [] }
  const context: Context = {
    scope,
    spot: spotAt(changed === undefined ? top : override, 'auth'),
    notes: places.notes,
    used: [],
  }
  const auth = authOf(draft, context)
  for (const spot of [spotAt(top, 'headers'), spotAt(override, 'headers')]) refuseTwin(auth, spot, scope)
  return { auth, dimensions: context.used }
}

interface Context {
  readonly scope: SourceScope
  readonly spot: Spot
  readonly notes: string[]
  readonly used: string[]
}

function authOf(draft: Exclude<AuthDraft, 'none'>, context: Context): Auth {
  if ('oauth2' in draft) return oauth2(draft.oauth2, context)
  if ('apiKey' in draft) return apiKey(draft, context)
  if ('basic' in draft) return basic(draft.basic, context)
  const token = checked(draft.bearer, ['bearer'], context)
  requireVariable(token, ['bearer'], context)
  if (/^bearer\s/i.test(token)) {
    const found = `text of ${token.length} characters that begins with it`
    refuse(context.scope.mistakes, spotAt(context.spot, 'bearer'), { expected: '$NAME without the word Bearer', found })
  }
  return { kind: 'bearer', token }
}

function oauth2(draft: Extract<AuthDraft, { oauth2: unknown }>['oauth2'], context: Context): OAuth2Auth {
  const at = (key: string): string[] => ['oauth2', key]
  checkTokenUrl(draft.tokenUrl, at('tokenUrl'), context)
  requireVariable(draft.clientSecret, at('clientSecret'), context)
  return {
    kind: 'oauth2',
    tokenUrl: checked(draft.tokenUrl, at('tokenUrl'), context),
    clientId: checked(draft.clientId, at('clientId'), context),
    clientSecret: checked(draft.clientSecret, at('clientSecret'), context),
    scope: draft.scope === undefined ? null : checked(draft.scope, at('scope'), context),
    send: draft.send ?? 'form',
    marginMs: draft.margin ?? defaultMarginMs,
    aheadMs: draft.ahead ?? defaultAheadMs,
  }
}

function apiKey(draft: Extract<AuthDraft, { apiKey: unknown }>, context: Context): ApiKeyAuth {
  const key = checked(draft.apiKey, ['apiKey'], context)
  requireVariable(key, ['apiKey'], context)
  const { mistakes } = context.scope
  if (draft.header !== undefined && draft.query !== undefined) {
    const found = 'both'
    refuse(mistakes, spotAt(context.spot, 'query'), { expected: 'a header or a query parameter', found })
  }
  if (draft.header !== undefined && !/^[!#$%&'*+.^_`|~\w-]+$/.test(draft.header))
    refuse(mistakes, spotAt(context.spot, 'header'), { expected: 'the name of a header', found: 'another text' })
  const place =
    draft.query === undefined ? { header: (draft.header ?? defaultKeyHeader).toLowerCase() } : { query: draft.query }
  return { kind: 'apiKey', key, place }
}

/** One of the two may be empty, as where a key stands for the user; a password that is written out is one too many. */
function basic({ user, password }: { readonly user: string; readonly password: string }, context: Context): BasicAuth {
  checked(user, ['basic', 'user'], context)
  checked(password, ['basic', 'password'], context)
  requireVariable(password === '' ? user : password, ['basic', password === '' ? 'user' : 'password'], context)
  return { kind: 'basic', user, password }
}

/** The template, its holes checked and its dimensions noted. */
function checked(template: Template, path: readonly string[], { scope, spot, used }: Context): Template {
  used.push(...checkTemplate(scope, spotAt(spot, ...path), { template, mayUseCursor: false }))
  return template
}

/** A secret in a definition ends in somebody's repository. */
function requireVariable(template: Template, path: readonly string[], { scope, spot }: Context): void {
  if (namesVariable(template)) return
  refuse(scope.mistakes, spotAt(spot, ...path), {
    expected: '$NAME of a variable; its value is in .env',
    found: template === '' ? 'nothing' : `text of ${template.length} characters`,
  })
}

function namesVariable(template: Template): boolean {
  try {
    return parseTemplate(template).some(({ kind }) => kind === 'environment')
  } catch {
    // Reported where its holes are checked.
    return true
  }
}

function checkTokenUrl(tokenUrl: Template, path: readonly string[], { scope, spot, notes }: Context): void {
  // What begins with a hole is known only at the request, where it is checked.
  if (/^(\/(?!\/)|\$|\{)/.test(tokenUrl)) return
  const [, scheme, host = ''] = /^(https?):\/\/([^/?#]+)[^#]*$/.exec(tokenUrl) ?? []
  if (scheme === undefined || host.includes('@')) {
    refuse(scope.mistakes, spotAt(spot, ...path), {
      expected: 'an http or https address, or a path from the origin of base_url like /oauth/token',
      found: `text of ${tokenUrl.length} characters`,
    })
  } else if (scheme === 'http' && !/^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)) {
    notes.push(`source "${scope.name}" sends its client secret over plain http to ${host}: it can be read on the way`)
  }
}

/** Which of the two would be sent is nobody's guess. */
function refuseTwin(auth: Auth, spot: Spot, { mistakes }: SourceScope): void {
  const name = auth.kind !== 'apiKey' ? 'authorization' : 'header' in auth.place ? auth.place.header : null
  for (const key of keysAt(spot)) {
    if (key.toLowerCase() !== name) continue
    refuse(mistakes, spotAt(spot, key), { expected: `no header that "auth" sets`, found: `"${key}"` })
  }
}
