import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileSource } from '../../src/definition/compile-source.js'
import { defineSource, type SourceDefinition } from '../../src/definition/define-source.js'
import { Mistakes } from '../../src/definition/document.js'
import { readPlain } from '../../src/definition/plain-document.js'
import { compileStreamYaml, compileYaml } from './compile-yaml.js'

const yaml = `source: acme
base_url: https://{site}.acme.example/v1/
headers: { authorization: Bearer $ACME_TOKEN }
budget: { limits: [2/s, 15 per minute, 7500/day, 3/10s], reserve: 5%, refusals: [429, 402], key: shared, concurrency: 3, verify_share: 10% }
dimensions:
  document_type: [agendas, minutes]
  site: { config: sites, exclude: [x.ca], aliases: { oak: oakland.ca } }
  day: { days: { from: 2024-01-01, to: yesterday } }
paginate: { page: page, size: per_page, first: 0, total: header X-Total, pages: header X-Pages, used_size: header X-Per-Page, end: { errors: [404, { status: 400, path: code, equals: past_end }] } }
page_size: 100
streams:
  users:
    request: { path: '/users/{document_type}', query: { date: '{day:M/D/YYYY}', board: '{config.board}', n: 3 }, headers: { x-a: b } }
    answer: { rows: data.rows, header: columns, errors: [error, { path: ok, equals: false, message: text, fate: retry }] }
    count: [{ from: count, exact_below: 10001 }, { request: { path: /count, query: { of: '{site}' } }, from: 'rows[0].n' }]
    key: [id, site]
    version: changed_at
    columns:
      id: int
      staff: { type: bool, from: 'staff?' }
      city: { type: text, from: address.city, required: true }
      tag: { type: string, from: 'tags[0]' }
      weird: { type: float, from: ['a.b', 0, c] }
      site: { type: text, dimension: site }
      raw: { type: json, from: $ }
      entities: { type: jsonb, from: entities_json, parse: json }
      changed_at: timestamptz
      friend_id: bigint
    references: { friend_id: { to: users.id, missing_parent: refuse } }
    missing_parent: reject
    disposition: mirror
    extras: extra
    unstorable_text: strip
    every: 1 day
    table: archive.people
    page_size: 50
    statuses: { 404: retry }
    flush: { rows: 500, bytes: 64 kB, age: 200ms }
    foreign_keys: off
    max_walk_age: 2d
    delay: 3s
`
const settings = `defaults: { attempts: 9, page_size: 7, timeout: 1s }
sources:
  acme:
    sites: [oakland.ca, x.ca]
    board: 12
    timeout: 5s
    streams: { users: { page_size: 20, retries: 0 } }
`

describe('a definition in YAML', () => {
  it('becomes the source model, every key of it', () => {
    const { source, lines } = compileYaml(yaml, settings)
    expect(lines).toEqual([])
    expect(source).toMatchSnapshot()
  })

  it('takes camelCase as well, with the same result', () => {
    const camel = yaml.replaceAll(
      /(?<=[{,\s])(base_url|verify_share|used_size|page_size|exact_below|unstorable_text|foreign_keys|missing_parent|max_walk_age):/g,
      (key) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    )
    expect(camel).toContain('baseUrl')
    expect(compileYaml(camel, settings)).toEqual(compileYaml(yaml, settings))
  })

  it("keeps names that are not the schema's: columns, parameters, headers, values", () => {
    const stream = compileStreamYaml(`source: acme
base_url: https://acme.example
streams:
  users:
    path: /users
    request: { query: { page_size: 3 }, headers: { x_trace: a } }
    key: page_size
    columns: { page_size: int, base_url: { type: text, from: base_url } }
`)
    expect(stream.request.query).toEqual({ page_size: '3' })
    expect(stream.request.headers).toEqual({ x_trace: 'a' })
    expect(stream.columns?.map(({ name }) => name)).toEqual(['page_size', 'base_url'])
  })
})

const small = (extra = '', top = '') => `source: acme
base_url: https://acme.example
${top}
streams:
  users: { path: /users, key: id${extra} }
`

describe('defaults', () => {
  it('are those of a source without limits', () => {
    const { source } = compileYaml(small())
    expect(source?.budget).toEqual({
      limits: [],
      reserve: 0,
      key: 'acme',
      refusals: [429],
      delayMs: 2000,
      concurrency: 4,
      verifyShare: 0.5,
    })
    expect(source?.streams.users?.settings).toEqual({
      pageSize: null,
      claim: 10,
      timeoutMs: 120_000,
      retries: 3,
      retryDelayMs: 1000,
      attempts: 3,
      backoffMs: 5000,
      flush: { rows: 10_000, bytes: 8_388_608, ageMs: 1000 },
      checksForeignKeys: true,
      missingParent: 'wait',
      maxPages: 1_000_000,
      maxAnswerBytes: 67_108_864,
      maxWalkAgeMs: 604_800_000,
      maxShrink: 0.5,
      statuses: {},
    })
  })

  it('are smaller flushes, no delay and less at once where limits are declared', () => {
    const { source } = compileYaml(small('', 'budget: [2/s]'))
    expect(source?.budget).toMatchObject({ delayMs: 0, concurrency: 2 })
    expect(source?.streams.users?.settings.flush.rows).toBe(1000)
  })

  it('give way to the nearest word: defaults, source, stream, then backfill.yaml by source and by stream', () => {
    const claim = (text: string, workspace = '') => compileStreamYaml(text, workspace).settings.claim
    const defaults = 'defaults: { claim: 1 }\n'
    expect(claim(small(), defaults)).toBe(1)
    expect(claim(small('', 'claim: 2'), defaults)).toBe(2)
    expect(claim(small(', claim: 3', 'claim: 2'), defaults)).toBe(3)
    expect(claim(small(', claim: 3', 'claim: 2'), `${defaults}sources: { acme: { claim: 4 } }`)).toBe(4)
    expect(
      claim(
        small(', claim: 3', 'claim: 2'),
        `${defaults}sources: { acme: { claim: 4, streams: { users: { claim: 5 } } } }`,
      ),
    ).toBe(5)
  })

  it('ask for the largest page that the pagination names', () => {
    expect(compileStreamYaml(small(', paginate: { page: p, size: s, max: 40 }')).settings.pageSize).toBe(40)
    expect(compileStreamYaml(small(', paginate: { page: p, max: 40 }')).settings.pageSize).toBeNull()
  })

  it("count by the pagination's total", () => {
    expect(
      compileStreamYaml(small(', answer: { rows: data }, paginate: { page: p, total: meta.total }')).count,
    ).toEqual([{ request: null, from: { path: ['meta', 'total'] }, exactBelow: null }])
  })
})

describe('the request hash', () => {
  const hash = (text: string, workspace = '') => compileStreamYaml(text, workspace).requestHash
  const asked = small(", request: { query: { a: '{config.board}' } }")
    .replace('path: /users, ', '')
    .replace('request: {', 'request: { path: /users,')
  const board = (value: string) => `sources: { acme: { board: ${value} } }`

  it('changes with address, request, pagination, rows and the settings that templates name', () => {
    const hashes = [
      hash(small()),
      hash(small().replace('acme.example', 'other.example')),
      hash(small().replace('/users', '/people')),
      hash(small(', paginate: { page: p }')),
      hash(small(', answer: { rows: data }')),
      hash(asked, board('1')),
      hash(asked, board('2')),
    ]
    expect(new Set(hashes).size).toBe(hashes.length)
  })

  it('stays with what changes no request: page size, columns, attempts, headers of the source', () => {
    const same = [
      small(', page_size: 5'),
      small(', columns: { id: int }'),
      small(', attempts: 9'),
      small('', 'headers: { authorization: $TOKEN }'),
    ]
    expect(new Set([small(), ...same].map((text) => hash(text))).size).toBe(1)
  })
})

describe('a definition in TypeScript', () => {
  const read = (definition: unknown, text: string | null = null) => {
    const mistakes = new Mistakes()
    const workspace = readPlain({}, { file: 'backfill.yaml', text: null, mistakes })
    const document = readPlain(definition, { file: 'sources/acme.ts', text, mistakes })
    const source = compileSource(document, {
      mistakes,
      workspace,
      notes: [],
      tables: { schema: 'public', deltaPrefix: 'delta_' },
      defaults: {},
      override: null,
    })
    return { source, problems: mistakes.problems }
  }
  const definition = {
    source: 'acme',
    baseUrl: 'https://acme.example',
    pageSize: 5,
    streams: { users: { path: '/users', key: 'id', columns: { id: 'int' } } },
  } satisfies SourceDefinition

  it('gives the same as the same keys in YAML', () => {
    const { source } = compileYaml(small(', columns: { id: int }', 'page_size: 5'))
    expect(read(defineSource(definition)).source).toEqual({ ...source, file: 'sources/acme.ts' })
  })

  it('is refused with a function, a class or a promise in it, at its place', () => {
    const { problems } = read({
      ...definition,
      headers: { a: () => 'x' },
      budget: new Map(),
      answer: Promise.resolve(),
    })
    expect(problems.map(({ path, found }) => [path, found])).toEqual([
      ['headers.a', 'a function, which a definition cannot hold'],
      ['budget', 'a Map object'],
      ['answer', 'a promise; export what it resolves to'],
    ])
  })

  it('that contains itself is refused', () => {
    const circle: Record<string, unknown> = { ...definition }
    circle.answer = circle
    expect(read(circle).problems[0]).toMatchObject({ path: 'answer', found: 'an object that contains itself' })
  })

  it('names the line of a key that stands in its text', () => {
    const text =
      "export default {\n  source: 'acme',\n  streams: {\n    users: {\n      path: '/users',\n      key: 'idd',\n    },\n  },\n}\n"
    const wrong = { ...definition, streams: { users: { ...definition.streams.users, key: 'idd' } } }
    expect(read(wrong, text).problems).toMatchObject([
      { line: 6, path: 'streams.users.key', found: '"idd" (did you mean "id")' },
    ])
  })

  it('with snake_case keys is refused with the right spelling', () => {
    expect(read({ ...definition, page_size: 5 }).problems).toMatchObject([
      { found: '"page_size" (did you mean "pageSize")' },
    ])
  })
})

it('notes plain http to another machine, and nothing on loopback', () => {
  const to = (host: string) => compileYaml(small().replace('https://acme.example', `http://${host}`)).notes
  expect(to('acme.example')).toEqual([
    'source "acme" talks plain http to acme.example: what it sends can be read on the way',
  ])
  expect([...to('127.0.0.1:80'), ...to('localhost'), ...to('[::1]:80')]).toEqual([])
})

it('knows the example of 25 lines that a new API takes', () => {
  const text = readFileSync(new URL('./fixtures/acme.yaml', import.meta.url), 'utf8')
  expect(text.split('\n').length).toBeLessThanOrEqual(26)
  expect(compileYaml(text).lines).toEqual([])
})
