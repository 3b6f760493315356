// Owns partitions that are rows of another stream: which rows they are, how many share a request, and how a row shows to which partition it belongs.
import { manyOf } from '../domain/fan-out.js'
import type { Column, Dimension, Stream } from '../domain/source-model.js'
import type { FanOut, RowDimension } from '../domain/walk-model.js'
import { isGiven, refuse, requireName, type SourceScope, type Spot, spotAt } from './compilation.js'
import { compileMany } from './compile-many.js'
import type { SourceDraft, StreamDraft } from './source-schema.js'

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
  {
    fanOut,
    match,
    columns,
  }: {
    readonly fanOut: FanOut | null
    readonly match: Readonly<Record<string, string>>
    readonly columns: readonly Column[] | null
  },
): void {
  const dimension = manyOf({ fanOut })?.dimension
  if (dimension === undefined) return
  for (const { name } of columns?.filter((column) => column.dimension === dimension) ?? []) {
    refuse(scope.mistakes, spotAt(spot, 'columns', name, 'dimension'), {
      expected: `a column that is read from each row, because many values of "${dimension}" share a request`,
      found: `dimension: ${dimension}`,
    })
  }
  if (Object.hasOwn(match, dimension)) return
  refuse(scope.mistakes, spotAt(spot, 'match'), {
    expected: `the column that holds "${dimension}" in each row, because many share a request`,
    found: 'nothing',
  })
}
