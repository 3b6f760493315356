/**
 * The whole path, from `backfill worker` to promoted rows, against its floor: one COPY of a file encoded beforehand, one merge, one commit, on the same server
 * and disk. Floor and path take turns, five times; the ratio is that of each turn.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { from } from 'pg-copy-streams'
import { type BenchWorkspace, openBenchWorkspace } from './bench-workspace.js'
import { median, printResults, type Result } from './measure.js'
import { copyLineOf, userColumns } from './users.js'

const rows = 200_000
const rounds = Number(process.env.BENCH_ROUNDS ?? '5')
const ratioSizes = [100, 1000]

/** @returns true where every target was met. */
export async function benchPath(): Promise<boolean> {
  const workspace = await openBenchWorkspace()
  try {
    await workspace.serve(rows)
    const results = [
      ...(await pathAgainstFloor(workspace)),
      ...(await memory(workspace)),
      ...(await singlePages(workspace)),
    ]
    return printResults('Whole path (each figure a median)', results)
  } finally {
    await workspace.close()
  }
}

async function pathAgainstFloor(workspace: BenchWorkspace): Promise<Result[]> {
  await prepareFloor(workspace)
  // Makes the table, and has the server render every page: its own work is not what is measured.
  for (const size of ratioSizes) await drain(workspace, size)
  const floors: number[] = []
  const ratios = new Map<number, number[]>(ratioSizes.map((size) => [size, []]))
  for (let round = 0; round < rounds; round += 1) {
    const floor = await floorMs(workspace)
    floors.push(floor)
    for (const [size, list] of ratios) {
      const { ms } = await drain(workspace, size)
      list.push(ms / floor)
      process.stdout.write(
        `  round ${round + 1}: floor ${floor.toFixed(0)} ms, ${size} rows a page ${ms.toFixed(0)} ms\n`,
      )
    }
  }
  return [
    {
      what: 'floor: one COPY, one merge, one commit',
      value: rows / (median(floors) / 1000),
      unit: 'rows/s',
      target: { kind: 'at least', bound: 150_000 },
    },
    ratio('whole path ÷ floor, 100 rows a page', ratios.get(100) ?? [], 2),
    ratio('whole path ÷ floor, 1,000 rows a page', ratios.get(1000) ?? [], 1.5),
  ]
}

function ratio(what: string, values: readonly number[], bound: number): Result {
  return { what, value: median(values), unit: '×', target: { kind: 'at most', bound } }
}

const names = userColumns.map(([name]) => name).join(', ')

async function prepareFloor({ directory, database }: BenchWorkspace): Promise<void> {
  const columns = userColumns.map(([name, type]) => `${name} ${type}`).join(', ')
  await database.query('create schema floor')
  await database.query(
    `create table floor.users (${columns}, primary key (id)); create table floor.delta_users (${columns})`,
  )
  await pipeline(Readable.from(lines()), createWriteStream(join(directory, 'users.copy')))
}

function* lines(): Generator<string> {
  for (let id = 1; id <= rows; id += 1) yield copyLineOf(id)
}

async function floorMs({ directory, database }: BenchWorkspace): Promise<number> {
  await database.query('truncate floor.users, floor.delta_users')
  await database.query('checkpoint')
  const set = userColumns.filter(([name]) => name !== 'id').map(([name]) => `${name} = excluded.${name}`)
  const of = (table: string) => userColumns.map(([name]) => `${table}.${name}`).join(', ')
  const startedAt = performance.now()
  await database.query('begin')
  const file = createReadStream(join(directory, 'users.copy'), { highWaterMark: 1024 * 1024 })
  await pipeline(file, database.query(from(`copy floor.delta_users (${names}) from stdin`)))
  await database.query(
    `insert into floor.users (${names}) select ${names} from floor.delta_users
     on conflict (id) do update set ${set.join(', ')} where (${of('users')}) is distinct from (${of('excluded')})`,
  )
  await database.query('commit')
  return performance.now() - startedAt
}

/** Empties the table, seeds the one partition again and drains it; the worker's whole process is timed. */
async function drain(
  workspace: BenchWorkspace,
  pageSize: number,
): Promise<{ readonly ms: number; readonly peakMb: number }> {
  const { database } = workspace
  await database.query(
    'do $$ begin if to_regclass($t$public.users$t$) is not null then truncate public.users; end if; end $$',
  )
  await workspace.backfill(['seed', 'pages.users', '--force'])
  await database.query('checkpoint')
  return workspace.backfill(['worker', 'pages.users', '--page-size', String(pageSize)], { watch: true })
}

/** Peak memory of the worker at 20,000 and 2,000,000 rows, each a median. */
async function memory(workspace: BenchWorkspace): Promise<Result[]> {
  const peaks: number[] = []
  for (const users of [20_000, 2_000_000]) {
    await workspace.serve(users)
    const runs: number[] = []
    for (let round = 0; round < rounds; round += 1) runs.push((await drain(workspace, 1000)).peakMb)
    peaks.push(median(runs))
  }
  const [small = 0, large = 0] = peaks
  await workspace.serve(rows)
  return [
    {
      what: 'peak memory of the worker, 20,000 rows',
      value: small,
      unit: 'MB',
      target: { kind: 'at most', bound: 200 },
    },
    {
      what: 'peak memory of the worker, 2,000,000 rows',
      value: large,
      unit: 'MB',
      target: { kind: 'at most', bound: 200 },
    },
    {
      what: 'peak memory, 2,000,000 rows ÷ 20,000 rows',
      value: large / small,
      unit: '×',
      target: { kind: 'at most', bound: 1.2 },
    },
  ]
}

async function singlePages(workspace: BenchWorkspace): Promise<Result[]> {
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    await workspace.backfill(['seed', 'pages.cells', '--force'])
    times.push((await workspace.backfill(['worker', 'pages.cells'])).ms)
  }
  const ms = median(times)
  return [
    {
      what: '10,000 single-page tasks through the whole path',
      value: ms / 1000,
      unit: 's',
      target: { kind: 'at most', bound: 60 },
    },
  ]
}

if (process.argv[1] === import.meta.filename) process.exitCode = (await benchPath()) ? 0 : 1
