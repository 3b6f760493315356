/**
 * A workspace in a folder of its own, and `backfill` run in it as cron or an operator would: as a process of its own, the built one, where a process is what matters;
 * in this one where the command is.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import type pg from 'pg'
import { expect } from 'vitest'
import { canRunHere, runHere } from './command-here.js'
import { fastFolder } from './fast-folder.js'
import { openClient } from './open-client.js'
import { createDatabase, type TestDatabase } from './postgres.js'

export const root = resolve(import.meta.dirname, '../..')

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}
export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
}

export interface CliWorkspace {
  readonly directory: string
  readonly database: TestDatabase
  /** In this process, or in one of its own while another command is at work in this one. */
  run(...args: string[]): Promise<Ran>
  /** In a process of its own, to its end. */
  spawn(...args: string[]): Promise<Ran>
  /** The one JSON document that the command printed. */
  json(...args: string[]): Promise<unknown>
  /** A process of its own. */
  start(...args: string[]): Started
  query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>
  close(): Promise<void>
}

/** @param sources file name below `sources/` to its text */
export async function makeWorkspace(sources: Record<string, string>, settings = ''): Promise<CliWorkspace> {
  const database = await createDatabase()
  const directory = fastFolder('backfill-e2e-')
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), `database: $TEST_DATABASE\ntimezone: UTC\n${settings}`)
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(directory, 'sources', name), text)
  const client = await openClient(database.config)
  const environment = { TEST_DATABASE: database.url }
  const start = (...args: string[]) => startBackfill(args, directory, { environment })
  const spawned = (...args: string[]) => start(...args).ended
  const run = async (...args: string[]): Promise<Ran> => {
    if (!canRunHere(args)) return spawned(...args)
    const { exitCode, stdout, stderr } = await runHere(args, { directory, environment })
    return { code: exitCode, signal: null, stdout, stderr }
  }
  return {
    directory,
    database,
    start,
    run,
    spawn: spawned,
    json: async (...args) => {
      const { stdout, stderr } = await run(...args, '--json')
      expect(stderr).toBe('')
      return JSON.parse(stdout) as unknown
    },
    query: async <Row extends pg.QueryResultRow>(sql: string) => (await client.query<Row>(sql)).rows,
    close: async () => {
      await client.end()
      await database.drop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

export interface Surroundings {
  readonly environment: NodeJS.ProcessEnv
  /** What it reads on standard input. */
  readonly input?: string
}

export function startBackfill(
  args: readonly string[],
  directory: string,
  { environment, input = '' }: Surroundings,
): Started {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8', ...environment }
  const child = spawn(process.execPath, [join(root, 'bin/run.js'), ...args], {
    cwd: directory,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.end(input)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (some: Buffer) => (stdout += some.toString()))
  child.stderr.on('data', (some: Buffer) => (stderr += some.toString()))
  const ended = new Promise<Ran>((resolveEnd, reject) => {
    child.on('error', reject).on('close', (code, signal) => {
      resolveEnd({ code, signal, stdout, stderr })
    })
  })
  return { child, ended }
}

/** Asks again until it is true; fails after `ms`, which is long for a machine that is busy with many others. */
export async function until(isTrue: () => Promise<boolean> | boolean, ms = 45_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${isTrue.toString()}`)
    await new Promise((resolveSoon) => setTimeout(resolveSoon, 20))
  }
}

/** What a drained workspace is judged by. */
export interface Drained {
  readonly directory: string
  query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>
}
export interface Exactness {
  /** Rows that must be in `backfill.held` and not in the table: `a 3` to its code. */
  readonly held?: Readonly<Record<string, string>>
  /** Further tables without a site, each with the rows `<table> 1 … n`. */
  readonly alsoLoaded?: Readonly<Record<string, number>>
}

/**
 * The product's promise: each source row is in the stable table exactly once, as the source has it, or held with its reason; delta tables are empty; the
 * ledger calls every walk done and its counts add up to what the source has, with no page promoted twice; every task is done, none is leased, neither by the living nor by the dead.
 */
export async function expectExactlyOnce(
  workspace: Drained,
  rows: Readonly<Record<string, number>>,
  { held = {}, alsoLoaded = {} }: Exactness = {},
): Promise<void> {
  const found = await workspace.query<{ site: string; ids: string }>(
    `select site, string_agg(id || '=' || name, ',' order by id) as ids from public.thing group by site order by site`,
  )
  const wanted = Object.entries(rows)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([site, count]) => {
      const names = namesOf(site, count).map((name, index) => ({ id: index + 1, name }))
      const stored = names.filter(({ name }) => held[name] === undefined)
      return { site, ids: stored.map(({ id, name }) => `${id}=${name}`).join(',') }
    })
  expect(found).toEqual(wanted)
  for (const [table, count] of Object.entries(alsoLoaded)) {
    const names = await workspace.query<{ name: string }>(`select name from public.${table} order by id`)
    expect(names.map(({ name }) => name)).toEqual(namesOf(table, count))
    expect(await workspace.query(`select 1 from public.delta_${table}`)).toEqual([])
  }
  expect(await workspace.query('select 1 from public.delta_thing')).toEqual([])
  const aside = await workspace.query<{ name: string; code: string }>(
    `select (raw::json ->> 'name') as name, code from backfill.held where stream = 'thing'`,
  )
  expect(Object.fromEntries(aside.map(({ name, code }) => [name, code]))).toEqual(held)
  expect(aside).toHaveLength(Object.keys(held).length)
  await expectLedger(workspace, { ...rows, ...alsoLoaded })
  expectQuietQueue(workspace.directory)
}

function namesOf(what: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${what} ${index + 1}`)
}

/** Every walk is done and has met exactly the source's rows, and the counts of each task add up. */
async function expectLedger(workspace: Drained, rows: Readonly<Record<string, number>>): Promise<void> {
  expect(await workspace.query('select task from backfill.ledger where not done')).toEqual([])
  const sums = 'created + updated + unchanged + held + duplicates'
  expect(await workspace.query(`select task from backfill.ledger where received <> ${sums}`)).toEqual([])
  // No page was promoted twice: all that a task ever promoted is what its one walk did.
  expect(await workspace.query('select task from backfill.ledger where received <> walk_received')).toEqual([])
  // A page that was split off has a row of its own beside its partition's.
  const walks = await workspace.query<{ what: string; received: string }>(
    `select what, sum(received) as received from (
       select distinct on (source, stream, partition) coalesce(partition::json ->> 'site', stream) as what, walk_received as received
       from backfill.ledger order by source, stream, partition, finished_at desc) newest group by what`,
  )
  const received = new Map(walks.map((walk) => [walk.what, Number(walk.received)]))
  for (const [what, count] of Object.entries(rows)) expect([what, received.get(what)]).toEqual([what, count])
}

/** No task is open, and no lease is left; asked of the file itself, because `status` would hide a mistake of its own. */
function expectQuietQueue(directory: string): void {
  const queue = new Sqlite(join(directory, 'queue.db'), { readonly: true })
  try {
    const open = queue.prepare(`select number, state, code, message from task where state not in ('done', 'cancelled')`)
    expect(open.all()).toEqual([])
    expect(queue.prepare('select number from task where leased_at is not null').all()).toEqual([])
    const counters = 'select sum(ready) as ready, sum(leased) as leased, sum(dead) as dead from stream'
    expect(queue.prepare(counters).get()).toEqual({ ready: 0, leased: 0, dead: 0 })
  } finally {
    queue.close()
  }
}
