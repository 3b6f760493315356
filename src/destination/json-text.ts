/**
 * Owns JSON as text: exact (integers and decimals of any length keep every digit), at any depth, and free of what Postgres cannot store. Knows no column and
 * no table.
 */
import { parse } from 'lossless-json'
import { ExactDecimal, type Json } from '../domain/json.js'

/** The value as JSON text, every digit kept. `JSON.stringify` where it can (almost always), else an exact writer without recursion. */
export function jsonText(value: Json): string {
  try {
    return JSON.stringify(value)
  } catch {
    return exactText(value)
  }
}

class Literal {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}
const comma = new Literal(',')
const endOfArray = new Literal(']')
const endOfObject = new Literal('}')

/** A stack of its own instead of recursion: a source may nest deeper than JavaScript's stack. */
function exactText(root: Json): string {
  const parts: string[] = []
  const stack: (Json | Literal)[] = [root]
  while (stack.length > 0) {
    const value = stack.pop() as Json | Literal
    if (value instanceof Literal || value instanceof ExactDecimal) parts.push(value.text)
    else if (typeof value === 'bigint') parts.push(value.toString())
    else if (typeof value !== 'object' || value === null) parts.push(JSON.stringify(value))
    else if (Array.isArray(value)) pushArray(value as readonly Json[], parts, stack)
    else pushObject(Object.entries(value as Record<string, Json>), parts, stack)
  }
  return parts.join('')
}

function pushArray(values: readonly Json[], parts: string[], stack: (Json | Literal)[]): void {
  parts.push('[')
  stack.push(endOfArray)
  for (let i = values.length - 1; i >= 0; i--) {
    stack.push(values[i] ?? null)
    if (i > 0) stack.push(comma)
  }
}

function pushObject(entries: readonly (readonly [string, Json])[], parts: string[], stack: (Json | Literal)[]): void {
  parts.push('{')
  stack.push(endOfObject)
  for (let i = entries.length - 1; i >= 0; i--) {
    const [name, value] = entries[i] ?? ['', null]
    stack.push(value, new Literal(`${i > 0 ? ',' : ''}${JSON.stringify(name)}:`))
  }
}

/** Reads JSON text without losing a digit: long integers as bigint, decimals that a double would change as {@link ExactDecimal}. */
export function parseExact(text: string): Json {
  // Only long runs of digits can lose anything (TRIED.md: three times faster than reading everything exactly).
  if (!/\d{16}|\d[eE]/.test(text)) return JSON.parse(text) as Json
  return parse(text, null, exactNumber) as Json
}

function exactNumber(text: string): Json {
  if (/^-?\d+$/.test(text)) {
    const number = Number(text)
    return Number.isSafeInteger(number) ? number : BigInt(text)
  }
  const number = Number(text)
  return Number.isFinite(number) && String(number) === text ? number : new ExactDecimal(text)
}

const escapeOfUnstorable = /\\u(?:0000|[dD][89abABcCdDeEfF])/
// Pairs first, so that only the halves that stand alone are left; then every other escape, so that an escaped backslash before a "u" is not misread.
const escapes =
  /\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})|\\u[0-9a-fA-F]{4}|\\[^u]/g
const unstorableEscape = /^\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})$/

/** JSON text without U+0000 and lone surrogates, which jsonb refuses; the same text where it has none. */
export function stripUnstorableJson(text: string): string {
  const whole = stripUnstorable(text)
  if (!escapeOfUnstorable.test(whole)) return whole
  return whole.replace(escapes, (escape) => (unstorableEscape.test(escape) ? '' : escape))
}

const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const nul = /\0/g
/** In one pass: a U+0000 taken out between two halves must not make them a character that nobody sent. */
const unstorableText = new RegExp(`\\0|${loneSurrogate.source}`, 'g')

/** Text without U+0000 and lone surrogates, which no text column holds; the same text where it has none. */
export function stripUnstorable(text: string): string {
  return text.replace(unstorableText, '')
}

/** Text that any column holds and that still shows what could not be stored, as JSON would escape it. */
export function escapeUnstorable(text: string): string {
  const escape = (found: string): string => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`
  return text.replace(nul, escape).replace(loneSurrogate, escape)
}
