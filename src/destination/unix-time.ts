// Owns Unix time as sources send it: a number (or its text) of seconds or milliseconds as the text of an instant, to the digit. Pure.
import { ExactDecimal, type Json } from '../domain/json.js'
import type { Column } from '../domain/source-model.js'
import { type Encoder, Refusal } from './encoders.js'

const refusals = {
  seconds: new Refusal('invalid_value', 'Unix time in seconds, like 1767225599'),
  milliseconds: new Refusal('invalid_value', 'Unix time in milliseconds, like 1767225599000'),
}

/** An encoder of times, for values that are Unix time. */
export function unixFirst(unit: NonNullable<Column['unixTime']>, encode: Encoder): Encoder {
  return (value) => {
    const text = instantOf(value, unit)
    return text === null ? refusals[unit] : encode(text)
  }
}

/** Digits of a second that the encoders read; Postgres keeps six. */
const mostDigits = 9

function instantOf(value: Exclude<Json, null>, unit: 'seconds' | 'milliseconds'): string | null {
  const isNumber = typeof value === 'number' || typeof value === 'bigint' || value instanceof ExactDecimal
  const parts = isNumber || typeof value === 'string' ? /^(-?)(\d{1,15})(?:\.(\d+))?$/.exec(String(value)) : null
  if (parts === null) return null
  const [, sign, whole = '', fraction = ''] = parts
  const digits = unit === 'seconds' ? whole : whole.padStart(4, '0')
  const cut = unit === 'seconds' ? digits.length : digits.length - 3
  const rest = `${digits.slice(cut)}${fraction}`.slice(0, mostDigits).replace(/0+$/, '')
  const seconds = Number(digits.slice(0, cut))
  // Before 1970 the digits of a second still count forward.
  const at = sign === '' ? seconds : -seconds - (rest === '' ? 0 : 1)
  const part = sign === '' || rest === '' ? rest : complement(rest)
  const instant = new Date(at * 1000)
  if (Number.isNaN(instant.getTime()) || instant.getUTCFullYear() > 9999 || instant.getUTCFullYear() < 1) return null
  return `${instant.toISOString().slice(0, 19)}${part === '' ? '' : `.${part}`}Z`
}

function complement(digits: string): string {
  return String(10n ** BigInt(digits.length) - BigInt(digits)).padStart(digits.length, '0')
}
