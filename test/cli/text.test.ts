// Numbers, durations and lines as people read them.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderColumns } from '../../src/cli/columns.js'
import { inkFor } from '../../src/cli/ink.js'
import { renderTable } from '../../src/cli/table.js'
import { clean, count, duration, percent, shorten, shortenMiddle, width, wrap } from '../../src/cli/text.js'
import { redactor } from '../../src/log/redact.js'

describe('text', () => {
  test('counts, durations and shares', () => {
    expect([0, 999, 1000, 1_204_332].map(count)).toEqual(['0', '999', '1,000', '1,204,332'])
    expect([0, 840, 2100, 9960, 42_000, 59_700, 240_000, 7_500_000, 3_599_999, 266_400_000].map(duration)).toEqual([
      '0 ms',
      '840 ms',
      '2.1 s',
      '10 s',
      '42 s',
      '1 min',
      '4 min',
      '2 h 05 min',
      '1 h',
      '3 d 2 h',
    ])
    expect([0, 0.0004, 0.5, 0.9999, 1].map(percent)).toEqual(['0.0 %', '0.0 %', '50 %', '99.9 %', '100 %'])
  })

  test('control characters of a source never reach the terminal', () => {
    expect(clean('a\u001b[2Jb\r\nc\u0007')).toBe('a [2Jb c')
  })

  test('no line that was cut or wrapped is wider than it may be, and wrapping loses no word', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '日', 'é', '…', '-'), maxLength: 300 })
    fc.assert(
      fc.property(text, fc.integer({ min: 10, max: 80 }), (given, columns) => {
        expect(width(shorten(given, columns))).toBeLessThanOrEqual(columns)
        expect(width(shortenMiddle(given, columns))).toBeLessThanOrEqual(columns)
        expect(wrap(given, columns).join('').replaceAll(' ', '')).toBe(given.replaceAll(' ', ''))
      }),
    )
  })

  test('both tables lay out the same, and keep to the width', () => {
    const shape = {
      head: ['NAME', 'N'],
      rows: [
        ['a rather long name of a thing', '1'],
        ['日本語', '1,000'],
      ],
      right: [1],
      columns: 20,
    }
    expect(renderColumns(shape)).toEqual(['NAME               N', 'a rather lon…      1', '日本語         1,000'])
    expect(renderTable(shape)).toEqual(renderColumns(shape))
  })

  test('names that are longer than the screen give way with what is beside them, and keep their ends', () => {
    const shape = {
      head: ['STREAM', 'PARTITION', 'ROWS'],
      rows: [['municipal_archive_of_the_county.meeting_pages', 'alameda-county-board-of-supervisors.ca', '1,000']],
      right: [2],
      flexible: 1,
      middle: [0],
      columns: 50,
    }
    expect(renderColumns(shape)).toEqual([
      'STREAM                         PARTITION      ROWS',
      'municipal_arch….meeting_pages  alameda-cou…  1,000',
    ])
    expect(renderTable(shape)).toEqual(renderColumns(shape))
  })

  test('NO_COLOR, TERM=dumb and a missing terminal mean no colours', () => {
    expect(inkFor({ isTTY: true }, {}).red('x')).not.toBe('x')
    for (const [screen, environment] of [
      [{ isTTY: true }, { NO_COLOR: '1' }],
      [{ isTTY: true }, { TERM: 'dumb' }],
      [{}, {}],
    ] as const) {
      expect(inkFor(screen, environment).red('x')).toBe('x')
    }
  })
})

describe('redactor', () => {
  const redact = redactor({
    ACME_TOKEN: 'tok-12345678',
    DATABASE_URL: 'postgres://me:p%40ssword@db/x',
    PATH: '/usr/bin',
    SHORT_TOKEN: 'ab',
  })

  test('takes out values of secret names, whole and in part, and leaves the rest', () => {
    expect(redact('GET /x?t=tok-12345678')).toBe('GET /x?t=***')
    expect(redact('connect to postgres://me:p%40ssword@db/x')).not.toMatch(/ssword/)
    expect(redact('password p@ssword was wrong')).not.toContain('p@ssword')
    expect(redact('in /usr/bin about ab')).toBe('in /usr/bin about ab')
  })

  test('takes out credentials that no variable holds', () => {
    expect(redact('https://user:hunter22@api.example/x')).toBe('https://user:***@api.example/x')
    expect(redact('Authorization: Bearer abcdefgh.ijk')).toBe('Authorization: Bearer ***')
    expect(redact('/a?access_token=zzz&page=2')).toBe('/a?access_token=***&page=2')
  })
})
