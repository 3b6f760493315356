/**
 * Owns a task's rows between their page and their flush: mapped, checked and written as COPY reads them as they come, so that a flush only sends bytes. A row that
 * cannot be stored is set aside with its reason and its neighbours go on. Must not know Postgres. Lives in memory only: what a kill takes is asked for again.
 */
import { createHash } from 'node:crypto'
import { setImmediate as ioTurn } from 'node:timers/promises'
import { InvariantError, PromotionConflict } from '../domain/errors.js'
import { isJsonObject, type Json, type JsonObject, type JsonPath, valueAt } from '../domain/json.js'
import type { Partition } from '../domain/partition.js'
import type { Batch, Page, PageDigest } from '../domain/ports.js'
import { copyText, type Line } from './copy-format.js'
import { Refusal } from './encoders.js'
import type { FieldWatch } from './field-watch.js'
import { escapeUnstorable, jsonText } from './json-text.js'
import type { Layout, LayoutColumn } from './layout.js'
import { RowBuffer } from './row-buffer.js'
import type { PostgresStreamTable } from './stream-table.js'
import { isLater, type Placed } from './version-order.js'

/** Why a record is set aside. */
export interface Fault {
  readonly code: string
  readonly reason: string
  /** The foreign key whose parent is missing, by its label, and its values; null where it is about something else. */
  readonly waitsFor: { readonly reference: string; readonly key: readonly string[] } | null
}

/** A record that was set aside, as `backfill.held` keeps it. */
export interface HeldRow extends Fault {
  /** Its number in the batch. */
  readonly row: number
  readonly page: number
  /** Position in its page, from 1. */
  readonly position: number
  /** Text of the key's columns; null where it cannot be read. */
  readonly key: string | null
  readonly version: string | null
  readonly raw: string
}

interface PageSpan {
  readonly page: number
  /** Number of the page's first row in the batch. */
  readonly firstRow: number
  readonly reread: () => readonly Json[]
}

/**
 * Rows between two turns of the event loop. A flush's COPY leaves in pieces of the socket's buffer, one a turn: behind whole pages of a thousand rows it took
 * five times as long as Postgres needed for it.
 */
const rowsATurn = 64

/** Rows of one task on their way to a flush. A row's number counts all records of the batch, those set aside too. */
export class TableBatch implements Batch {
  readonly table: PostgresStreamTable
  readonly layout: Layout
  readonly partition: Partition
  /** Values of the columns that hold a dimension, null for the others. */
  readonly #constants: readonly (string | null)[]
  readonly #watch: FieldWatch
  readonly #keys = new Set<string>()
  readonly #spans: PageSpan[] = []
  readonly #out = new RowBuffer()
  readonly #heldRows: HeldRow[] = []
  #rows = 0
  #received = 0
  #answerBytes = 0
  #hasRepeats = false

  constructor(table: PostgresStreamTable, partition: Partition, watch: FieldWatch) {
    const { layout } = table
    this.table = table
    this.layout = layout
    this.partition = partition
    this.#watch = watch
    this.#constants = layout.columns.map((column) => constantOf(column, partition))
  }

  get rows(): number {
    return this.#rows
  }
  get bytes(): number {
    return Math.max(this.#out.bytes, this.#answerBytes)
  }
  get held(): number {
    return this.#heldRows.length
  }
  /** Records that came, stored or not. */
  get received(): number {
    return this.#received
  }
  get pages(): number {
    return this.#spans.length
  }
  get heldRows(): readonly HeldRow[] {
    return this.#heldRows
  }
  /** The encoded rows as COPY reads them. */
  get copied(): readonly Buffer[] {
    return this.layout.format.framed(this.#out.pieces)
  }
  /** Texts of the keys of the encoded rows; empty for a stream without a key. */
  get keys(): ReadonlySet<string> {
    return this.#keys
  }
  /** True where a key came twice, or where only Postgres can tell. */
  get mayRepeatKeys(): boolean {
    return this.#hasRepeats || (this.layout.keyAt.length > 0 && !this.layout.hasPlainKey)
  }

  async add(page: Page): Promise<PageDigest> {
    const { records, reread } = page
    this.#spans.push({ page: page.number, firstRow: this.#received + 1, reread })
    this.#answerBytes += page.bytes
    const unknownFields: string[] = []
    const hash = createHash('sha256')
    for (let at = 0; at < records.length; at += rowsATurn) {
      if (at > 0) await ioTurn()
      hash.update(this.#encodeSome(records.slice(at, at + rowsATurn), unknownFields))
    }
    const isComparable = records.length > 0 && this.layout.keyAt.length > 0
    return { fingerprint: isComparable ? hash.digest('base64url') : null, unknownFields }
  }

  /** Encodes records; answers their keys, a line each. */
  #encodeSome(records: readonly Json[], unknownFields: string[]): string {
    const hasKey = this.layout.keyAt.length > 0
    let keys = ''
    for (const record of records) {
      this.#received += 1
      this.#encode(record, unknownFields)
      // A row without a readable key counts by its raw text: a page that repeats is found all the same.
      if (hasKey) keys += `${this.#lastKey ?? jsonText(record)}\n`
    }
    return keys
  }

  /** The encoded rows one by one, for a flush that has to look for the bad ones. */
  lines(): readonly Line[] {
    return this.#out.pieces.flatMap((piece) => this.layout.format.split(piece))
  }

  /** A row of this batch as `backfill.held` keeps it, for a row that Postgres refused. */
  heldRow(row: number, fault: Fault): HeldRow {
    const span = this.#spans.findLast((candidate) => candidate.firstRow <= row)
    if (span === undefined) throw new InvariantError(`find row ${row} of a batch found none`)
    const at = row - span.firstRow
    const record = this.#recordsOf(span)[at] ?? null
    return this.#holdOf(record, { ...fault, row, page: span.page, position: at + 1 })
  }

  /** The row of each given key that a merge would keep, for comparing with a held row's. Rows that were set aside do not count. */
  newestOf(keys: ReadonlySet<string>): ReadonlyMap<string, Placed> {
    const newest = new Map<string, Placed>()
    if (keys.size === 0) return newest
    const aside = new Set(this.#heldRows.map(({ row }) => row))
    for (const { firstRow, reread } of this.#spans) {
      for (const [at, record] of reread().entries()) {
        const key = this.#keyText(record)
        if (key === null || !keys.has(key) || aside.has(firstRow + at)) continue
        const placed = { version: this.#versionText(record), row: firstRow + at }
        const known = newest.get(key)
        if (known === undefined || isLater(placed, known)) newest.set(key, placed)
      }
    }
    return newest
  }

  /** Text of each record's key, by its number in the batch; without those whose key cannot be read. */
  keysByRow(): ReadonlyMap<number, string> {
    const keys = new Map<number, string>()
    for (const { firstRow, reread } of this.#spans) {
      for (const [at, record] of reread().entries()) {
        const key = this.#keyText(record)
        if (key !== null) keys.set(firstRow + at, key)
      }
    }
    return keys
  }

  #lastKey: string | null = null
  #lastReread: { readonly span: PageSpan; readonly records: readonly Json[] } | null = null

  /** Records of a page, parsed again; the last page's are kept, because bad rows come in the order of their pages. */
  #recordsOf(span: PageSpan): readonly Json[] {
    if (this.#lastReread?.span !== span) this.#lastReread = { span, records: span.reread() }
    return this.#lastReread.records
  }

  /** Writes a record's row. Where the record is set aside, nothing. */
  #encode(record: Json, unknownFields: string[]): void {
    this.#lastKey = null
    if (!isJsonObject(record)) {
      this.#refuse(record, 'not_an_object', 'record is no JSON object')
      return
    }
    const { columns, format, keyAt } = this.layout
    const out = this.#out
    const extras = this.#watch.look(record, unknownFields)
    out.beginRow()
    format.beginRow(out, this.#received, columns.length)
    let at = 0
    for (const column of columns) {
      const value = this.#constants[at] ?? fieldOf(column, record, extras)
      at += 1
      const isMissing = value === null && column.isRequired
      const refusal = value === null ? null : column.write(value, out)
      if (isMissing || refusal !== null) {
        out.undoRow()
        this.#refuseField(column, record, refusal)
        return
      }
      if (value === null) format.writeNull(out)
    }
    format.endRow(out)
    if (keyAt.length > 0) this.#remember(this.#keyText(record) ?? '')
    this.#rows += 1
  }

  #remember(key: string): void {
    this.#lastKey = key
    if (this.#keys.has(key)) this.#hasRepeats = true
    else this.#keys.add(key)
  }

  #refuseField(column: LayoutColumn, record: JsonObject, refusal: Refusal | null): void {
    this.#lastKey = this.#keyText(record)
    if (refusal === null) {
      this.#refuse(record, 'missing_value', `column "${column.name}" must have a value, found none`)
      return
    }
    const found = shorten(jsonText(valueOf(column, record, null) ?? null))
    this.#refuse(record, refusal.code, `column "${column.name}" wants ${refusal.expected}, found ${found}`)
  }

  #refuse(record: Json, code: string, reason: string): void {
    const span = this.#spans.at(-1)
    const row = this.#received
    const position = row - (span?.firstRow ?? 1) + 1
    this.#heldRows.push(this.#holdOf(record, { code, reason, waitsFor: null, row, page: span?.page ?? 0, position }))
  }

  #holdOf(record: Json, fault: Omit<HeldRow, 'key' | 'version' | 'raw'>): HeldRow {
    const key = this.#keyText(record)
    const reason = escapeUnstorable(fault.reason)
    return { ...fault, reason, key, version: this.#versionText(record), raw: jsonText(record) }
  }

  /** The key's columns as COPY text, with tabs between; null where one is missing or refused. */
  #keyText(record: Json): string | null {
    const { keyAt } = this.layout
    let key: string | null = null
    for (const at of keyAt) {
      const text = this.#textAt(at, record)
      if (text === null) return null
      key = key === null ? text : `${key}\t${text}`
    }
    return key
  }

  #versionText(record: Json): string | null {
    return this.layout.versionAt === null ? null : this.#textAt(this.layout.versionAt, record)
  }

  #textAt(at: number, record: Json): string | null {
    const column = this.layout.columns[at]
    if (column === undefined || !isJsonObject(record)) return null
    const value = this.#constants[at] ?? fieldOf(column, record, null)
    const text = value === null ? null : column.encode(value)
    return typeof text === 'string' ? copyText(text) : null
  }
}

/** A column's value; null for NULL. */
function fieldOf(column: LayoutColumn, record: JsonObject, extras: JsonObject | null): Json {
  const value = column.field === null ? valueOf(column, record, extras) : record[column.field]
  return value === undefined ? column.whenAbsent : value
}

function valueOf({ origin }: LayoutColumn, record: JsonObject, extras: JsonObject | null): Json | undefined {
  switch (origin.kind) {
    case 'extras':
      return extras
    case 'path':
      return origin.isPlain ? plainValueAt(record, origin.path) : valueAt(record, origin.path)
    case 'dimension':
      return undefined
  }
}

/** {@link valueAt} for names that no object inherits: no look at the prototype is needed, at a third of the time. */
function plainValueAt(record: JsonObject, path: JsonPath): Json | undefined {
  let value: Json | undefined = record
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<string | number, Json>)[step]
  }
  return value
}

function constantOf(column: LayoutColumn, partition: Partition): string | null {
  if (column.origin.kind !== 'dimension') return null
  const { name } = column.origin
  const value = partition[name]
  if (value !== undefined && !(column.encode(value) instanceof Refusal)) return value
  throw new PromotionConflict(
    'partition_invalid',
    `store dimension "${name}" found ${shorten(String(value))}, which column "${column.name}" does not take`,
  )
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 119)}…` : text
}
