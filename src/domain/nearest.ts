// Owns "did you mean": which known word a mistyped one is closest to. Pure.

/**
 * The candidate that differs from the word by the fewest edits (insert, delete, replace, swap), at most a third of its length; case and `_`
 * against `-` count as nothing. null: none is close enough to be worth saying.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const wanted = fold(word)
  let best: string | null = null
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = edits(wanted, fold(candidate))
    const isCloser =
      distance < bestDistance || (distance === bestDistance && best !== null && candidate.length < best.length)
    if (!isCloser || candidate === word) continue
    best = candidate
    bestDistance = distance
  }
  return best
}

/** ` (did you mean "id")`, or nothing: the tail of a message. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const candidate = nearest(word, candidates)
  return candidate === null ? '' : ` (did you mean "${candidate}")`
}

/** Names as a message lists them: quoted, at most twenty, the rest counted. */
export function listNames(names: Iterable<string>): string {
  const all = [...names]
  if (all.length === 0) return 'none'
  const shown = all.slice(0, 20).map((name) => `"${name}"`)
  return all.length > 20 ? `${shown.join(', ')} and ${all.length - 20} more` : shown.join(', ')
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[-_ ]/g, '')
}

/** Optimal string alignment distance, in three rows. */
function edits(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(at(last, j) + 1, at(row, j - 1) + 1, replaced)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwap) cost = Math.min(cost, at(beforeLast, j - 2) + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
