// Owns what a stream says about its walks: rows of another stream as partitions, windows, changes, filters. Checks that every name is there and that what belongs
// together is given together.
import { manyOf } from '../domain/fan-out.js'
import type { JsonPath } from '../domain/json.js'
import type { Column, Dimension, Pagination, RequestShape, Stream, TableName } from '../domain/source-model.js'
import type {
  FanOut,
  FullWalk,
  Incremental,
  IncrementalPass,
  RequiredRows,
  RowDimension,
  Windows,
} from '../domain/walk-model.js'
import { isGiven, refuse, requireName, type SourceScope, type Spot, type StreamChanges, spotAt } from './compilation.js'
import { compileMany } from './compile-many.js'
import { checkTemplates } from './compile-templates.js'
import type { SourceDraft, StreamDraft } from './source-schema.js'
import type { FilterNames, FullWalkDraft, IncrementalDraft } from './walk-schema.js'

// Rows of another stream -----------------------------------------------------------------------------------------------

/** A dimension of rows as some place of a definition asks for it. */
export interface RowsDraft {
  readonly rows: string
  readonly where?: Readonly<Record<string, string>> | undefined
}

/** Dimensions that streams make with `for_each`, beside those that are written down, each with the first place that names it. */
export function forEachDimensions(
  draft: SourceDraft,
  top: Spot,
): ReadonlyMap<string, { readonly draft: RowsDraft; readonly spot: Spot }> {
  const found = new Map<string, { readonly draft: RowsDraft; readonly spot: Spot }>()
  for (const [stream, { forEach = {} }] of Object.entries(draft.streams ?? {})) {
    for (const [name, { from, ...rest }] of Object.entries(forEach)) {
      const given: RowsDraft = { rows: from, where: 'where' in rest ? rest.where : undefined }
      const isWritten = isGiven(spotAt(top, 'dimensions', name))
      if (!isWritten && !found.has(name)) {
        found.set(name, { draft: given, spot: spotAt(top, 'streams', stream, 'forEach', name) })
      }
    }
  }
  return found
}

/** `users.id` as stream and column, each checked. */
export function readRows(
  scope: RowsScope,
  spot: Spot,
  text: string,
): { readonly stream: string; readonly column: string } {
  const dot = text.indexOf('.')
  const [stream, column] = dot === -1 ? [text, ''] : [text.slice(0, dot), text.slice(dot + 1)]
  if (column === '') refuse(scope.mistakes, spot, { expected: 'stream.column, like users.id', found: `"${text}"` })
  else requireName(scope.mistakes, spot, { what: 'a stream of this source', value: stream, known: scope.streamNames })
  return { stream, column }
}
export type RowsScope = Pick<SourceScope, 'mistakes' | 'streamNames'>

/** The dimension that a stream's partitions are rows of; null where it has none. */
export function compileFanOut(scope: SourceScope, spot: Spot, draft: StreamDraft): FanOut | null {
  const entries = Object.entries(draft.forEach ?? {})
  const at = spotAt(spot, 'forEach')
  if (entries.length > 1)
    refuse(scope.mistakes, at, { expected: 'one dimension', found: entries.map(([name]) => `"${name}"`).join(', ') })
  const [first] = entries
  if (first === undefined) return null
  const [name, given] = first
  checkSameRows(scope, spotAt(at, name), { name, from: given.from })
  const many = 'many' in given ? given.many : undefined
  if (many === undefined) return { dimension: name, many: null }
  const inBody = draft.request?.paramsIn === 'body'
  return { dimension: name, many: compileMany(scope, spotAt(at, name, 'many'), { draft: many, inBody }) }
}

/** Two streams that use one name must mean the same rows. */
function checkSameRows(
  scope: SourceScope,
  spot: Spot,
  { name, from }: { readonly name: string; readonly from: string },
): void {
  const dimension = scope.dimensions[name]
  if (dimension === undefined) return
  const known =
    dimension.kind === 'rows' ? `${dimension.stream}.${dimension.column}` : `a dimension of ${dimension.kind}`
  if (known === from) return
  refuse(scope.mistakes, spot, {
    expected: `${known}, which "${name}" is elsewhere in this source`,
    found: `"${from}"`,
  })
}

/** Puts in what needs the other streams: the table that the rows are in, and its column of change. */
export function linkRows(
  dimensions: Readonly<Record<string, Dimension>>,
  streams: readonly LinkedStream[],
): Readonly<Record<string, Dimension>> {
  const linked = Object.entries(dimensions).map(([name, dimension]): readonly [string, Dimension] => {
    const parent = dimension.kind === 'rows' ? streams.find((stream) => stream.name === dimension.stream) : undefined
    if (dimension.kind !== 'rows' || parent === undefined) return [name, dimension]
    const rows: Dimension & RowDimension = { ...dimension, table: parent.table, changed: changedColumn(parent) }
    return [name, rows]
  })
  return Object.fromEntries(linked)
}
type LinkedStream = Pick<Stream, 'name' | 'table' | 'version' | 'columns' | 'incremental'>

/** The time at which a row changed last: the version, where it is a time. */
function changedColumn({ version, columns, incremental }: LinkedStream): string | null {
  if (version === null) return null
  const type = columns?.find(({ name }) => name === version)?.type
  const isTime = type === undefined ? incremental !== null : type.startsWith('timestamp') || type === 'date'
  return isTime ? version : null
}

// Belonging ------------------------------------------------------------------------------------------------------------

/** Columns that say to which partition a row belongs. A column that holds the dimension by definition needs no word. */
export function compileMatch(
  scope: SourceScope,
  spot: Spot,
  { draft, columns }: { readonly draft: StreamDraft; readonly columns: readonly Column[] | null },
): Readonly<Record<string, string>> {
  for (const [dimension, column] of Object.entries(draft.match ?? {})) {
    const at = spotAt(spot, 'match', dimension)
    requireName(scope.mistakes, at, { what: 'a dimension', value: dimension, known: scope.dimensionNames })
    if (columns === null) continue
    requireName(scope.mistakes, at, { what: 'a column name', value: column, known: columns.map(({ name }) => name) })
  }
  return draft.match ?? {}
}

/** Many values share a request: which row is whose must be told by the row. */
export function checkMany(
  scope: SourceScope,
  spot: Spot,
  { fanOut, match }: { readonly fanOut: FanOut | null; readonly match: Readonly<Record<string, string>> },
): void {
  const dimension = manyOf({ fanOut })?.dimension
  if (dimension === undefined || Object.hasOwn(match, dimension)) return
  refuse(scope.mistakes, spotAt(spot, 'match'), {
    expected: `the column that holds "${dimension}" in each row, because many share a request`,
    found: 'nothing',
  })
}

// Changes --------------------------------------------------------------------------------------------------------------

interface IncrementalContext {
  readonly draft: StreamDraft
  readonly changes: StreamChanges
  readonly columns: readonly Column[] | null
}
const defaultOverlapMs = 300_000
const fullWalkPriority = -10

/** How changes are asked for. */
export function compileIncremental(
  scope: SourceScope,
  spot: Spot,
  { draft, changes, columns }: IncrementalContext,
): Incremental | null {
  const at = spotAt(spot, 'incremental')
  const given = draft.incremental
  if (given === undefined) {
    for (const key of ['overlap', 'fullWalk'] as const) {
      if (changes[key] !== undefined && scope.override !== null && !isGiven(at)) {
        const expected = 'a stream that is asked for its changes ("incremental" in its definition)'
        refuse(scope.mistakes, spotAt(scope.override.spot, 'streams', String(spot.path[1]), key), {
          expected,
          found: 'another',
        })
      }
    }
    return null
  }
  const passes = passesOf(given).map((pass, index) =>
    compilePass(scope, 'passes' in given ? spotAt(at, 'passes', index) : at, { pass, columns }),
  )
  if (passes.length === 0)
    refuse(scope.mistakes, spotAt(at, 'passes'), { expected: 'at least one pass', found: 'none' })
  return {
    passes,
    overlapMs: changes.overlap ?? given.overlap ?? defaultOverlapMs,
    fullWalk: compileFullWalk(changes.fullWalk ?? given.fullWalk),
  }
}

type PassDraft = Extract<IncrementalDraft, { readonly passes: unknown }>['passes'][number]

function passesOf(given: IncrementalDraft): readonly PassDraft[] {
  return 'passes' in given ? given.passes : [given]
}

function compilePass(
  scope: SourceScope,
  spot: Spot,
  { pass, columns }: { readonly pass: PassDraft; readonly columns: readonly Column[] | null },
): IncrementalPass {
  const query = pass.query ?? {}
  checkTemplates(scope, spotAt(spot, 'query'), { templates: query, mayUseCursor: false })
  const form = pass.form ?? '{from}'
  requireHoles(scope, spotAt(spot, 'form'), { form, names: ['from'] })
  return {
    field: recordPath(pass.field, columns),
    param: pass.param,
    form,
    format: pass.format ?? 'iso',
    query,
    isAscending: pass.ascending ?? false,
  }
}

/** A column's name stands for its place in the record. */
function recordPath(path: JsonPath, columns: readonly Column[] | null): JsonPath {
  const name = path.length === 1 ? path[0] : undefined
  return columns?.find((column) => column.name === name)?.path ?? path
}

function compileFullWalk(draft: FullWalkDraft | undefined): FullWalk | null {
  if (draft === undefined || draft === 'never') return null
  const { every, hours, priority } = { hours: undefined, priority: undefined, ...draft }
  return { everyMs: every, hours: hours ?? null, priority: priority ?? fullWalkPriority }
}

/** The name of the column that changes with a record: a version, where the stream names none. */
export function incrementalColumn(draft: StreamDraft, columns: readonly Column[] | null): string | null {
  const [first, ...others] = draft.incremental === undefined ? [] : passesOf(draft.incremental)
  if (first === undefined || others.length > 0) return null
  const [name, ...rest] = first.field
  if (typeof name !== 'string' || rest.length > 0) return null
  return columns === null || columns.some((column) => column.name === name) ? name : null
}

// Windows --------------------------------------------------------------------------------------------------------------

const dayMs = 86_400_000
const windowRows = 5000

/** A full walk in windows; needs a total to know how many rows a window has. */
export function compileWindows(
  scope: SourceScope,
  spot: Spot,
  { draft, pagination }: { readonly draft: StreamDraft; readonly pagination: Pagination },
): Windows | null {
  const given = draft.windows
  if (given === undefined) return null
  const at = spotAt(spot, 'windows')
  const form = given.form ?? '{from},{to}'
  requireHoles(scope, spotAt(at, 'form'), { form, names: ['from', 'to'] })
  if (!('total' in pagination) || pagination.total === null)
    refuse(scope.mistakes, at, { expected: 'pages with a total, so that a full window can be halved', found: 'none' })
  return {
    param: given.param,
    form,
    format: given.format ?? 'iso',
    from: given.from,
    rows: given.rows ?? windowRows,
    leastMs: given.least ?? dayMs,
  }
}

function requireHoles(
  scope: SourceScope,
  spot: Spot,
  { form, names }: { readonly form: string; readonly names: readonly string[] },
): void {
  for (const name of names) {
    if (!form.includes(`{${name}}`))
      refuse(scope.mistakes, spot, { expected: `text with {${name}}`, found: JSON.stringify(form) })
  }
}

/** Pages from the last one need to know which that is. */
export function checkBackwards(scope: SourceScope, spot: Spot, pagination: Pagination): void {
  if (!('backwards' in pagination) || (pagination.total !== null && pagination.kind === 'page')) return
  const expected = 'numbered pages with a total, to begin at the last one'
  refuse(scope.mistakes, spotAt(spot, 'paginate', 'backwards'), { expected, found: pagination.kind })
}

// Filters --------------------------------------------------------------------------------------------------------------

/** The request with the filters that backfill.yaml asks for, and the rows that those name; unknown names and empty values are refused. */
export function applyFilters(
  scope: SourceScope,
  spot: Spot,
  given: { readonly draft: StreamDraft; readonly changes: StreamChanges; readonly request: RequestShape },
): { readonly request: RequestShape; readonly requires: readonly RequiredDraft[] } {
  const { draft, changes, request } = given
  const rules: FilterNames | undefined = draft.filters
  const wanted = Object.entries(changes.filter ?? {})
  checkOwnFilters(scope, spot, { rules, request })
  if (wanted.length === 0 || scope.override === null) return { request, requires: [] }
  const at = spotAt(scope.override.spot, 'streams', String(spot.path[1]), 'filter')
  if (rules === undefined) {
    const found = wanted.map(([name]) => `"${name}"`).join(', ')
    refuse(scope.mistakes, at, { expected: 'no filter, because the definition names none', found })
    return { request, requires: [] }
  }
  const query: Record<string, string> = { ...request.query }
  for (const [name, value] of wanted) {
    if (isKnownFilter(scope, spotAt(at, name), { name, rules })) query[paramOf(rules, name)] = value
    if (value.split(',').some((one) => one.trim() === ''))
      refuse(scope.mistakes, spotAt(at, name), {
        expected: 'a value: an empty filter is no filter',
        found: 'empty text',
      })
  }
  checkTemplates(scope, at, { templates: Object.fromEntries(wanted), mayUseCursor: false })
  return { request: { ...request, query }, requires: requiredRows(scope, spot, { rules, wanted }) }
}

/** Rows that a filter names, before their table is known. */
export interface RequiredDraft {
  readonly name: string
  readonly values: readonly string[]
  readonly stream: string
  readonly column: string
}

function requiredRows(
  scope: SourceScope,
  spot: Spot,
  { rules, wanted }: { readonly rules: FilterNames; readonly wanted: readonly (readonly [string, string])[] },
): readonly RequiredDraft[] {
  return wanted.flatMap(([name, value]) => {
    const rows = rules.rows?.[name]
    // What a template stands for is known only at the request.
    if (rows === undefined || /[{$]/.test(value)) return []
    const values = value.split(',').map((one) => one.trim())
    return [{ name, values, ...readRows(scope, spotAt(spot, 'filters', 'rows', name), rows) }]
  })
}

/** The rows with the table that they are in. */
export function linkRequired(
  drafts: readonly RequiredDraft[],
  tables: ReadonlyMap<string, TableName>,
): readonly RequiredRows[] {
  return drafts.flatMap(({ name, values, stream, column }) => {
    const table = tables.get(stream)
    if (table === undefined) return []
    return [{ name, values, dimension: { kind: 'rows', stream, table, column, changed: null, where: {}, only: [] } }]
  })
}

function paramOf({ param = '{name}' }: FilterNames, name: string): string {
  return param.replaceAll('{name}', name)
}

function isKnownFilter(
  scope: SourceScope,
  spot: Spot,
  { name, rules }: { readonly name: string; readonly rules: FilterNames },
): boolean {
  if (rules.ignored?.includes(name) === true) {
    refuse(scope.mistakes, spot, {
      expected: 'a filter that the source obeys',
      found: `"${name}", which it accepts and ignores`,
    })
    return false
  }
  return requireName(scope.mistakes, spot, { what: 'a filter of the source', value: name, known: rules.names })
}

/** What the definition itself asks by a filter must be one, too. */
function checkOwnFilters(
  scope: SourceScope,
  spot: Spot,
  { rules, request }: { readonly rules: FilterNames | undefined; readonly request: RequestShape },
): void {
  if (rules?.param === undefined) return
  const [before = '', after = ''] = rules.param.split('{name}')
  for (const [key, value] of Object.entries(request.query)) {
    if (!key.startsWith(before) || !key.endsWith(after) || key.length <= before.length + after.length) continue
    const name = key.slice(before.length, key.length - after.length)
    const at = spotAt(spot, 'request', 'query', key)
    isKnownFilter(scope, at, { name, rules })
    if (value.trim() === '')
      refuse(scope.mistakes, at, { expected: 'a value: an empty filter is no filter', found: 'empty text' })
  }
}
