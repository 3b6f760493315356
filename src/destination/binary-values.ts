/**
 * Owns the binary form of the values that Postgres keeps as something else than their text: times as microseconds, decimals in base 10,000, UUIDs. Takes text
 * that an encoder has passed, never anything else. Forms: `timestamp_recv`, `date_recv`, `time_recv`, `numeric_recv`, `uuid_recv` of the server's sources.
 */
import type { RowBuffer } from './row-buffer.js'

// Time ---------------------------------------------------------------------------------------------------------------

const microsADay = 86_400_000_000
/** 2000-01-01 in days since 1970-01-01, from which Postgres counts. */
const epochDays = 10_957

/** A date, behind its length: days since 2000-01-01. */
export function writeDate(text: string, out: RowBuffer): void {
  out.int32(4)
  out.int32(daysOf(text))
}

/** Days since 2000-01-01 of text that begins with a date as 2025-12-31. */
function daysOf(text: string): number {
  const month = twoDigits(text, 5)
  // A year that begins with March, so that the day that comes and goes is its last (proleptic Gregorian calendar).
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2) - (month <= 2 ? 1 : 0)
  const era = Math.floor(year / 400)
  const yearOfEra = year - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + twoDigits(text, 8) - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468 - epochDays
}

/** Microseconds of a clock as 23:59, 23:59:59 or 23:59:59.123456, behind their length. */
export function writeClock(text: string, out: RowBuffer): void {
  out.int32(8)
  out.int64(clockAt(text, 0))
}

/** A date with or without a clock as it stands: an offset does not count. */
export function writeLocalInstant(text: string, out: RowBuffer): void {
  writeMicros(daysOf(text), text.length > 10 ? clockAt(text, 11) : 0, out)
}

/** A date with or without a clock, in UTC; text without an offset is UTC. */
export function writeInstant(text: string, out: RowBuffer): void {
  const micros = text.length > 10 ? clockAt(text, 11) - offsetMinutes(text) * 60_000_000 : 0
  writeMicros(daysOf(text), micros, out)
}

/** Microseconds since 2000-01-01, behind their length. Before 1715 and after 2285 they are more than a double counts. */
function writeMicros(days: number, micros: number, out: RowBuffer): void {
  const all = days * microsADay + micros
  out.int32(8)
  if (Number.isSafeInteger(all)) out.int64(all)
  else out.bigint64(BigInt(days) * BigInt(microsADay) + BigInt(micros))
}

function clockAt(text: string, at: number): number {
  const minutes = twoDigits(text, at) * 60 + twoDigits(text, at + 3)
  if (text.charCodeAt(at + 5) !== colon) return minutes * 60_000_000
  const seconds = minutes * 60 + twoDigits(text, at + 6)
  return seconds * 1_000_000 + (text.charCodeAt(at + 8) === dot ? fractionAt(text, at + 9) : 0)
}

/** Microseconds of the digits behind the point; from the seventh on rounded as Postgres does, half to even. */
function fractionAt(text: string, start: number): number {
  let micros = 0
  let at = start
  for (let code = text.charCodeAt(at); code >= zero && code <= nine; code = text.charCodeAt(at)) {
    if (at - start < 6) micros = micros * 10 + code - zero
    at += 1
  }
  const digits = at - start
  if (digits > 6) return roundHalfEven(Number(`0.${text.slice(start, at)}`) * 1_000_000)
  return micros * (tens[6 - digits] ?? 1)
}

const tens = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
const [zero, nine, colon, dot, plus, minus] = [48, 57, 58, 46, 43, 45]

function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

/** Of the text's end: `Z`, `UTC`, `+08`, `+08:00`, `-0130`. */
function offsetMinutes(text: string): number {
  if (text.length < 13) return 0
  // Behind the shortest clock; the date's own dashes stand before it.
  for (let at = text.length - 3; at >= text.length - 6 && at >= 16; at -= 1) {
    const code = text.charCodeAt(at)
    if (code !== plus && code !== minus) continue
    const rest = text.length - at
    const minutes = rest > 3 ? twoDigits(text, text.length - 2) : 0
    const offset = twoDigits(text, at + 1) * 60 + minutes
    return code === plus ? offset : -offset
  }
  return 0
}

function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - zero) * 10 + text.charCodeAt(at + 1) - zero
}

// Decimals -----------------------------------------------------------------------------------------------------------

const decimal = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/

/** A decimal behind its length: number of digits in base 10,000, place of the first, sign, decimals to show, digits. */
export function writeNumeric(text: string, out: RowBuffer): void {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = decimal.exec(text) ?? []
  const scale = fraction.length - Number(exponent)
  // All digits, with zeros to the point where the exponent leaves a gap.
  const all = `${whole}${fraction}${scale < 0 ? '0'.repeat(-scale) : ''}`
  const shown = Math.max(0, scale)
  const before = all.length - shown
  const left = before > 0 ? '0'.repeat((4 - (before % 4)) % 4) : '0'.repeat(-before)
  const padded = `${left}${all}`
  const wholeGroups = before > 0 ? (before + left.length) / 4 : 0
  const groups: number[] = []
  for (let at = 0; at < padded.length; at += 4) groups.push(Number(padded.slice(at, at + 4).padEnd(4, '0')))
  const first = groups.findIndex((group) => group !== 0)
  const digits = first < 0 ? [] : groups.slice(first, groups.findLastIndex((group) => group !== 0) + 1)
  out.int32(8 + 2 * digits.length)
  out.int16(digits.length)
  out.int16(digits.length === 0 ? 0 : wholeGroups - 1 - first)
  out.int16(sign === '-' && digits.length > 0 ? 0x4000 : 0)
  out.int16(shown)
  for (const digit of digits) out.int16(digit)
}

// The rest -----------------------------------------------------------------------------------------------------------

/** The sixteen bytes behind their length, of text with or without hyphens. */
export function writeUuid(text: string, out: RowBuffer): void {
  const hex = text.replaceAll('-', '')
  out.int32(16)
  for (let at = 0; at < 32; at += 8) out.int32(Number.parseInt(hex.slice(at, at + 8), 16))
}
