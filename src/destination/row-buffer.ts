/**
 * Owns the bytes of rows on their way into COPY: written field by field into pieces that grow, whole rows in each, and the row under way can be taken back. The
 * hot path: no object and no string a field. Must not know columns or types.
 */

/** Bytes of a buffer's first piece and of its largest ordinary one: one of few rows costs little, one of many is sent in few pieces. */
const firstPiece = 8 * 1024
const largestPiece = 256 * 1024
/** Text of at most so many UTF-16 units is written here; for longer text the call of the platform's own writer pays. */
const shortText = 256

const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

export class RowBuffer {
  readonly #full: Buffer[] = []
  #piece = Buffer.allocUnsafeSlow(firstPiece)
  #at = 0
  #rowStart = 0
  #fullBytes = 0

  /** Bytes of all rows. */
  get bytes(): number {
    return this.#fullBytes + this.#at
  }

  /** Whole rows in each. */
  get pieces(): readonly Buffer[] {
    return this.#at === 0 ? this.#full : [...this.#full, this.#piece.subarray(0, this.#at)]
  }

  beginRow(): void {
    this.#rowStart = this.#at
  }

  /** Takes back what was written since the row began. */
  undoRow(): void {
    this.#at = this.#rowStart
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#piece[this.#at] = value
    this.#at += 1
  }

  int16(value: number): void {
    this.#reserve(2)
    this.#piece[this.#at] = value >>> 8
    this.#piece[this.#at + 1] = value
    this.#at += 2
  }

  /** An integer of 32 bits, with or without sign. */
  int32(value: number): void {
    this.#reserve(4)
    this.#at = put32(this.#piece, value, this.#at)
  }

  /** A safe integer as 64 bits. */
  int64(value: number): void {
    this.#reserve(8)
    const high = Math.floor(value / 0x1_0000_0000)
    this.#at = put32(this.#piece, value - high * 0x1_0000_0000, put32(this.#piece, high, this.#at))
  }

  bigint64(value: bigint): void {
    this.#reserve(8)
    this.#at = this.#piece.writeBigInt64BE(value, this.#at)
  }

  float32(value: number): void {
    this.#reserve(4)
    this.#at = this.#piece.writeFloatBE(value, this.#at)
  }

  float64(value: number): void {
    this.#reserve(8)
    this.#at = this.#piece.writeDoubleBE(value, this.#at)
  }

  /** UTF-8 behind its length (32 bits). False, and nothing is written, where the text holds U+0000 or a lone surrogate. */
  sizedText(text: string): boolean {
    return this.#text(text, 4, -1)
  }

  /** The same with a byte before the text, which its length counts. */
  markedText(mark: number, text: string): boolean {
    return this.#text(text, 5, mark)
  }

  /** UTF-8 alone. False, and nothing is written, where the text holds U+0000 or a lone surrogate. */
  text(text: string): boolean {
    return this.#text(text, 0, -1)
  }

  /** `before`: bytes that stand before the text, 0, 4 or 5. `mark`: the fifth of them. */
  #text(text: string, before: number, mark: number): boolean {
    const end = text.length <= shortText ? this.#shortText(text, before) : this.#longText(text, before)
    if (end < 0) return false
    if (before > 0) put32(this.#piece, end - this.#at - 4, this.#at)
    if (before > 4) this.#piece[this.#at + 4] = mark
    this.#at = end
    return true
  }

  /** Answers where the text ends; -1: it cannot be stored. */
  #shortText(text: string, before: number): number {
    this.#reserve(before + 3 * text.length)
    const piece = this.#piece
    const length = text.length
    let at = this.#at + before
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code < 0x80) {
        if (code === 0) return -1
        piece[at++] = code
      } else if (code < 0x800) {
        piece[at++] = 0xc0 | (code >> 6)
        piece[at++] = 0x80 | (code & 0x3f)
      } else if (code < 0xd800 || code > 0xdfff) {
        piece[at++] = 0xe0 | (code >> 12)
        piece[at++] = 0x80 | ((code >> 6) & 0x3f)
        piece[at++] = 0x80 | (code & 0x3f)
      } else {
        const point = text.codePointAt(i) ?? 0
        // A half without its other half.
        if (point < 0x1_0000) return -1
        piece[at++] = 0xf0 | (point >> 18)
        piece[at++] = 0x80 | ((point >> 12) & 0x3f)
        piece[at++] = 0x80 | ((point >> 6) & 0x3f)
        piece[at++] = 0x80 | (point & 0x3f)
        i += 1
      }
    }
    return at
  }

  #longText(text: string, before: number): number {
    if (text.includes('\0') || loneSurrogate.test(text)) return -1
    this.#reserve(before + Buffer.byteLength(text))
    return this.#at + before + this.#piece.write(text, this.#at + before)
  }

  /** Makes room; the row under way moves to the next piece with what it has. */
  #reserve(count: number): void {
    if (this.#at + count <= this.#piece.length) return
    const row = this.#piece.subarray(this.#rowStart, this.#at)
    const size = Math.min(2 * this.#piece.length, largestPiece)
    const next = Buffer.allocUnsafeSlow(Math.max(size, 2 * row.length + count))
    row.copy(next)
    if (this.#rowStart > 0) {
      this.#full.push(this.#piece.subarray(0, this.#rowStart))
      this.#fullBytes += this.#rowStart
    }
    this.#piece = next
    this.#at = row.length
    this.#rowStart = 0
  }
}

function put32(piece: Buffer, value: number, at: number): number {
  piece[at] = value >>> 24
  piece[at + 1] = value >>> 16
  piece[at + 2] = value >>> 8
  piece[at + 3] = value
  return at + 4
}
