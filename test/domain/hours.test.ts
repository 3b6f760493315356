/** Hours of the day and resets of quotas in their zones: over midnight, over summer time, over the end of a month. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isWithinHours, nextOpening, readHours } from '../../src/domain/hours.js'
import { quotaName, quotaPeriod } from '../../src/domain/quota.js'
import type { HourRange, Quota } from '../../src/domain/source-model.js'
import { instantOf, isZone, wallTimeOf } from '../../src/domain/zoned-time.js'

const at = (text: string): number => Date.parse(text)
const iso = (ms: number): string => new Date(ms).toISOString()
const hours = (...texts: string[]): HourRange[] =>
  texts.map((text) => {
    const range = readHours(text)
    if (range === null) throw new Error(text)
    return range
  })

describe('hours of the day', () => {
  it('are read as people write them', () => {
    expect(hours('22:00-06:00', '6:30 - 24:00')).toEqual([
      { from: 1320, to: 360 },
      { from: 390, to: 0 },
    ])
    for (const text of ['22-6', '25:00-06:00', '22:00', '22:00-06:00-07:00', '22:60-06:00', ''])
      expect(readHours(text), text).toBeNull()
  })

  it('hold over midnight, in the zone', () => {
    const night = hours('22:00-06:00')
    const open = (text: string): boolean => isWithinHours(night, at(text), 'Europe/Berlin')
    expect(open('2024-01-15T20:59:59Z')).toBe(false)
    expect(open('2024-01-15T21:00:00Z')).toBe(true)
    expect(open('2024-01-16T04:59:59Z')).toBe(true)
    expect(open('2024-01-16T05:00:00Z')).toBe(false)
    expect(isWithinHours(undefined, 0, 'UTC')).toBe(true)
    expect(isWithinHours(hours('00:00-00:00'), at('2024-01-15T12:00:00Z'), 'UTC')).toBe(true)
  })

  it('say when they begin next, the first of several', () => {
    const some = hours('22:00-06:00', '12:00-12:30')
    const next = (text: string): string => iso(nextOpening(some, at(text), 'Europe/Berlin'))
    expect(next('2024-01-15T09:00:00Z')).toBe('2024-01-15T11:00:00.000Z')
    expect(next('2024-01-15T11:30:00Z')).toBe('2024-01-15T21:00:00.000Z')
    expect(next('2024-01-15T22:00:00Z')).toBe('2024-01-15T22:00:00.000Z')
  })

  it('follow summer time: a beginning that is left out comes with the jump, or the day after', () => {
    // In Berlin 02:00 to 03:00 is left out on 2024-03-31 and comes twice on 2024-10-27.
    expect(iso(nextOpening(hours('02:30-06:00'), at('2024-03-31T00:00:00Z'), 'Europe/Berlin'))).toBe(
      '2024-03-31T01:00:00.000Z',
    )
    expect(iso(nextOpening(hours('02:15-02:45'), at('2024-03-31T00:00:00Z'), 'Europe/Berlin'))).toBe(
      '2024-04-01T00:15:00.000Z',
    )
    expect(iso(nextOpening(hours('02:30-06:00'), at('2024-10-27T00:00:00Z'), 'Europe/Berlin'))).toBe(
      '2024-10-27T00:30:00.000Z',
    )
    expect(iso(nextOpening(hours('22:00-06:00'), at('2024-10-26T12:00:00Z'), 'Europe/Berlin'))).toBe(
      '2024-10-26T20:00:00.000Z',
    )
  })

  it('are open at the moment they name, and closed just before it', () => {
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu')
    const minute = fc.integer({ min: 0, max: 1439 })
    const range = fc.record({ from: minute, to: minute })
    const moment = fc.integer({ min: at('2024-01-01T00:00:00Z'), max: at('2025-01-01T00:00:00Z') })
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 3 }), moment, zone, (some, now, where) => {
        const next = nextOpening(some, now, where)
        expect(isWithinHours(some, next, where)).toBe(true)
        expect(next - now).toBeLessThanOrEqual(49 * 3_600_000)
        if (isWithinHours(some, now, where)) expect(next).toBe(now)
        else expect(isWithinHours(some, next - 1, where)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a time in a zone', () => {
  it('is found again', () => {
    const moment = fc.integer({ min: at('2024-01-01T00:00:00Z'), max: at('2026-01-01T00:00:00Z') })
    const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Apia')
    fc.assert(
      fc.property(moment, zone, (now, where) => {
        const found = instantOf(wallTimeOf(now, where), where)
        expect(wallTimeOf(found, where)).toEqual(wallTimeOf(now, where))
        // The hour that comes twice is found the first time.
        expect([0, 3_600_000]).toContain(Math.floor(now / 60_000) * 60_000 - found)
      }),
    )
    expect(isZone('Mars/Olympus')).toBe(false)
  })
})

describe('the period of a quota', () => {
  const daily: Quota = { requests: 7500, per: 'day', resetMinute: 0, zone: 'America/Los_Angeles' }
  const monthly: Quota = { requests: 100, per: 'month', resetMinute: 540, zone: 'Europe/Berlin' }
  const period = (quota: Quota, text: string): string[] => {
    const { startsAt, endsAt } = quotaPeriod(quota, at(text))
    return [iso(startsAt), iso(endsAt)]
  }

  it('goes from reset to reset in its zone', () => {
    expect(period(daily, '2024-01-15T07:59:59.999Z')).toEqual(['2024-01-14T08:00:00.000Z', '2024-01-15T08:00:00.000Z'])
    expect(period(daily, '2024-01-15T08:00:00Z')).toEqual(['2024-01-15T08:00:00.000Z', '2024-01-16T08:00:00.000Z'])
    // A day of 23 hours.
    expect(period(daily, '2024-03-10T20:00:00Z')).toEqual(['2024-03-10T08:00:00.000Z', '2024-03-11T07:00:00.000Z'])
    expect(period(monthly, '2024-03-01T07:00:00Z')).toEqual(['2024-02-01T08:00:00.000Z', '2024-03-01T08:00:00.000Z'])
    expect(period(monthly, '2024-12-31T23:30:00Z')).toEqual(['2024-12-01T08:00:00.000Z', '2025-01-01T08:00:00.000Z'])
  })

  it('has a name by which it is kept', () => {
    expect(quotaName(monthly)).toBe('month 540 Europe/Berlin')
  })
})
