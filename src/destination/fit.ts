/**
 * Owns the judgement whether a stream fits its table, before a request is spent. Pure; all mismatches at once, because each round of mending costs a person's
 * time.
 */
import { ConfigError } from '../domain/errors.js'
import type { Stream } from '../domain/source-model.js'
import type { CatalogTable } from './catalog.js'
import { tableLabel } from './identifiers.js'
import { isAssignable, type MappedColumn, type Mismatch } from './mapping.js'

/** Everything that keeps the stream's rows from being merged into the table as it is. */
export function findMismatches(
  stream: Stream,
  table: CatalogTable,
  mapped: readonly MappedColumn[],
): readonly Mismatch[] {
  if (table.kind !== 'r' && table.kind !== 'p') {
    return [{ path: 'table', expected: 'a table', found: kinds[table.kind] ?? `relation of kind "${table.kind}"` }]
  }
  return [
    ...privilegeMismatches(table),
    ...mapped.flatMap((column) => columnMismatches(column, table)),
    ...unfilledColumns(table, mapped),
    ...keyMismatches(stream, table, mapped),
    ...versionMismatches(stream, mapped),
  ]
}

const kinds: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  c: 'a composite type',
}

function privilegeMismatches(table: CatalogTable): readonly Mismatch[] {
  return table.missingPrivileges.map((privilege) => ({
    path: 'table',
    expected: `the privilege ${privilege}`,
    found: 'none',
  }))
}

function columnMismatches(mapped: MappedColumn, table: CatalogTable): readonly Mismatch[] {
  const path = `columns.${mapped.name}`
  const column = table.columns.find(({ name }) => name === mapped.name)
  const wanted = mapped.declared ?? 'a column'
  if (column === undefined) return [{ path, expected: wanted, found: 'no such column' }]
  if (column.isGenerated) return [{ path, expected: 'a column that can be written', found: 'generated always' }]
  if (isAssignable(mapped.declared, column)) return []
  const expected = mapped.declared ?? 'a type that can be written (name the columns in the definition)'
  // A merge that leaves unchanged rows alone has to compare them.
  const found = column.baseType === 'json' ? 'json, whose values cannot be compared' : column.sqlType
  return [{ path, expected, found }]
}

function unfilledColumns(table: CatalogTable, mapped: readonly MappedColumn[]): readonly Mismatch[] {
  const filled = new Set(mapped.map(({ name }) => name))
  return table.columns
    .filter(
      (column) => !filled.has(column.name) && !column.isNullable && column.defaultSql === null && !column.isGenerated,
    )
    .map((column) => ({
      path: `columns.${column.name}`,
      expected: 'a source for a column that must have a value and has no default',
      found: 'none in the definition',
    }))
}

function keyMismatches(stream: Stream, table: CatalogTable, mapped: readonly MappedColumn[]): readonly Mismatch[] {
  if (stream.key.length === 0) return []
  const unfilled = stream.key.filter((name) => !mapped.some((column) => column.name === name))
  if (unfilled.length > 0)
    return [{ path: 'key', expected: 'columns that the stream fills', found: unfilled.join(', ') }]
  const hasKey = table.uniqueKeys.some(
    (names) => names.length === stream.key.length && stream.key.every((name) => names.includes(name)),
  )
  if (hasKey) return []
  const found = table.uniqueKeys.map((names) => `(${names.join(', ')})`).join(', ')
  const expected = `a plain unique index on (${stream.key.join(', ')}): not partial, not deferrable, no expressions`
  return [{ path: 'key', expected, found: found === '' ? 'none' : `only ${found}` }]
}

function versionMismatches(stream: Stream, mapped: readonly MappedColumn[]): readonly Mismatch[] {
  if (stream.version === null || mapped.some(({ name }) => name === stream.version)) return []
  return [{ path: 'version', expected: 'a column that the stream fills', found: stream.version }]
}

/** What every mistake of a definition against its table is thrown as. */
export function tableMismatch(stream: Stream, mismatches: readonly Mismatch[]): ConfigError {
  const table = tableLabel(stream.table)
  const name = `${stream.source}.${stream.name}`
  const problems = mismatches.map(({ path, expected, found }) => ({
    file: `table ${table}`,
    line: null,
    path: `${name}.${path}`,
    expected,
    found,
  }))
  const first = mismatches[0]
  const more = mismatches.length > 1 ? ` and ${mismatches.length - 1} more` : ''
  const fact = first === undefined ? '' : `: ${first.path} wants ${first.expected}, found ${first.found}${more}`
  return new ConfigError(
    'table_mismatch',
    `open table "${table}" for "${name}" found a definition that does not fit${fact}`,
    {
      problems,
      hint: `change the definition of "${name}" or the table`,
    },
  )
}
