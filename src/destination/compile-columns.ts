/**
 * Owns the step from a mapped column to one that encodes: type, origin, what an absent field becomes. Asks Postgres only what a default's text is.
 */
import type { Json } from '../domain/json.js'
import type { Stream } from '../domain/source-model.js'
import type { CatalogColumn, CatalogTable } from './catalog.js'
import type { Connection } from './connections.js'
import { binaryFormat, textFormat } from './copy-format.js'
import { makeEncoder, Refusal } from './encoders.js'
import { binaryWriter, type FieldWriter, textWriter } from './field-writers.js'
import { parseExact } from './json-text.js'
import type { Layout, LayoutColumn, Origin } from './layout.js'
import { encodedType, isConstant, type MappedColumn } from './mapping.js'
import { unixFirst } from './unix-time.js'

interface Found {
  readonly table: CatalogTable
  readonly mapped: readonly MappedColumn[]
}

/** The columns of a layout, in the definition's order, and the format in which all of them can be written. */
export async function compileColumns(
  connection: Connection,
  stream: Stream,
  found: Found,
): Promise<Pick<Layout, 'columns' | 'format'>> {
  const compiled: Compiled[] = []
  for (const mapped of found.mapped) {
    const column = found.table.columns.find(({ name }) => name === mapped.name)
    if (column !== undefined) compiled.push(await compileColumn(connection, stream, { mapped, column }))
  }
  const format = compiled.every(({ binary }) => binary !== null) ? binaryFormat : textFormat
  const columns = compiled.map(({ binary, column }) => ({
    ...column,
    write: format === binaryFormat && binary !== null ? binary : textWriter(column.encode),
  }))
  return { columns, format }
}

interface Compiled {
  readonly column: Omit<LayoutColumn, 'write'>
  /** null: the type has no binary form here. */
  readonly binary: FieldWriter | null
}

async function compileColumn(
  connection: Connection,
  stream: Stream,
  { mapped, column }: { readonly mapped: MappedColumn; readonly column: CatalogColumn },
): Promise<Compiled> {
  const parsesJson = mapped.origin !== 'extras' && mapped.origin.parsesJson
  const type = encodedType(mapped.declared, column)
  const unixTime = mapped.origin === 'extras' ? undefined : mapped.origin.unixTime
  const plain = makeEncoder(type, { unstorableText: stream.unstorableText, maxLength: column.maxLength, parsesJson })
  const encode = unixTime === undefined ? plain : unixFirst(unixTime, plain)
  const origin = originOf(mapped)
  return {
    column: {
      name: mapped.name,
      origin,
      field: plainField(origin),
      sqlType: column.sqlType,
      encode,
      isRequired: mapped.isRequired || !column.isNullable || stream.key.includes(mapped.name),
      whenAbsent: await absentValue(connection, stream, { column, encode }),
    },
    binary: binaryWriter({ column, type, encode, parsesJson }),
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
async function absentValue(
  connection: Connection,
  stream: Stream,
  { column, encode }: { readonly column: CatalogColumn; readonly encode: LayoutColumn['encode'] },
): Promise<Json> {
  const { defaultSql, baseType } = column
  if (stream.columns !== null || defaultSql === null || !isConstant(defaultSql)) return null
  const answer = await connection.query<{ value: string | null }>({ text: `select (${defaultSql})::text as value` })
  const text = answer.rows[0]?.value ?? null
  if (text === null) return null
  const value = baseType === 'jsonb' ? parseExact(text) : text
  return value === null || encode(value) instanceof Refusal ? null : value
}
