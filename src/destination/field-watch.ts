/**
 * Owns the question whether records bring fields that no column names. Looks at every record, at the price of comparing its field names with the last
 * record's, which are nearly always the same. One per opened table, so that a field is reported once.
 */
import type { Json, JsonObject } from '../domain/json.js'

/** `known` null: nothing can be lost, so nothing is looked at. `keepsFields`: a column takes what no other names. */
export class FieldWatch {
  readonly #known: ReadonlySet<string> | null
  readonly #keepsFields: boolean
  readonly #reported = new Set<string>()
  #names: readonly string[] = []
  #unknown: readonly string[] = []

  constructor(known: ReadonlySet<string> | null, options: { readonly keepsFields: boolean }) {
    this.#known = known
    this.#keepsFields = options.keepsFields
  }

  /** The record's unknown fields where they are kept, or null; those never seen before are also pushed to `fresh`. */
  look(record: JsonObject, fresh: string[]): JsonObject | null {
    if (this.#known === null) return null
    const names = Object.keys(record)
    if (!this.#isLast(names)) this.#learn(names, fresh)
    if (this.#unknown.length === 0 || !this.#keepsFields) return null
    return Object.fromEntries(this.#unknown.map((name): [string, Json] => [name, record[name] ?? null]))
  }

  #isLast(names: readonly string[]): boolean {
    const last = this.#names
    if (names.length !== last.length) return false
    for (let i = 0; i < names.length; i++) if (names[i] !== last[i]) return false
    return true
  }

  #learn(names: readonly string[], fresh: string[]): void {
    this.#names = names
    this.#unknown = names.filter((name) => this.#known?.has(name) === false)
    for (const name of this.#unknown) {
      if (this.#reported.has(name)) continue
      this.#reported.add(name)
      fresh.push(name)
    }
  }
}
