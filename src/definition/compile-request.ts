// Owns how a request, an answer, a count and a pagination as written become those of the source model.
import type { AnswerShape, CountRule, EndError, Pagination, RequestShape } from '../domain/source-model.js'
import { isGiven, refuse, type SourceScope, type Spot, spotAt } from './compilation.js'
import { plainRequest } from './compile-plain.js'
import { checkBody, checkTemplate, checkTemplates } from './compile-templates.js'
import { readExtract } from './path.js'
import { snakeCase } from './schema-keys.js'
import type { AnswerDraft, CountDraft, PaginateDraft, RequestDraft } from './source-schema.js'

export interface CompiledRequest {
  readonly request: RequestShape
  /** Dimensions that its templates name. */
  readonly dimensions: readonly string[]
}

/** A request; `shorthand` is the path that stands beside it, at `pathSpot`. */
export function compileRequest(
  scope: SourceScope,
  spot: Spot,
  draft: {
    readonly request: RequestDraft
    readonly mayUseCursor: boolean
    readonly shorthand?: { readonly path: string; readonly spot: Spot }
  },
): CompiledRequest {
  const { request, mayUseCursor } = draft
  const pathSpot = draft.shorthand?.spot ?? spotAt(spot, 'path')
  const path = draft.shorthand?.path ?? request.path ?? '/'
  checkPath(scope, pathSpot, path)
  const { query = {}, headers = {}, body = null, form } = plainRequest(scope, spot, request)
  const dimensions = [
    ...checkTemplate(scope, pathSpot, { template: path, mayUseCursor }),
    ...checkTemplates(scope, spotAt(spot, 'query'), { templates: query, mayUseCursor }),
    ...checkTemplates(scope, spotAt(spot, 'headers'), { templates: headers, mayUseCursor }),
    ...checkBody(scope, spotAt(spot, 'body'), { body, mayUseCursor }),
    ...checkTemplates(scope, spotAt(spot, 'form'), { templates: form ?? {}, mayUseCursor }),
  ]
  const bodyParams = request.paramsIn === 'body'
  const hasBody = body !== null || form !== undefined || bodyParams
  const method = request.method ?? (hasBody ? 'POST' : 'GET')
  if (form !== undefined && body !== null)
    refuse(scope.mistakes, spotAt(spot, 'form'), { expected: 'either body or form', found: 'both' })
  if (method === 'GET' && hasBody) {
    refuse(scope.mistakes, spotAt(spot, 'method'), {
      expected: '"POST", because the request has a body',
      found: '"GET"',
    })
  }
  const weight = request.weight === undefined ? {} : { weight: request.weight }
  const own = { ...(form === undefined ? {} : { form }), ...weight }
  return { request: { method, path, query, headers, body, bodyParams, ...own }, dimensions }
}

function checkPath(scope: SourceScope, spot: Spot, path: string): void {
  const where = path.replaceAll(/\{[^}]*\}/g, '')
  const bare = /^[A-Za-z]+:\/\//.test(where) ? 'a whole address' : /[?#]/.test(where) ? 'a "?" or "#"' : null
  if (bare === null && (where.startsWith('/') || path.startsWith('{'))) return
  const expected =
    bare === 'a "?" or "#"' ? 'a path alone; parameters belong under request.query' : 'a path that begins with /'
  refuse(scope.mistakes, spot, { expected, found: bare ?? JSON.stringify(path) })
}

/** What an answer looks like; the stream's words over the source's. */
export function compileAnswer(scope: SourceScope, spot: Spot, drafts: readonly AnswerDraft[]): AnswerShape {
  const draft = drafts.reduce<AnswerDraft>((below, above) => ({ ...below, ...above }), {})
  const format = draft.format ?? 'json'
  if (format !== 'json' && draft.rows !== undefined && draft.rows.length > 0) {
    refuse(scope.mistakes, spotAt(spot, 'rows'), {
      expected: `no path, because ${format} is rows already`,
      found: 'a path',
    })
  }
  const csv = {
    delimiter: draft.csv?.delimiter ?? ',',
    header: draft.csv?.header ?? true,
    columns: draft.csv?.columns ?? [],
    ...(draft.csv?.footer === undefined ? {} : { footer: draft.csv.footer }),
    ...(draft.csv?.nulls === undefined ? {} : { nulls: draft.csv.nulls }),
  }
  checkRowsOnly(scope, spot, draft)
  if (format === 'csv' && !csv.header && csv.columns.length === 0) {
    refuse(scope.mistakes, spotAt(spot, 'csv', 'columns'), {
      expected: 'column names, because there is no header',
      found: 'nothing',
    })
  }
  return {
    format,
    rows: draft.rows ?? [],
    ...(draft.unfold === undefined ? {} : { unfold: draft.unfold }),
    ...(draft.emptyWithoutRows === true ? { emptyWithoutRows: true } : {}),
    ...(draft.emptyOn === undefined ? {} : { emptyOn: endErrors(draft.emptyOn) }),
    ...(draft.parse === undefined ? {} : { parse: draft.parse }),
    shape: draft.shape ?? 'auto',
    header: draft.header ?? null,
    contentTypes: draft.contentTypes ?? [],
    errors: (draft.errors ?? []).map(answerError),
    expect: compileExpectations(scope, spotAt(spot, 'expect'), draft.expect ?? {}),
    csv,
  }
}

/** What only a JSON answer can have: a list of names beside the rows, lists inside of them, an error as an object. */
function checkRowsOnly(scope: SourceScope, spot: Spot, draft: AnswerDraft): void {
  const { format = 'json', csv } = draft
  const columns = csv?.columns ?? []
  const twice = columns.find((name, index) => columns.indexOf(name) !== index)
  if (twice !== undefined) {
    refuse(scope.mistakes, spotAt(spot, 'csv', 'columns'), { expected: 'each name once', found: `"${twice}" again` })
  }
  checkRowPlaces(scope, spot, draft)
  const lacks = {
    json: [],
    ndjson: ['header', 'emptyWithoutRows', 'parse'],
    csv: ['header', 'unfold', 'errors', 'emptyWithoutRows', 'parse'],
  } as const
  for (const key of lacks[format]) {
    const given = draft[key]
    if (given === undefined || given === false || (given !== true && given.length === 0)) continue
    const expected = `no "${snakeCase(key)}", because an answer of format ${format} has none`
    refuse(scope.mistakes, spotAt(spot, key), { expected, found: 'one' })
  }
}

/** A list can only be left out of something, and rows by name are an object. */
function checkRowPlaces(scope: SourceScope, spot: Spot, draft: AnswerDraft): void {
  const { format = 'json', rows = [], shape, header, emptyWithoutRows } = draft
  if (emptyWithoutRows === true && format === 'json' && rows.length === 0) {
    const expected = '"rows", the place of the list that may be left out'
    refuse(scope.mistakes, spotAt(spot, 'emptyWithoutRows'), { expected, found: 'nothing' })
  }
  if (shape !== 'entries' && shape !== 'one') return
  if (format !== 'json') {
    const expected = `objects, arrays or values, because an answer of format ${format} is a list`
    refuse(scope.mistakes, spotAt(spot, 'shape'), { expected, found: `"${shape}"` })
  } else if (header !== undefined) {
    const expected = `no "header", because ${shape === 'one' ? 'one record is no list' : 'rows by name are no lists'}`
    refuse(scope.mistakes, spotAt(spot, 'header'), { expected, found: 'one' })
  }
}

function compileExpectations(
  scope: SourceScope,
  spot: Spot,
  drafts: NonNullable<AnswerDraft['expect']>,
): AnswerShape['expect'] {
  for (const [place, { is }] of Object.entries(drafts))
    for (const template of is) checkTemplate(scope, spotAt(spot, place), { template, mayUseCursor: true })
  return Object.entries(drafts).flatMap(([place, draft]) => {
    const [is = '', ...or] = draft.is
    const from = readExtract(place)
    const otherwise = 'otherwise' in draft && draft.otherwise !== undefined ? { otherwise: draft.otherwise } : {}
    if (from !== null) return [{ from, is, ...(or.length === 0 ? {} : { or }), ...otherwise }]
    refuse(scope.mistakes, spotAt(spot, place), {
      expected: 'a path like meta.site, or "header X-Site"',
      found: JSON.stringify(place),
    })
    return []
  })
}

type AnswerErrorDraft = NonNullable<AnswerDraft['errors']>[number]

function answerError(draft: AnswerErrorDraft): AnswerShape['errors'][number] {
  const rule = { equals: undefined, message: undefined, fate: undefined, ...draft }
  // Where presence is the error, what is there says what it is.
  const message = rule.message ?? (rule.equals === undefined ? rule.path : null)
  return { path: rule.path, equals: rule.equals ?? null, message, fate: rule.fate ?? 'dead' }
}

/** The walk's position must reach the source, and two parameters of one name are one. */
export function checkParams(
  scope: SourceScope,
  spot: Spot,
  { pagination, request }: { readonly pagination: Pagination; readonly request: RequestShape },
): void {
  if (!('param' in pagination)) return
  const { param, sizeParam } = pagination
  const at = (key: string) => (isGiven(spotAt(spot, 'paginate', key)) ? spotAt(spot, 'paginate', key) : spot)
  const next = pagination.kind === 'cursor' ? pagination.next : undefined
  if (param === '' && !namesCursor(next ?? request)) {
    refuse(scope.mistakes, spotAt(spot, 'paginate', 'param'), {
      expected: `the name of a parameter, or {cursor} in ${next === undefined ? 'the request' : '"next"'}`,
      found: 'nothing',
    })
  }
  if (param !== '' && param === sizeParam) {
    refuse(scope.mistakes, at('size'), { expected: 'a parameter of its own', found: `"${param}" again` })
  }
}

function namesCursor({ path, query, headers, body, form }: RequestShape): boolean {
  const texts = JSON.stringify([path, query, headers, body, form])
  return /\{\s*cursor\s*\}/.test(texts.replaceAll(/\{\{|\}\}/g, ''))
}

/** One record has no pages. The last row must be one, and hold the value at a place of its own. */
export function checkPages(
  scope: SourceScope,
  spot: Spot,
  { answer, pagination }: { readonly answer: AnswerShape; readonly pagination: Pagination },
): void {
  if (answer.shape === 'one' && pagination.kind !== 'none') {
    const expected = '"paginate: none", because an answer of one record has no pages'
    refuse(scope.mistakes, spotAt(spot, 'answer', 'shape'), { expected, found: pagination.kind })
  }
  checkSigns(scope, spot, pagination)
  if (pagination.kind !== 'lastRow') return
  const at = spotAt(spot, 'paginate', 'lastRow')
  const found = isGiven(at) ? at : spot
  if (pagination.row.length === 0)
    refuse(scope.mistakes, found, { expected: 'a place in the row, like id', found: '"$"' })
  if (answer.shape === 'entries')
    refuse(scope.mistakes, found, {
      expected: 'another pagination, because rows by name have no order',
      found: 'last_row',
    })
}

/** One place says whether there is more, and a walk backwards ends at the first page. */
function checkSigns(scope: SourceScope, spot: Spot, pagination: Pagination): void {
  if (pagination.kind === 'none') return
  checkForgotten(scope, spot, pagination)
  const { more = null, done } = pagination
  const at = spotAt(spot, 'paginate', done === undefined ? 'more' : 'done')
  const found = isGiven(at) ? at : spot
  if (more !== null && done !== undefined)
    refuse(scope.mistakes, found, { expected: 'either more or done', found: 'both' })
  if (!('backwards' in pagination) || (more === null && done === undefined)) return
  const expected = 'no "more" and no "done" beside "backwards", which ends at the first page'
  refuse(scope.mistakes, found, { expected, found: 'one' })
}

/** A status that always means "forgotten" can not be the end as well: the walk would begin anew at its end. */
function checkForgotten(scope: SourceScope, spot: Spot, pagination: Pagination): void {
  if (!('expired' in pagination)) return
  const ends = pagination.end?.errors.map(({ status }) => status) ?? []
  const both = pagination.expired.find(({ status, path }) => path === null && ends.includes(status))
  if (both === undefined) return
  const at = spotAt(spot, 'paginate', 'expired')
  const expected = `a path that tells them apart, because ${both.status} is an error of "end", too`
  refuse(scope.mistakes, isGiven(at) ? at : spot, { expected, found: `${both.status} alone` })
}

export interface CompiledPagination {
  readonly pagination: Pagination
  /** Largest size that the source takes, where it says so. */
  readonly maxSize: number | null
}

/** The pagination; what ends it is checked against what is known of a page's size. */
export function compilePagination(draft: PaginateDraft): CompiledPagination {
  if (draft === 'none') return { pagination: { kind: 'none' }, maxSize: null }
  return { pagination: paginationOf(draft), maxSize: draft.max ?? null }
}

function paginationOf(draft: Exclude<PaginateDraft, 'none'>): Pagination {
  const sizeParam = draft.size ?? null
  if ('page' in draft)
    return {
      kind: 'page',
      param: draft.page === true ? '' : draft.page,
      first: draft.first ?? 1,
      sizeParam,
      ...numbered(draft),
    }
  if ('offset' in draft)
    return { kind: 'offset', param: draft.offset === true ? '' : draft.offset, sizeParam, ...numbered(draft) }
  if ('lastRow' in draft) {
    const { lastRow: row, param = '', end } = draft
    return { kind: 'lastRow', row, param, more: null, ...signsOf(draft), sizeParam, end: numberedEnd(end) }
  }
  const { expired, end } = draft
  // Left out where a definition has none, so that walks of older versions go on.
  const own = {
    ...{ sizeParam, ...signsOf(draft) },
    ...(expired === undefined ? {} : { expired: endErrors(expired) }),
    ...(end === undefined ? {} : { end: followedEnd(end) }),
  }
  if ('cursor' in draft) return { kind: 'cursor', from: draft.cursor, param: draft.param ?? '', ...own }
  if ('continue' in draft) return { kind: 'continue', from: draft.continue, ...own }
  if ('link' in draft) return { kind: 'link', rel: draft.link === true ? 'next' : draft.link, ...own }
  return { kind: 'nextUrl', from: draft.nextUrl, ...own }
}

type FollowedDraft = Extract<PaginateDraft, { readonly continue: unknown } | { readonly cursor: unknown }>

function followedEnd(draft: NonNullable<FollowedDraft['end']>) {
  const { emptyPage, errors, cursors } = { cursors: undefined, ...draft }
  const own = { emptyPage: emptyPage ?? false, errors: endErrors(errors) }
  return cursors === undefined ? own : { ...own, cursors }
}

/** Where the answer says whether there is more. */
function signsOf({ more, done }: Exclude<PaginateDraft, 'none'>) {
  return { ...(more === undefined ? {} : { more }), ...(done === undefined ? {} : { done }) }
}

function endErrors(drafts: NonNullable<NumberedDraft['end']>['errors']): readonly EndError[] {
  return (drafts ?? []).map((error) => {
    const rule = { path: undefined, equals: undefined, ...error }
    return { status: rule.status, path: rule.path ?? null, equals: rule.equals ?? null }
  })
}

type NumberedDraft = Extract<PaginateDraft, { readonly page: unknown } | { readonly offset: unknown }>
type Numbered = Omit<Extract<Pagination, { kind: 'offset' }>, 'kind' | 'param' | 'sizeParam'>

function numbered(draft: NumberedDraft): Numbered {
  return {
    total: draft.total ?? null,
    ...(draft.backwards === undefined ? {} : { backwards: { by: draft.backwards } }),
    pages: draft.pages ?? null,
    usedSize: draft.usedSize ?? null,
    ...signsOf(draft),
    end: numberedEnd(draft.end),
  }
}

function numberedEnd(draft: NumberedDraft['end']): Numbered['end'] {
  return { shortPage: draft?.shortPage ?? false, errors: endErrors(draft?.errors) }
}

/** Rules for the count, and the dimensions that their own requests name. Without any: the pagination's total. */
export function compileCounts(
  scope: SourceScope,
  spot: Spot,
  given: { readonly drafts: readonly CountDraft[] | undefined; readonly pagination: Pagination },
): { readonly rules: readonly CountRule[]; readonly dimensions: readonly string[] } {
  const { drafts, pagination } = given
  const total = 'total' in pagination ? pagination.total : null
  if (drafts === undefined && !isGiven(spot)) {
    return { rules: total === null ? [] : [{ request: null, from: total, exactBelow: null }], dimensions: [] }
  }
  const compiled = (drafts ?? []).map((draft, index) => compileCount(scope, countSpot(spot, index), draft))
  return { rules: compiled.map(({ rule }) => rule), dimensions: compiled.flatMap(({ dimensions }) => dimensions) }
}

function countSpot(spot: Spot, index: number): Spot {
  const inList = spotAt(spot, index)
  return isGiven(inList) ? inList : spot
}

function compileCount(
  scope: SourceScope,
  spot: Spot,
  draft: CountDraft,
): { readonly rule: CountRule; readonly dimensions: readonly string[] } {
  const { from, exactBelow, request } = { exactBelow: undefined, request: undefined, ...draft }
  if (request === undefined) return { rule: { request: null, from, exactBelow: exactBelow ?? null }, dimensions: [] }
  const requestSpot = spotAt(spot, 'request')
  if (request.path === undefined && !isGiven(spotAt(requestSpot, 'path'))) {
    refuse(scope.mistakes, spotAt(requestSpot, 'path'), { expected: 'a path that begins with /', found: 'nothing' })
  }
  const compiled = compileRequest(scope, requestSpot, { request, mayUseCursor: false })
  return { rule: { request: compiled.request, from, exactBelow: exactBelow ?? null }, dimensions: compiled.dimensions }
}
