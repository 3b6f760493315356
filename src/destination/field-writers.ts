/**
 * Owns how one JSON value becomes one field of a row that goes into COPY, in the binary format or in text. What an encoder refuses is refused here: the common
 * values are written without their text, everything else goes through the encoder. Must not know records or tables.
 */
import { InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import type { ColumnType } from '../domain/source-model.js'
import { writeClock, writeDate, writeInstant, writeLocalInstant, writeNumeric, writeUuid } from './binary-values.js'
import type { CatalogColumn } from './catalog.js'
import { binaryFormat, copyText, type RowFormat, textFormat } from './copy-format.js'
import { type Encoder, Refusal } from './encoders.js'
import type { RowBuffer } from './row-buffer.js'

/** Writes a field. Where the value is refused nothing is written that counts: the caller takes the row back. Never called with null. */
export type FieldWriter = (value: Exclude<Json, null>, out: RowBuffer) => Refusal | null

export interface WriterQuestion {
  readonly column: Pick<CatalogColumn, 'baseType' | 'category' | 'maxLength'>
  /** What the encoder reads values as. */
  readonly type: ColumnType
  readonly encode: Encoder
  /** A string holds JSON that is parsed first. */
  readonly parsesJson: boolean
}

/** The writer for COPY's text format, which every type has. */
export function textWriter(encode: Encoder): FieldWriter {
  return throughText(encode, textFormat, (text, out) => put(out.text(`\t${copyText(text)}`)))
}

function throughText(encode: Encoder, format: RowFormat, write: ValueWriter): FieldWriter {
  return (value, out) => {
    const text = encode(value)
    if (text instanceof Refusal) return text
    if (text === null) format.writeNull(out)
    else write(text, out)
    return null
  }
}

/** The writer for COPY's binary format; null where the column's type has none here. */
export function binaryWriter(question: WriterQuestion): FieldWriter | null {
  const { column, encode, parsesJson } = question
  const write = valueWriterOf(column)
  if (write === null) return null
  const slow = throughText(encode, binaryFormat, write)
  return parsesJson ? slow : (fastWriter(question, slow) ?? slow)
}

type ValueWriter = (text: string, out: RowBuffer) => void

/** Types whose binary form is their text. */
const textTypes = ['text', 'varchar', 'bpchar', 'citext']

/** Writes text that the encoder has passed as the column's own type; null: its binary form is not known here. */
function valueWriterOf({ baseType, category }: WriterQuestion['column']): ValueWriter | null {
  if (textTypes.includes(baseType) || category === 'E') return (text, out) => put(out.sizedText(text))
  return Object.hasOwn(valueWriters, baseType) ? (valueWriters[baseType] ?? null) : null
}

const valueWriters: Readonly<Record<string, ValueWriter>> = {
  int2: (text, out) => {
    out.int32(2)
    out.int16(Number(text))
  },
  int4: (text, out) => {
    out.int32(4)
    out.int32(Number(text))
  },
  int8: (text, out) => {
    out.int32(8)
    out.bigint64(BigInt(text))
  },
  numeric: writeNumeric,
  float4: (text, out) => {
    out.int32(4)
    out.float32(Number(text))
  },
  float8: (text, out) => {
    out.int32(8)
    out.float64(Number(text))
  },
  bool: (text, out) => writeBoolean(text === 't', out),
  date: writeDate,
  time: writeClock,
  timestamp: writeLocalInstant,
  timestamptz: writeInstant,
  uuid: writeUuid,
  // Version 1 of jsonb's form is its text.
  jsonb: (text, out) => put(out.markedText(1, text)),
}

/** For the values that nearly all rows have: written without their text. Null where there is no such way. */
function fastWriter({ column, type }: WriterQuestion, slow: FieldWriter): FieldWriter | null {
  const { baseType, maxLength } = column
  if (type === 'text' && textTypes.includes(baseType)) {
    const most = maxLength ?? Number.POSITIVE_INFINITY
    return (value, out) =>
      typeof value === 'string' && value.length <= most && out.sizedText(value) ? null : slow(value, out)
  }
  if (baseType === 'int4' || baseType === 'int8') return integerWriter(baseType, slow)
  if (baseType === 'bool')
    return (value, out) => (typeof value === 'boolean' ? writeBoolean(value, out) : slow(value, out))
  return null
}

function integerWriter(baseType: 'int4' | 'int8', slow: FieldWriter): FieldWriter {
  if (baseType === 'int8')
    return (value, out) => {
      if (!Number.isSafeInteger(value)) return slow(value, out)
      out.int32(8)
      out.int64(value as number)
      return null
    }
  return (value, out) => {
    if (typeof value !== 'number' || (value | 0) !== value) return slow(value, out)
    out.int32(4)
    out.int32(value)
    return null
  }
}

function writeBoolean(value: boolean, out: RowBuffer): null {
  out.int32(1)
  out.byte(value ? 1 : 0)
  return null
}

/** What an encoder has passed can be stored. */
function put(isWritten: boolean): void {
  if (!isWritten) throw new InvariantError('write a field found text that an encoder should have refused')
}
