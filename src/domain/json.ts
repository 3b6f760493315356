/**
 * JSON as a source sent it. Integers beyond 2^53 arrive as `bigint`, decimals that a double cannot hold as
 * {@link ExactDecimal}; everything else is what `JSON.parse` gives.
 */
export type Json = null | boolean | number | bigint | string | ExactDecimal | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

/** A decimal number kept as its source text, because a double would change it. */
export class ExactDecimal {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  toString(): string {
    return this.text
  }
  /** Refuses `JSON.stringify`, which would quote it; the exact writer knows this class. */
  toJSON(): never {
    throw new TypeError('an exact decimal needs the exact JSON writer')
  }
}

/** Where a value sits in an answer or record: object keys and array positions. An empty path is the whole. */
export type JsonPath = readonly (string | number)[]

/** True for a JSON object (not an array, not an exact number). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactDecimal)
}

/** The value at a path, or undefined where a step is missing. Never throws. */
export function valueAt(root: Json | undefined, path: JsonPath): Json | undefined {
  let value: Json | undefined = root
  for (const step of path) {
    if (typeof value !== 'object' || value === null || value instanceof ExactDecimal) return undefined
    // Own keys only: "constructor" in a path must not reach the prototype.
    if (!Object.hasOwn(value, step)) return undefined
    value = (value as Record<string | number, Json>)[step]
  }
  return value
}
