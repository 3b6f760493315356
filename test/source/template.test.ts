import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dateValues, formatDate } from '../../src/domain/dates.js'
import { ConfigError } from '../../src/domain/errors.js'
import type { DateDimension } from '../../src/domain/source-model.js'
import { expandTemplate, templateVariables } from '../../src/domain/template.js'

const dates = (step: DateDimension['step'], from: string, to: string): DateDimension => ({
  kind: 'dates',
  from,
  to,
  step,
})

describe('dates', () => {
  it.each([
    ['day', '2024-02-28', '2024-03-01', ['2024-02-28', '2024-02-29', '2024-03-01']],
    ['week', '2024-01-03', '2024-01-15', ['2024-01-01', '2024-01-08', '2024-01-15']],
    ['month', '2023-11-15', '2024-01-31', ['2023-11', '2023-12', '2024-01']],
    ['year', '2022-06-01', '2024-01-01', ['2022', '2023', '2024']],
    ['day', '2024-02-01', '2024-01-01', []],
  ] as const)('by %s from %s to %s', (...[step, from, to, expected]) => {
    expect(dateValues(dates(step, from, to), '2030-01-01')).toEqual(expected)
    expect(dateValues(dates(step, from, to), '2030-01-01', 'newest')).toEqual([...expected].reverse())
  })

  it('end today or yesterday', () => {
    expect(dateValues(dates('day', '2024-03-01', 'today'), '2024-03-02')).toEqual(['2024-03-01', '2024-03-02'])
    expect(dateValues(dates('day', '2024-02-28', 'yesterday'), '2024-03-01')).toEqual(['2024-02-28', '2024-02-29'])
  })

  it('are written as a request wants them', () => {
    expect(formatDate('2024-01-02', 'day', { part: 'start', format: 'M/D/YYYY' })).toBe('1/2/2024')
    expect(formatDate('2024-01-02', 'day', { part: 'start', format: 'DD-MMM-YY [DD]' })).toBe('02-Jan-24 DD')
    expect(formatDate('2024-02', 'month', { part: 'start', format: null })).toBe('2024-02')
    expect(formatDate('2024-02', 'month', { part: 'end', format: null })).toBe('2024-02-29')
    expect(formatDate('2023-12', 'month', { part: 'next', format: 'YYYYMMDD' })).toBe('20240101')
    expect(formatDate('2024', 'year', { part: 'end', format: 'D.M.' })).toBe('31.12.')
    expect(formatDate('2024-01-01', 'week', { part: 'end', format: null })).toBe('2024-01-07')
  })

  it.each([
    ['day', '2024-02-30'],
    ['day', '2024-2-3'],
    ['week', '2024-01-02'],
    ['month', '2024-13'],
    ['year', '24'],
  ] as const)('that are no %s are refused: %s', (step, value) => {
    expect(() => formatDate(value, step, { part: 'start', format: null })).toThrow(ConfigError)
  })

  it('tile their range: each step begins where the one before it ends', () => {
    const day = fc.date({ min: new Date('1990-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
    const step = fc.constantFrom('day', 'week', 'month', 'year')
    fc.assert(
      fc.property(day, fc.nat(800), step, (from, days, by) => {
        const first = from.toISOString().slice(0, 10)
        const last = new Date(from.getTime() + days * 86_400_000).toISOString().slice(0, 10)
        const values = dateValues(dates(by, first, last), last)
        const at = (value: string | undefined, part: 'start' | 'next') =>
          formatDate(value ?? '', by, { part, format: 'YYYY-MM-DD' })
        values.slice(1).forEach((value, index) => expect(at(value, 'start')).toBe(at(values[index], 'next')))
        expect(at(values[0], 'start') <= first && last < at(values.at(-1), 'next')).toBe(true)
      }),
      { numRuns: 50 },
    )
  })
})

describe('templates', () => {
  const scope = {
    partition: { subdomain: 'oakland.ca', month: '2024-01' },
    dimensions: {
      month: { ...dates('month', '2024-01-01', 'today'), exclude: [], aliases: {} },
      subdomain: { kind: 'list', values: [], fromConfig: null, exclude: [], aliases: {} },
    },
    config: { board: 'north' },
    environment: { TOKEN: 'secret', EMPTY: '' },
  } as const

  it('name their variables, each once', () => {
    const template =
      'https://{subdomain}/{month.end:D}{month}/{config.board}?t=$TOKEN&u=${TOKEN}_x&{{no}}&$$no&{cursor}'
    expect(templateVariables(template)).toEqual(['subdomain', 'month', 'config.board', '$TOKEN', 'cursor'])
  })

  it('are filled', () => {
    expect(expandTemplate('{subdomain}:{month}:{month.next}:{ config.board }', scope)).toBe(
      'oakland.ca:2024-01:2024-02-01:north',
    )
    expect(expandTemplate('Bearer $TOKEN, ${TOKEN}s, $$TOKEN, $5, {{a}}', scope)).toBe(
      'Bearer secret, secrets, $TOKEN, $5, {a}',
    )
    expect(expandTemplate('{cursor}', { ...scope, cursor: 'x' })).toBe('x')
  })

  it('without holes stay as they are once their braces and dollars are doubled', () => {
    fc.assert(fc.property(fc.string(), (text) => expandTemplate(text.replaceAll(/[{}$]/g, '$&$&'), scope) === text))
  })

  it.each(['{', '}', '{}', '{a b}', '{subdomain', '{config.x:YYYY}', '{.end}'])(
    'that cannot be read are refused: %s',
    (template) => {
      expect(() => templateVariables(template)).toThrow(ConfigError)
    },
  )

  it.each([
    ['$MISSING', 'MISSING'],
    ['$EMPTY', 'EMPTY'],
    ['{config.absent}', 'absent'],
    ['{constructor}', 'constructor'],
    ['{subdomain:YYYY}', 'subdomain'],
    ['{subdomain.end}', 'subdomain'],
  ])('that cannot be filled name what is missing: %s', (template, name) => {
    expect(() => expandTemplate(template, scope)).toThrow(new RegExp(name))
  })
})
