// Owns the reading of what a TypeScript definition exports: plain data, or a mistake that says what it is instead. Runs nothing of it.
import { type DefinitionDocument, type KeyPath, type Mistakes, writePath } from './document.js'

/** An exported value, with the text of its file to find lines in. */
export function readPlain(
  exported: unknown,
  origin: { readonly file: string; readonly text: string | null; readonly mistakes: Mistakes },
): DefinitionDocument {
  const { file, text, mistakes } = origin
  const found: { path: KeyPath; what: string }[] = []
  const value = plain(exported, { path: [], ancestors: [], found })
  const document: DefinitionDocument = {
    file,
    value,
    spell: (key) => key,
    written: writePath,
    lineOf: (path) => (text === null ? null : lineOfKeys(text, path)),
  }
  for (const { path, what } of found) mistakes.add(document, path, { expected: 'plain data (JSON)', found: what })
  return document
}

interface Visit {
  readonly path: KeyPath
  readonly ancestors: readonly unknown[]
  readonly found: { path: KeyPath; what: string }[]
}

function plain(value: unknown, visit: Visit): unknown {
  const refusal = whatItIs(value, visit)
  if (refusal !== null) {
    visit.found.push({ path: visit.path, what: refusal })
    return undefined
  }
  if (typeof value !== 'object' || value === null) return value
  const inside = (key: string | number): Visit => ({
    ...visit,
    path: [...visit.path, key],
    ancestors: [...visit.ancestors, value],
  })
  if (Array.isArray(value)) return value.map((element: unknown, index) => plain(element, inside(index)))
  const entries = Object.entries(value).filter(([, child]) => child !== undefined)
  return Object.fromEntries(entries.map(([key, child]): [string, unknown] => [key, plain(child, inside(key))]))
}

/** Why a value is no data, or null. */
function whatItIs(value: unknown, { ancestors }: Visit): string | null {
  if (typeof value === 'function') return 'a function, which a definition cannot hold'
  if (typeof value === 'symbol') return 'a symbol'
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value)
  if (typeof value !== 'object' || value === null) return null
  if (ancestors.includes(value)) return 'an object that contains itself'
  if (value instanceof Promise) return 'a promise; export what it resolves to'
  if (Array.isArray(value)) return null
  const prototype: unknown = Object.getPrototypeOf(value)
  // Another realm's Object.prototype (jiti may evaluate in one) has no prototype of its own.
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
  return isPlain ? null : `a ${value.constructor.name || 'class'} object`
}

/** Line of the last key when all keys of the path are written one after another in the text; null otherwise. */
function lineOfKeys(text: string, path: KeyPath): number | null {
  let from = 0
  for (const step of path) {
    if (typeof step === 'number') break
    const escaped = step.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    const pattern = new RegExp(`(?<=^|[\\s{,])(?:${escaped}|'${escaped}'|"${escaped}")\\s*:`, 'g')
    pattern.lastIndex = from
    const match = pattern.exec(text)
    if (match === null) return null
    from = match.index + 1
  }
  return from === 0 ? null : text.slice(0, from).split('\n').length
}
