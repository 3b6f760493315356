/**
 * A workspace whose commands run in this process: the same code path as the binary's, without its second of starting up. For faults that do not kill the
 * worker.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import type pg from 'pg'
import { expect } from 'vitest'
import Retry from '../../commands/retry.js'
import Seed from '../../commands/seed.js'
import Worker from '../../commands/worker.js'
import { type Ran, runCommand } from '../cli/run-command.js'
import { fastFolder } from '../support/fast-folder.js'
import { openClient } from '../support/open-client.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'

const commands = { retry: Retry, seed: Seed, worker: Worker }

export interface Bench {
  readonly directory: string
  readonly database: TestDatabase
  run(command: keyof typeof commands, ...argv: string[]): Promise<Ran>
  sql<Row extends pg.QueryResultRow = Record<string, unknown>>(text: string): Promise<Row[]>
  /** The newest task of a partition, as queue.db has it. */
  task(stream: string, site: string): BenchTask
  /** How long the budget of the only source was shut for, ms; null where it is open. */
  gateMs(): number | null
  /** As if the time had passed that tasks and budgets wait for. */
  letTimePass(): void
  close(): Promise<void>
}
export interface BenchTask {
  readonly state: string
  readonly attempts: number
  readonly code: string | null
  readonly message: string | null
  readonly hint: string | null
  readonly proof: string | null
}
export interface BenchOptions {
  /** The database that the worker connects to, where it is not the plain one: another user, a proxy. */
  readonly url?: string
  readonly database?: TestDatabase
}

/** @param sources file name below `sources/` to its text */
export async function makeBench(sources: Record<string, string>, options: BenchOptions = {}): Promise<Bench> {
  const database = options.database ?? (await createDatabase())
  const directory = fastFolder('backfill-bench-')
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), 'database: $TEST_DATABASE\ntimezone: UTC\n')
  writeFileSync(join(directory, '.env'), `TEST_DATABASE=${options.url ?? database.url}\n`)
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(directory, 'sources', name), text)
  // A connection a question: the server may have gone in between.
  const sql = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> => {
    const client = await openClient(database.config)
    try {
      return (await client.query<Row>(text)).rows
    } finally {
      await client.end()
    }
  }
  const queue = <T>(work: (db: Sqlite.Database) => T): T => {
    const db = new Sqlite(join(directory, 'queue.db'))
    try {
      return work(db)
    } finally {
      db.close()
    }
  }
  return {
    directory,
    database,
    sql,
    run: (command, ...argv) => runCommand(commands[command], ...argv, '--workspace', directory),
    task: (stream, site) =>
      queue((db) => {
        const found = db.prepare(
          `select t.state, attempts, code, message, hint, proof from task t join stream s on s.number = t.stream
           where s.name = ? and partition = ? and is_current = 1`,
        )
        return found.get(stream, JSON.stringify({ site })) as BenchTask
      }),
    gateMs: () =>
      queue((db) => {
        const shut = db.prepare('select opens_at - shut_at from budget_gate').pluck().get() as number | undefined
        return shut ?? null
      }),
    letTimePass: () => {
      queue((db) => {
        db.exec('delete from budget_gate; update task set ready_at = 1 where ready_at is not null')
      })
    },
    close: async () => {
      await database.drop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Each row of the site is in the table once, under its name, and nothing is left in the delta table. */
export async function expectSiteExact(
  bench: Bench,
  place: { table: string; site: string; count: number },
): Promise<void> {
  const { table, site, count } = place
  const rows = await bench.sql<{ name: string }>(`select name from public.${table} where site = '${site}' order by id`)
  expect(rows.map(({ name }) => name)).toEqual(Array.from({ length: count }, (_, index) => `${site} ${index + 1}`))
  expect(await bench.sql(`select from public.delta_${table}`)).toEqual([])
}
