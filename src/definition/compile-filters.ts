// Owns the filters of a source: which it knows, which backfill.yaml asks for, and the rows that those name.
import type { RequestShape, TableName } from '../domain/source-model.js'
import type { RequiredRows } from '../domain/walk-model.js'
import { refuse, requireName, type SourceScope, type Spot, type StreamChanges, spotAt } from './compilation.js'
import { readRows } from './compile-rows.js'
import { checkTemplates } from './compile-templates.js'
import type { StreamDraft } from './source-schema.js'
import type { FilterNames } from './walk-schema.js'

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
