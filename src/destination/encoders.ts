/**
 * Owns how one JSON value becomes the text of one field, for each type of column, and which values a type refuses. The hot path: no allocation but the text, no
 * exception. Must not know records, tables or batches, nor how COPY escapes. What Postgres would accept but change (a double into an integer, a truncated time)
 * is refused here; what passes is handed over as it came.
 */
import { ExactDecimal, type Json } from '../domain/json.js'
import type { ColumnType } from '../domain/source-model.js'
import { jsonText, parseExact, stripUnstorable, stripUnstorableJson } from './json-text.js'

/** Why a value cannot be stored: a stable code for `backfill.held` and what the column wanted. */
export class Refusal {
  readonly code: 'invalid_value' | 'unstorable_text' | 'too_long'
  readonly expected: string
  constructor(code: Refusal['code'], expected: string) {
    this.code = code
    this.expected = expected
  }
}

/** A field's text as the column's type reads it, null for NULL, or why there is none. Never called with null. */
export type Encoder = (value: Exclude<Json, null>) => string | null | Refusal

export interface EncoderOptions {
  readonly unstorableText: 'hold' | 'strip'
  /** Longest text in characters, for `varchar(n)`. */
  readonly maxLength: number | null
  /** A string holds JSON that is parsed first. */
  readonly parsesJson: boolean
}

/** The encoder of a column type. */
export function makeEncoder(type: ColumnType, options: EncoderOptions): Encoder {
  const encode = encoderOf(type, options)
  if (!options.parsesJson) return encode
  return type === 'jsonb' ? jsonSource(options) : parsedFirst(encode)
}

function encoderOf(type: ColumnType, options: EncoderOptions): Encoder {
  switch (type) {
    case 'text':
      return text(options)
    case 'smallint':
      return integer(-32768n, 32767n)
    case 'integer':
      return integer(-2147483648n, 2147483647n)
    case 'bigint':
      return integer(-9223372036854775808n, 9223372036854775807n)
    case 'numeric':
      return numeric
    case 'real':
      return float(Math.fround)
    case 'double precision':
      return float(Number)
    case 'boolean':
      return boolean
    case 'date':
      return date
    case 'time':
      return time
    case 'timestamp':
      return timestamp
    case 'timestamptz':
      return timestamptz
    case 'uuid':
      return uuid
    case 'jsonb':
      return json(options)
  }
}

// Text ---------------------------------------------------------------------------------------------------------------

const suspect = /[\0\ud800-\udfff]/
const unstorable = new Refusal(
  'unstorable_text',
  'text without U+0000 and lone surrogates, which Postgres cannot store',
)

function text(options: EncoderOptions): Encoder {
  const { maxLength } = options
  const tooLong = new Refusal('too_long', `at most ${maxLength ?? 0} characters`)
  return (value) => {
    const plain = typeof value === 'string' ? value : textOf(value)
    if (maxLength !== null && plain.length > maxLength && characterCount(plain) > maxLength) return tooLong
    return suspect.test(plain) ? storableText(plain, options) : plain
  }
}

/** Characters as Postgres counts them: a pair of surrogates is one. */
function characterCount(plain: string): number {
  return plain.length - (plain.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0)
}

/** What is no string is stored as its JSON: nothing is lost, and a number keeps its digits. */
function textOf(value: Exclude<Json, null | string>): string {
  return typeof value === 'number' ? String(value) : jsonText(value)
}

function storableText(plain: string, options: EncoderOptions): string | Refusal {
  const storable = stripUnstorable(plain)
  return storable !== plain && options.unstorableText === 'hold' ? unstorable : storable
}

// Numbers ------------------------------------------------------------------------------------------------------------

function integer(least: bigint, most: bigint): Encoder {
  const refusal = new Refusal('invalid_value', `an integer from ${least} to ${most}`)
  const [low, high] = [Number(least), Number(most)]
  return (value) => {
    if (typeof value === 'number')
      return Number.isSafeInteger(value) && value >= low && value <= high ? String(value) : refusal
    const exact = typeof value === 'bigint' ? value : integerIn(value)
    return exact !== null && exact >= least && exact <= most ? exact.toString() : refusal
  }
}

function integerIn(value: Exclude<Json, null>): bigint | null {
  if (typeof value !== 'string' && !(value instanceof ExactDecimal)) return null
  const text = String(value)
  return /^[+-]?\d{1,40}$/.test(text) ? BigInt(text.replace('+', '')) : null
}

const decimalText = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/
const notNumeric = new Refusal('invalid_value', 'a number')
const notKept = new Refusal('invalid_value', 'a number of at most 131072 digits before its point and 16383 behind it')
/** Text up to this length has too few digits for the limits of the type, whatever its exponent. */
const surelyKept = 6_000

function numeric(value: Exclude<Json, null>): string | Refusal {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value !== 'string' && !(value instanceof ExactDecimal)) return notNumeric
  const text = String(value)
  if (!decimalText.test(text)) return notNumeric
  return text.length <= surelyKept || isKept(text) ? text : notKept
}

/** Postgres's own limits of a numeric. */
function isKept(text: string): boolean {
  const [digits = '', exponent = '0'] = text.replace(/^[+-]/, '').split(/[eE]/)
  const [whole = '', part = ''] = digits.split('.')
  return whole.length + Number(exponent) <= 131_072 && part.length - Number(exponent) <= 16_383
}

/** Postgres refuses what overflows or underflows the type; so does this, before a flush is bisected for it. */
function float(round: (value: number) => number): Encoder {
  const refusal = new Refusal('invalid_value', 'a number within the range of the type')
  return (value) => {
    const text = numeric(value)
    if (typeof text !== 'string') return refusal
    const rounded = round(Number(text))
    if (rounded === 0 && /[1-9]/.test(text.split(/[eE]/, 1)[0] ?? '')) return refusal
    return Number.isFinite(rounded) ? text : refusal
  }
}

const booleans: Readonly<Record<string, string>> = { true: 't', t: 't', 1: 't', false: 'f', f: 'f', 0: 'f' }
const notBoolean = new Refusal('invalid_value', 'true or false')

function boolean(value: Exclude<Json, null>): string | Refusal {
  if (value === true) return 't'
  if (value === false) return 'f'
  if (typeof value !== 'string' && typeof value !== 'number') return notBoolean
  return Object.hasOwn(booleans, value) ? (booleans[value] ?? notBoolean) : notBoolean
}

// Time ---------------------------------------------------------------------------------------------------------------

const dayText = String.raw`(?!0000)(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])`
const clockText = String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.]\d{1,9})?)?`
const zoneText = String.raw` ?(?:[Zz]|UTC|GMT|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)`
const instant = new RegExp(`^${dayText}(?:[Tt ](${clockText})(${zoneText})?)?$`)
/** Days that every month has: no calendar needed, and a test allocates nothing (half the time of the other). */
const safeInstant = new RegExp(
  `^(?!0000)\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\\d|2[0-8])(?:[Tt ]${clockText}(?:${zoneText})?)?$`,
)
const clock = new RegExp(`^${clockText}$`)
const midnight = /^00:00(?::00(?:[.]0+)?)?$/
const notInstant = new Refusal('invalid_value', 'a date and time as 2025-12-31T23:59:59Z')
const notText = new Refusal(
  'invalid_value',
  'a date and time as 2025-12-31T23:59:59Z; where a number is Unix time, "parse: seconds" or "parse: milliseconds" of the column says so',
)
const notDate = new Refusal('invalid_value', 'a date as 2025-12-31')
const notTime = new Refusal('invalid_value', 'a time as 23:59:59')

/** Text is handed over as it is, offset and all; a session in UTC reads what has none as UTC. */
function timestamptz(value: Exclude<Json, null>): string | Refusal {
  if (typeof value !== 'string') return typeof value === 'number' ? notText : notInstant
  return safeInstant.test(value) || readInstant(value) !== null ? value : notInstant
}

/** A column without zone drops an offset silently; so the instant is moved to UTC first. */
function timestamp(value: Exclude<Json, null>): string | Refusal {
  if (typeof value !== 'string') return typeof value === 'number' ? notText : notInstant
  const parts = readInstant(value)
  if (parts === null) return notInstant
  const offset = /([+-])(\d\d):?(\d\d)?$/.exec(parts[5] ?? '')
  if (offset === null) return value
  const minutes = Number(offset[2]) * 60 + Number(offset[3] ?? 0)
  return inUtc(value, offset[1] === '+' ? -minutes : minutes) ?? notInstant
}

/** Moves an instant by minutes and drops its offset; what stands after the seconds stays to the digit. null: it leaves the years from 1 to 9999. */
function inUtc(value: string, minutes: number): string | null {
  const [hour, minute] = [Number(value.slice(11, 13)), Number(value.slice(14, 16))]
  const moved = new Date(`${value.slice(0, 10)}T00:00:00Z`)
  moved.setUTCMinutes(hour * 60 + minute + minutes)
  const year = moved.getUTCFullYear()
  if (year < 1 || year > 9999) return null
  const seconds = /^:\d\d(?:[.]\d+)?/.exec(value.slice(16))?.[0] ?? ''
  return `${moved.toISOString().slice(0, 16)}${seconds}`
}

function date(value: Exclude<Json, null>): string | Refusal {
  if (typeof value !== 'string') return notDate
  const parts = readInstant(value)
  if (parts === null) return notDate
  // A time of day would be lost; midnight, in whatever zone the source means, is a date.
  return parts[4] === undefined || midnight.test(parts[4]) ? value.slice(0, 10) : notDate
}

function time(value: Exclude<Json, null>): string | Refusal {
  return typeof value === 'string' && clock.test(value) ? value : notTime
}

/** Parts of a date with or without time: year, month, day, clock, zone; null where it is none, or a day the calendar lacks. */
function readInstant(value: string): RegExpExecArray | null {
  const parts = instant.exec(value)
  if (parts === null) return null
  const day = Number(parts[3])
  return day > 28 && day > new Date(Date.UTC(Number(parts[1]), Number(parts[2]), 0)).getUTCDate() ? null : parts
}

// The rest -----------------------------------------------------------------------------------------------------------

const uuidText = /^[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const notUuid = new Refusal('invalid_value', 'a UUID')

function uuid(value: Exclude<Json, null>): string | Refusal {
  return typeof value === 'string' && uuidText.test(value) ? value.toLowerCase() : notUuid
}

function json(options: EncoderOptions): Encoder {
  return (value) => storableJson(jsonText(value), options)
}

/** The quick test has no false negatives: text of `JSON.stringify` holds these characters as escapes only. */
const suspectJson = /\\u(?:0000|[dD][89a-fA-F])/

function storableJson(text: string, options: EncoderOptions): string | Refusal {
  // Whatever needs a second look has a backslash; most JSON has none.
  if (!text.includes('\\') || !suspectJson.test(text)) return text
  const storable = stripUnstorableJson(text)
  return storable !== text && options.unstorableText === 'hold' ? unstorable : storable
}

const rawOnly = /[\0\t\n\r\\\ud800-\udfff]/
const notJson = new Refusal('invalid_value', 'text that holds JSON')

/** JSON inside a string goes to jsonb as its own text, so that no digit passes through a double. */
function jsonSource(options: EncoderOptions): Encoder {
  const whole = json(options)
  return (value) => {
    if (typeof value !== 'string') return whole(value)
    const parsed = tryParse(value)
    if (parsed === undefined) return notJson
    // Characters that only raw text can hold (white space, lone surrogates) call for the canonical text.
    return storableJson(rawOnly.test(value) ? jsonText(parsed) : value, options)
  }
}

function parsedFirst(encode: Encoder): Encoder {
  return (value) => {
    if (typeof value !== 'string') return encode(value)
    const parsed = tryParse(value)
    if (parsed === undefined) return notJson
    return parsed === null ? null : encode(parsed)
  }
}

function tryParse(text: string): Json | undefined {
  try {
    return parseExact(text)
  } catch {
    return undefined
  }
}
