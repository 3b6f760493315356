/**
 * What may be wrong with the API, through the real worker over real sockets: for each fault its code, the fate of the task, the exit code, the sentence, and
 * that a run after it is healed ends exactly. The README's table of faults names where each is tested; what is only a matter of reading an answer is in
 * test/source.
 */
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Bend,
  count,
  disguised,
  done,
  json,
  later,
  limits,
  page,
  type Question,
  siteOf,
  walks,
  wire,
} from './api-fault-table.js'
import { type Bench, expectSiteExact, makeBench } from './in-process.js'
import { startTableApi, type TableApi, thingsOf } from './table-api.js'

const all = [...wire, ...disguised, ...limits, ...walks]
const sites = [...all.map((_, index) => `s${index + 1}`), 'plenty', 'less']

const definition = (url: string): string =>
  `source: api
base_url: ${url}
budget: { delay: 0s, concurrency: 1 }
dimensions: { site: [${sites.join(', ')}] }
page_size: 10
timeout: 1s
retries: 0
backoff: 0
max_answer_bytes: 1MiB
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
`

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
  it.each(faults.map((fault) => [fault.name, fault] as const))('%s', { timeout: 60_000 }, async (_name, fault) => {
    const site = `s${all.indexOf(fault) + 1}`
    const stream = fault.stream ?? 'thing'
    const only = [`api.${stream}`, '--site', site]
    bends.set(site, fault.bend)
    expect(await bench.run('seed', ...only)).toMatchObject({ exitCode: 0 })
    let ran = { exitCode: -1, stdout: '', stderr: '' }
    for (const flags of fault.runs ?? [['--max-tasks', '1', '--max-runtime', '20s']]) {
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
