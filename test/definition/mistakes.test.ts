import { describe, expect, it } from 'vitest'
import { compileYaml } from './compile-yaml.js'

const base = `source: acme
base_url: https://acme.example
streams:
  users:
    path: /users
    key: id
    columns: { id: int, name: text }
`

describe('a wrong definition', () => {
  it('is refused with every mistake at once, each at its line, shape and meaning alike', () => {
    const { lines } = compileYaml(`source: acme
base_url: ftp://acme.example
page_sise: 3
budget: [2/s, 12/fortnight]
dimensions:
  json: [a]
  day: { days: { from: 2024-02-30 } }
streams:
  users:
    path: users?active=1
    key: idd
    colums: {}
    version: updated
    columns:
      id: integr
      name: text
    references: { id: userz.id }
    disposition: marge
    flush: { rows: 0 }
`)
    expect([...lines].sort()).toEqual(
      [
        'sources/acme.yaml:2  base_url  expected an http or https address without "?" and "#", found "ftp://acme.example"',
        'sources/acme.yaml:3  page_sise  expected a known key, found "page_sise" (did you mean "page_size")',
        'sources/acme.yaml:4  budget[1]  expected a limit like 2/s, 1200/hour, 15 per minute, 3/10s or 7500/day reset 00:00 UTC, found "12/fortnight"',
        'sources/acme.yaml:6  dimensions.json  expected a name that is no flag of a command, found "json"',
        'sources/acme.yaml:7  dimensions.day.days.from  expected a day like 2024-01-01, found "2024-02-30"',
        'sources/acme.yaml:10  streams.users.path  expected a path alone; parameters belong under request.query, found a "?" or "#"',
        'sources/acme.yaml:11  streams.users.key  expected a column name, found "idd" (did you mean "id")',
        'sources/acme.yaml:12  streams.users.colums  expected a known key, found "colums" (did you mean "columns")',
        'sources/acme.yaml:13  streams.users.version  expected a column name: "id", "name", found "updated"',
        'sources/acme.yaml:15  streams.users.columns.id  expected a column type: text, int, bigint, numeric, float, bool, date, time, timestamp, timestamptz, uuid or jsonb, found "integr" (did you mean "integer")',
        'sources/acme.yaml:17  streams.users.references.id  expected a stream of this source, found "userz" (did you mean "users")',
        'sources/acme.yaml:18  streams.users.disposition  expected one of append, merge, mirror, replace, found "marge" (did you mean "merge")',
        'sources/acme.yaml:19  streams.users.flush.rows  expected a whole number from 1 to 1,000,000, found 0',
      ].sort(),
    )
  })

  it('is told which place of an answer, and which dimension, "expect" does not know', () => {
    const { lines } = compileYaml(
      base.replace('    key: id', "    answer: { rows: data, expect: { 'a..b': '1', site: '{town}' } }\n    key: id"),
    )
    expect(lines).toEqual([
      'sources/acme.yaml:6  streams.users.answer.expect.site  expected a dimension, found "town"',
      'sources/acme.yaml:6  streams.users.answer.expect."a..b"  expected a path like meta.site, or "header X-Site", found "a..b"',
    ])
  })

  it('is not blamed for what follows from another mistake', () => {
    const { lines } = compileYaml(base.replace('id: int,', 'id: { typ: int },'))
    expect(lines).toEqual([
      'sources/acme.yaml:7  streams.users.columns.id.typ  expected a known key, found "typ" (did you mean "type")',
    ])
  })

  it('with broken YAML is refused with the line', () => {
    expect(compileYaml('source: acme\nstreams: { a: [1\n').lines[0]).toMatch(
      /^sources\/acme\.yaml:\d+ {2}column \d+ {2}expected YAML, found /,
    )
    expect(compileYaml('source: acme\nsource: other\n').lines).toEqual([
      'sources/acme.yaml:2  column 1  expected YAML, found a key that was there before',
    ])
  })

  it('with a key in both spellings is refused', () => {
    expect(compileYaml(`${base}page_size: 1\npageSize: 2\n`).lines).toEqual([
      'sources/acme.yaml:8  page_size  expected the key once, found "pageSize" in two spellings',
    ])
  })

  it('that is empty is refused for what it lacks', () => {
    expect(compileYaml('').lines.map((line) => line.split('  ')[1])).toEqual(['source', 'base_url', 'streams'])
  })

  it('never shows a credential', () => {
    const { lines } = compileYaml(base + 'headers: { authorization: [s3cret-token] }\n', 'database: [s3cret-url]\n')
    expect(lines).toHaveLength(2)
    expect(lines.join()).not.toContain('s3cret')
  })
})

/** Lines added below the stream `users`, and the one mistake that they are. */
const inStream: readonly (readonly [yaml: string, mistake: string])[] = [
  ['request: { path: /other }', 'streams.users.path  expected either path or request.path, found both'],
  [
    'request: { method: GET, body: { a: 1 } }',
    'streams.users.request.method  expected "POST", because the request has a body, found "GET"',
  ],
  ['request: { query: { a: "{nope}" } }', 'streams.users.request.query.a  expected a dimension: "kind", found "nope"'],
  [
    'request: { query: { a: "{kind:M}" } }',
    'streams.users.request.query.a  expected a dimension of dates, for a format or part, found "kind", which is a list',
  ],
  [
    'request: { query: { a: "{config.x}" } }',
    'streams.users.request.query.a  expected a value at sources.acme.x in backfill.yaml, found nothing',
  ],
  [
    'request: { query: { a: "{open" } }',
    'streams.users.request.query.a  expected a template like {name}, {config.name} or $NAME, found "{" without its partner',
  ],
  [
    'request: { query: { a: "{cursor}" } }',
    'streams.users.request.query.a  expected no {cursor} here, found "{cursor}"',
  ],
  [
    'references: { user_id: users.id }',
    'streams.users.references.user_id  expected a column name: "id", "name", found "user_id"',
  ],
  ['references: { id: users }', 'streams.users.references.id  expected stream.column, like users.id, found "users"'],
  [
    'references: { id: { to: users.id, missing_parent: skip } }',
    'streams.users.references.id.missing_parent  expected one of wait, reject, refuse, found "skip"',
  ],
  [
    'references: { id: users.nam }',
    'streams.users.references.id  expected a column name, found "nam" (did you mean "name")',
  ],
  ['extras: name', 'streams.users.extras  expected a column of its own, not one of columns, found "name"'],
  [
    'table: backfill.ledger',
    'streams.users.table  expected a table outside the schemas of backfill and Postgres, found "backfill.ledger"',
  ],
  [
    `table: ${'x'.repeat(60)}`,
    `streams.users.table  expected a name of at most 63 bytes in Postgres, found "delta_${'x'.repeat(60)}" (66 bytes)`,
  ],
  ['dimensions: [kindd]', 'streams.users.dimensions[0]  expected a dimension, found "kindd" (did you mean "kind")'],
  [
    'paginate: { page: p, end: { short_page: true } }',
    'streams.users.paginate  expected page_size or used_size, so that a page can be called short, found short_page without either',
  ],
  [
    'paginate: { page: p, size: s, max: 50 }\n    page_size: 60',
    "streams.users.page_size  expected at most 50, the pagination's max, found 60",
  ],
  [
    'paginate: { page: p, siz: s }',
    'streams.users.paginate.siz  expected a known key, found "siz" (did you mean "size")',
  ],
  [
    'paginate: nope',
    'streams.users.paginate  expected none, or one of { page: … }, { offset: … }, { cursor: …, param: … }, { last_row: …, param: … }, { continue: … }, { link: next }, { next_url: … }, found "nope" (did you mean "none")',
  ],
  [
    'answer: { format: csv, csv: { header: false } }',
    'streams.users.answer.csv.columns  expected column names, because there is no header, found nothing',
  ],
  [
    'answer: { format: ndjson, rows: data }',
    'streams.users.answer.rows  expected no path, because ndjson is rows already, found a path',
  ],
  [
    'count: { request: { query: {} }, from: n }',
    'streams.users.count.request.path  expected a path that begins with /, found nothing',
  ],
  ['timeout: 5', 'streams.users.timeout  expected a duration like 500ms, 2s, 5m, 4h or 7d, from 10ms to 1h, found 5'],
  ['statuses: { 4040: retry }', 'streams.users.statuses.4040  expected a status from 100 to 599, found "4040"'],
]

describe('a stream', () => {
  it.each(inStream)('with %j is refused', (yaml, mistake) => {
    const { lines } = compileYaml(`${base}    ${yaml}\ndimensions: { kind: [a, b] }\n`)
    expect(lines.map((line) => line.replace(/^\S+ {2}/, ''))).toEqual([mistake])
  })

  it('needs a key to merge or mirror, and none to append', () => {
    const keyless = base.replace('    key: id\n', '')
    const message =
      'sources/acme.yaml:4  streams.users.key  expected a column name or a list of them, for disposition merge, found nothing'
    expect(compileYaml(keyless).lines).toEqual([message])
    expect(compileYaml(`${keyless}    disposition: mirror\n`).lines).toEqual([message.replace('merge,', 'mirror,')])
    expect(compileYaml(`${keyless}    disposition: append\n`).lines).toEqual([])
  })

  it('names each key column once', () => {
    const key = (columns: string) => compileYaml(base.replace('key: id', `key: ${columns}`)).lines
    expect(key('[id, id]')).toEqual([
      'sources/acme.yaml:6  streams.users.key[1]  expected each column once, found "id" again',
    ])
    expect(key('[]')).toEqual([
      'sources/acme.yaml:6  streams.users.key  expected at least one column name, found an empty list',
    ])
  })

  it('may not name columns that delta tables or Postgres keep', () => {
    for (const name of ['_task', '_row', 'ctid', 'xmin', '__proto__']) {
      expect(compileYaml(base.replace('name: text', `${name}: text`)).lines).toHaveLength(1)
    }
  })
})

const dimensions: readonly (readonly [yaml: string, mistake: string])[] = [
  ['max_runtime: [a]', 'dimensions.max_runtime  expected a name that is no flag of a command, found "max_runtime"'],
  [
    'Kind: [a]',
    'dimensions.Kind  expected a name of a-z, 0-9 and _, beginning with a letter, at most 63 long, found "Kind"',
  ],
  ['kind: [a, all]', 'dimensions.kind[1]  expected a value, found "all", which means every value'],
  [
    'kind: { values: [a], exclude: [a] }',
    'dimensions.kind.exclude  expected to leave at least one value, found every value',
  ],
  [
    'kind: { values: [a], aliases: { x: b } }',
    'dimensions.kind.aliases.x  expected a value of the dimension, found "b"',
  ],
  [
    'kind: { values: [a, b], aliases: { a: b } }',
    'dimensions.kind.aliases.a  expected a word that is no value itself, found "a"',
  ],
  [
    'day: { days: { from: 2024-01-02, to: 2024-01-01 } }',
    'dimensions.day.days  expected from to lie before to, found 2024-01-02 to 2024-01-01',
  ],
  ['site: { config: sites }', 'sources.acme.sites  expected the values of dimension "site", as a list, found nothing'],
]

describe('a dimension', () => {
  it.each(dimensions)('%j is refused', (yaml, mistake) => {
    const { lines } = compileYaml(`${base}dimensions:\n  ${yaml}\n`)
    expect(lines.map((line) => line.replace(/^\S+ {2}/, ''))).toEqual([mistake])
  })
})

describe('an entry in backfill.yaml', () => {
  const check = (entry: string) => compileYaml(base, `sources:\n  acme: ${entry}\n`).lines

  it('with a mistyped setting is refused, though it could be configuration', () => {
    expect(check('{ page_sise: 3 }')).toEqual([
      'backfill.yaml:2  sources.acme.page_sise  expected a known key, found "page_sise" (did you mean "page_size")',
    ])
  })

  it('with an unknown stream or dimension is refused', () => {
    expect(check('{ streams: { userz: {} }, dimensions: { kind: {} } }')).toEqual([
      'backfill.yaml:2  sources.acme.streams.userz  expected one of "users", found "userz"',
      'backfill.yaml:2  sources.acme.dimensions.kind  expected one of no dimensions, for there are none, found "kind"',
    ])
  })

  it('may not hide a variable in configuration, which is plain text', () => {
    expect(
      compileYaml(base.replace('/users', '/users/{config.site}'), 'sources: { acme: { site: $SITE } }').lines,
    ).toEqual([
      'backfill.yaml:1  sources.acme.site  expected plain text; the definition itself may name a variable, found "$SITE"',
    ])
  })
})
