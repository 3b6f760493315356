/**
 * Owns the opening of a stream's tables: reads the stable one or has it made, judges the fit, has the delta one made. Everything can be repeated after a kill.
 */
import { ConfigError } from '../domain/errors.js'
import type { MissingParent, Stream, TableName } from '../domain/source-model.js'
import { type CatalogTable, readTable } from './catalog.js'
import { compileColumns } from './compile-columns.js'
import type { Connection } from './connections.js'
import { deltaName, makeDelta } from './delta-table.js'
import { findMismatches, tableMismatch } from './fit.js'
import { tableLabel } from './identifiers.js'
import type { CheckedKey, ForeignKey, Layout, LayoutColumn } from './layout.js'
import { columnsToFill, isPlainKeyType, type Mismatch } from './mapping.js'
import { createStable } from './stable-table.js'

/** The stream's table and how its rows get there. @throws ConfigError `table_mismatch` with everything that does not fit. */
export async function openLayout(connection: Connection, stream: Stream, deltaPrefix: string): Promise<Layout> {
  checkStream(stream)
  const table = (await readTable(connection, stream.table)) ?? (await createStable(connection, stream))
  const mapped = await checkFit(connection, stream, table)
  const { columns, format } = await compileColumns(connection, stream, { table, mapped })
  const delta = deltaName(stream.table, deltaPrefix)
  await makeDelta(connection, { delta, table: stream.table, columns })
  return toLayout(stream, { table, columns, format, delta })
}

/** Whether the stream's table is there. Makes nothing. @throws ConfigError as {@link openLayout} */
export async function checkLayout(connection: Connection, stream: Stream): Promise<boolean> {
  checkStream(stream)
  const table = await readTable(connection, stream.table)
  if (table !== null) await checkFit(connection, stream, table)
  return table !== null
}

/** Answers the columns that the stream fills. */
async function checkFit(connection: Connection, stream: Stream, table: CatalogTable) {
  const mapped = columnsToFill(stream, table)
  const mismatches = [
    ...findMismatches(stream, table, mapped),
    ...(await referenceMismatches(connection, stream, table)),
  ]
  if (mismatches.length > 0) throw tableMismatch(stream, mismatches)
  return mapped
}

function checkStream(stream: Stream): void {
  const name = `${stream.source}.${stream.name}`
  if (stream.key.length === 0 && stream.disposition !== 'append') {
    throw new ConfigError('key_missing', `open "${name}" found no key, which "${stream.disposition}" needs`, {
      hint: 'name the columns that identify a row in "key", or set "disposition: append"',
    })
  }
}

/** A reference whose two columns cannot be compared would fail every flush. */
async function referenceMismatches(
  connection: Connection,
  stream: Stream,
  table: CatalogTable,
): Promise<readonly Mismatch[]> {
  const mismatches: Mismatch[] = []
  for (const { column, table: parentName, targetColumn } of stream.references) {
    const path = `references.${column}`
    const own = table.columns.find(({ name }) => name === column)
    const parent = await readTable(connection, parentName)
    const target = parent?.columns.find(({ name }) => name === targetColumn)
    const expected = `column "${targetColumn}" of ${tableLabel(parentName)}`
    if (own === undefined) mismatches.push({ path, expected: `column "${column}"`, found: 'no such column' })
    else if (parent !== null && target === undefined) mismatches.push({ path, expected, found: 'no such column' })
    else if (target !== undefined && target.category !== own.category) {
      mismatches.push({ path, expected: `${target.sqlType}, as ${expected}`, found: own.sqlType })
    }
  }
  return mismatches
}

// The layout ---------------------------------------------------------------------------------------------------------

interface Made extends Pick<Layout, 'columns' | 'format'> {
  readonly table: CatalogTable
  readonly delta: TableName
}

function toLayout(stream: Stream, { table, columns, format, delta }: Made): Layout {
  const at = (name: string): number => columns.findIndex((column) => column.name === name)
  const keyColumns = table.columns.filter(({ name }) => stream.key.includes(name))
  const versionAt = stream.version === null ? -1 : at(stream.version)
  return {
    stream,
    table: stream.table,
    delta,
    oid: table.oid,
    columns,
    format,
    keyAt: stream.key.map(at).sort((a, b) => a - b),
    versionAt: versionAt < 0 ? null : versionAt,
    foreignKeys: foreignKeysOf(stream, table)
      .filter((key) => key.columns.every((name) => at(name) >= 0))
      .map((key) => ({ ...key, label: labelOf(key, columns) })),
    hasPlainKey: keyColumns.every(isPlainKeyType),
    hasRowVersions: table.kind === 'r',
  }
}

/** The database's own foreign keys over columns that the stream fills, and the declared ones, each once. What a declared one says of its parent counts. */
function foreignKeysOf(stream: Stream, table: CatalogTable): readonly Omit<CheckedKey, 'label'>[] {
  const own = stream.settings.missingParent
  const declared = stream.references.map(({ column, table: parent, targetColumn, missingParent = own }) => ({
    columns: [column],
    parent,
    parentColumns: [targetColumn],
    missingParent,
  }))
  const said = new Map(declared.map((key) => [textOf(key), key.missingParent]))
  const existing = table.foreignKeys.map((key) => ({ ...key, missingParent: said.get(textOf(key)) ?? own }))
  const keys = [...existing, ...(stream.settings.checksForeignKeys ? declared : [])]
  const distinct = [...new Map(keys.map((key) => [textOf(key), key])).values()]
  // A row that lacks two parents is judged by the first of them: the stricter one.
  return distinct.sort((a, b) => strictness.indexOf(a.missingParent) - strictness.indexOf(b.missingParent))
}
const strictness: readonly MissingParent[] = ['refuse', 'reject', 'wait']

function textOf({ columns, parent, parentColumns }: ForeignKey): string {
  return JSON.stringify([columns, parent, parentColumns])
}

function labelOf({ columns, parent, parentColumns }: ForeignKey, known: readonly LayoutColumn[]): string {
  const typed = columns.map((name) => `${name} ${known.find((column) => column.name === name)?.sqlType ?? ''}`)
  return `${typed.join(', ')} → ${tableLabel(parent)} (${parentColumns.join(', ')})`
}
