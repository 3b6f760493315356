/**
 * Owns the two formats in which rows go into COPY: Postgres's binary format, which the server takes at half the cost of text, and text, for tables with a column
 * whose binary form is not known here. Both carry the row's number first, then one field a column.
 */
import { InvariantError } from '../domain/errors.js'
import type { RowBuffer } from './row-buffer.js'

/** One encoded row, as it stands in a buffer, with its number in the batch. */
export interface Line {
  readonly row: number
  readonly line: Buffer
}

export interface RowFormat {
  /** What stands behind `from stdin`. */
  readonly copyOptions: string
  beginRow(out: RowBuffer, row: number, columns: number): void
  writeNull(out: RowBuffer): void
  endRow(out: RowBuffer): void
  /** The rows of a buffer of whole rows. */
  split(piece: Buffer): readonly Line[]
  /** What COPY reads for these rows. */
  framed(pieces: readonly Buffer[]): readonly Buffer[]
}

/** Signature, flags and length of the header's extension: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". */
const binaryHeader = Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])
const binaryTrailer = Buffer.from([0xff, 0xff])

export const binaryFormat: RowFormat = {
  copyOptions: ' with (format binary)',
  beginRow: (out, row, columns) => {
    out.int16(columns + 1)
    out.int32(8)
    out.int64(row)
  },
  writeNull: (out) => {
    out.int32(-1)
  },
  endRow: () => undefined,
  split: (piece) => {
    const lines: Line[] = []
    for (let start = 0; start < piece.length; ) {
      let end = start + 2
      for (let fields = piece.readInt16BE(start); fields > 0; fields -= 1)
        end += 4 + Math.max(0, piece.readInt32BE(end))
      lines.push({ row: Number(piece.readBigInt64BE(start + 6)), line: piece.subarray(start, end) })
      start = end
    }
    return lines
  },
  framed: (pieces) => [binaryHeader, ...pieces, binaryTrailer],
}

/** A field behind its tab; the row's number has none. */
export const textFormat: RowFormat = {
  copyOptions: '',
  beginRow: (out, row) => {
    out.text(String(row))
  },
  writeNull: (out) => {
    out.text('\t\\N')
  },
  endRow: (out) => {
    out.byte(10)
  },
  split: (piece) => {
    const lines: Line[] = []
    for (let start = 0; start < piece.length; ) {
      const end = piece.indexOf(10, start) + 1
      if (end === 0) throw new InvariantError('split encoded rows found one without its end')
      const line = piece.subarray(start, end)
      lines.push({ row: Number(line.toString('latin1', 0, line.indexOf(9))), line })
      start = end
    }
    return lines
  },
  framed: (pieces) => pieces,
}

const special = /[\t\n\r\\]/
const escapes: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' }

/** A field as COPY's text format has it; one in which several stand together can be taken apart again. */
export function copyText(plain: string): string {
  return special.test(plain) ? plain.replace(/[\t\n\r\\]/g, (found) => escapes[found] ?? found) : plain
}
