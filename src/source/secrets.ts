// Owns keeping secrets out of everything that leaves this adapter: messages, log fields, page addresses and cursors. A secret is any
// environment value that a template of the source names, and what its credentials became since: access tokens, the pair of a Basic header.
import { authTemplates } from '../domain/auth.js'
import type { Json } from '../domain/json.js'
import type { RequestShape, Source, Stream, Template } from '../domain/source-model.js'
import { templateVariables } from '../domain/template.js'

export interface Secrets {
  /** Text for people: secrets become the name of their variable, `user:password@` goes. */
  readonly clean: (text: string) => string
  /** An address that may be stored: secrets become a mark that {@link Secrets.unseal} turns back; a token's is turned back when the request leaves. */
  readonly seal: (address: string) => string
  readonly unseal: (address: string) => string
}

/** Shorter values would be found everywhere, and hide nothing. */
const shortestSecret = 4

/** Stands for the access token in a stored address. Every character may stand in any part of one. */
export const tokenMark = '~access-token~'

export interface SecretPlaces {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the source's credentials became so far; asked anew each time. */
  readonly spoken: () => readonly string[]
}

/** Everything that the templates of one stream take from the environment, and what its credentials became. */
export function secretsOf(source: Source, stream: Stream, { environment, spoken }: SecretPlaces): Secrets {
  const named = new Map<string, string>()
  for (const template of templatesOf(source, stream)) {
    for (const variable of templateVariables(template)) {
      const name = variable.slice(1)
      const value = variable.startsWith('$') ? environment[name] : undefined
      if (value !== undefined && value.length >= shortestSecret) named.set(name, value)
    }
  }
  // Longest first, so that a secret that begins with another one is not half replaced.
  return secretsFrom(
    [...named].sort((a, b) => b[1].length - a[1].length),
    spoken,
  )
}

function secretsFrom(named: readonly (readonly [string, string])[], spoken: () => readonly string[]): Secrets {
  // First, because a token may hold what a variable holds.
  const hideSpoken = (text: string, mark: string): string =>
    replaceEach(
      text,
      spoken().map((value) => [mark, value]),
      () => mark,
    )
  return {
    clean: (text) => withoutUserinfo(replaceEach(hideSpoken(text, '(access token)'), named, (name) => `$${name}`)),
    seal: (address) => replaceEach(hideSpoken(address, tokenMark), named, (name) => `{$${name}}`),
    unseal: (address) =>
      named.reduce((text, [name, value]) => text.replaceAll(`{$${name}}`, () => encodeURIComponent(value)), address),
  }
}

function replaceEach(
  text: string,
  named: readonly (readonly [string, string])[],
  mark: (name: string) => string,
): string {
  let result = text
  for (const [name, value] of named) {
    for (const form of formsOf(value)) result = result.replaceAll(form, () => mark(name))
  }
  return result
}

/** How a value may be written in an address or in JSON. */
function formsOf(value: string): Set<string> {
  const form = new URLSearchParams({ v: value }).toString().slice(2)
  return new Set([value, encodeURIComponent(value), form, encodeURI(value), JSON.stringify(value).slice(1, -1)])
}

function withoutUserinfo(text: string): string {
  if (!text.includes('@')) return text
  return text.replaceAll(/(\bhttps?:\/\/)[^\s/?#@"']+@/gi, '$1')
}

function templatesOf(source: Source, stream: Stream): Template[] {
  const { confirm } = stream.prune
  const next = stream.pagination.kind === 'cursor' ? stream.pagination.next : undefined
  const requests = [
    stream.request,
    ...(next === undefined ? [] : [next]),
    ...stream.count.flatMap((rule) => (rule.request === null ? [] : [rule.request])),
    ...(typeof confirm === 'string' ? [] : [confirm.request]),
  ]
  const own = [source.baseUrl, ...Object.values(source.headers), ...authTemplates(source.auth)]
  return [...own, ...requests.flatMap(templatesOfRequest)]
}

function templatesOfRequest(request: RequestShape): Template[] {
  const { path, query, headers, body, form = {} } = request
  return [path, ...Object.values(query), ...Object.values(headers), ...stringsIn(body), ...Object.values(form)]
}

function stringsIn(value: Json): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null
    ? Object.values(value).flatMap((part) => stringsIn(part as Json))
    : []
}
