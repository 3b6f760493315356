/** What a definition may say of answers that are no list of rows, and what is refused of it, with file and line. */
import { describe, expect, it } from 'vitest'
import { compileStreamYaml, compileYaml } from './compile-yaml.js'

const definition = (stream: string, source = ''): string =>
  `source: acme
base_url: https://api.acme.example
${source}
dimensions: { day: { days: { from: 2024-01-01 } } }
streams:
  teams: { path: /teams, key: id, columns: { id: int } }
  users:
    path: /users
    key: id
    columns: { id: int, team: int }
    ${stream}
`
const at = 'sources/acme.yaml:11  streams.users.'
const mistakesOf = (stream: string) => compileYaml(definition(stream)).lines.map((line) => line.replace(at, ''))

describe('an answer', () => {
  it('keeps what it says of its form', () => {
    const { answer } = compileStreamYaml(
      definition(
        `answer: { parse: 'a[0].t', rows: 'a[0].t.books', empty_on: [404, { status: 400, path: code, equals: 7 }] }`,
      ),
    )
    expect(answer).toMatchObject({ parse: ['a', 0, 't'], rows: ['a', 0, 't', 'books'] })
    expect(answer.emptyOn).toEqual([
      { status: 404, path: null, equals: null },
      { status: 400, path: ['code'], equals: 7 },
    ])
  })

  it('keeps a footer, and what it must say, in the streams that have the dimension', () => {
    const source = `answer: { format: csv, csv: { footer: 1, nulls: [''] }, expect: { 'footer[0]': { is: ['{day:MMM}', 'of {day}'], otherwise: empty }, header X-Of: acme } }`
    const withDay = compileStreamYaml(definition('request: { query: { day: "{day}" } }', source))
    expect(withDay.answer.csv).toMatchObject({ footer: 1, nulls: [''] })
    expect(withDay.answer.expect).toEqual([
      { from: { path: ['footer', 0] }, is: '{day:MMM}', or: ['of {day}'], otherwise: 'empty' },
      { from: { header: 'x-of' }, is: 'acme' },
    ])
    expect(compileStreamYaml(definition('', source)).answer.expect).toHaveLength(1)
  })

  it.each([
    [
      'answer: { shape: one, rows: a }\n    paginate: { page: p }',
      'answer.shape  expected "paginate: none", because an answer of one record has no pages, found page',
    ],
    [
      'answer: { rows: a, shape: one, header: names }',
      'answer.header  expected no "header", because one record is no list, found one',
    ],
    [
      'answer: { format: csv, shape: one }',
      'answer.shape  expected objects, arrays or values, because an answer of format csv is a list, found "one"',
    ],
    [
      'answer: { format: csv, parse: a }',
      'answer.parse  expected no "parse", because an answer of format csv has none, found one',
    ],
    [
      'answer: { empty_on: [500] }',
      'answer.empty_on[0]  expected a status like 404, or { status: 404, path: error, equals: not_found }, found 500',
    ],
    [
      "answer: { format: csv, csv: { footer: 1 }, expect: { 'footer[1]': x } }",
      'answer.expect  expected a header, because CSV is nothing but rows, found "footer.1"',
    ],
    [
      'answer: { rows: a, expect: { b: { is: x, otherwise: dead } } }',
      'answer.expect.b.otherwise  expected "empty", found "dead"',
    ],
    [
      'answer: { rows: a, expect: { b: [] } }',
      'answer.expect.b  expected what it must say, a list of these, or { is: …, otherwise: empty }, found an empty list',
    ],
    [
      "answer: { rows: a, expect: { b: ['{dya}', y] } }",
      'answer.expect.b  expected a dimension, found "dya" (did you mean "day")',
    ],
    [
      'answer: { format: csv, csv: { footer: 0 } }',
      'answer.csv.footer  expected a whole number from 1 to 100, found 0',
    ],
  ])('is refused: %s', (stream, mistake) => {
    expect(mistakesOf(stream)).toEqual([mistake])
  })
})

describe('many values', () => {
  const many = (rules: string, more = '') =>
    `for_each: { team: { from: teams.id, many: { param: ids, max: 10, ${rules} } } }\n    match: { team: team }${more}`

  it('keep how they are written', () => {
    const inBody = many('list: true, form: "t{value}"', '\n    request: { params_in: body }')
    expect(compileStreamYaml(definition(inBody)).fanOut?.many).toEqual({
      ...{ param: 'ids', join: ',', max: 10, shrinkOn: [], form: 't{value}', isList: true },
    })
  })

  it.each([
    ['form: t', 'form  expected text with {value}, found "t"'],
    ['list: true', 'list  expected "params_in: body" in the request, because an address has no lists, found a query'],
    ['list: no', 'list  expected true or false, found "no"'],
  ])('are refused: %s', (rules, mistake) => {
    expect(mistakesOf(many(rules))).toEqual([`for_each.team.many.${mistake}`])
  })

  it('are refused as a list that is joined', () => {
    const joined = many('list: true, join: ";"', '\n    request: { params_in: body }')
    expect(mistakesOf(joined)).toEqual([
      'for_each.team.many.join  expected none, because a list is not joined, found one',
    ])
  })
})

describe('rules of a status', () => {
  it('keep what the body says', () => {
    const { settings } = compileStreamYaml(
      definition(
        'statuses: { 429: [{ path: error.id, contains: Day, fate: budget, wait: 1h }, budget], 400: [{ path: code, equals: 7, fate: credentials }] }',
      ),
    )
    expect(settings.statuses).toEqual({
      429: [
        { body: { path: ['error', 'id'], equals: null, contains: 'Day' }, waitMs: 3_600_000, fate: 'budget' },
        { fate: 'budget' },
      ],
      400: [{ body: { path: ['code'], equals: 7, contains: null }, fate: 'credentials' }],
    })
  })

  it.each([
    ['{ contains: x, fate: dead }', '[0].contains  expected header or path, whose text it is about, found "x"'],
    ['{ equals: 7, fate: dead }', '[0].equals  expected path, whose value it is about, found 7'],
    ['{ path: a, fate: dead, wait: 1h }', '[0].wait  expected fate: budget, which is what waits, found "1h"'],
    ['{ path: a, header: b, fate: dead }', '[0].path  expected header or path, not both, found "a"'],
  ])('are refused: %s', (rule, mistake) => {
    expect(mistakesOf(`statuses: { 429: [${rule}] }`)).toEqual([`statuses.429${mistake}`])
  })
})

describe('dates in templates', () => {
  it.each([
    [
      '{day - 1 moon}',
      'expected a template like {name}, {config.name} or $NAME, found "{day - 1 moon}", which names nothing',
    ],
    ['{team - 1 day}', 'expected a dimension of dates, for a format or part, found "team", which is a list'],
  ])('are refused: %s', (template, mistake) => {
    const text = definition(`request: { query: { d: '${template}' } }`).replace(
      'dimensions: {',
      'dimensions: { team: [a], ',
    )
    expect(compileYaml(text).lines).toEqual([`${at}request.query.d  ${mistake}`])
  })
})
