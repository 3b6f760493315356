/** What may be wrong with the API, a row a fault: what the source does, and what must become of the task, the run and the rows. */
import type { ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { BenchTask } from './in-process.js'
import { type ApiRow, type Asked, thingsOf } from './table-api.js'

/** Rows of every partition of the healthy source. */
export const count = 25
export const json = { 'content-type': 'application/json' }
const html = '<!doctype html><html><head><title>Making sure you are not a bot</title></head></html>'

export interface Question extends Asked {
  readonly url: URL
  /** Requests of this site so far, this one included. */
  readonly nth: number
}
export type Bend = (response: ServerResponse, question: Question) => Promise<void> | void

/** One row: what the source does, and what becomes of it. */
export interface Fault {
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

export const later = (code: string, attempts = 1): Partial<BenchTask> => ({ state: 'ready', code, attempts })
const dead = (code: string): Partial<BenchTask> => ({ state: 'dead', code })
export const done = (proof: string): Partial<BenchTask> => ({ state: 'done', proof })
const hang = () => new Promise<void>((resolve) => setTimeout(resolve, 5_000).unref())
const refuse =
  (headers: Record<string, string>): Bend =>
  (response) =>
    void response.writeHead(429, headers).end()
export const page = (response: ServerResponse, rows: readonly ApiRow[], total: number): void =>
  void response.writeHead(200, { ...json, 'x-total': total }).end(JSON.stringify(rows))
const at = ({ page: number, size }: Asked, site: string, shift = 0): readonly ApiRow[] =>
  thingsOf(site, count).slice((number - 1) * size + shift, number * size + shift)
export const siteOf = ({ path }: Asked): string => path.split('/')[1] ?? ''
const date = (ms: number): string => new Date(ms).toUTCString()

export const wire: readonly Fault[] = [
  { name: 'a reset', bend: (response) => void response.socket?.destroy(), becomes: later('connection_lost'), exit: 0 },
  { name: 'a hang before the answer', bend: hang, becomes: later('timeout'), exit: 0, says: /no answer after 1000 ms/ },
  {
    name: 'a hang inside the body',
    bend: async (response) => {
      response.writeHead(200, json).write('[{"id":1,')
      await hang()
    },
    becomes: later('timeout'),
    exit: 0,
    says: /half an answer after 1000 ms/,
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

export const disguised: readonly Fault[] = [
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

export const limits: readonly Fault[] = [
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
    runs: [['--max-runtime', '30s']],
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

export const walks: readonly Fault[] = [
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
