/** A workspace in a folder of its own, and the built `backfill` run in it as cron or an operator would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { expect } from 'vitest'
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
  run(...args: string[]): Promise<Ran>
  /** The one JSON document that the command printed. */
  json(...args: string[]): Promise<unknown>
  start(...args: string[]): Started
  query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>
  close(): Promise<void>
}

/** @param sources file name below `sources/` to its text */
export async function makeWorkspace(sources: Record<string, string>, settings = ''): Promise<CliWorkspace> {
  const database = await createDatabase()
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'backfill-e2e-')))
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), `database: $TEST_DATABASE\ntimezone: UTC\n${settings}`)
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(directory, 'sources', name), text)
  const client = new pg.Client(database.config)
  await client.connect()
  const start = (...args: string[]) => startBackfill(args, directory, { environment: { TEST_DATABASE: database.url } })
  const run = (...args: string[]) => start(...args).ended
  return {
    directory,
    database,
    start,
    run,
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

/** Asks again until it is true; fails after `ms`. */
export async function until(isTrue: () => Promise<boolean> | boolean, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${isTrue.toString()}`)
    await new Promise((resolveSoon) => setTimeout(resolveSoon, 20))
  }
}

/**
 * The product's promise: each source row is in the stable table exactly once, delta tables are empty, no task is leased by the dead, the ledger calls
 * every walk done.
 */
export async function expectExactlyOnce(
  workspace: CliWorkspace,
  rows: Readonly<Record<string, number>>,
): Promise<void> {
  const found = await workspace.query<{ site: string; ids: string }>(
    `select site, string_agg(id || '=' || name, ',' order by id) as ids from public.thing group by site order by site`,
  )
  const wanted = Object.entries(rows)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([site, count]) => ({
      site,
      ids: Array.from({ length: count }, (_, index) => `${index + 1}=${site} ${index + 1}`).join(','),
    }))
  expect(found).toEqual(wanted)
  expect(await workspace.query('select 1 from public.delta_thing')).toEqual([])
  expect(await workspace.query('select task from backfill.ledger where not done')).toEqual([])
  const status = (await workspace.json('status')) as { streams: { leased: number; ready: number; dead: number }[] }
  for (const stream of status.streams) expect(stream).toMatchObject({ leased: 0, ready: 0, dead: 0 })
}
