/** A real API over real data, described in 25 lines of YAML: every row of it arrives in Postgres as it stands in the file. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace, root, until } from '../support/cli-workspace.js'

const datasets = join(root, 'node_modules/vega-datasets/data')
const read = (name: string) => readFileSync(join(datasets, name), 'utf8')
const csv = (name: string) => parse<Record<string, string>>(read(name), { columns: true })
const movies = JSON.parse(read('movies.json')) as Record<string, unknown>[]
const data = {
  airports: csv('airports.csv'),
  weather: csv('weather.csv'),
  movies: movies.map((movie, index) => ({ ...movie, number: index + 1 })),
}

const yaml = (port: number) => `source: datasets
base_url: http://127.0.0.1:${port}
budget: { delay: 0s }
page_size: 100
streams:
  airports:
    path: /airports
    paginate: { page: _page, size: _limit, total: header X-Total-Count }
    key: iata
    columns: { iata: text, name: text, city: text, state: text, country: text,
      latitude: double precision, longitude: double precision }
  weather:
    request: { path: /weather, query: { _page: '1' } }
    paginate: { link: next, size: _limit }
    count: header X-Total-Count
    key: [location, date]
    columns: { location: text, date: timestamp, precipitation: numeric, temp_max: numeric,
      temp_min: numeric, wind: numeric, weather: text }
  movies:
    path: /movies
    paginate: { page: _page, size: _limit, end: { short_page: true } }
    key: number
    columns: { number: int, title: { type: text, from: Title }, votes: { type: int,
      from: 'IMDB Votes' }, all: { type: jsonb, from: $ } }
`

let server: ChildProcess
let folder: string
let workspace: CliWorkspace
let definition: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backfill-datasets-'))
  writeFileSync(join(folder, 'db.json'), JSON.stringify(data))
  const port = await freePort()
  const cli = join(root, 'node_modules/json-server/lib/cli/bin.js')
  server = spawn(process.execPath, [cli, 'db.json', '--port', String(port), '--host', '127.0.0.1', '--quiet'], {
    cwd: folder,
    stdio: 'ignore',
  })
  definition = yaml(port)
  workspace = await makeWorkspace({ 'datasets.yaml': definition })
  await until(async () => (await fetch(`http://127.0.0.1:${port}/airports?_limit=1`).catch(() => null))?.ok === true)
}, 60_000)
afterAll(async () => {
  server.kill()
  await workspace.close()
  rmSync(folder, { recursive: true })
})

describe('json-server over vega-datasets', () => {
  it('is described in at most 25 lines of at most 100 columns', () => {
    const lines = definition.trimEnd().split('\n')
    expect(lines.length).toBeLessThanOrEqual(25)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  it('drains into Postgres, every row equal to the file', { timeout: 60_000 }, async () => {
    expect(await workspace.spawn('seed', 'datasets')).toMatchObject({ code: 0 })
    expect(await workspace.spawn('worker')).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })

    const airports = await workspace.query(
      'select iata, name, city, state, country, latitude, longitude from airports order by iata collate "C"',
    )
    const byIata = data.airports.map((row) => ({
      ...row,
      latitude: Number(row.latitude),
      longitude: Number(row.longitude),
    }))
    expect(airports).toEqual(
      byIata.sort((a, b) =>
        ((a as Record<string, unknown>).iata as string) < ((b as Record<string, unknown>).iata as string) ? -1 : 1,
      ),
    )

    const weather = await workspace.query<Record<string, string>>(
      `select location, to_char(date, 'YYYY-MM-DD') as date, precipitation::text, temp_max::text, temp_min::text, wind::text, weather
       from weather order by location, date`,
    )
    expect(weather).toHaveLength(data.weather.length)
    const key = (row: Record<string, string>) => `${row.location} ${row.date}`
    const wanted = new Map(data.weather.map((row) => [key(row), row]))
    for (const row of weather) expect(row).toMatchObject({ ...wanted.get(key(row)), date: row.date })

    const stored = await workspace.query<{ all: unknown; title: string | null }>(
      'select "all", title from movies order by number',
    )
    expect(stored.map((row) => row.all)).toEqual(data.movies)
    expect(stored.map((row) => row.title)).toEqual(
      movies.map(({ Title: title }) => (typeof title === 'number' ? String(title) : title)),
    )
  })

  it('is verified against the API', { timeout: 60_000 }, async () => {
    const report = await workspace.spawn('verify', 'datasets.airports', 'datasets.weather')
    expect(report).toMatchObject({ code: 0 })
  })
})

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
  })
}
