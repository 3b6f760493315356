// Owns how people write amounts: durations, sizes, request limits, shares. Knows nothing of definitions and loads nothing, because a warm start
// reads the environment with it.
import { readTimeOfDay } from '../domain/hours.js'
import type { Limit, Quota } from '../domain/source-model.js'
import { isZone } from '../domain/zoned-time.js'

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: 1000,
  sec: 1000,
  second: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  w: 604_800_000,
  week: 604_800_000,
}
const unitBytes: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1_000_000,
  gb: 1_000_000_000,
  kib: 1024,
  mib: 1_048_576,
  gib: 1_073_741_824,
}

/** `500ms`, `2s`, `5m`, `1 day`, `7d`, in ms. A bare number has no unit and gives null, but for 0. */
export function readDuration(text: string): number | null {
  if (/^\s*0\s*$/.test(text)) return 0
  const { amount, unit } = split(text)
  const factor = unitMs[unit] ?? unitMs[unit.replace(/s$/, '')]
  return amount === null || factor === undefined || unit === '' ? null : Math.round(amount * factor)
}

/** `8MiB`, `64 kB`, `1000` (bytes), in bytes. */
export function readSize(text: string): number | null {
  const { amount, unit } = split(text)
  const factor = unit === '' ? 1 : unitBytes[unit]
  return amount === null || factor === undefined ? null : Math.round(amount * factor)
}

/** `2/s`, `1200/hour`, `15 per minute`, `7500/day`, `3/10s`. */
export function readLimit(text: string): Limit | null {
  const parts = /^\s*(\d+)\s*(?:\/|per\b)\s*(\d*)\s*([a-z]+)\s*$/i.exec(text)
  if (parts === null) return null
  const [, requests = '', periods = '', unit = ''] = parts
  const periodMs = readDuration(`${periods === '' ? '1' : periods} ${unit}`)
  if (periodMs === null || periodMs === 0 || Number(requests) < 1) return null
  return { requests: Number(requests), periodMs }
}

/** `7500/day reset 00:00 UTC`, `100000 per month reset 00:00 Europe/Berlin`: so many until that moment of each day, or of each month's first day. */
export function readQuota(text: string): Quota | null {
  const parts = /^\s*(\d+)\s*(?:\/|per\b)\s*(day|d|month)\s+resets?\s+(.+)$/i.exec(text)
  if (parts === null) return null
  const [, requests = '', unit = '', resets = ''] = parts
  const reset = readReset(resets)
  if (reset === null || Number(requests) < 1) return null
  return { requests: Number(requests), per: unit.toLowerCase() === 'month' ? 'month' : 'day', ...reset }
}

/** `00:00 UTC`, `09:30 America/New_York`; UTC where no zone is named. */
export function readReset(text: string): Pick<Quota, 'resetMinute' | 'zone'> | null {
  const [time = '', zone = 'UTC', ...rest] = text.trim().split(/\s+/)
  const resetMinute = readTimeOfDay(time)
  return resetMinute === null || rest.length > 0 || !isZone(zone) ? null : { resetMinute, zone }
}

/** A window by its period: `second`, `hour`, `30s`; in ms. */
export function readPeriod(text: string): number | null {
  const periodMs = readDuration(/^[a-z]+$/i.test(text) ? `1 ${text}` : text)
  return periodMs === 0 ? null : periodMs
}

/** `5%` or `0.05`: a share of 1. null beyond 0 to 1. */
export function readShare(text: string): number | null {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*(%?)\s*$/.exec(text)
  if (parts === null) return null
  const share = Number(parts[1]) / (parts[2] === '%' ? 100 : 1)
  return share <= 1 ? share : null
}

/** `10000`, `10,000` or `10_000`; null for anything else. */
export function readCount(text: string): number | null {
  const digits = text.trim().replaceAll(/(?<=\d)[,_](?=\d{3})/g, '')
  const count = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
  return Number.isSafeInteger(count) ? count : null
}

/** A duration as people read it: the largest unit that divides it. */
export function writeDuration(ms: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ]
  const unit = ms === 0 ? undefined : units.find(([, factor]) => ms % factor === 0)
  return unit === undefined ? `${ms}ms` : `${ms / unit[1]}${unit[0]}`
}

/** A size as people read it: the largest unit that divides it. */
export function writeSize(bytes: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['GiB', 1_073_741_824],
    ['MiB', 1_048_576],
    ['KiB', 1024],
  ]
  const unit = bytes === 0 ? undefined : units.find(([, factor]) => bytes % factor === 0)
  return unit === undefined ? `${bytes}B` : `${bytes / unit[1]}${unit[0]}`
}

function split(text: string): { readonly amount: number | null; readonly unit: string } {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text)
  return { amount: parts === null ? null : Number(parts[1]), unit: (parts?.[2] ?? '').toLowerCase() }
}
