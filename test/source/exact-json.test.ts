import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasEightDigits, parseExactJson } from '../../src/source/exact-json.js'

describe('hasEightDigits', () => {
  it('says what the regular expression says, wherever the digits stand', () => {
    const piece = fc.oneof(fc.stringMatching(/^\d{0,12}$/), fc.stringMatching(/^[a-z:." -]{0,9}$/))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        expect(hasEightDigits(text)).toBe(/\d{8}/.test(text))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('parseExactJson', () => {
  it('keeps every integer, at every place in the text', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
        fc.stringMatching(/^[a-z0-9]{0,20}$/),
        (value, before) => {
          const parsed = parseExactJson(`{"before":"${before}","value":${value}}`) as { value: number | bigint }
          expect(BigInt(parsed.value)).toBe(value)
        },
      ),
    )
  })
})
