/**
 * Owns the making of a stable table that is missing, from the stream's columns. A table that exists is the user's and is never altered. One transaction: a kill
 * leaves the whole table or none.
 */
import { ConfigError } from '../domain/errors.js'
import type { Reference, Stream } from '../domain/source-model.js'
import { type CatalogTable, readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { tableMismatch } from './fit.js'
import { quoteList, quoteLiteral, quoteName, quoteTable, tableLabel } from './identifiers.js'
import { columnsToCreate, type MappedColumn, recordComment } from './mapping.js'
import { underLock } from './table-lock.js'

/** Makes the table, or finds that somebody else just did. Answers it as the catalog has it. */
export async function createStable(connection: Connection, stream: Stream): Promise<CatalogTable> {
  await underLock(connection, stream.table, async () => {
    const existing = await readTable(connection, stream.table)
    if (existing !== null) return
    await connection.query({ text: `create schema if not exists ${quoteName(stream.table.schema)}` })
    for (const text of await createStatements(connection, stream)) await connection.query({ text })
  })
  const table = await readTable(connection, stream.table)
  if (table === null) throw new ConfigError('table_missing', `create table "${tableLabel(stream.table)}" left no table`)
  return table
}

async function createStatements(connection: Connection, stream: Stream): Promise<readonly string[]> {
  const columns = columnsToCreate(stream)
  const missing = stream.key.filter((name) => !columns.some((column) => column.name === name))
  if (missing.length > 0) {
    throw tableMismatch(stream, [{ path: 'key', expected: 'columns that the stream fills', found: missing.join(', ') }])
  }
  const lines = columns.map((column) => columnSql(stream, column))
  if (stream.key.length > 0) lines.push(`primary key (${quoteList(stream.key)})`)
  for (const reference of await realReferences(connection, stream)) lines.push(referenceSql(reference))
  const table = quoteTable(stream.table)
  const record = columns.find((column) => stream.columns === null && column.name === 'record')
  const indexed = columnsToIndex(stream).filter((name) => columns.some((column) => column.name === name))
  return [
    `create table ${table} (\n  ${lines.join(',\n  ')}\n)`,
    ...indexed.map((name) => `create index on ${table} (${quoteName(name)})`),
    `comment on table ${table} is ${quoteLiteral(`Rows of ${stream.source}.${stream.name}, made by backfill`)}`,
    ...(record === undefined ? [] : [`comment on column ${table}.record is ${quoteLiteral(recordComment)}`]),
  ]
}

/** Columns by which rows are looked for: those that name a parent, and those that say to which partition a row belongs. The key's first has an index. */
function columnsToIndex(stream: Stream): readonly string[] {
  const names = [...Object.values(stream.match), ...stream.references.map(({ column }) => column)]
  return [...new Set(names)].filter((name) => name !== stream.key[0])
}

function columnSql(stream: Stream, column: MappedColumn): string {
  const isRequired = column.isRequired || stream.key.includes(column.name)
  return `${quoteName(column.name)} ${column.declared ?? 'text'}${isRequired ? ' not null' : ''}`
}

function referenceSql(reference: Reference): string {
  return `foreign key (${quoteName(reference.column)}) references ${quoteTable(reference.table)} (${quoteName(reference.targetColumn)})`
}

/** References that can be constraints: rows are checked before they are merged, and the parent's column is a key of its own. */
async function realReferences(connection: Connection, stream: Stream): Promise<readonly Reference[]> {
  if (!stream.settings.checksForeignKeys) return []
  const real: Reference[] = []
  for (const reference of stream.references) {
    const parent = await readTable(connection, reference.table)
    const isKey = parent?.uniqueKeys.some((names) => names.length === 1 && names[0] === reference.targetColumn)
    if (isKey === true) real.push(reference)
  }
  return real
}
