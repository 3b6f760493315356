/**
 * Owns which column of a table is filled from which part of a record, and what type stands in between. Pure: takes the stream and what the catalog said, and
 * answers the columns, or every sentence that says why they do not fit.
 */
import type { Column, ColumnType, Stream } from '../domain/source-model.js'
import type { CatalogColumn, CatalogTable } from './catalog.js'
import { isMany } from './partition-sql.js'

/** One column that a stream fills, before it is compiled. */
export interface MappedColumn {
  readonly name: string
  readonly origin: Pick<Column, 'path' | 'dimension' | 'parsesJson' | 'unixTime'> | 'extras'
  /** What the definition says; null where the table alone decides. */
  readonly declared: ColumnType | null
  readonly isRequired: boolean
}

/** What is wrong with a column, key or privilege, and what would be right. */
export interface Mismatch {
  readonly path: string
  readonly expected: string
  readonly found: string
}

/** Marks the column that keeps whole records in a table that was created for a stream without columns. */
export const recordComment = 'The whole record, as the source sent it'

/** Columns of a table that is created: those of the definition, or key, version, dimensions and the whole record. */
export function columnsToCreate(stream: Stream): readonly MappedColumn[] {
  const declared = stream.columns?.map(mapDeclared) ?? wholeRecordColumns(stream)
  return withExtras(stream, declared)
}

/** Columns that a stream fills in an existing table. */
export function columnsToFill(stream: Stream, table: CatalogTable): readonly MappedColumn[] {
  const declared = stream.columns?.map(mapDeclared) ?? columnsByName(stream, table)
  return withExtras(stream, declared)
}

function mapDeclared(column: Column): MappedColumn {
  return { name: column.name, origin: column, declared: column.type, isRequired: column.isRequired }
}

function withExtras(stream: Stream, columns: readonly MappedColumn[]): readonly MappedColumn[] {
  const name = stream.extrasColumn
  if (name === null) return columns
  const extras: MappedColumn = { name, origin: 'extras', declared: 'jsonb', isRequired: false }
  return [...columns.filter((column) => column.name !== name), extras]
}

function wholeRecordColumns(stream: Stream): readonly MappedColumn[] {
  const versions = stream.version === null ? [] : [stream.version]
  const names = new Set([...stream.dimensions, ...stream.key, ...versions])
  const texts = [...names].map((name) => byName(stream, name, 'text'))
  return [...texts, { name: 'record', origin: fromPath([]), declared: 'jsonb', isRequired: true }]
}

function columnsByName(stream: Stream, table: CatalogTable): readonly MappedColumn[] {
  return table.columns
    .filter((column) => isFilledByName(stream, column))
    .map((column) =>
      column.comment === recordComment
        ? { name: column.name, origin: fromPath([]), declared: 'jsonb', isRequired: true }
        : byName(stream, column.name, null),
    )
}

/** A column that fills itself (`now()`, a sequence) is left to itself, unless the definition needs it. */
function isFilledByName(stream: Stream, column: CatalogColumn): boolean {
  if (column.isGenerated) return false
  const isNeeded = stream.key.includes(column.name) || stream.version === column.name
  return isNeeded || column.defaultSql === null || isConstant(column.defaultSql)
}

function byName(stream: Stream, name: string, declared: ColumnType | null): MappedColumn {
  // Of many values that share a request the partition names all: which is the row's own, the row says.
  const isDimension = stream.dimensions.includes(name) && !isMany(stream, name)
  const origin = isDimension ? { path: null, dimension: name, parsesJson: false } : fromPath([ownColumn(stream, name)])
  return { name, origin, declared, isRequired: stream.key.includes(name) }
}

function ownColumn(stream: Stream, name: string): string {
  return isMany(stream, name) ? (stream.match[name] ?? name) : name
}

function fromPath(path: readonly string[]): Pick<Column, 'path' | 'dimension' | 'parsesJson'> {
  return { path, dimension: null, parsesJson: false }
}

/** True for a default that is a plain value, so that an absent field can take it. */
export function isConstant(defaultSql: string): boolean {
  return /^(?:'(?:[^']|'')*'|\(?-?[\d.]+\)?|true|false|NULL)(?:::[\w" .()[\]]+)?$/.test(defaultSql)
}

const typesByName: Readonly<Record<string, ColumnType>> = {
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  numeric: 'numeric',
  float4: 'real',
  float8: 'double precision',
  bool: 'boolean',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  uuid: 'uuid',
  jsonb: 'jsonb',
}

/** Types of an existing column that hold every value of a declared one unchanged. Text holds the text of all of them. */
const holders: Readonly<Record<ColumnType, readonly string[]>> = {
  text: [],
  smallint: ['int2', 'int4', 'int8', 'numeric', 'float4', 'float8'],
  integer: ['int4', 'int8', 'numeric', 'float8'],
  bigint: ['int8', 'numeric'],
  numeric: ['numeric'],
  real: ['float4', 'float8', 'numeric'],
  'double precision': ['float8', 'numeric'],
  boolean: ['bool'],
  date: ['date', 'timestamp', 'timestamptz'],
  time: ['time', 'interval'],
  timestamp: ['timestamp', 'timestamptz'],
  timestamptz: ['timestamptz', 'timestamp'],
  uuid: ['uuid'],
  jsonb: ['jsonb'],
}

/** Strings and enums, and what is written as text without loss: network addresses, intervals, `citext`. */
function takesText(column: CatalogColumn): boolean {
  return ['S', 'E', 'I'].includes(column.category) || ['citext', 'interval'].includes(column.baseType)
}

/** True where a declared type fits into an existing column; with none declared, where we can write the column at all. */
export function isAssignable(declared: ColumnType | null, column: CatalogColumn): boolean {
  if (takesText(column)) return column.category === 'S' || declared === null || declared === 'text'
  if (declared === null) return Object.hasOwn(typesByName, column.baseType)
  return holders[declared].includes(column.baseType)
}

/** The type that a column's values are checked and written as: the table's own, or for text what the definition says. */
export function encodedType(declared: ColumnType | null, column: CatalogColumn): ColumnType {
  return typesByName[column.baseType] ?? declared ?? 'text'
}

/** Text whose equality Postgres judges as bytes (or numbers written in one way only): duplicates can be seen without asking it. */
export function isPlainKeyType(column: CatalogColumn): boolean {
  if (column.sqlType.includes(' collate ')) return false
  return ['int2', 'int4', 'int8', 'text', 'varchar', 'uuid', 'bool', 'date'].includes(column.baseType)
}
