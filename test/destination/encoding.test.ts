import fc from 'fast-check'
import { expect, test } from 'vitest'
import { copyText } from '../../src/destination/copy-format.js'
import { makeEncoder, Refusal } from '../../src/destination/encoders.js'
import {
  escapeUnstorable,
  jsonText,
  parseExact,
  stripUnstorable,
  stripUnstorableJson,
} from '../../src/destination/json-text.js'
import { ExactDecimal, type Json, type JsonObject } from '../../src/domain/json.js'
import type { ColumnType } from '../../src/domain/source-model.js'
import { column, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()

const awkward = fc.constantFrom(
  '\\',
  '\\N',
  '\\.',
  '\t',
  '\n',
  '\r',
  '',
  '\b\f\v',
  "'",
  '"',
  '😀',
  '\u2028',
  '\\u0000',
  '\\x41',
  'NULL',
  '\u0001',
)
const storableText = fc
  .array(fc.oneof(awkward, fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), { maxLength: 6 })
  .map((parts) => stripUnstorable(parts.join('')))
const anyText = fc
  .array(fc.oneof(awkward, fc.constantFrom('\0', '\ud800', '\udc00'), fc.string()), { maxLength: 6 })
  .map((parts) => parts.join(''))
const digits = fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n })
const decimal = fc
  .tuple(digits, fc.integer({ min: 0, max: 10 ** 9 }))
  .map(([whole, part]) => new ExactDecimal(`${whole}.${part}1`))
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
)

function jsonOf(text: fc.Arbitrary<string>): fc.Arbitrary<Json> {
  const { value } = fc.letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'medium' },
      fc.constant(null),
      fc.boolean(),
      text,
      number,
      digits,
      decimal,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  }))
  return value
}

test('whatever text and JSON go in come out of Postgres the same, to the digit', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf([
    column('id', 'integer'),
    column('text', 'text'),
    column('doc', 'jsonb'),
    column('n', 'numeric'),
    column('d', 'double precision'),
  ])
  const work = await startWork(destination, stream)
  const record = fc.record({
    text: fc.option(storableText),
    doc: jsonOf(storableText),
    n: fc.oneof(digits, decimal),
    d: number,
  })
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 20 }), async (records) => {
      await database.sql(`delete from public."${stream.name}"`)
      const { totals } = await work.flush(records.map((one, id) => ({ id, ...one })))
      expect(totals).toMatchObject({ created: records.length, held: 0 })
      const rows = await database.sql<{ text: string | null; same: boolean; n: boolean; d: number }>(
        `select t.text, t.doc is not distinct from e.doc::jsonb as same, t.n = e.n::numeric as n, t.d
         from public."${stream.name}" t join unnest($1::int[], $2::text[], $3::text[]) e (id, doc, n) using (id) order by id`,
        [
          records.map((_, id) => id),
          records.map(({ doc }) => (doc === null ? null : jsonText(doc))),
          records.map(({ n }) => String(n)),
        ],
      )
      expect(rows).toEqual(records.map(({ text, d }) => ({ text, same: true, n: true, d })))
    }),
    { numRuns: 60 },
  )
})

test('exact JSON text reads back as the value it was written from', () => {
  fc.assert(
    fc.property(jsonOf(anyText), (value) => {
      expect(normal(parseExact(jsonText(value)))).toEqual(normal(value))
    }),
  )
})

/** Numbers by their text, so that 5, 5n and "5" as a decimal compare as what they mean. */
function normal(value: Json): unknown {
  // A double beyond 2^53 means the digits that JSON writes for it, which are fewer than it has.
  if (typeof value === 'number' && /^-?\d+$/.test(JSON.stringify(value))) return normal(BigInt(JSON.stringify(value)))
  if (typeof value === 'number' || typeof value === 'bigint')
    return {
      number: BigInt.asIntN(200, isInteger(value) ? BigInt(value) : 0n),
      text: isInteger(value) ? '' : String(value),
    }
  if (value instanceof ExactDecimal) return { number: 0n, text: value.text }
  if (Array.isArray(value)) return value.map(normal)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value as JsonObject).map(([name, one]) => [name, normal(one)])
}
function isInteger(value: number | bigint): boolean {
  return typeof value === 'bigint' || Number.isInteger(value)
}

test('stripping joins no halves of characters that stood apart', () => {
  const apart = '\ud800\0\udc00'
  expect(stripUnstorable(apart)).toBe('')
  expect(JSON.parse(stripUnstorableJson(JSON.stringify(apart)))).toBe('')
})

test('stripping leaves nothing that Postgres refuses and touches nothing else', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const stripped = stripUnstorable(text)
      expect(stripped.includes('\0') || /[\ud800-\udbff](?![\udc00-\udfff])/.test(stripped)).toBe(false)
      expect(stripUnstorable(stripped)).toBe(stripped)
      expect(JSON.parse(stripUnstorableJson(JSON.stringify(text)))).toBe(stripped)
      expect(escapeUnstorable(text).length >= stripped.length).toBe(true)
    }),
  )
})

test('JSON deeper than the stack is written all the same', () => {
  const depth = 100_000
  const deep = parseExact(`${'['.repeat(depth)}1${']'.repeat(depth)}`)
  expect(jsonText(deep)).toHaveLength(2 * depth + 1)
})

const options = { unstorableText: 'hold', maxLength: null, parsesJson: false } as const
function encode(type: ColumnType, value: Exclude<Json, null>, parsesJson = false): string {
  const field = makeEncoder(type, { ...options, parsesJson })(value)
  if (field instanceof Refusal) return field.code
  return field === null ? '\\N' : copyText(field)
}

test.each<[ColumnType, Exclude<Json, null>, string]>([
  ['text', 5, '5'],
  ['text', true, 'true'],
  ['text', { a: 12345678901234567890n }, '{"a":12345678901234567890}'],
  ['smallint', 32767, '32767'],
  ['smallint', 32768, 'invalid_value'],
  ['integer', 1.5, 'invalid_value'],
  ['integer', '007', '7'],
  ['integer', ' 7', 'invalid_value'],
  ['integer', true, 'invalid_value'],
  ['bigint', 9223372036854775807n, '9223372036854775807'],
  ['bigint', 9223372036854775808n, 'invalid_value'],
  ['bigint', 2 ** 53, 'invalid_value'],
  ['bigint', '', 'invalid_value'],
  ['numeric', '1e400', '1e400'],
  ['numeric', 'NaN', 'invalid_value'],
  ['numeric', new ExactDecimal('0.1000000000000000055511151231257827'), '0.1000000000000000055511151231257827'],
  ['real', 1e39, 'invalid_value'],
  ['double precision', '1e400', 'invalid_value'],
  ['double precision', '1e-400', 'invalid_value'],
  ['double precision', '0e5', '0e5'],
  ['boolean', 1, 't'],
  ['boolean', 'false', 'f'],
  ['boolean', 'yes', 'invalid_value'],
  ['boolean', 'constructor', 'invalid_value'],
  ['date', '2024-02-29', '2024-02-29'],
  ['date', '2025-02-29', 'invalid_value'],
  ['date', '2025-06-03T00:00:00.000+08:00', '2025-06-03'],
  ['date', '2025-06-03T10:00:00Z', 'invalid_value'],
  ['date', '', 'invalid_value'],
  ['date', '0000-00-00', 'invalid_value'],
  ['time', '23:59', '23:59'],
  ['time', '24:01', 'invalid_value'],
  ['timestamptz', '2028-07-19T00:00:00.000+08:00', '2028-07-19T00:00:00.000+08:00'],
  ['timestamptz', '2025-12-31', '2025-12-31'],
  ['timestamptz', '2025-01-01 10:00:00 UTC', '2025-01-01 10:00:00 UTC'],
  ['timestamptz', 1735689600, 'invalid_value'],
  ['timestamptz', 'infinity', 'invalid_value'],
  ['timestamptz', 'now', 'invalid_value'],
  ['timestamp', '2025-07-19T00:30:00.123456+08:00', '2025-07-18T16:30:00.123456'],
  ['timestamp', '2024-12-31 23:00-0130', '2025-01-01T00:30'],
  ['timestamp', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z'],
  ['uuid', '123E4567-E89B-12D3-A456-426614174000', '123e4567-e89b-12d3-a456-426614174000'],
  ['uuid', '123', 'invalid_value'],
  ['jsonb', 'a\\b', '"a\\\\\\\\b"'],
  ['jsonb', { a: '\0' }, 'unstorable_text'],
  ['jsonb', { a: '\\u0000' }, '{"a":"\\\\\\\\u0000"}'],
])('%s of %o is %s', (type, value, expected) => {
  expect(encode(type, value)).toBe(expected)
})

test.each<[ColumnType, string, string]>([
  ['jsonb', '{"a":1.00, "b":12345678901234567890}', '{"a":1.00, "b":12345678901234567890}'],
  ['jsonb', '{"a":', 'invalid_value'],
  ['jsonb', '["\\u0000"]', 'unstorable_text'],
  ['jsonb', '["\\ud83d\\ude00"]', '["😀"]'],
  ['bigint', '12345678901234567', '12345678901234567'],
  ['text', '"a\\tb"', 'a\\tb'],
  ['text', 'null', '\\N'],
])('a string that holds JSON, into %s: %s becomes %s', (type, value, expected) => {
  expect(encode(type, value, true)).toBe(expected)
})
