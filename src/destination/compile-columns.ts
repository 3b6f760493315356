/**
 * Owns the step from a mapped column to one that encodes: type, origin, what an absent field becomes. Asks Postgres only what a default's text is.
 */
import type { Stream } from '../domain/source-model.js'
import type { CatalogColumn, CatalogTable } from './catalog.js'
import type { Connection } from './connections.js'
import { makeEncoder } from './encoders.js'
import type { LayoutColumn, Origin } from './layout.js'
import { encodedType, isConstant, type MappedColumn } from './mapping.js'

interface Found {
  readonly table: CatalogTable
  readonly mapped: readonly MappedColumn[]
}

/** The columns of a layout, in the definition's order. */
export async function compileColumns(
  connection: Connection,
  stream: Stream,
  found: Found,
): Promise<readonly LayoutColumn[]> {
  const columns: LayoutColumn[] = []
  for (const mapped of found.mapped) {
    const column = found.table.columns.find(({ name }) => name === mapped.name)
    if (column !== undefined) columns.push(await compileColumn(connection, stream, { mapped, column }))
  }
  return columns
}

async function compileColumn(
  connection: Connection,
  stream: Stream,
  { mapped, column }: { readonly mapped: MappedColumn; readonly column: CatalogColumn },
): Promise<LayoutColumn> {
  const parsesJson = mapped.origin !== 'extras' && mapped.origin.parsesJson
  const encode = makeEncoder(encodedType(mapped.declared, column), {
    unstorableText: stream.unstorableText,
    maxLength: column.maxLength,
    parsesJson,
  })
  const origin = originOf(mapped)
  return {
    name: mapped.name,
    origin,
    field: plainField(origin),
    sqlType: column.sqlType,
    encode,
    isRequired: mapped.isRequired || !column.isNullable || stream.key.includes(mapped.name),
    whenAbsent: await absentText(connection, stream, { column, encode }),
  }
}

function originOf({ origin }: MappedColumn): Origin {
  if (origin === 'extras') return { kind: 'extras' }
  if (origin.dimension !== null) return { kind: 'dimension', name: origin.dimension }
  const path = origin.path ?? []
  // "constructor" in a path must not reach the prototype, "length" an array's own count, "text" the inside of an exact decimal.
  return {
    kind: 'path',
    path,
    isPlain: path.every(
      (step) => typeof step === 'number' || !(step in Array.prototype || (path.length > 1 && step === 'text')),
    ),
  }
}

function plainField(origin: Origin): string | null {
  if (origin.kind !== 'path' || !origin.isPlain || origin.path.length !== 1) return null
  return String(origin.path[0])
}

/** Where the table alone names the columns, a field that a record lacks takes the column's constant default. */
async function absentText(
  connection: Connection,
  stream: Stream,
  { column, encode }: { readonly column: CatalogColumn; readonly encode: LayoutColumn['encode'] },
): Promise<string> {
  const { defaultSql } = column
  if (stream.columns !== null || defaultSql === null || !isConstant(defaultSql)) return '\\N'
  const answer = await connection.query<{ value: string | null }>({ text: `select (${defaultSql})::text as value` })
  const value = answer.rows[0]?.value ?? null
  const field = value === null ? '\\N' : encode(value)
  return typeof field === 'string' ? field : '\\N'
}
