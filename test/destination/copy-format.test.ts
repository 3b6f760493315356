/** The binary format is what Postgres would have made of the text, for every type and every value that an encoder passes. */
import fc from 'fast-check'
import type pg from 'pg'
import { from } from 'pg-copy-streams'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CatalogColumn } from '../../src/destination/catalog.js'
import { binaryFormat, type RowFormat, textFormat } from '../../src/destination/copy-format.js'
import { makeEncoder, Refusal } from '../../src/destination/encoders.js'
import { binaryWriter, type FieldWriter, textWriter } from '../../src/destination/field-writers.js'
import { stripUnstorable } from '../../src/destination/json-text.js'
import { RowBuffer } from '../../src/destination/row-buffer.js'
import { ExactDecimal, type Json } from '../../src/domain/json.js'
import type { ColumnType } from '../../src/domain/source-model.js'
import { openClient } from '../support/open-client.js'
import { useDatabase } from './setup.js'

const database = useDatabase()
let client: pg.Client
beforeAll(async () => {
  client = await openClient(database.config)
  await client.query(
    `set timezone = 'UTC'; create type mood as enum ('sad', 'ünsure'); create domain wide as bigint check (value <> 7)`,
  )
})
afterAll(async () => {
  await client.end()
})

type Value = Exclude<Json, null>
interface Case {
  /** As SQL writes it. */
  readonly sqlType: string
  readonly type: ColumnType
  readonly column: Pick<CatalogColumn, 'baseType' | 'category' | 'maxLength'>
  readonly values: fc.Arbitrary<Value>
}

const character = fc.oneof(
  fc.constantFrom(
    '\\',
    '\t',
    '\n',
    '\r',
    '',
    "'",
    '"',
    '😀',
    'é',
    '漢',
    '\u2028',
    '\u0001',
    '\u007f',
    '\u0080',
    '\uffff',
  ),
  fc.string({ unit: 'grapheme', maxLength: 4 }),
)
const text = fc.oneof(
  fc.array(character, { maxLength: 8 }).map((parts) => parts.join('')),
  fc.tuple(character, fc.integer({ min: 0, max: 3000 })).map(([part, count]) => part.repeat(count)),
  fc.constantFrom('a\0b', '\ud800', 'x\udc00y', `${'long'.repeat(100)}\ud800`, `${'long'.repeat(100)}\0`),
)
const whole = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
  fc.constantFrom(
    0,
    -0,
    -1,
    32767,
    32768,
    -32768,
    2 ** 31,
    -(2 ** 31),
    2 ** 32,
    -(2 ** 32),
    2 ** 53 - 1,
    '+5',
    '007',
    '-0',
    1.5,
  ),
)
const decimalText = fc
  .tuple(
    fc.constantFrom('', '-', '+'),
    fc.stringMatching(/^\d{0,30}$/),
    fc.option(fc.stringMatching(/^\d{0,30}$/), { nil: null }),
    fc.option(fc.integer({ min: -60, max: 60 }), { nil: null }),
  )
  .map(
    ([sign, digits, part, exponent]) =>
      `${sign}${digits}${part === null ? '' : `.${part}`}${exponent === null ? '' : `e${exponent}`}`,
  )
const number = fc.oneof(
  whole,
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  decimalText,
  decimalText
    .filter((digits) => /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e|$)/.test(digits))
    .map((digits) => new ExactDecimal(digits)),
  fc.constantFrom(
    '9'.repeat(131_072),
    '9'.repeat(131_073),
    `0.${'7'.repeat(16_383)}`,
    `0.${'7'.repeat(16_384)}`,
    `${'5'.repeat(9_000)}e-9999`,
    `${'5'.repeat(9_000)}e9999`,
    '0',
    '0.000',
    '-0.0',
    '1e400',
    '1e-400',
    '1e9999',
    '1e-9999',
    '10000',
    '9999.9999',
    '.00010000',
    '100000000.',
  ),
)
const two = (least: number, most: number) =>
  fc.integer({ min: least, max: most }).map((n) => String(n).padStart(2, '0'))
const day = fc
  .tuple(fc.oneof(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 1890, max: 2110 })), two(1, 12), two(1, 31))
  .map(([year, month, date]) => `${String(year).padStart(4, '0')}-${month}-${date}`)
const fraction = fc.oneof(
  fc.stringMatching(/^\d{1,9}$/),
  fc.constantFrom('9999995', '999999500', '0000005', '0000015', '5', '123456499'),
)
const clock = fc
  .tuple(two(0, 23), two(0, 59), fc.option(fc.tuple(two(0, 59), fc.option(fraction, { nil: null })), { nil: null }))
  .map(
    ([hour, minute, rest]) =>
      `${hour}:${minute}${rest === null ? '' : `:${rest[0]}${rest[1] === null ? '' : `.${rest[1]}`}`}`,
  )
const zone = fc.oneof(
  fc.constantFrom('', 'Z', 'z', ' UTC', 'GMT', '+00', '-15', '+1500'),
  fc
    .tuple(fc.constantFrom('+', '-', ' +'), two(0, 15), fc.constantFrom('', ':', '0'), two(0, 59))
    .map(([sign, hour, colon, minute]) =>
      colon === '0' ? `${sign}${hour}${minute}` : `${sign}${hour}${colon === '' ? '' : `:${minute}`}`,
    ),
)
const instant = fc.oneof(
  day,
  fc.tuple(day, fc.constantFrom('T', ' ', 't'), clock, zone).map((parts) => parts.join('')),
)
const json = fc.oneof(
  fc.jsonValue().filter((value) => value !== null),
  text,
  number,
) as fc.Arbitrary<Value>

function columnOf(baseType: string, category: string, maxLength: number | null = null): Case['column'] {
  return { baseType, category, maxLength }
}

const cases: readonly Case[] = [
  { sqlType: 'text', type: 'text', column: columnOf('text', 'S'), values: fc.oneof(text, json) },
  { sqlType: 'varchar(5)', type: 'text', column: columnOf('varchar', 'S', 5), values: text },
  { sqlType: 'char(3)', type: 'text', column: columnOf('bpchar', 'S', 3), values: text },
  { sqlType: 'mood', type: 'text', column: columnOf('mood', 'E'), values: fc.constantFrom('sad', 'ünsure') },
  { sqlType: 'wide', type: 'bigint', column: columnOf('int8', 'N'), values: whole.filter((n) => Number(n) !== 7) },
  { sqlType: 'smallint', type: 'smallint', column: columnOf('int2', 'N'), values: whole },
  { sqlType: 'integer', type: 'integer', column: columnOf('int4', 'N'), values: whole },
  { sqlType: 'bigint', type: 'bigint', column: columnOf('int8', 'N'), values: whole },
  { sqlType: 'numeric', type: 'numeric', column: columnOf('numeric', 'N'), values: number },
  { sqlType: 'real', type: 'real', column: columnOf('float4', 'N'), values: number },
  { sqlType: 'double precision', type: 'double precision', column: columnOf('float8', 'N'), values: number },
  {
    sqlType: 'boolean',
    type: 'boolean',
    column: columnOf('bool', 'B'),
    values: fc.constantFrom<Value>(true, false, 't', 'false', 0, 1),
  },
  { sqlType: 'date', type: 'date', column: columnOf('date', 'D'), values: instant },
  { sqlType: 'time', type: 'time', column: columnOf('time', 'D'), values: clock },
  { sqlType: 'timestamp', type: 'timestamp', column: columnOf('timestamp', 'D'), values: instant },
  { sqlType: 'timestamptz', type: 'timestamptz', column: columnOf('timestamptz', 'D'), values: instant },
  { sqlType: 'timestamptz(0)', type: 'timestamptz', column: columnOf('timestamptz', 'D'), values: instant },
  {
    sqlType: 'uuid',
    type: 'uuid',
    column: columnOf('uuid', 'U'),
    values: fc.oneof(
      fc.uuid(),
      fc.uuid().map((id) => id.replaceAll('-', '').toUpperCase()),
    ),
  },
  { sqlType: 'jsonb', type: 'jsonb', column: columnOf('jsonb', 'U'), values: json },
]

/** COPY of the values that the writer takes, row numbers from 1. Answers the numbers of the refused. */
async function copy(
  table: string,
  format: RowFormat,
  { write, values }: { write: FieldWriter; values: readonly (Value | null)[] },
) {
  const out = new RowBuffer()
  const refused: number[] = []
  for (const [at, value] of values.entries()) {
    out.beginRow()
    format.beginRow(out, at + 1, 1)
    const refusal = value === null ? null : write(value, out)
    if (refusal !== null) {
      out.undoRow()
      refused.push(at + 1)
      continue
    }
    if (value === null) format.writeNull(out)
    format.endRow(out)
  }
  const lines = out.pieces.flatMap((piece) => format.split(piece))
  expect(lines.map(({ row }) => row)).toEqual(values.map((_, at) => at + 1).filter((row) => !refused.includes(row)))
  const bytes = format.framed(lines.map(({ line }) => line))
  expect(Buffer.concat(bytes).equals(Buffer.concat(format.framed(out.pieces)))).toBe(true)
  await new Promise((resolve, reject) => {
    const stream = client.query(from(`copy ${table} from stdin${format.copyOptions}`))
    stream.on('finish', resolve).on('error', reject)
    stream.end(Buffer.concat(bytes))
  })
  return refused
}

test.each(cases)(
  '$sqlType: the same rows and the same refusals in both formats',
  async ({ sqlType, type, column, values }) => {
    const options = { unstorableText: 'hold', maxLength: column.maxLength, parsesJson: false } as const
    const encode = makeEncoder(type, options)
    const binary = binaryWriter({ column, type, encode, parsesJson: false })
    if (binary === null) throw new Error('it has no binary form')
    await client.query('drop table if exists written, read')
    await client.query(
      `create temp table written (number bigint, value ${sqlType}); create temp table read (like written)`,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(values), { minLength: 1, maxLength: 60 }), async (list) => {
        await client.query('truncate written, read')
        const refused = await copy('written', binaryFormat, { write: binary, values: list })
        expect(await copy('read', textFormat, { write: textWriter(encode), values: list })).toEqual(refused)
        for (const row of refused) expect(encode(list[row - 1] ?? '')).toBeInstanceOf(Refusal)
        const different = await client.query(
          `select number, w.value::text as binary, r.value::text as text from written w full join read r using (number)
         where w.value::text is distinct from r.value::text`,
        )
        expect(different.rows).toEqual([])
      }),
      { numRuns: 25 },
    )
  },
)

test('a column whose binary form is not known has none, so that its table is written as text', () => {
  const encode = makeEncoder('text', { unstorableText: 'hold', maxLength: null, parsesJson: false })
  for (const baseType of ['inet', 'interval', 'name', 'ltree', 'constructor'])
    expect(binaryWriter({ column: columnOf(baseType, 'U'), type: 'text', encode, parsesJson: false })).toBeNull()
})

test('JSON null inside a string is NULL in both formats', async () => {
  const encode = makeEncoder('integer', { unstorableText: 'hold', maxLength: null, parsesJson: true })
  const write = binaryWriter({ column: columnOf('int4', 'N'), type: 'integer', encode, parsesJson: true })
  if (write === null) throw new Error('it has no binary form')
  await client.query('drop table if exists written')
  await client.query('create temp table written (number bigint, value integer)')
  await copy('written', binaryFormat, { write, values: ['null', '5'] })
  await copy('written', textFormat, { write: textWriter(encode), values: ['null', '5'] })
  const { rows } = await client.query('select value from written order by number')
  expect(rows).toEqual([{ value: null }, { value: null }, { value: 5 }, { value: 5 }])
})

test('rows of any size stand whole in the pieces of a buffer, and rows taken back leave nothing', () => {
  const row = fc.record({ text: text, isTakenBack: fc.boolean(), repeat: fc.integer({ min: 1, max: 400 }) })
  fc.assert(
    fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
      const out = new RowBuffer()
      const expected: Buffer[] = []
      for (const { text: one, isTakenBack, repeat } of rows) {
        out.beginRow()
        let isWritten = true
        for (let n = 0; n < repeat; n += 1) isWritten = out.sizedText(one) && isWritten
        if (isTakenBack || !isWritten) out.undoRow()
        else expected.push(...Array.from({ length: repeat }, () => sized(one)))
        expect(isWritten).toBe(stripUnstorable(one) === one)
      }
      const all = Buffer.concat(expected)
      expect(out.bytes).toBe(all.length)
      expect(Buffer.concat(out.pieces).equals(all)).toBe(true)
    }),
    { numRuns: 40 },
  )
})

function sized(one: string): Buffer {
  const bytes = Buffer.from(one)
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
