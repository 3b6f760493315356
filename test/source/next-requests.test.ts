/** Requests that are no address with a query: forms, further pages asked for in another way than the first, cursors that are lists, values that are paths. */
import { afterEach, describe, expect, it } from 'vitest'
import { compileStreamYaml, compileYaml, usersYaml } from '../definition/compile-yaml.js'
import {
  type Answerer,
  bench,
  closeAll,
  errorOf,
  idsOf,
  json,
  pagesOf,
  rows,
  serve,
  sourceOf,
  startOf,
  streamOf,
} from './support.js'

afterEach(closeAll)

async function walk(definition: readonly string[], answerer: Answerer, environment: Record<string, string> = {}) {
  const server = await serve(answerer)
  const stream = compileStreamYaml(usersYaml(...definition))
  const { client, budget } = bench(environment)
  const pages = await pagesOf(client, startOf(sourceOf(server.origin, { budget: { ...sourceOf('').budget } }), stream))
  const { seen, bodies, headers } = server
  return { ids: idsOf(pages), pages, seen, bodies, types: headers.map((one) => one['content-type']), budget, stream }
}
/** Five rows in pages of two, from the position that `at` counts. */
const paged = (next: (at: number) => unknown, more: (at: number) => object = () => ({})): Answerer => {
  let from = 0
  return (_, response) => {
    const page = rows(from, Math.min(2, 5 - from))
    from += 2
    json(response, { rows: page, next: from < 5 ? next(from) : null, ...more(from) })
  }
}
const all = [0, 1, 2, 3, 4]

describe('a form', () => {
  it('is sent with the page in it', async () => {
    const { ids, bodies, types, seen } = await walk(
      [
        'answer: { rows: rows }',
        `request: { query: { a: b }, form: { f: json, where: "x <> 'y&z=ü'" }, params_in: body }`,
        'paginate: { offset: from, size: n, total: total }',
        'page_size: 2',
      ],
      paged(
        () => null,
        () => ({ total: 5 }),
      ),
    )
    expect(ids).toEqual(all)
    expect(types).toEqual(Array(3).fill('application/x-www-form-urlencoded'))
    expect(seen[0]).toBe('/users?a=b')
    expect(bodies.map((body) => Object.fromEntries(new URLSearchParams(body)))).toEqual(
      ['0', '2', '4'].map((from) => ({ f: 'json', where: "x <> 'y&z=ü'", n: '2', from })),
    )
  })

  it('leaves pages to the query unless it is told otherwise, and holds {cursor} where it names it', async () => {
    const inQuery = await walk(
      ['answer: { rows: rows }', 'request: { form: { f: json } }', 'paginate: { cursor: next, param: c }'],
      paged((at) => at),
    )
    expect(inQuery.seen).toEqual(['/users', '/users?c=2', '/users?c=4'])
    expect(inQuery.bodies).toEqual(['f=json', 'f=json', 'f=json'])
    const inForm = await walk(
      ['answer: { rows: rows }', "request: { form: { f: json, at: '{cursor}' } }", 'paginate: { cursor: next }'],
      paged((at) => `c ${at}`),
    )
    expect(inForm.bodies).toEqual(['f=json', 'f=json&at=c+2', 'f=json&at=c+4'])
  })

  it('keeps secrets out of messages, and refuses an empty value', async () => {
    const definition = ['answer: { rows: rows }', "request: { form: { key: '$KEY' } }"]
    const echo: Answerer = (_, response) => {
      response.writeHead(400, { 'content-type': 'application/json' })
      response.end('{"said":"hunter2-hunter2"}')
    }
    const error = await errorOf(walk(definition, echo, { KEY: 'hunter2-hunter2' }))
    expect(error.message).toContain('$KEY')
    expect(error.message).not.toContain('hunter2')
  })

  it.each([
    ['request: { form: { a: 1 }, body: { b: 1 } }', 'request.form  expected either body or form, found both'],
    ['request: { form: { a: 1 }, method: GET }', 'request.method  expected "POST", because the request has a body'],
    ["request: { form: { a: '{nobody}' } }", 'request.form.a  expected a dimension'],
  ])('is refused: %s', (request, line) => {
    expect(compileYaml(usersYaml(request)).lines.join('\n')).toContain(line)
  })
})

describe('further pages by a request of their own', () => {
  it('go to another path with another body', async () => {
    const { ids, seen, bodies } = await walk(
      [
        'answer: { rows: rows }',
        'request: { query: { v: 2 }, headers: { x-v: 3 }, body: { path: "", limit: 2 } }',
        "paginate: { cursor: cursor, more: more, next: { path: /users/continue, body: { cursor: '{cursor}' } } }",
      ],
      paged(
        () => null,
        (from) => ({ cursor: `at ${from}`, more: from < 5 }),
      ),
    )
    expect(ids).toEqual(all)
    expect(seen).toEqual(['/users?v=2', '/users/continue', '/users/continue'])
    expect(bodies).toEqual(['{"path":"","limit":2}', '{"cursor":"at 2"}', '{"cursor":"at 4"}'])
  })

  it('carry the token and what they say, and nothing of the first', async () => {
    const { ids, seen } = await walk(
      [
        'answer: { rows: rows }',
        'request: { query: { verb: List, prefix: oai } }',
        'paginate: { cursor: next, param: token, size: n, next: { query: { verb: List } } }',
        'page_size: 2',
      ],
      paged((at) => at),
    )
    expect(ids).toEqual(all)
    expect(seen).toEqual(['/users?verb=List&prefix=oai&n=2', '/users?verb=List&token=2', '/users?verb=List&token=4'])
  })

  it('cost their own weight, and hide their own secrets', async () => {
    const definition = [
      'answer: { rows: rows }',
      "paginate: { cursor: next, next: { weight: 7, query: { k: '$KEY', c: '{cursor}' } } }",
    ]
    const { budget } = await walk(
      definition,
      paged((at) => at),
      { KEY: 'hunter2-hunter2' },
    )
    expect(budget.bookings.map(({ weight }) => weight ?? 1)).toEqual([1, 7, 7])
    const broken: Answerer = (request, response) => {
      if (!String(request.url).includes('c=')) {
        json(response, { rows: rows(0, 1), next: 'x' })
        return
      }
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{}')
    }
    const error = await errorOf(walk(definition, broken, { KEY: 'hunter2-hunter2' }))
    expect(error.message).toContain('$KEY')
    expect(error.message).not.toContain('hunter2')
  })

  it('go on in another process from their cursor alone', async () => {
    const definition = [
      'answer: { rows: rows }',
      "paginate: { cursor: next, next: { path: /more, body: { c: '{cursor}' } } }",
    ]
    const { pages, stream } = await walk(
      definition,
      paged((at) => [at, null]),
    )
    const server = await serve((_, response) => json(response, { rows: rows(2, 3) }))
    const { client } = bench()
    const start = startOf(sourceOf(server.origin), stream, { cursor: pages[0]?.next ?? null, pages: 1 })
    expect(idsOf(await pagesOf(client, start))).toEqual([2, 3, 4])
    expect(server.seen).toEqual(['/more'])
    expect(server.bodies).toEqual(['{"c":[2,null]}'])
  })

  it.each([
    [
      'paginate: { cursor: next, next: { path: /more } }',
      'paginate.param  expected the name of a parameter, or {cursor} in "next", found nothing',
    ],
    ["paginate: { cursor: next, param: c, next: { path: '/{nobody}' } }", 'paginate.next.path  expected a dimension'],
    ['paginate: { offset: o, next: { path: /more } }', 'paginate.next  expected one of'],
    [
      'paginate: { cursor: next, param: c, expired: [404], end: { errors: [404] } }',
      'paginate.expired  expected a path that tells them apart, because 404 is an error of "end", too, found 404 alone',
    ],
  ])('are refused: %s', (paginate, line) => {
    expect(compileYaml(usersYaml('answer: { rows: rows }', paginate)).lines.join('\n')).toContain(line)
  })

  it('may tell the end and a forgotten position apart by a place in the answer', () => {
    const expired = 'expired: [{ status: 404, path: error, equals: gone }], end: { errors: [404] }'
    const { lines } = compileYaml(usersYaml('answer: { rows: rows }', `paginate: { cursor: n, param: c, ${expired} }`))
    expect(lines).toEqual([])
  })

  it('begin a walk anew where they change', () => {
    const hash = (next: string) =>
      compileStreamYaml(usersYaml('answer: { rows: rows }', `paginate: { cursor: next, param: c${next} }`)).requestHash
    expect(new Set([hash(''), hash(', next: { path: /a }'), hash(', next: { path: /b }')]).size).toBe(3)
  })
})

describe('a cursor in a header', () => {
  it('is left out of the first request, as in the query', async () => {
    const asked: (string | undefined)[] = []
    const answerer = paged((at) => `c ${at}`)
    const { ids } = await walk(
      ['answer: { rows: rows }', "request: { headers: { X-At: '{cursor}' } }", 'paginate: { cursor: next }'],
      (request, response, at) => {
        asked.push(request.headers['x-at'] as string | undefined)
        return answerer(request, response, at)
      },
    )
    expect(ids).toEqual(all)
    expect(asked).toEqual([undefined, 'c 2', 'c 4'])
  })
})

describe('a cursor of a hundred kilobytes', () => {
  it('goes back whole, and is no message', async () => {
    const long = 'x'.repeat(100_000)
    const definition = ["paginate: { cursor: next, next: { path: /more, body: { c: '{cursor}' } } }"]
    const { ids, bodies } = await walk(
      ['answer: { rows: rows }', ...definition],
      paged((at) => `${long}${at}`),
    )
    expect(ids).toEqual(all)
    expect(bodies[1]).toBe(`{"c":"${long}2"}`)
    const error = await errorOf(
      walk(
        ['answer: { rows: rows }', 'paginate: { cursor: next, param: c }', 'retries: 0'],
        paged((at) => `${long}${at}`),
      ),
    )
    expect(error).toMatchObject({ code: 'http_431' })
    expect(error.message.length).toBeLessThan(1200)
  })
})

describe('a cursor that is JSON', () => {
  const sort = (at: number) => ['2024-01-01', at, { x: null }]

  it('goes back as it came, in a body', async () => {
    const { ids, bodies } = await walk(
      ['answer: { rows: rows }', 'request: { params_in: body }', 'paginate: { cursor: next, param: start }'],
      paged((at) => ({ id: { N: String(at) } })),
    )
    expect(ids).toEqual(all)
    expect(bodies).toEqual(['{}', '{"start":{"id":{"N":"2"}}}', '{"start":{"id":{"N":"4"}}}'])
  })

  it('stands where {cursor} is all of a text, with its type', async () => {
    const { bodies } = await walk(
      [
        'answer: { rows: rows }',
        "request: { body: { variables: { after: '{cursor}', text: 'at {cursor}' } } }",
        'paginate: { cursor: next }',
      ],
      paged((at) => at),
    )
    expect(bodies[1]).toBe('{"variables":{"after":2,"text":"at 2"}}')
  })

  it('may be a list of the last row, whose large numbers stay exact', async () => {
    let asked = 0
    const { ids, bodies } = await walk(
      ['answer: { rows: rows }', 'request: { params_in: body }', 'paginate: { last_row: sort, param: search_after }'],
      (_, response) => {
        asked += 1
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(asked === 1 ? '{"rows":[{"id":1,"sort":[9007199254740993,"a"]}]}' : '{"rows":[]}')
      },
    )
    expect(ids).toEqual([1])
    expect(bodies).toEqual(['{}', '{"search_after":["9007199254740993","a"]}'])
  })

  it('keeps every number that is exact here a number', async () => {
    const numbers = [-5, 1.5, -0.25, 1e21]
    const asCursor = await walk(
      ['answer: { rows: rows }', 'request: { params_in: body }', 'paginate: { cursor: next, param: c }'],
      paged((at) => (at === 2 ? numbers : -7)),
    )
    expect(asCursor.bodies).toEqual(['{}', '{"c":[-5,1.5,-0.25,1e+21]}', '{"c":-7}'])
    let first = -3
    const asLastRow = await walk(
      ['answer: { rows: rows }', 'request: { params_in: body }', 'paginate: { last_row: id, param: c, more: more }'],
      (_, response) => {
        first += 1.5
        json(response, { rows: [{ id: first }], more: first < 0 })
      },
    )
    expect(asLastRow.bodies).toEqual(['{}', '{"c":-1.5}'])
  })

  it.each([['[]'], ['{}']])('is the end where it is empty: %s', async (empty) => {
    const { ids, bodies } = await walk(
      ['answer: { rows: rows }', 'request: { params_in: body }', 'paginate: { cursor: next, param: c }'],
      paged((at) => (at === 4 ? JSON.parse(empty) : [at])),
    )
    expect(ids).toEqual([0, 1, 2, 3])
    expect(bodies).toEqual(['{}', '{"c":[2]}'])
  })

  it.each([
    ['paginate: { cursor: next, param: c }', 'a cursor that is neither text nor a number'],
    ['paginate: { last_row: sort, param: c }', 'the last row has no text or number at "sort"'],
  ])('has no place in an address: %s', async (paginate, fact) => {
    const error = await errorOf(
      walk(['answer: { rows: rows }', paginate], (_, response) =>
        json(response, { next: sort(1), rows: [{ id: 1, sort: sort(1) }] }),
      ),
    )
    expect(error.message).toContain(fact)
  })
})

describe('a page number inside of a body', () => {
  it('is a number where {cursor} stands, from the first page on, and backwards', async () => {
    const body = "request: { body: { page: { n: '{cursor}', size: 2 } } }"
    const answerer: Answerer = (request, response) => {
      const n = pages.shift() ?? 0
      json(response, { rows: rows(n * 2, Math.min(2, 5 - n * 2)), total: 5, at: request.url })
    }
    let pages = [0, 1, 2]
    const forward = await walk(
      ['answer: { rows: rows }', body, 'paginate: { page: true, first: 0, total: total }'],
      answerer,
    )
    expect(forward.ids).toEqual(all)
    expect(forward.bodies).toEqual([0, 1, 2].map((n) => `{"page":{"n":${n},"size":2}}`))
    expect(forward.seen).toEqual(['/users', '/users', '/users'])
    pages = [0, 2, 1, 0]
    const backwards = 'paginate: { page: true, first: 0, total: total, backwards: id }'
    const back = await walk(['answer: { rows: rows }', body, backwards, 'page_size: 2'], answerer)
    expect(back.bodies).toEqual([0, 2, 1, 0].map((n) => `{"page":{"n":${n},"size":2}}`))
    pages = [0, 1, 2]
    const inPath = await walk(
      [
        'answer: { rows: rows }',
        "request: { query: { from: '{cursor}' } }",
        'paginate: { offset: true, total: total }',
      ],
      answerer,
    )
    expect(inPath.seen).toEqual(['/users?from=0', '/users?from=2', '/users?from=4'])
  })

  it('must stand somewhere, and only where no parameter takes it', () => {
    const lines = (...more: string[]) => compileYaml(usersYaml('answer: { rows: rows }', ...more)).lines.join('\n')
    expect(lines('paginate: { page: true }')).toContain('expected the name of a parameter, or {cursor} in the request')
    expect(lines('paginate: { page: p }', "request: { query: { n: '{cursor}' } }")).toContain(
      'expected no {cursor} here',
    )
  })
})

describe('a mistake that would be silent', () => {
  it('is named: a count under a key with dots, read as a path', async () => {
    const answerer: Answerer = (_, response) => json(response, { '@odata.count': 0, value: [] })
    const error = await errorOf(walk(['answer: { rows: value }', "count: '@odata.count'"], answerer))
    expect(error).toMatchObject({ code: 'bad_count' })
    expect(error.hint).toContain("['@odata.count']")
    expect(
      (await walk(['answer: { rows: value }', "count: [['@odata.count']]"], answerer)).pages[0]?.count?.value,
    ).toBe(0)
  })
})

describe('a text that is no template', () => {
  const query = 'query($after: String) { users(after: $after) { id } }'

  it('is sent as it stands, beside others that are', async () => {
    const { bodies } = await walk(
      [
        'answer: { rows: rows }',
        `request: { plain: [query], body: { query: '${query}', variables: { after: '{cursor}' } } }`,
        'paginate: { cursor: next }',
      ],
      paged((at) => at),
    )
    expect(bodies.map((body) => JSON.parse(body) as unknown)).toEqual(
      [null, 2, 4].map((after) => ({ query, variables: { after } })),
    )
  })

  it('may stand in a form and in a query', async () => {
    const text = 'select ?s { ?s ?p $o }'
    const { bodies, seen } = await walk(
      ['answer: { rows: rows }', `request: { plain: [q, r], form: { q: '${text}' }, query: { r: '${text}' } }`],
      (_, response) => json(response, { rows: [] }),
    )
    expect(new URLSearchParams(bodies[0]).get('q')).toBe(text)
    expect(new URL(seen[0] ?? '', 'http://x').searchParams.get('r')).toBe(text)
  })

  it('must be there', () => {
    const { lines } = compileYaml(usersYaml('request: { plain: [query], body: { other: a, query: { a: 1 } } }'))
    expect(lines.join('\n')).toContain('request.plain[0]  expected the name of a text in query, form or body')
  })
})

describe('a value that is a path', () => {
  const ask = async (template: string, repo: string) => {
    const server = await serve((_, response) => json(response, []))
    const stream = compileStreamYaml(
      usersYaml()
        .replace('streams:', 'dimensions: { repo: [a] }\nstreams:')
        .replace('path: /users', `path: '${template}'`),
    )
    const source = sourceOf(server.origin, {
      dimensions: { repo: { kind: 'list', values: [], fromConfig: null, exclude: [], aliases: {} } },
    })
    await pagesOf(bench().client, startOf(source, stream, { partition: { repo } }))
    return server.seen
  }

  it('keeps its slashes where the template says so, and only there', async () => {
    expect(await ask('/repos/{repo:path}/issues', 'octo/a b')).toEqual(['/repos/octo/a%20b/issues'])
    expect(await ask('/projects/{repo}/issues', 'octo/a b')).toEqual(['/projects/octo%2Fa%20b/issues'])
  })

  it('is asked for in the hint of a 404', async () => {
    const server = await serve((_, response) => {
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{}')
    })
    const stream = streamOf({ request: { path: '/repos/{repo}' } })
    const source = sourceOf(server.origin, {
      dimensions: { repo: { kind: 'list', values: [], fromConfig: null, exclude: [], aliases: {} } },
    })
    const error = await errorOf(pagesOf(bench().client, startOf(source, stream, { partition: { repo: 'a/b' } })))
    expect(error.hint).toContain('{name:path}')
  })

  it.each(['octo/../admin', 'octo/.', '../..'])('never leaves the base: %s', async (repo) => {
    expect(await errorOf(ask('/repos/{repo:path}', repo))).toMatchObject({ code: 'bad_path' })
  })

  it.each(['octo//a', '/octo', 'octo/'])('has no empty part: %s', async (repo) => {
    expect(await errorOf(ask('/repos/{repo:path}', repo))).toMatchObject({ code: 'empty_path_part' })
  })
})
