/** Unix time as sources send it becomes the instant, to the digit. */
import { describe, expect, it } from 'vitest'
import { makeEncoder, Refusal } from '../../src/destination/encoders.js'
import { unixFirst } from '../../src/destination/unix-time.js'
import type { Json } from '../../src/domain/json.js'
import { compileStreamYaml, compileYaml, usersYaml } from '../definition/compile-yaml.js'

const times = makeEncoder('timestamptz', { unstorableText: 'hold', maxLength: null, parsesJson: false })
const encode = (unit: 'seconds' | 'milliseconds', value: Exclude<Json, null>) => {
  const text = unixFirst(unit, times)(value)
  return text instanceof Refusal ? text.code : text
}

describe('Unix time', () => {
  it.each<[Exclude<Json, null>, string]>([
    [1704067201, '2024-01-01T00:00:01Z'],
    ['1704067201.000101', '2024-01-01T00:00:01.000101Z'],
    [1704067201.5, '2024-01-01T00:00:01.5Z'],
    [0, '1970-01-01T00:00:00Z'],
    [-1, '1969-12-31T23:59:59Z'],
    ['-1.25', '1969-12-31T23:59:58.75Z'],
    [1704067201n, '2024-01-01T00:00:01Z'],
    [253402300799, '9999-12-31T23:59:59Z'],
  ])('in seconds is %s', (value, text) => {
    expect(encode('seconds', value)).toBe(text)
  })

  it.each<[Exclude<Json, null>, string]>([
    [1704067201000, '2024-01-01T00:00:01Z'],
    [1704067201042, '2024-01-01T00:00:01.042Z'],
    ['1704067201042.5', '2024-01-01T00:00:01.0425Z'],
    [7, '1970-01-01T00:00:00.007Z'],
    [-7, '1969-12-31T23:59:59.993Z'],
  ])('in milliseconds is %s', (value, text) => {
    expect(encode('milliseconds', value)).toBe(text)
  })

  it.each<Exclude<Json, null>>(['2024-01-01', '', ' 1', '1e9', true, [1], { text: 1 }, 253402300800, Number.NaN])(
    'is not %j',
    (value) => {
      expect(encode('seconds', value)).toBe('invalid_value')
    },
  )

  it('is said by the column, and a number where a time is wanted names that word', () => {
    const columns = (type: string) =>
      usersYaml().replace('columns: { id: int }', `columns: { id: int, at: { type: ${type}, parse: seconds } }`)
    expect(compileStreamYaml(columns('timestamptz')).columns?.[1]).toMatchObject({
      unixTime: 'seconds',
      parsesJson: false,
    })
    expect(compileYaml(columns('date')).lines.join('\n')).toContain('expected type timestamptz or timestamp')
    expect(times(1704067201)).toMatchObject({ expected: expect.stringContaining('parse: seconds') as unknown })
  })

  it('is asked for as it comes, unless the definition says otherwise', () => {
    const lines = (format: string) =>
      compileYaml(
        usersYaml(`incremental: { field: changed, param: since${format} }`).replace(
          'columns: { id: int }',
          'columns: { id: int, changed: { type: timestamptz, from: meta.at, parse: milliseconds } }',
        ),
      ).lines.join('\n')
    expect(lines('')).toContain('incremental.format  expected milliseconds, as column "changed" has it (or iso')
    expect(lines(', format: milliseconds')).toBe('')
    expect(lines(', format: iso')).toBe('')
  })
})
