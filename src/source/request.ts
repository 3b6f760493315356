// Owns turning a request's shape, a partition and a position into what is sent: address, headers, body. Knows nothing of answers.
// Nothing here is kept; secrets enter here, at the last moment.
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { ConfigError, SourceRejected } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { isJsonObject } from '../domain/json.js'
import type { RequestShape, Source, Template } from '../domain/source-model.js'
import type { TemplateHole, TemplateScope } from '../domain/template.js'
import { expandTemplate, parseTemplate } from '../domain/template.js'
import { textOf } from './rows.js'
import type { Secrets } from './secrets.js'

/** A request as it leaves. */
export interface WireRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | null
  /** Method and address without secrets, for messages. */
  readonly address: string
}

/** Where a walk's request differs from its shape. */
export interface Step {
  /** Page, size, cursor: set last, so that they win over the shape's own. Only in a JSON body may a value be more than text or a number. */
  readonly params: Params
  /** A next address as the source gave it (checked for its origin); its query stays as it is. */
  readonly url: string | null
  /** What `{cursor}` stands for; null on the first request. */
  readonly cursor: string | null
  /** The same as the source gave it, for a place in JSON that is nothing but `{cursor}`; absent: the text. */
  readonly value?: Json
  /** Each request moves the position on, which the source keeps itself: asked again it answers with what comes next. */
  readonly isKept?: true
  /** A request in the place of the shape, with these parameters and none of the others; absent: the shape. */
  readonly next?: { readonly shape: RequestShape; readonly params: Params }
  /** Parameters over the shape's own, still templates; absent: none. */
  readonly query?: Readonly<Record<string, Template>>
  /** Statuses that are not tried again, because the walk knows another way. */
  readonly surfaces?: readonly number[]
}
export type Params = Readonly<Record<string, Json>>
export const firstStep: Step = { params: {}, url: null, cursor: null }

export interface RequestParts {
  readonly source: Source
  readonly shape: RequestShape
  readonly scope: TemplateScope
  readonly secrets: Secrets
  /** Headers that a definition may override. */
  readonly defaults: Readonly<Record<string, string>>
}

/** @throws ConfigError where a value does not fit its place (host, path, header) or a variable is missing. */
export function buildRequest(given: RequestParts, asked: Step): WireRequest {
  const { parts, step } = resolve(given, asked)
  const scope = { ...parts.scope, cursor: step.cursor }
  const { url, authorization } = takeUserinfo(step.url === null ? buildUrl(parts, scope, step) : new URL(step.url))
  const { method, form } = parts.shape
  const body = form === undefined ? buildBody(parts.shape, scope, step) : buildForm(parts.shape, scope, step)
  const type = form === undefined ? jsonBody : formBody
  const headers = buildHeaders(parts, scope, { ...authorization, ...(body === null ? {} : type) })
  return { method, url, headers, body, address: `${method} ${shortened(parts.secrets.clean(url))}` }
}

/** A cursor of a hundred kilobytes is no help in a message. Cut after the secrets are out of it. */
function shortened(address: string): string {
  return address.length > mostShown ? `${address.slice(0, mostShown)}…` : address
}
const mostShown = 1000

/** A further page may have a request of its own, which takes nothing from the first one's. */
function resolve(parts: RequestParts, step: Step): { readonly parts: RequestParts; readonly step: Step } {
  if (step.next === undefined) return { parts, step }
  const { shape, params } = step.next
  const { query: _, ...rest } = step
  return { parts: { ...parts, shape }, step: { ...rest, params } }
}

/** Scheme, host and port that credentials may be sent to. @throws ConfigError as {@link buildRequest}. */
export function originOf(parts: RequestParts): string {
  return baseUrl(parts.source, parts.scope).origin
}

const jsonBody = { 'content-type': 'application/json' }
const formBody = { 'content-type': 'application/x-www-form-urlencoded' }

function buildUrl(parts: RequestParts, scope: TemplateScope, step: Step): URL {
  const { shape } = parts
  const base = baseUrl(parts.source, scope)
  const path = expandTemplate(shape.path, scope, encodePathPart)
  const url = joinPath(base, path)
  setAll(url.searchParams, { ...shape.query, ...step.query }, scope)
  if (shape.bodyParams) return url
  for (const [name, value] of Object.entries(step.params)) url.searchParams.set(name, textOf(value))
  return url
}

function setAll(target: URLSearchParams, templates: Readonly<Record<string, Template>>, scope: TemplateScope): void {
  for (const [name, template] of Object.entries(templates)) {
    // A first request has no cursor: the parameter is left out, not sent empty.
    if (scope.cursor === null && isBareCursor(template)) continue
    const value = expandTemplate(template, scope)
    if (value === '' && template !== '' && !isBareCursor(template)) throw emptyParameter(name)
    target.set(name, value)
  }
}

function baseUrl(source: Source, scope: TemplateScope): URL {
  const text = expandTemplate(source.baseUrl, scope, encodeBasePart)
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new ConfigError(
    'bad_address',
    `read the base address of "${source.name}" found "${source.baseUrl}", no http or https address`,
    {
      hint: `correct base_url in ${source.file}`,
    },
  )
}

/** Joined by text: resolving would let a path of two slashes or of dots leave the base. */
function joinPath(base: URL, path: string): URL {
  const [pathname, query] = splitOnce(path, '?')
  if (pathname.split(/[/\\]/).some((part) => /^(\.|%2e){1,2}$/i.test(part))) {
    throw new SourceRejected(
      'bad_path',
      `build path "${path}" found a part of dots, which would leave the base address`,
    )
  }
  const url = new URL(base)
  const prefix = base.pathname.replace(/\/$/, '')
  if (pathname !== '') url.pathname = `${prefix}/${pathname.replace(/^\//, '')}`
  if (query !== undefined) url.search = base.search === '' ? query : `${base.search}&${query}`
  return url
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** In the query part of a path the same encoding is right: it covers all of a query's own characters. */
function encodePathPart(value: string, hole: TemplateHole): string {
  const parts = hole.kind === 'dimension' && hole.isPath === true ? value.split('/') : [value]
  return parts.map((part) => encodeOnePart(part, hole)).join('/')
}

function encodeOnePart(value: string, hole: TemplateHole): string {
  // `/users/{id}` with nothing would ask for all users.
  if (value === '' && hole.kind !== 'cursor') throw emptyPart(hole)
  return encodeURIComponent(value)
}

function encodeBasePart(value: string, hole: TemplateHole, before: string): string {
  const isAuthority = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*$/i.test(before)
  if (before === '' && (hole.kind === 'config' || hole.kind === 'environment')) return value
  if (!isAuthority) return encodePathPart(value, hole)
  if (hole.kind === 'environment' && !hostPattern.test(value)) return encodeURIComponent(value)
  if (hostPattern.test(value) && !value.includes('..')) return value
  const name = 'name' in hole ? hole.name : hole.kind
  // A value of one partition stops only that one; what the configuration says stops the stream.
  const Fault = hole.kind === 'dimension' ? SourceRejected : ConfigError
  throw new Fault(
    'bad_host',
    `build the base address found "${value}" for "${name}", which is no part of a host name`,
    {
      hint: 'letters, digits, dots and hyphens are',
    },
  )
}
const hostPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:\d+)?$/

function emptyPart(hole: TemplateHole): SourceRejected | ConfigError {
  const name = 'name' in hole ? hole.name : hole.kind
  const Fault = hole.kind === 'dimension' ? SourceRejected : ConfigError
  return new Fault('empty_path_part', `build the path found an empty value for "${name}"`)
}

/** Many sources take a filter without a value for none, and answer with everything. */
function emptyParameter(name: string): SourceRejected {
  return new SourceRejected('empty_parameter', `build parameter "${name}" found an empty value`, {
    hint: 'give it a value, or leave the parameter out of the definition',
  })
}

/** True where the parameter (or `{cursor}`, where it has none) stands in JSON, which holds lists and objects. */
export function takesJson({ form, body, bodyParams }: RequestShape, param: string): boolean {
  if (form !== undefined) return false
  return param === '' ? holdsBareCursor(body) : bodyParams
}

function holdsBareCursor(value: Json): boolean {
  if (typeof value === 'string') return isBareCursor(value)
  return (
    typeof value === 'object' && value !== null && Object.values(value).some((part) => holdsBareCursor(part as Json))
  )
}

function isBareCursor(template: Template): boolean {
  const parts = parseTemplate(template)
  return parts.length === 1 && parts[0]?.kind === 'cursor'
}

/** Credentials of an address travel as a header, so that no message that shows the address shows them. */
function takeUserinfo(url: URL): { url: string; authorization: Record<string, string> } {
  if (url.hash !== '') url.hash = ''
  if (url.username === '' && url.password === '') return { url: url.href, authorization: {} }
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  url.username = ''
  url.password = ''
  return { url: url.href, authorization: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}

function buildHeaders(parts: RequestParts, scope: TemplateScope, own: Record<string, string>): Record<string, string> {
  const headers: Record<string, string> = { ...parts.defaults, ...own }
  for (const [name, template] of [...Object.entries(parts.source.headers), ...Object.entries(parts.shape.headers)]) {
    if (scope.cursor === null && isBareCursor(template)) continue
    const value = expandTemplate(template, scope)
    checkHeader(name, value)
    headers[name.toLowerCase()] = value
  }
  return headers
}

/** Node's own message would show the value, which may be a secret. */
export function checkHeader(name: string, value: string): void {
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  } catch {
    throw new ConfigError('bad_header', `build header "${name}" found a character that no header may hold`, {
      hint: 'look for a line break at the end of the variable that it names',
    })
  }
}

/** The fields of a form; of a list each value is a field of that name. */
function buildForm({ form = {}, bodyParams }: RequestShape, scope: TemplateScope, step: Step): string {
  const fields = new URLSearchParams()
  setAll(fields, form, scope)
  for (const [name, value] of bodyParams ? Object.entries(step.params) : []) {
    fields.delete(name)
    for (const one of Array.isArray(value) ? (value as readonly Json[]) : [value]) fields.append(name, textOf(one))
  }
  return fields.toString()
}

function buildBody(shape: RequestShape, scope: TemplateScope, step: Step): string | null {
  if (!shape.bodyParams) return shape.body === null ? null : JSON.stringify(fillBody(shape.body, scope, step))
  const filled = fillBody(shape.body ?? {}, scope, step)
  if (isJsonObject(filled)) return JSON.stringify({ ...filled, ...step.params })
  throw new ConfigError('bad_body', 'build the body found no object that page parameters could be set in', {
    hint: 'make the body an object, or set params_in to query',
  })
}

/** Strings are templates, everything else stays what it is; a string that is nothing but `{cursor}` is null on the first request, and else what the source gave. */
function fillBody(value: Json, scope: TemplateScope, step: Step): Json {
  if (typeof value === 'string') {
    if (!isBareCursor(value)) return expandTemplate(value, scope)
    return step.cursor === null ? null : (step.value ?? step.cursor)
  }
  if (Array.isArray(value)) return value.map((part: Json) => fillBody(part, scope, step))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, fillBody(part, scope, step)]))
}
