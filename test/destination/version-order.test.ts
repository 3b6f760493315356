import { describe, expect, it } from 'vitest'
import { isLater, isNewer } from '../../src/destination/version-order.js'

describe('of two versions', () => {
  it.each([
    ['10', '9', true],
    ['9', '10', false],
    ['9007199254740993', '9007199254740992', true],
    ['1.5', '1.25', true],
    ['2024-02-01', '2024-01-31', true],
    ['2024-01-01T12:00:00+02:00', '2024-01-01T11:00:00Z', false],
    ['2024-01-01T12:00:00.000002Z', '2024-01-01T12:00:00.000001Z', true],
    ['2024-01-01T12:00:00+02:00', '2024-01-01T10:00:00Z', false],
    ['b', 'a', true],
    ['a', null, true],
    [null, 'a', false],
    [null, null, false],
    ['5', '5', false],
  ])('%s is newer than %s: %s', (version, than, expected) => {
    expect(isNewer(version, than)).toBe(expected)
  })

  it('the later row counts where they say nothing', () => {
    expect(isLater({ version: '1', row: 1 }, { version: '1', row: 2 })).toBe(false)
    expect(isLater({ version: '1', row: 2 }, { version: '1', row: 1 })).toBe(true)
    expect(isLater({ version: '2', row: 1 }, { version: '1', row: 2 })).toBe(true)
    expect(isLater({ version: null, row: 2 }, { version: '1', row: 1 })).toBe(false)
  })
})
