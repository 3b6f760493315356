import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readExtract, readPath } from '../../src/definition/path.js'
import {
  readCount,
  readDuration,
  readLimit,
  readShare,
  readSize,
  writeDuration,
  writeSize,
} from '../../src/definition/quantity.js'

describe('amounts', () => {
  it('are read with their units', () => {
    expect(['500ms', '2s', '5m', '4h', '1 day', '7d', '2 weeks', '0', '1.5h'].map(readDuration)).toEqual([
      500, 2000, 300_000, 14_400_000, 86_400_000, 604_800_000, 1_209_600_000, 0, 5_400_000,
    ])
    expect(['8MiB', '64 kB', '1000', '1GB'].map(readSize)).toEqual([8_388_608, 64_000, 1000, 1_000_000_000])
    expect(['2/s', '1200/hour', '15 per minute', '7500/day', '3/10s'].map(readLimit)).toEqual([
      { requests: 2, periodMs: 1000 },
      { requests: 1200, periodMs: 3_600_000 },
      { requests: 15, periodMs: 60_000 },
      { requests: 7500, periodMs: 86_400_000 },
      { requests: 3, periodMs: 10_000 },
    ])
    expect(['5%', '0.05', '100%', '0'].map(readShare)).toEqual([0.05, 0.05, 1, 0])
    expect(['10000', '10,000', '10_000'].map(readCount)).toEqual([10_000, 10_000, 10_000])
  })

  it('without a unit, with another one, or beyond their bounds are none', () => {
    expect(['5', '', '5 apples', '-1s', '1s2'].map(readDuration)).toEqual([null, null, null, null, null])
    expect(['8 apples', '', '-1'].map(readSize)).toEqual([null, null, null])
    expect(['0/s', '2', '2/fortnight', '2/0s', '/s'].map(readLimit)).toEqual([null, null, null, null, null])
    expect(['101%', '1.5', 'x'].map(readShare)).toEqual([null, null, null])
    expect(['1,00', '1.5', '', '99999999999999999999'].map(readCount)).toEqual([null, null, null, null])
  })

  it('written are read back as the same', () => {
    fc.assert(fc.property(fc.nat(), (ms) => readDuration(writeDuration(ms)) === ms))
    fc.assert(fc.property(fc.nat(), (bytes) => readSize(writeSize(bytes)) === bytes))
  })
})

describe('a place in an answer', () => {
  it('is a path of keys and positions', () => {
    expect(['$', 'address.city', 'tags[0]', 'staff?', '$.a', '[0].n', 'a[1][2].b'].map(readPath)).toEqual([
      [],
      ['address', 'city'],
      ['tags', 0],
      ['staff?'],
      ['a'],
      [0, 'n'],
      ['a', 1, 2, 'b'],
    ])
  })

  it('is nothing where a step is missing or a bracket is open', () => {
    for (const text of ['', 'a..b', '.a', 'a.', 'a[', 'a[x]', 'a]b', 'a[0]b', '$$']) {
      expect([text, text === '$$' ? null : readPath(text)]).toEqual([text, null])
    }
  })

  it('comes back from any keys without dots and brackets', () => {
    const key = fc.string({ minLength: 1 }).filter((text) => !/[.[\]]/.test(text) && !text.startsWith('$'))
    const path = fc.array(fc.oneof(key, fc.nat(99)), { minLength: 1 })
    fc.assert(
      fc.property(path, (steps) => {
        const text = steps
          .map((step, at) => (typeof step === 'number' ? `[${step}]` : (at === 0 ? '' : '.') + step))
          .join('')
        expect(readPath(text)).toEqual(steps)
      }),
    )
  })

  it('may be a header, whose name has no case', () => {
    expect(readExtract('header X-Total')).toEqual({ header: 'x-total' })
    expect(readExtract('header')).toEqual({ path: ['header'] })
    expect(readExtract('meta.total')).toEqual({ path: ['meta', 'total'] })
  })
})
