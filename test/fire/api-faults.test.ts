/**
 * What may be wrong with the API, through the real worker over real sockets: for each fault its code, the fate of the task, the exit code, the sentence, and
 * that a run after it is healed ends exactly. The README's table of faults names where each is tested; what is only a matter of reading an answer is in
 * test/source.
 */
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bench, type BenchTask, expectSiteExact, makeBench } from './in-process.js'
import { type ApiRow, type Asked, startTableApi, type TableApi, thingsOf } from './table-api.js'

const count = 25
const json = { 'content-type': 'application/json' }
const html = '<!doctype html><html><head><title>Making sure you are not a bot</title></head></html>'

interface Question extends Asked {
  readonly url: URL
  /** Requests of this site so far, this one included. */
  readonly nth: number
}
type Bend = (response: ServerResponse, question: Question) => Promise<void> | void

interface Fault {
  readonly name: string
  /** Stream of the definition below; `thing` where none is named. */
  readonly stream?: 'thing' | 'walked' | 'bare' | 'told' | 'odd'
  readonly bend: Bend
  /** One run of one attempt each. */
  readonly runs?: readonly (readonly string[])[]
  readonly becomes: Partial<BenchTask>
  readonly exit: number
  readonly says?: RegExp
  /** How long the gate was shut for, about, s. */
  readonly shutS?: number
  /** How an operator goes on once it is healed; a plain next run where nothing is said. */
  readonly heal?: 'retry' | 'seed --force' | 'nothing'
}

const later = (code: string, attempts = 1): Partial<BenchTask> => ({ state: 'ready', code, attempts })
const dead = (code: string): Partial<BenchTask> => ({ state: 'dead', code })
const done = (proof: string): Partial<BenchTask> => ({ state: 'done', proof })
const hang = () => new Promise<void>((resolve) => setTimeout(resolve, 3_000).unref())
const refuse =
  (headers: Record<string, string>): Bend =>
  (response) =>
    void response.writeHead(429, headers).end()
const page = (response: ServerResponse, rows: readonly ApiRow[], total: number): void =>
  void response.writeHead(200, { ...json, 'x-total': total }).end(JSON.stringify(rows))
const at = ({ page: number, size }: Asked, site: string, shift = 0): readonly ApiRow[] =>
  thingsOf(site, count).slice((number - 1) * size + shift, number * size + shift)
const siteOf = ({ path }: Asked): string => path.split('/')[1] ?? ''
const date = (ms: number): string => new Date(ms).toUTCString()

const wire: readonly Fault[] = [
  { name: 'a reset', bend: (response) => void response.socket?.destroy(), becomes: later('connection_lost'), exit: 0 },
  { name: 'a hang before the answer', bend: hang, becomes: later('timeout'), exit: 0, says: /no answer after 400 ms/ },
  {
    name: 'a hang inside the body',
    bend: async (response) => {
      response.writeHead(200, json).write('[{"id":1,')
      await hang()
    },
    becomes: later('timeout'),
    exit: 0,
    says: /half an answer after 400 ms/,
  },
  {
    name: 'a body cut short of its length',
    bend: (response) => {
      response.writeHead(200, { ...json, 'content-length': 900 })
      response.write('[{"id":1,"name":"x"}]', () => response.socket?.destroy())
    },
    becomes: later('connection_lost'),
    exit: 0,
  },
  {
    name: 'a length shorter than the body',
    bend: (response) => {
      response.socket?.end(
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n[{"id":1,"name":"x"}]',
      )
    },
    becomes: later('connection_lost'),
    exit: 0,
  },
  {
    name: 'damaged gzip',
    bend: (response) => {
      const body = gzipSync(JSON.stringify(thingsOf('x', 50)))
      body.fill(7, 40, 60)
      response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(body)
    },
    becomes: later('cut_body'),
    exit: 0,
    says: /damaged or cut gzip body/,
  },
  {
    name: 'gzip that expands without end',
    bend: (response) => void response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(bomb),
    becomes: dead('too_large'),
    exit: 3,
    says: /more than 1048576 bytes/,
    heal: 'retry',
  },
  ...[500, 502, 503, 504].map(
    (status): Fault => ({
      name: `status ${status}`,
      bend: (response) => void response.writeHead(status).end('down for maintenance'),
      becomes: later(`http_${status}`),
      exit: 0,
      says: /down for maintenance/,
    }),
  ),
  {
    name: 'a redirect in a circle',
    bend: (response, { url }) => void response.writeHead(302, { location: url.href }).end(),
    becomes: dead('redirect'),
    exit: 3,
    says: /circle/,
    heal: 'retry',
  },
  {
    name: 'a redirect to another host',
    bend: (response) => void response.writeHead(302, { location: 'http://elsewhere.example/' }).end(),
    becomes: dead('redirect'),
    exit: 3,
    says: /elsewhere\.example/,
    heal: 'retry',
  },
]
const bomb = gzipSync(Buffer.alloc(20_000_000, 32))

const disguised: readonly Fault[] = [
  {
    name: 'HTML with status 200',
    bend: (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end(html),
    becomes: later('not_json'),
    exit: 0,
    says: /Making sure you are not a bot/,
  },
  {
    name: 'HTML that calls itself JSON',
    bend: (response) => void response.writeHead(200, json).end(html),
    becomes: later('not_json'),
    exit: 0,
  },
  {
    name: 'an error object in a 200 that nobody declared',
    bend: (response) => void response.writeHead(200, json).end('{"error":"quota exceeded"}'),
    becomes: dead('rows_missing'),
    exit: 3,
    heal: 'retry',
  },
  {
    name: 'an error object in a 200 that is declared as passing',
    stream: 'odd',
    bend: (response) => void response.writeHead(200, json).end('{"error":"try later","rows":[]}'),
    becomes: later('answer_error'),
    exit: 0,
    says: /try later/,
  },
  {
    name: 'an answer for another partition',
    stream: 'told',
    bend: (response) =>
      void response.writeHead(200, json).end(JSON.stringify({ site: 'other', rows: thingsOf('other', 3) })),
    becomes: later('other_answer'),
    exit: 0,
    says: /found "other" at site, expected "s\d+"/,
  },
  {
    name: 'an answer that does not say for which partition it is',
    stream: 'told',
    bend: (response) => void response.writeHead(200, json).end(JSON.stringify({ rows: thingsOf('other', 3) })),
    becomes: later('other_answer'),
    exit: 0,
    says: /found nothing at site/,
  },
]

const limits: readonly Fault[] = [
  { name: '429 without Retry-After', bend: refuse({}), becomes: later('over_budget', 0), exit: 0, shutS: 60 },
  {
    name: '429 with Retry-After in seconds',
    bend: refuse({ 'retry-after': '300' }),
    becomes: later('over_budget', 0),
    exit: 0,
    shutS: 300,
  },
  {
    name: '429 with Retry-After as a date',
    bend: (response) => void response.writeHead(429, { 'retry-after': date(Date.now() + 300_000) }).end(),
    becomes: later('over_budget', 0),
    exit: 0,
    shutS: 300,
  },
  {
    name: '429 with Retry-After 0, once',
    bend: (response, { nth }) => (nth === 1 ? void response.writeHead(429, { 'retry-after': '0' }).end() : undefined),
    runs: [['--max-runtime', '10s']],
    becomes: done('proven'),
    exit: 0,
    heal: 'nothing',
  },
  {
    name: '429 with Retry-After of ten years: a day at most',
    bend: refuse({ 'retry-after': '315360000' }),
    becomes: later('over_budget', 0),
    exit: 0,
    shutS: 86_400,
  },
  {
    // Its date is over by our clock, and three hundred seconds away by its own.
    name: '429 with Retry-After as a date of a clock that is a day late',
    bend: (response) =>
      void response
        .writeHead(429, { date: date(Date.now() - 86_400_000), 'retry-after': date(Date.now() - 86_100_000) })
        .end(),
    becomes: later('over_budget', 0),
    exit: 0,
    shutS: 300,
  },
]

const walks: readonly Fault[] = [
  {
    name: 'a cursor that repeats',
    stream: 'walked',
    bend: (response, { nth }) =>
      void response.writeHead(200, json).end(JSON.stringify({ rows: [{ id: nth, name: 'x' }], next: 'same' })),
    becomes: dead('loop'),
    exit: 3,
    heal: 'seed --force',
  },
  {
    name: 'cursors in a loop that is longer than a run',
    stream: 'walked',
    bend: (response, { url, nth }) => {
      const next = (Number(url.searchParams.get('after') ?? '0') % 7) + 1
      response.writeHead(200, json).end(JSON.stringify({ rows: [{ id: nth, name: 'x' }], next: String(next) }))
    },
    runs: Array.from({ length: 12 }, () => ['--max-requests', '3']),
    becomes: dead('loop'),
    exit: 3,
    heal: 'seed --force',
  },
  {
    name: 'a cursor that is null with rows left',
    stream: 'walked',
    bend: (response, question) =>
      void response
        .writeHead(200, json)
        .end(JSON.stringify({ rows: thingsOf(siteOf(question), 10), next: null, total: count })),
    becomes: done('differs'),
    exit: 3,
    says: /ended with 10 rows where the source counts 25/,
    heal: 'seed --force',
  },
  {
    name: 'a page that repeats for ever',
    stream: 'bare',
    bend: (response, question) => page(response, thingsOf(siteOf(question), 10), 0),
    becomes: dead('loop'),
    exit: 3,
    heal: 'seed --force',
  },
  {
    name: 'a page that repeats once, in the place of another',
    bend: (response, question) =>
      question.page === 2 ? page(response, thingsOf(siteOf(question), 10), count) : undefined,
    becomes: dead('page_repeats'),
    exit: 3,
    heal: 'seed --force',
  },
  {
    name: 'a short page that is not the last',
    bend: (response, question) => {
      // The server cuts ten to six without a word.
      const size = 6
      page(response, thingsOf(siteOf(question), count).slice((question.page - 1) * size, question.page * size), count)
    },
    becomes: done('proven'),
    exit: 0,
    heal: 'nothing',
  },
  {
    name: 'rows that shift towards the beginning between two pages',
    // A row of page 1 was deleted: one is passed over, and the source counts one less.
    bend: (response, question) =>
      question.page === 1
        ? page(response, at(question, siteOf(question)), count)
        : page(response, at(question, siteOf(question), 1), count - 1),
    becomes: done('unproven'),
    exit: 0,
    heal: 'seed --force',
  },
  {
    name: 'rows that shift towards the end between two pages',
    // A row came before the cursor: one comes twice.
    bend: (response, question) =>
      question.page === 1
        ? page(response, at(question, siteOf(question)), count)
        : page(response, at(question, siteOf(question), -1), count),
    becomes: done('differs'),
    exit: 3,
    heal: 'seed --force',
  },
  {
    name: 'a total that changes',
    bend: (response, question) => page(response, at(question, siteOf(question)), question.page < 3 ? count : count + 1),
    becomes: done('unproven'),
    exit: 0,
    heal: 'seed --force',
  },
  {
    name: 'a total that promises more than there is',
    bend: (response, question) => page(response, at(question, siteOf(question)), 99),
    becomes: done('differs'),
    exit: 3,
    says: /ended with 25 rows where the source counts 99/,
    heal: 'seed --force',
  },
  {
    name: 'a total that owns up to less than there is',
    bend: (response, question) => page(response, at(question, siteOf(question)), 7),
    becomes: done('differs'),
    exit: 3,
    says: /ended with 25 rows where the source counts 7/,
    heal: 'seed --force',
  },
  {
    name: 'a page size that changes between two runs',
    bend: () => {},
    runs: [
      ['--max-requests', '2'],
      ['--page-size', '5'],
    ],
    becomes: done('proven'),
    exit: 0,
    heal: 'nothing',
  },
]

const all = [...wire, ...disguised, ...limits, ...walks]
const sites = [...all.map((_, index) => `s${index + 1}`), 'plenty', 'less']

const definition = (url: string): string =>
  `source: api
base_url: ${url}
budget: { delay: 0s, concurrency: 1 }
dimensions: { site: [${sites.join(', ')}] }
page_size: 10
timeout: 400ms
retries: 0
backoff: 0
max_answer_bytes: 1MiB
key_columns: {}
streams:
${Object.entries({
  thing: '    paginate: { page: page, size: size, total: header X-Total }',
  walked: '    paginate: { cursor: next, param: after, size: size }\n    answer: { rows: rows }\n    count: [total]',
  bare: '    paginate: { page: page, size: size }',
  told: "    paginate: { page: page, size: size }\n    answer: { rows: rows, expect: { site: '{site}' } }",
  odd: '    paginate: { page: page, size: size }\n    answer: { rows: rows, errors: [{ path: error, fate: retry }] }',
})
  .map(
    ([name, how]) => `  ${name}:
    path: '/{site}/${name}'
${how}
    key: [site, id]
    columns: { site: { type: text, dimension: site }, id: bigint, name: text }`,
  )
  .join('\n')}
`.replace('key_columns: {}\n', '')

let api: TableApi
let bench: Bench
const bends = new Map<string, Bend>()
const asked = new Map<string, number>()

beforeAll(async () => {
  api = await startTableApi({})
  api.before = async (question, response, request) => {
    const site = siteOf(question)
    const nth = (asked.get(site) ?? 0) + 1
    asked.set(site, nth)
    const url = new URL(request.url ?? '/', api.url)
    await bends.get(site)?.(response, { ...question, url, nth })
    if (!response.headersSent && response.socket?.destroyed === false)
      answerHonestly(response, { ...question, url, nth })
  }
  bench = await makeBench({ 'api.yaml': definition(api.url) })
})
afterAll(async () => {
  await bench.close()
  await api.close()
})

/** As a healthy source: every stream has the same rows, each in its own form. */
function answerHonestly(response: ServerResponse, question: Question): void {
  const site = siteOf(question)
  const stream = question.path.split('/')[2]
  const rows = api.rows[question.path] ?? thingsOf(site, count)
  if (stream === 'walked') {
    const from = Number(question.url.searchParams.get('after') ?? '0')
    const next = from + 10 < rows.length ? String(from + 10) : null
    response.writeHead(200, json).end(JSON.stringify({ rows: rows.slice(from, from + 10), next, total: rows.length }))
    return
  }
  const some = rows.slice((question.page - 1) * question.size, question.page * question.size)
  if (stream === 'told' || stream === 'odd') response.writeHead(200, json).end(JSON.stringify({ site, rows: some }))
  else page(response, some, rows.length)
}

describe.each([
  ['a fault of the wire', wire],
  ['an answer in disguise', disguised],
  ['a limit', limits],
  ['a walk', walks],
])('%s', (_, faults) => {
  it.each(faults.map((fault) => [fault.name, fault] as const))('%s', async (_name, fault) => {
    const site = `s${all.indexOf(fault) + 1}`
    const stream = fault.stream ?? 'thing'
    const only = [`api.${stream}`, '--site', site]
    bends.set(site, fault.bend)
    expect(await bench.run('seed', ...only)).toMatchObject({ exitCode: 0 })
    let ran = { exitCode: -1, stdout: '', stderr: '' }
    for (const flags of fault.runs ?? [['--max-tasks', '1', '--max-runtime', '2s']]) {
      ran = await bench.run('worker', ...only, ...flags)
      if (bench.task(stream, site).state === 'dead') break
    }
    const task = bench.task(stream, site)
    expect(task).toMatchObject(fault.becomes)
    expect(ran.exitCode, ran.stderr).toBe(fault.exit)
    // A sentence: what, where; without a full stop.
    if (task.message !== null && task.state !== 'done') expect(task.message).toMatch(/^[a-z]+ .*[^.]$/)
    if (fault.shutS !== undefined) {
      const shutS = (bench.gateMs() ?? 0) / 1000
      // A date has whole seconds, and the question took a moment.
      expect(Math.abs(shutS - fault.shutS), `shut for ${shutS} s`).toBeLessThan(10)
    }
    if (fault.says !== undefined) expect(`${task.message ?? ''}\n${ran.stderr}`).toMatch(fault.says)
    if (task.state === 'ready') expect(ran.stderr).toBe('')

    bends.delete(site)
    bench.letTimePass()
    if (fault.heal === 'retry') expect(await bench.run('retry', ...only, '--all')).toMatchObject({ exitCode: 0 })
    if (fault.heal === 'seed --force') {
      expect(await bench.run('seed', ...only, '--force')).toMatchObject({ exitCode: 0 })
      // What a lying source made up is the source's to explain, not the next walk's to delete.
      await bench.sql(`delete from public.${stream} where site = '${site}' and name = 'x'`)
    }
    expect(await bench.run('worker', ...only)).toMatchObject({ exitCode: 0 })
    expect(bench.task(stream, site).state).toBe('done')
    await expectSiteExact(bench, { table: stream, site, count })
  })
})

describe('an address where nobody listens', () => {
  it('is refused, tried again, and healed when somebody does', async () => {
    const gone = await startTableApi({})
    await gone.close()
    const other = await makeBench({ 'api.yaml': definition(gone.url) })
    try {
      expect(await other.run('seed', 'api.thing', '--site', 's1')).toMatchObject({ exitCode: 0 })
      expect(await other.run('worker', '--max-tasks', '1')).toEqual({ exitCode: 0, stdout: '', stderr: '' })
      expect(other.task('thing', 's1')).toMatchObject(later('unreachable'))
      const back = await startTableApi({ '/s1/thing': thingsOf('s1', count) }, gone.port)
      try {
        expect(await other.run('worker')).toMatchObject({ exitCode: 0 })
        await expectSiteExact(other, { table: 'thing', site: 's1', count })
      } finally {
        await back.close()
      }
    } finally {
      await other.close()
    }
  })
})

describe('an empty answer where there was plenty yesterday', () => {
  const walk = async (site: string, rows: number): Promise<{ exitCode: number; stderr: string }> => {
    api.rows[`/${site}/thing`] = thingsOf(site, rows)
    expect(await bench.run('seed', 'api.thing', '--site', site, '--force')).toMatchObject({ exitCode: 0 })
    return await bench.run('worker', 'api.thing', '--site', site)
  }

  it('is not called proven, says so, and takes nothing away', async () => {
    expect(await walk('plenty', 40)).toMatchObject({ exitCode: 0 })
    expect(bench.task('thing', 'plenty').proof).toBe('proven')
    const ran = await walk('plenty', 0)
    expect(ran.exitCode).toBe(3)
    expect(ran.stderr).toMatch(/plenty.* ended with 0 rows where its last proven walk had 40, and is not called proven/)
    expect(bench.task('thing', 'plenty')).toMatchObject(done('unproven'))
    await expectSiteExact(bench, { table: 'thing', site: 'plenty', count: 40 })
    // Healed: the rows are back, and the walk is held against the last proven one, not against the empty one.
    expect(await walk('plenty', 41)).toMatchObject({ exitCode: 0 })
    expect(bench.task('thing', 'plenty').proof).toBe('proven')
  })

  it('may be half of it, where nothing else is set', async () => {
    expect(await walk('less', 40)).toMatchObject({ exitCode: 0 })
    expect(await walk('less', 20)).toMatchObject({ exitCode: 0 })
    expect(bench.task('thing', 'less').proof).toBe('proven')
    expect(await walk('less', 9)).toMatchObject({ exitCode: 3 })
  })
})
