/** Owns which of two versions of a row is the newer, where only their texts are at hand. Pure. */

/** Compares two versions as whole numbers, numbers, instants or text, whichever both are. A missing version is the oldest. */
export function isNewer(version: string | null, than: string | null): boolean {
  if (version === null) return false
  if (than === null) return true
  if (isWhole(version) && isWhole(than)) return BigInt(version) > BigInt(than)
  const numbers = [Number(version), Number(than)]
  const instants = [Date.parse(version), Date.parse(than)]
  const [a, b] = numbers.some(Number.isNaN) ? instants : numbers
  if (a === undefined || b === undefined || Number.isNaN(a) || Number.isNaN(b)) return version > than
  // Beyond milliseconds only the text tells, and only where both count from the same offset.
  return a === b ? offsetOf(version) === offsetOf(than) && version > than : a > b
}

/** A row of a batch, as far as its place in time goes. */
export interface Placed {
  readonly version: string | null
  /** Its number in the batch: the later row wins where versions say nothing. */
  readonly row: number
}

/** Whether `a` is to be kept rather than `b`, as a merge would. */
export function isLater(a: Placed, b: Placed): boolean {
  if (isNewer(a.version, b.version)) return true
  return !isNewer(b.version, a.version) && a.row > b.row
}

function isWhole(text: string): boolean {
  return /^-?\d{1,40}$/.test(text)
}

function offsetOf(text: string): string {
  return /(?:Z|[+-]\d\d:?\d\d)?$/i.exec(text)?.[0] ?? ''
}
