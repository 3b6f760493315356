/** Definitions that can be read and never work: what they ask of an answer, or of a request, is not there. */
import { describe, expect, it } from 'vitest'
import { compileStreamYaml, compileYaml } from './compile-yaml.js'

const small = (lines: string, top = '') => `source: acme
base_url: https://acme.example
${top}
streams:
  users:
    path: /users
    key: id
    columns: { id: int }
    ${lines.replaceAll('\n', '\n    ')}
`
const mistakesOf = (lines: string, top?: string) =>
  compileYaml(small(lines, top)).lines.map((line) =>
    line.replace('sources/acme.yaml:', '').replace('streams.users', '~'),
  )

describe('what no answer of that form has', () => {
  it.each([
    ['csv }', 'CSV is nothing but rows', 'a header'],
    ['ndjson }', 'NDJSON is a list of lines', 'a header, or a place like [0].next'],
    ['json }', 'without "rows" the whole answer is the list of rows', 'a header, or a place like [0].next'],
  ])('is refused: a next step, a total, a count in %s', (format, why, place) => {
    const refused = (lines: string) => mistakesOf(`answer: { format: ${format}\n${lines}`)
    const text = (key: string, found: string) => `10  ~.${key}  expected ${place}, because ${why}, found "${found}"`
    expect(refused('paginate: { cursor: meta.next, param: c }')).toEqual([text('paginate.cursor', 'meta.next')])
    expect(refused('paginate: { next_url: next }')).toEqual([text('paginate.next_url', 'next')])
    expect(refused('paginate: { continue: continue }')).toEqual([text('paginate.continue', 'continue')])
    expect(refused('paginate: { page: p, total: n, used_size: s }')).toEqual([
      text('paginate.total', 'n'),
      text('paginate.used_size', 's'),
    ])
    expect(refused('count: n')).toEqual([text('count', 'n')])
    expect(refused('paginate: { page: p, total: header X-Total }\ncount: { request: { path: /n }, from: n }')).toEqual(
      [],
    )
  })

  it('is refused where the source says it for all its streams, at the stream that it does not fit', () => {
    const top = 'paginate: { cursor: next, param: c }\nanswer: { rows: data }'
    expect(mistakesOf('', top)).toEqual([])
    expect(mistakesOf('answer: { format: csv, rows: $ }', top)).toEqual([
      '6  ~  expected a header, because CSV is nothing but rows, found "next"',
    ])
  })

  it('is allowed by its place in a list', () => {
    expect(mistakesOf('answer: { format: ndjson }\npaginate: { cursor: "[0].next", param: c }')).toEqual([])
  })

  it('is refused: names, lists and errors beside rows that have none', () => {
    expect(mistakesOf('answer: { format: csv, unfold: tags, errors: [error], csv: { columns: [a, a] } }')).toEqual([
      '9  ~.answer.csv.columns  expected each name once, found "a" again',
      '9  ~.answer.unfold  expected no "unfold", because an answer of format csv has none, found one',
      '9  ~.answer.errors  expected no "errors", because an answer of format csv has none, found one',
    ])
    expect(mistakesOf('answer: { format: ndjson, header: "[0]", errors: [error] }')).toEqual([
      '9  ~.answer.header  expected no "header", because an answer of format ndjson has none, found one',
    ])
    expect(mistakesOf(`answer: { format: csv, csv: { delimiter: '"' } }`)[0]).toContain('no quote')
  })
})

describe('what never reaches the source', () => {
  it('is refused: a cursor without a parameter, unless the request names it', () => {
    const cursor = 'answer: { rows: data }\npaginate: { cursor: next }'
    expect(mistakesOf(cursor)).toEqual([
      '10  ~.paginate.param  expected the name of a parameter, or {cursor} in the request, found nothing',
    ])
    const body = 'request: { method: POST, body: { query: "{{ users }}", variables: { after: "{cursor}" } } }'
    expect(compileStreamYaml(small(`${cursor}\n${body}`)).pagination).toMatchObject({ kind: 'cursor', param: '' })
    expect(mistakesOf(`${cursor}\nrequest: { query: { a: "{{cursor}}" } }`)).toHaveLength(1)
  })

  it('is refused: two parameters of one name', () => {
    expect(mistakesOf('paginate: { page: page, size: page }')).toEqual([
      '9  ~.paginate.size  expected a parameter of its own, found "page" again',
    ])
  })
})

describe('what is read as something else', () => {
  it('is refused: a header that is none, a relation of two words, a date in other letters', () => {
    expect(mistakesOf('count: "header X-Total:"')[0]).toContain('found "header X-Total:"')
    expect(mistakesOf('answer: { expect: { "header X Y": a } }')[0]).toContain('found "header X Y"')
    expect(mistakesOf('paginate: { link: next page }')).toEqual([
      '9  ~.paginate.link  expected one link relation like next, or true, found "next page"',
    ])
    expect(mistakesOf('paginate: { link: false }')[0]).toContain('expected one link relation like next, or true')
    const days = 'dimensions: { day: { days: { from: 2024-01-01 } } }'
    const asked = (format: string) => mistakesOf(`request: { query: { at: "{day:${format}}" } }`, days)
    expect(asked('yyyy-MM-dd')).toEqual([
      '9  ~.request.query.at  expected a date format of YYYY, YY, MMM, MM, M, DD, D and [plain text], found "yyyy" in "yyyy-MM-dd"',
    ])
    expect(asked('YYYY-MM-DDTHH:mm')[0]).toContain('found "HH"')
    expect(asked('YYYY-MM-DDT00:00:00Z')).toEqual([])
    expect(asked('[day] D.M.YY')).toEqual([])
  })

  it('is not: a list of counts is one of places, an empty one says that there is none', () => {
    const counts = 'answer: { rows: data }\ncount: [header X-Total, meta.total]'
    expect(compileStreamYaml(small(counts)).count.map(({ from }) => from)).toEqual([
      { header: 'x-total' },
      { path: ['meta', 'total'] },
    ])
    expect(compileStreamYaml(small('count: []')).count).toEqual([])
  })

  it('names the keys of the kind that was meant, where another kind has the unknown one', () => {
    const cursor = 'answer: { rows: data }\npaginate: { cursor: next, param: c, pages: n }'
    expect(mistakesOf(cursor)[0]).toBe(
      '10  ~.paginate.pages  expected one of "cursor", "param", "next", "size", "max", "more", "done", "expired", "end", found "pages"',
    )
  })
})
