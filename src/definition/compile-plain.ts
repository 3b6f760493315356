// Owns texts of a request that are no templates: queries of GraphQL, SPARQL and the like are full of braces and dollar signs of their own.
import { isJsonObject, type Json } from '../domain/json.js'
import { refuse, type SourceScope, type Spot, spotAt } from './compilation.js'
import type { RequestDraft } from './source-schema.js'

/** The request with what it names as `plain` written so that it stands for itself. A name that is no text of query, form or body is refused. */
export function plainRequest(scope: SourceScope, spot: Spot, request: RequestDraft): RequestDraft {
  const { plain = [], query, form, body } = request
  if (plain.length === 0) return request
  for (const [index, name] of plain.entries()) {
    const isText = [query, form, body].some((part) => typeof ownText(part, name) === 'string')
    if (isText) continue
    const expected = 'the name of a text in query, form or body'
    refuse(scope.mistakes, spotAt(spot, 'plain', index), { expected, found: `"${name}"` })
  }
  const own = {
    ...(query === undefined ? {} : { query: escapeIn(query, plain) }),
    ...(form === undefined ? {} : { form: escapeIn(form, plain) }),
    ...(isJsonObject(body) ? { body: escapeIn(body, plain) } : {}),
  }
  return { ...request, ...own }
}

function ownText(part: Json | undefined, name: string): Json | undefined {
  return isJsonObject(part) && Object.hasOwn(part, name) ? part[name] : undefined
}

function escapeIn<T extends Json>(part: Readonly<Record<string, T>>, names: readonly string[]): Record<string, T> {
  const escaped = Object.entries(part).map(([name, value]): [string, T] => [
    name,
    typeof value === 'string' && names.includes(name) ? (escapeText(value) as T) : value,
  ])
  return Object.fromEntries(escaped)
}

function escapeText(text: string): string {
  return text.replaceAll(/[{}$]/g, (character) => character + character)
}
