/**
 * Owns the description of a stream's table as this adapter uses it: which columns are filled from where, what identifies a row, what it refers to. Plain
 * values, made once by `openTable`; nothing here talks to Postgres.
 */
import type { Json, JsonPath } from '../domain/json.js'
import type { MissingParent, Stream, TableName } from '../domain/source-model.js'
import type { RowFormat } from './copy-format.js'
import type { Encoder } from './encoders.js'
import type { FieldWriter } from './field-writers.js'

/** Where a column's value comes from. */
export type Origin =
  /** `isPlain`: no step is a name that every object or array inherits. */
  | { readonly kind: 'path'; readonly path: JsonPath; readonly isPlain: boolean }
  | { readonly kind: 'dimension'; readonly name: string }
  | { readonly kind: 'extras' }

export interface LayoutColumn {
  readonly name: string
  readonly origin: Origin
  /** The record's own field, for a plain path of one step: the fast way. */
  readonly field: string | null
  /** Type as SQL writes it, with collation: what the delta table's column is made with. */
  readonly sqlType: string
  /** The text of a value, for keys and versions, and what is refused. */
  readonly encode: Encoder
  /** Writes a value in the table's format. */
  readonly write: FieldWriter
  /** Must not be NULL. */
  readonly isRequired: boolean
  /** What an absent field becomes: NULL, or the column's own constant default. */
  readonly whenAbsent: Json
}

/** Columns that must have a counterpart in `parent`. */
export interface ForeignKey {
  readonly columns: readonly string[]
  readonly parent: TableName
  readonly parentColumns: readonly string[]
}
/** One that rows are held against before they are merged. */
export interface CheckedKey extends ForeignKey {
  readonly missingParent: MissingParent
  /** Its columns with their types, and its parent: `user_id bigint → public.users (id)`. Another text is another foreign key. */
  readonly label: string
}

export interface Layout {
  readonly stream: Stream
  readonly table: TableName
  readonly delta: TableName
  /** Object id of the stable table: what the flush's advisory lock is taken on. */
  readonly oid: number
  readonly columns: readonly LayoutColumn[]
  /** How rows go into COPY: binary where every column has a binary form. */
  readonly format: RowFormat
  /** Positions of the key's columns in `columns`. */
  readonly keyAt: readonly number[]
  /** Position of the version's column; null: the later page wins. */
  readonly versionAt: number | null
  /** The database's own and the stream's declared foreign keys. */
  readonly foreignKeys: readonly CheckedKey[]
  /** Equal keys have equal texts, so duplicates can be seen before Postgres does. */
  readonly hasPlainKey: boolean
  /** False for a partitioned table, of which `returning xmax` is refused. */
  readonly hasRowVersions: boolean
}
