/** What headers say of limits, in the spellings that services use; what they do not say is not made up. */
import { describe, expect, it } from 'vitest'
import { readLimitHeaders } from '../../src/source/limit-headers.js'

const now = Date.parse('2024-01-15T12:00:00Z')
const rules = [{ periodMs: 3_600_000, limit: 'x-limit', remaining: 'x-remaining', reset: 'x-reset' }]
const read = (headers: Record<string, string>) => readLimitHeaders(headers, rules, now)

describe('headers of limits', () => {
  it('are read as numbers, with a reset in seconds, Unix seconds or Unix ms', () => {
    const told = { periodMs: 3_600_000, limit: 1200, remaining: 7 }
    const amounts = { 'x-limit': '1200', 'x-remaining': '7' }
    expect(read({ ...amounts, 'x-reset': '90' })).toEqual([{ ...told, resetMs: 90_000 }])
    expect(read({ ...amounts, 'x-reset': '1.5' })).toEqual([{ ...told, resetMs: 1_500 }])
    expect(read({ ...amounts, 'x-reset': String(now / 1000 + 60) })).toEqual([{ ...told, resetMs: 60_000 }])
    expect(read({ ...amounts, 'x-reset': String(now + 5) })).toEqual([{ ...told, resetMs: 5 }])
    expect(read({ ...amounts, 'x-reset': String(now / 1000 - 60) })).toEqual([{ ...told, resetMs: 0 }])
    expect(read(amounts)).toEqual([{ ...told, resetMs: null }])
  })

  it('count a time of day from their own clock', () => {
    const date = 'Mon, 15 Jan 2024 13:00:00 GMT'
    const reset = String(Date.parse(date) / 1000 + 30)
    expect(read({ 'x-remaining': '0', 'x-reset': reset, date })).toMatchObject([{ resetMs: 30_000 }])
  })

  it('may say a part, and are left out where they say nothing that can be read', () => {
    expect(read({ 'x-remaining': '3' })).toMatchObject([{ limit: null, remaining: 3 }])
    expect(read({ 'x-limit': '100, 100;window=60' })).toMatchObject([{ limit: 100, remaining: null }])
    expect(read({ 'x-limit': '0', 'x-remaining': '0' })).toMatchObject([{ limit: null, remaining: 0 }])
    for (const text of ['', 'many', '-5', '12 per hour', '1e9'])
      expect(read({ 'x-limit': text, 'x-remaining': text }), text).toEqual([])
    expect(readLimitHeaders({ 'x-limit': '5' }, [], now)).toEqual([])
  })

  it('close no window for years', () => {
    expect(read({ 'x-remaining': '0', 'x-reset': '999999999' })[0]?.resetMs).toBe(32 * 86_400_000)
  })
})
