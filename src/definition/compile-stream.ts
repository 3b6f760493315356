// Owns a stream as a whole: its parts put together, the dimensions it depends on found, its settings resolved, its request hashed.
import { createHash } from 'node:crypto'
import type { Expectation, Pagination, Source, Stream, StreamSettings, TableName } from '../domain/source-model.js'
import { templateVariables } from '../domain/template.js'
import {
  isGiven,
  refuse,
  requireIdentifier,
  requireName,
  requirePlainName,
  type SourceScope,
  type Spot,
  type StreamChanges,
  spotAt,
} from './compilation.js'
import { checkBackwards, compileIncremental, compileWindows, incrementalColumn } from './compile-changes.js'
import { compileColumns, compileReferences, compileTable, type DraftReference } from './compile-columns.js'
import { applyFilters, type RequiredDraft } from './compile-filters.js'
import { compileNext } from './compile-next.js'
import { compilePrune } from './compile-prune.js'
import { checkReach } from './compile-reach.js'
import {
  type CompiledRequest,
  checkPages,
  checkParams,
  compileAnswer,
  compileCounts,
  compilePagination,
  compileRequest,
} from './compile-request.js'
import { checkMany, compileFanOut, compileMatch } from './compile-rows.js'
import { mergeLayers, streamSettings } from './settings.js'
import type { AnswerDraft, PaginateDraft, StreamDraft } from './source-schema.js'

/** What streams take from their source. */
export interface SourceParts {
  readonly baseUrl: string
  /** Dimensions that the base address and the headers name. */
  readonly dimensions: readonly string[]
  readonly paginate: PaginateDraft | undefined
  readonly answer: AnswerDraft | undefined
}

export interface CompiledStream {
  /** Without references and hash: those need the source's other streams. */
  readonly stream: Stream
  readonly references: readonly DraftReference[]
  /** Rows that its filters name. */
  readonly requires: readonly RequiredDraft[]
}

/** A stream at its place in the definition; `name` is its key there. */
export function compileStream(
  scope: SourceScope,
  parts: SourceParts,
  { name, draft }: { readonly name: string; readonly draft: StreamDraft },
): CompiledStream {
  const spot: Spot = { document: scope.document, path: ['streams', name] }
  const changes = scope.override?.streams[name] ?? {}
  requirePlainName(scope.mistakes, spot, name)
  const paginate = draft.paginate ?? (isGiven(spotAt(spot, 'paginate')) ? 'none' : parts.paginate) ?? 'none'
  const { pagination: pages, maxSize } = compilePagination(paginate)
  checkBackwards(scope, spot, pages)
  const hasNext = paginate !== 'none' && 'next' in paginate && paginate.next !== undefined
  const isInRequest = (pages.kind === 'page' || pages.kind === 'offset') && pages.param === ''
  const mayUseCursor = (pages.kind === 'cursor' && !hasNext) || pages.kind === 'lastRow' || isInRequest
  const asked = compileStreamRequest(scope, spot, { draft, mayUseCursor })
  const next = compileNext(scope, spot, { draft: paginate, pagination: pages, first: asked.request })
  const { pagination } = next
  checkParams(scope, spot, { pagination, request: asked.request })
  const filtered = applyFilters(scope, spot, { draft, changes, request: asked.request })
  const request = { ...asked, request: filtered.request }
  const columns = compileColumns(scope, spot, draft)
  const fanOut = compileFanOut(scope, spot, draft)
  const match = compileMatch(scope, spot, { draft, columns: columns.columns })
  checkMany(scope, spot, { fanOut, match, columns: columns.columns })
  const counts = compileCounts(scope, spotAt(spot, 'count'), { drafts: draft.count, pagination })
  const prune = compilePrune(scope, spotAt(spot, 'prune'), { draft: draft.prune, key: columns.key })
  const used = [
    ...parts.dimensions,
    ...request.dimensions,
    ...next.dimensions,
    ...columns.dimensions,
    ...counts.dimensions,
    ...prune.dimensions,
    ...(fanOut === null ? [] : [fanOut.dimension]),
  ]
  const { settings, everyMs } = compileSettings(scope, spot, { draft, changes, pagination, maxSize })
  checkDisposition(scope, spot, changes.disposition ?? draft.disposition)
  const dimensions = compileDimensions(scope, spot, { given: draft.dimensions, used })
  const answer = compileAnswer(scope, spotAt(spot, 'answer'), [parts.answer ?? {}, draft.answer ?? {}])
  checkPages(scope, spot, { answer, pagination })
  checkReach(scope, spot, { answer, pagination, count: counts.rules })
  const isOwn = ({ is, or = [] }: Expectation) =>
    [is, ...or].every((template) => namesOnly(template, dimensions, scope.dimensionNames))
  const stream: Stream = {
    source: scope.name,
    name,
    dimensions,
    table: tableOf(scope, spot, { name, draft, changes }),
    request: request.request,
    // What the source expects of its answers is for the streams that have the dimensions it names.
    answer: { ...answer, expect: answer.expect.filter(isOwn) },
    pagination,
    fanOut,
    incremental: compileIncremental(scope, spot, { draft, changes, columns: columns.columns }),
    windows: compileWindows(scope, spot, { draft, pagination }),
    match,
    // A total of rows says nothing about what they unfold into.
    count: answer.unfold === undefined ? counts.rules : counts.rules.filter(({ request: own }) => own !== null),
    columns: columns.columns,
    key: columns.key,
    version: columns.version ?? incrementalColumn(draft, columns.columns),
    references: [],
    disposition: changes.disposition ?? draft.disposition ?? 'merge',
    prune: prune.rules,
    extrasColumn: compileExtras(scope, spot, changes.extras ?? draft.extras),
    unstorableText: changes.unstorableText ?? draft.unstorableText ?? 'hold',
    everyMs,
    settings,
    requestHash: '',
  }
  const streamsSpot: Spot = { document: scope.document, path: ['streams'] }
  const references = compileReferences(scope, spot, { references: draft.references ?? {}, streamsSpot })
  return { stream, references, requires: filtered.requires }
}

function namesOnly(template: string, dimensions: readonly string[], all: readonly string[]): boolean {
  try {
    return templateVariables(template).every((name) => !all.includes(name) || dimensions.includes(name))
  } catch {
    // Reported where it was checked.
    return false
  }
}

/**
 * sha-256 over what changes what a walk asks for: address, request, pagination, rows, and the settings that their templates name. The page size is
 * not in it, because the walk keeps its own.
 */
export function requestHash(stream: Stream, source: Pick<Source, 'baseUrl' | 'config'>): string {
  const { pagination, answer, incremental, windows } = stream
  const many = stream.fanOut?.many ?? null
  // What a request costs changes nothing of what it asks.
  const { weight: _, ...request } = stream.request
  const next = pagination.kind === 'cursor' ? pagination.next : undefined
  const templates = JSON.stringify([source.baseUrl, request, next]).replaceAll(/(?<=\{)\s+|\s+(?=\})/g, '')
  const config = Object.entries(source.config).filter(([name]) => templates.includes(`{config.${name}}`))
  const asked = {
    baseUrl: source.baseUrl,
    request,
    pagination,
    rows: answer.rows,
    format: answer.format,
    config: Object.fromEntries(config),
    // Left out where a stream has none, so that walks of older versions go on.
    ...(answer.unfold === undefined ? {} : { unfold: answer.unfold }),
    ...(answer.shape === 'entries' ? { shape: answer.shape } : {}),
    ...(many === null ? {} : { many }),
    ...(incremental === null ? {} : { passes: incremental.passes }),
    ...(windows === null ? {} : { windows }),
  }
  return createHash('sha256')
    .update(JSON.stringify(sortKeys(asked)))
    .digest('hex')
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, child]): [string, unknown] => [key, sortKeys(child)])
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

function compileStreamRequest(
  scope: SourceScope,
  spot: Spot,
  { draft, mayUseCursor }: { readonly draft: StreamDraft; readonly mayUseCursor: boolean },
): CompiledRequest {
  const pathSpot = spotAt(spot, 'path')
  const requestSpot = spotAt(spot, 'request')
  const hasPath = isGiven(spotAt(requestSpot, 'path'))
  if (isGiven(pathSpot) && hasPath)
    refuse(scope.mistakes, pathSpot, { expected: 'either path or request.path', found: 'both' })
  if (!isGiven(pathSpot) && !hasPath)
    refuse(scope.mistakes, pathSpot, { expected: 'a path that begins with /', found: 'nothing' })
  const request = draft.request ?? {}
  if (draft.path === undefined) return compileRequest(scope, requestSpot, { request, mayUseCursor })
  return compileRequest(scope, requestSpot, { request, mayUseCursor, shorthand: { path: draft.path, spot: pathSpot } })
}

function compileDimensions(
  scope: SourceScope,
  spot: Spot,
  { given, used }: { readonly given: readonly string[] | undefined; readonly used: readonly string[] },
): readonly string[] {
  const names = new Set(used)
  if (given === undefined) return scope.dimensionNames.filter((name) => names.has(name))
  const at = spotAt(spot, 'dimensions')
  for (const [index, value] of given.entries()) {
    requireName(scope.mistakes, spotAt(at, index), { what: 'a dimension', value, known: scope.dimensionNames })
    if (given.indexOf(value) !== index) {
      refuse(scope.mistakes, spotAt(at, index), { expected: 'each dimension once', found: `"${value}" again` })
    }
  }
  const missing = [...names].find((name) => !given.includes(name))
  if (missing !== undefined) {
    refuse(scope.mistakes, at, {
      expected: `"${missing}" too, because the request or a column names it`,
      found: 'a list without it',
    })
  }
  return given
}

function tableOf(
  scope: SourceScope,
  spot: Spot,
  { name, draft, changes }: { readonly name: string; readonly draft: StreamDraft; readonly changes: StreamChanges },
): TableName {
  const override = scope.override
  if (changes.table !== undefined && override !== null) {
    return compileTable(scope, spotAt(override.spot, 'streams', name, 'table'), changes.table)
  }
  if (draft.table !== undefined) return compileTable(scope, spotAt(spot, 'table'), draft.table)
  // A name longer than 63 is reported as a name already.
  return compileTable(scope, spot, name)
}

function compileExtras(scope: SourceScope, spot: Spot, column: string | undefined): string | null {
  if (column === undefined) return null
  const at = spotAt(spot, 'extras')
  requireIdentifier(scope.mistakes, at, column)
  if (isGiven(spotAt(spot, 'columns', column))) {
    refuse(scope.mistakes, at, { expected: 'a column of its own, not one of columns', found: `"${column}"` })
  }
  return column
}

function checkDisposition(scope: SourceScope, spot: Spot, given: string | undefined): void {
  // A mistyped disposition may have meant append.
  const isMistyped = given === undefined && isGiven(spotAt(spot, 'disposition'))
  const keySpot = spotAt(spot, 'key')
  if (isMistyped || given === 'append' || isGiven(keySpot)) return
  const expected = `a column name or a list of them, for disposition ${given ?? 'merge'}`
  refuse(scope.mistakes, keySpot, { expected, found: 'nothing' })
}

interface SettingsContext {
  readonly draft: StreamDraft
  readonly changes: StreamChanges
  readonly pagination: Pagination
  readonly maxSize: number | null
}

function compileSettings(
  scope: SourceScope,
  spot: Spot,
  { draft, changes, pagination, maxSize }: SettingsContext,
): { readonly settings: StreamSettings; readonly everyMs: number | null } {
  const layer = mergeLayers([...scope.layers.below, draft, ...scope.layers.above, changes])
  const sizeParam = pagination.kind === 'none' ? null : pagination.sizeParam
  const settings = streamSettings(
    { ...layer, pageSize: layer.pageSize ?? (sizeParam === null ? undefined : (maxSize ?? undefined)) },
    { hasLimits: scope.limits.length > 0, ownDelay: changes.delay ?? draft.delay },
  )
  checkPageSize(scope, spot, { pageSize: settings.pageSize, pagination, maxSize, changes })
  return { settings, everyMs: layer.every ?? null }
}

function checkPageSize(
  scope: SourceScope,
  spot: Spot,
  given: Omit<SettingsContext, 'draft'> & { readonly pageSize: number | null },
): void {
  const { pageSize, pagination, maxSize, changes } = given
  if (pageSize !== null && maxSize !== null && pageSize > maxSize) {
    const override = scope.override
    const at =
      changes.pageSize !== undefined && override !== null
        ? spotAt(override.spot, 'streams', String(spot.path[1]), 'pageSize')
        : spotAt(spot, 'pageSize')
    refuse(scope.mistakes, at, { expected: `at most ${maxSize}, the pagination's max`, found: String(pageSize) })
  }
  if (endsShort(pagination) && pageSize === null && !('usedSize' in pagination && pagination.usedSize !== null)) {
    refuse(scope.mistakes, spotAt(spot, 'paginate'), {
      expected: 'page_size or used_size, so that a page can be called short',
      found: 'short_page without either',
    })
  }
}

function endsShort(pagination: Pagination): boolean {
  return (
    pagination.kind !== 'none' &&
    pagination.end !== undefined &&
    'shortPage' in pagination.end &&
    pagination.end.shortPage
  )
}
