// Owns what a definition is before it is understood: a value, the file it came from, and where in the file each part stands.
import type { Problem } from '../domain/errors.js'

/** Keys and positions from the root; keys are canonical (camelCase). */
export type KeyPath = readonly (string | number)[]

/** One file, read. Paths are canonical; what people get to see is written as the file has it. */
export interface DefinitionDocument {
  /** As messages name it: relative to the workspace. */
  readonly file: string
  readonly value: unknown
  /** The path as the file spells it, `streams.users.page_size`. */
  readonly written: (path: KeyPath) => string
  /** Line of the key, or of the nearest part around it that is there; null where it cannot be told. */
  readonly lineOf: (path: KeyPath) => number | null
  /** How this file spells a canonical key that it does not have: `page_size` in YAML. */
  readonly spell: (key: string) => string
}

/** Collects mistakes instead of stopping at the first one. */
export class Mistakes {
  readonly problems: Problem[] = []

  add(
    document: DefinitionDocument,
    path: KeyPath,
    mistake: { readonly expected: string; readonly found: string },
  ): void {
    const problem: Problem = {
      file: document.file,
      line: document.lineOf(path),
      path: document.written(path),
      ...mistake,
    }
    const isKnown = this.problems.some(
      (other) => other.file === problem.file && other.path === problem.path && other.line === problem.line,
    )
    // The first mistake at a place is the cause; what follows from it would only be noise.
    if (!isKnown) this.problems.push(problem)
  }
}

/** The value at a path, or undefined. */
export function valueIn(root: unknown, path: KeyPath): unknown {
  let value = root
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
    value = (value as Record<string | number, unknown>)[step]
  }
  return value
}

/** Keys of the object at a path, in order; none where there is no object. */
export function keysIn(root: unknown, path: KeyPath): readonly string[] {
  const value = valueIn(root, path)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.keys(value) : []
}

/** `streams.users.columns[0]`; a key with a dot or space is quoted. */
export function writePath(path: KeyPath): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else text += (text === '' ? '' : '.') + (/[.\s[\]]/.test(step) || step === '' ? JSON.stringify(step) : step)
  }
  return text === '' ? '(top)' : text
}

/** Under these keys people write credentials; their text is never shown. */
const secretKeys = new Set<string | number>(['database', 'headers', 'query', 'body', 'auth'])

/** A value as a message shows it: quoted, shortened; never what may be a credential. */
export function describeFound(value: unknown, path: KeyPath): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'nothing (null)'
  if (typeof value === 'string') return describeText(value, path)
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value !== 'object') return JSON.stringify(value)
  const keys = Object.keys(value)
  return keys.length === 0
    ? 'an empty object'
    : `an object with ${keys.slice(0, 4).join(', ')}${keys.length > 4 ? ', …' : ''}`
}

function describeText(text: string, path: KeyPath): string {
  if (path.some((step) => secretKeys.has(step)) || /:\/\/[^/]*@/.test(text)) return `text of ${text.length} characters`
  return text.length > 60 ? `"${text.slice(0, 57)}…"` : JSON.stringify(text)
}
