// Owns the renaming of keys: a value as YAML has it becomes one with canonical keys, and every new key remembers how it was written.
import type { z } from 'zod'
import type { KeyPath } from './document.js'
import { camelCase, knownKeys, type Place, placeAt, placeOf } from './schema-keys.js'

export interface Renamed {
  readonly value: unknown
  /** From a canonical path (as JSON) to the key as written; only where it differs. */
  readonly writtenKeys: ReadonlyMap<string, string>
  /** Keys that cannot stand: given in both spellings, or `__proto__`, which objects lose. */
  readonly refused: readonly RefusedKey[]
}
export interface RefusedKey {
  readonly path: KeyPath
  readonly expected: string
  readonly found: string
}

/** The value with the keys that the schema names in camelCase. Free keys (columns, parameters, headers, values) stay as they are. */
export function canonicalKeys(raw: unknown, schema: z.ZodType): Renamed {
  const renaming: Renaming = { writtenKeys: new Map(), refused: [] }
  return { value: rename(raw, placeOf(schema), { path: [], renaming }), ...renaming }
}

interface Renaming {
  readonly writtenKeys: Map<string, string>
  readonly refused: RefusedKey[]
}
interface Position {
  readonly path: KeyPath
  readonly renaming: Renaming
}

function rename(value: unknown, place: Place, position: Position): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    return value.map((element, index) => rename(element, placeAt(place, index), step(position, index)))
  }
  const keys = new Set(knownKeys(place))
  const renamed = new Map<string, unknown>()
  for (const [written, child] of Object.entries(value)) {
    const key = keys.has(camelCase(written)) ? camelCase(written) : written
    const at = step(position, key)
    const refusal = refusalOf(written, renamed.has(key))
    if (refusal !== null) position.renaming.refused.push({ path: at.path, ...refusal })
    if (key !== written) position.renaming.writtenKeys.set(JSON.stringify(at.path), written)
    renamed.set(key, rename(child, placeAt(place, key), at))
  }
  return Object.fromEntries(renamed)
}

function refusalOf(written: string, isTwice: boolean): Omit<RefusedKey, 'path'> | null {
  if (written === '__proto__') return { expected: 'another name', found: '"__proto__"' }
  return isTwice ? { expected: 'the key once', found: `"${written}" in two spellings` } : null
}

function step({ path, renaming }: Position, key: string | number): Position {
  return { path: [...path, key], renaming }
}
