// Owns walks whose next step is in the answer: a cursor, several parameters, a `Link`, a next address; and answers that are all there is.
// Pure; addresses in cursors are kept without secrets.
import { AnswerInvalid, InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { isJsonObject, valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination } from '../domain/source-model.js'
import { headerText } from './header-text.js'
import { linkByRelation } from './link-header.js'
import { hasMore, saysMore } from './more.js'
import type { PageReply, Pager, PagerOptions } from './pager.js'
import { badAnswer, plainOf, type Scalar, scalarOf, sizeParams } from './pager.js'
import type { Step } from './request.js'
import { firstStep, takesJson } from './request.js'
import { dottedHint, dottedKey, extract, type Reply, textOf } from './rows.js'

type TokenPagination = Exclude<Pagination, { kind: 'page' | 'offset' | 'lastRow' }>

/** A pager that follows what the answers say. */
export function tokenPager(pagination: TokenPagination, options: PagerOptions): Pager {
  const { stream } = options
  const end = pagination.kind === 'none' ? undefined : pagination.end
  const first: Step = pagination.kind === 'none' ? firstStep : { ...firstStep, params: sizeParams(pagination, stream) }
  return {
    stepAt: (cursor) => {
      if (cursor === null) return first
      const step = stepAt(cursor, first, { pagination, options })
      return valueAt(cursor, ['kept']) === true ? { ...step, isKept: true } : step
    },
    after: (asked, reply) => {
      if (reply.isPastEnd || (end?.emptyPage === true && reply.rows.length === 0))
        return { cursor: null, fingerprint: null }
      const cursor = nextCursor(reply, pagination, options)
      const signs = pagination.kind === 'none' ? {} : pagination
      if (cursor === null) {
        refuseDotted(reply, pagination)
        if (saysMore(signs, reply) === true) throw badAnswer(reply, 'more to come, and no next step')
        return { cursor, fingerprint: null }
      }
      // Many name a next step at their end, too, for what may come later.
      if (hasMore(signs, reply) === false) return { cursor: null, fingerprint: null }
      // A source that goes on until a page is empty may name the same step each time and still go on: then the page itself must not repeat.
      const page = end?.emptyPage === true ? reply.hashBody() : ''
      const fingerprint = `${fingerprintOf(cursor)}${page}`
      return { cursor: end?.emptyPage === true && isSameStep(asked, cursor) ? markKept(cursor) : cursor, fingerprint }
    },
    guessAfter: () => null,
  }
}

/** The step that was taken is named again behind its page. */
function isSameStep(asked: Cursor | null, next: Cursor): boolean {
  return asked !== null && fingerprintOf(markKept(asked)) === fingerprintOf(markKept(next))
}

function markKept(cursor: Cursor): Cursor {
  return isJsonObject(cursor) ? { ...cursor, kept: true } : cursor
}

function stepAt(cursor: Cursor, first: Step, context: { pagination: TokenPagination; options: PagerOptions }): Step {
  const { pagination, options } = context
  if (pagination.kind === 'cursor') {
    const value = valueAt(cursor, ['cursor'])
    if (value === undefined || value === null) throw badCursor(pagination.kind)
    const params = pagination.param === '' ? {} : { [pagination.param]: value }
    const at = { cursor: textOf(value), value }
    if (pagination.next !== undefined) return { ...firstStep, ...at, next: { shape: pagination.next, params } }
    return { ...first, ...at, params: { ...first.params, ...params } }
  }
  if (pagination.kind === 'continue') {
    const params = valueAt(cursor, ['continue'])
    if (!isJsonObject(params)) throw badCursor(pagination.kind)
    return { ...first, params: { ...first.params, ...(params as Record<string, Scalar>) } }
  }
  const url = valueAt(cursor, ['url'])
  if (typeof url !== 'string') throw badCursor(pagination.kind)
  return { ...firstStep, url: checkOrigin(options.secrets.unseal(url), options) }
}

function nextCursor(reply: PageReply, pagination: TokenPagination, options: PagerOptions): Cursor | null {
  switch (pagination.kind) {
    case 'none':
      return null
    case 'cursor':
      return tokenCursor(
        cursorIn(reply, pagination),
        reply,
        takesJson(pagination.next ?? options.stream.request, pagination.param),
      )
    case 'continue':
      return continueCursor(valueAt(reply.root, pagination.from), reply)
    case 'link':
      return urlCursor(nextLink(reply, pagination.rel), reply, options)
    case 'nextUrl':
      return urlCursor(extract(reply, pagination.from), reply, options)
  }
}

/**
 * Whether an answer names a step behind it; null: what it names says nothing, because the walk ends by another sign.
 * @throws AnswerInvalid where its word on that cannot be read.
 */
export function goesOn(
  pagination: Exclude<Pagination, { kind: 'page' | 'offset' | 'none' }>,
  reply: Pick<PageReply, 'headers' | 'root' | 'address'>,
): boolean | null {
  const more = saysMore(pagination, reply)
  if (more !== null) return more
  if (pagination.kind === 'lastRow') return null
  const isNamed = !isEnd(placeOfNext(reply, pagination))
  const { end } = pagination
  return isNamed && (end?.emptyPage === true || (end?.errors.length ?? 0) > 0) ? null : isNamed
}

function placeOfNext(
  reply: Pick<PageReply, 'headers' | 'root' | 'address'>,
  pagination: Exclude<TokenPagination, { kind: 'none' }>,
): Json | undefined {
  switch (pagination.kind) {
    case 'cursor':
      return cursorIn(reply, pagination)
    case 'continue':
      return valueAt(reply.root, pagination.from)
    case 'link':
      return nextLink(reply, pagination.rel)
    case 'nextUrl':
      return extract(reply, pagination.from)
  }
}

function nextLink(reply: Pick<PageReply, 'headers' | 'address'>, relation: string): string | null {
  const link = linkByRelation(headerText(reply.headers.link) ?? '', relation)
  if (link === 'unreadable')
    throw badAnswer(reply, `a Link header that cannot be read, so that "${relation}" may be in it`)
  return link?.address ?? null
}

/** A next step that the definition only misspells must not pass for the end. */
function refuseDotted(reply: PageReply, pagination: TokenPagination): void {
  if (!('from' in pagination)) return
  const { from } = pagination
  const path = 'path' in from ? from.path : 'header' in from ? [] : from
  const dotted = valueAt(reply.root, path) === undefined ? dottedKey(reply.root, path) : null
  if (dotted === null) return
  throw badAnswer(reply, `nothing at "${path.join('.')}", and a key of that very name`, dottedHint(dotted))
}

/** Absent, null, false and empty mean the end. */
function isEnd(value: Json | undefined): value is undefined | null | false | '' {
  return value === undefined || value === null || value === false || value === ''
}

/** `[]` and `{}`: sent back they would ask for the first page again. */
function isEmpty(value: Json | undefined): boolean {
  return typeof value === 'object' && (Array.isArray(value) || isJsonObject(value)) && Object.keys(value).length === 0
}

/** The cursor of an answer; null where it is one of those that stand for the end. */
function cursorIn(reply: Reply, { from, end }: TokenPagination & { readonly kind: 'cursor' }): Json | undefined {
  const value = extract(reply, from)
  return isEmpty(value) || end?.cursors?.includes(textOf(value)) === true ? null : value
}

function tokenCursor(value: Json | undefined, reply: PageReply, mayBeJson: boolean): Cursor | null {
  if (isEnd(value)) return null
  const token = mayBeJson ? plainOf(value) : scalarOf(value)
  if (token === null) throw badAnswer(reply, 'a cursor that is neither text nor a number')
  return { cursor: token }
}

function continueCursor(value: Json | undefined, reply: PageReply): Cursor | null {
  if (isEnd(value)) return null
  if (!isJsonObject(value)) throw badAnswer(reply, 'a continuation that is no object of parameters')
  const params = Object.entries(value).filter(([, part]) => part !== null)
  if (params.length === 0) return null
  return { continue: Object.fromEntries(params.map(([name, part]) => [name, scalarOf(part) ?? refuse(reply, name)])) }
}

function refuse(reply: PageReply, name: string): never {
  throw badAnswer(reply, `a continuation whose "${name}" is neither text nor a number`)
}

function urlCursor(value: Json | undefined, reply: PageReply, options: PagerOptions): Cursor | null {
  if (isEnd(value)) return null
  if (typeof value !== 'string' || !URL.canParse(value, reply.url))
    throw badAnswer(reply, 'a next address that is none')
  const url = new URL(value, reply.url)
  url.hash = ''
  return { url: options.secrets.seal(checkOrigin(url.href, { ...options, address: reply.address })) }
}

/** Credentials go to the origin they were given for, and nowhere else. */
function checkOrigin(url: string, { origin, address }: { readonly origin: string; readonly address?: string }): string {
  const target = new URL(url).origin
  if (target === origin) return url
  throw new AnswerInvalid(
    'other_origin',
    `follow ${address ?? 'the stored cursor'} found a next address at ${target}, expected ${origin}`,
    {
      hint: 'where both are the same service, set base_url to the one it names',
      context: { expected: origin, found: target },
    },
  )
}

function fingerprintOf(cursor: Cursor): string {
  return JSON.stringify(cursor)
}

function badCursor(kind: TokenPagination['kind']): InvariantError {
  return new InvariantError(`read cursor found no position of a walk by ${kind}`)
}
