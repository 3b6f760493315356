import { afterEach, describe, expect, it } from 'vitest'
import { isTimezone, systemTimezone } from '../../src/workspace/timezone.js'

const before = process.env.TZ
afterEach(() => {
  if (before === undefined) delete process.env.TZ
  else process.env.TZ = before
})

describe("the system's zone", () => {
  it.each(['Europe/Berlin', 'America/Indiana/Knox', 'UTC', 'CET-1CEST', ':Asia/Tokyo'])(
    'under TZ=%s is what Node takes it for',
    (zone) => {
      process.env.TZ = zone
      const asked = new Intl.DateTimeFormat().resolvedOptions().timeZone
      expect(systemTimezone()).toBe(isTimezone(asked) ? asked : 'UTC')
    },
  )

  it('is always one that exists', () => {
    for (const zone of ['', 'nonsense', undefined]) {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
      expect(isTimezone(systemTimezone())).toBe(true)
    }
  })
})
