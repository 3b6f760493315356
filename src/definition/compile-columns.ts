// Owns columns, key, version and foreign keys of a stream: how they become those of the source model, and that each names a column there is.
import type { Column, MissingParent, TableName } from '../domain/source-model.js'
import {
  isGiven,
  keysAt,
  refuse,
  requireIdentifier,
  requireName,
  type SourceScope,
  type Spot,
  spotAt,
} from './compilation.js'
import type { StreamDraft } from './source-schema.js'

/** Columns that a delta table has beside the stable one's, and those that Postgres keeps for itself. */
const takenColumns = new Set(['_task', '_sequence', '_row', 'ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid'])

export interface CompiledColumns {
  readonly columns: readonly Column[] | null
  readonly key: readonly string[]
  readonly version: string | null
  /** Dimensions that columns hold. */
  readonly dimensions: readonly string[]
}

/** Columns with everything in the stream that names one of them, but for the references. */
export function compileColumns(scope: SourceScope, spot: Spot, draft: StreamDraft): CompiledColumns {
  const columnsSpot = spotAt(spot, 'columns')
  const columns =
    draft.columns === undefined
      ? null
      : Object.entries(draft.columns).map(([name, column]) =>
          compileColumn(scope, spotAt(columnsSpot, name), { name, ...column }),
        )
  if (draft.columns !== undefined && keysAt(columnsSpot).length === 0) {
    refuse(scope.mistakes, columnsSpot, { expected: 'at least one column', found: 'none' })
  }
  const key = draft.key ?? []
  checkKey(scope, spot, { key, names: columnNames(spot) })
  if (draft.version !== undefined)
    requireColumn(scope, spotAt(spot, 'version'), { value: draft.version, names: columnNames(spot) })
  const dimensions = (columns ?? []).flatMap(({ dimension }) => (dimension === null ? [] : [dimension]))
  return {
    columns,
    key,
    version: draft.version ?? null,
    dimensions: dimensions.filter((name) => scope.dimensionNames.includes(name)),
  }
}

/** Names of the stream's columns as written; null where it has none and any name may be a column of its table. */
function columnNames(spot: Spot): readonly string[] | null {
  const columns = spotAt(spot, 'columns')
  return isGiven(columns) ? keysAt(columns) : null
}

type NamedColumn = NonNullable<StreamDraft['columns']>[string] & { readonly name: string }

function compileColumn(scope: SourceScope, spot: Spot, draft: NamedColumn): Column {
  const { name, type, from, dimension, required, parse } = {
    from: undefined,
    dimension: undefined,
    required: undefined,
    parse: undefined,
    ...draft,
  }
  checkColumnName(scope, spot, name)
  if (dimension !== undefined) {
    requireName(scope.mistakes, spotAt(spot, 'dimension'), {
      what: 'a dimension',
      value: dimension,
      known: scope.dimensionNames,
    })
    if (from !== undefined) refuse(scope.mistakes, spot, { expected: 'either from or dimension', found: 'both' })
  }
  checkParse(scope, spotAt(spot, 'parse'), { parse, type })
  return {
    name,
    type,
    path: dimension === undefined ? (from ?? [name]) : null,
    dimension: dimension ?? null,
    isRequired: required ?? false,
    parsesJson: parse === 'json',
    ...(parse === 'seconds' || parse === 'milliseconds' ? { unixTime: parse } : {}),
  }
}

function checkParse(
  scope: SourceScope,
  spot: Spot,
  { parse, type }: { readonly parse: 'json' | 'seconds' | 'milliseconds' | undefined; readonly type: Column['type'] },
): void {
  if (parse === 'json' && type !== 'jsonb')
    refuse(scope.mistakes, spot, { expected: 'type jsonb, for parse: json', found: `type ${type}` })
  if (parse === undefined || parse === 'json' || type === 'timestamptz' || type === 'timestamp') return
  refuse(scope.mistakes, spot, {
    expected: `type timestamptz or timestamp, for parse: ${parse}`,
    found: `type ${type}`,
  })
}

function checkColumnName(scope: SourceScope, spot: Spot, name: string): void {
  requireIdentifier(scope.mistakes, spot, name)
  if (takenColumns.has(name)) {
    refuse(scope.mistakes, spot, {
      expected: 'a name that is not in use by delta tables or Postgres',
      found: `"${name}"`,
    })
  }
}

function checkKey(
  scope: SourceScope,
  spot: Spot,
  { key, names }: { readonly key: readonly string[]; readonly names: readonly string[] | null },
): void {
  const keySpot = spotAt(spot, 'key')
  if (isGiven(keySpot) && key.length === 0) {
    // An empty list; a mistaken one was reported by its shape.
    refuse(scope.mistakes, keySpot, { expected: 'at least one column name', found: 'an empty list' })
  }
  for (const [index, column] of key.entries()) {
    const inList = spotAt(keySpot, index)
    const at = isGiven(inList) ? inList : keySpot
    requireColumn(scope, at, { value: column, names })
    if (key.indexOf(column) !== index)
      refuse(scope.mistakes, at, { expected: 'each column once', found: `"${column}" again` })
  }
}

function requireColumn(
  scope: SourceScope,
  spot: Spot,
  { value, names }: { readonly value: string; readonly names: readonly string[] | null },
): void {
  if (names === null) requireIdentifier(scope.mistakes, spot, value)
  else requireName(scope.mistakes, spot, { what: 'a column name', value, known: names })
}

/** A foreign key before the table of its stream is known. */
export interface DraftReference {
  readonly column: string
  readonly stream: string
  readonly targetColumn: string
  /** Absent: as the stream's settings say. */
  readonly missingParent?: MissingParent
}

/** References as `column: stream.column`, each name checked. `streamsSpot` is where the source's streams are. */
export function compileReferences(
  scope: SourceScope,
  spot: Spot,
  given: { readonly references: NonNullable<StreamDraft['references']>; readonly streamsSpot: Spot },
): readonly DraftReference[] {
  const names = columnNames(spot)
  return Object.entries(given.references).map(([column, draft]) => {
    const { to: target, missingParent } = { missingParent: undefined, ...draft }
    const at = spotAt(spot, 'references', column)
    if (names !== null) requireName(scope.mistakes, at, { what: 'a column name', value: column, known: names })
    const dot = target.indexOf('.')
    const stream = dot === -1 ? target : target.slice(0, dot)
    const targetColumn = dot === -1 ? '' : target.slice(dot + 1)
    if (targetColumn === '') {
      refuse(scope.mistakes, at, { expected: 'stream.column, like users.id', found: `"${target}"` })
    } else if (
      requireName(scope.mistakes, at, { what: 'a stream of this source', value: stream, known: scope.streamNames })
    ) {
      requireColumn(scope, at, { value: targetColumn, names: columnNames(spotAt(given.streamsSpot, stream)) })
    }
    return { column, stream, targetColumn, ...(missingParent === undefined ? {} : { missingParent }) }
  })
}

/** `archive.users` or `users`, with the workspace's schema where it names none. */
export function compileTable(scope: SourceScope, spot: Spot, text: string): TableName {
  const dot = text.indexOf('.')
  const table =
    dot === -1 ? { schema: scope.tables.schema, name: text } : { schema: text.slice(0, dot), name: text.slice(dot + 1) }
  requireIdentifier(scope.mistakes, spot, table.schema)
  requireIdentifier(scope.mistakes, spot, table.name)
  requireIdentifier(scope.mistakes, spot, scope.tables.deltaPrefix + table.name)
  if (table.schema === 'backfill' || table.schema === 'information_schema' || table.schema.startsWith('pg_')) {
    refuse(scope.mistakes, spot, {
      expected: 'a table outside the schemas of backfill and Postgres',
      found: `"${text}"`,
    })
  }
  return table
}
