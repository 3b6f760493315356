/**
 * The reference drain: small, but with everything in it that a flush can meet. A parent stream of two pages into a table that holds older rows, two
 * partitions of a child stream of two pages each, merged, with one row that cannot be stored and one whose parent is missing. One request at a time, so that
 * its messages come in nearly the same order each time.
 */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { inject } from 'vitest'
import { expectExactlyOnce, type Ran, type Started, startBackfill } from '../support/cli-workspace.js'
import { fastFolder } from '../support/fast-folder.js'
import { openClient } from '../support/open-client.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { startTableApi, type TableApi, thingsOf } from './table-api.js'
import { tapWire, type Verdict, type WireMessage, type WireTap } from './wire-tap.js'

const parents = 6
const sites = { a: 7, b: 6 }

export interface Reference {
  readonly tap: WireTap
  readonly api: TableApi
  /** A seeded workspace with a fresh database that nothing has been loaded into. */
  open(): Promise<ReferenceRun>
  close(): Promise<void>
}
export interface ReferenceRun {
  readonly directory: string
  readonly database: TestDatabase
  start(...args: string[]): Started
  /** Runs a worker until the queue is empty. */
  drain(): Promise<Ran>
  /** Connections that hold a transaction open without doing anything. */
  idleInTransaction(): Promise<number>
  /** Tasks that the ledger calls done. */
  doneTasks(): Promise<number>
  /** The product's promise. */
  expectExact(): Promise<void>
  close(): Promise<void>
}

export async function startReference(): Promise<Reference> {
  const api = await startTableApi(rowsOfApi())
  const { host, port } = inject('postgres')
  const tap = await tapWire({
    database: { path: join(host, `.s.PGSQL.${port}`) },
    api: { host: '127.0.0.1', port: api.port },
  })
  const template = makeFolder(tap.apiPort)
  // One seed for all runs: each works on a copy of this queue.
  const seeded = await startBackfill(['seed', 'fire'], template, { environment: { TEST_DATABASE: '' } }).ended
  if (seeded.code !== 0) throw new Error(`seed failed: ${seeded.stderr}`)
  return {
    tap,
    api,
    open: () => openRun(template, tap),
    close: async () => {
      await tap.close()
      await api.close()
      rmSync(template, { recursive: true, force: true })
    },
  }
}

function rowsOfApi(): TableApi['rows'] {
  const things = Object.entries(sites).map(([site, count]) => {
    const rows = thingsOf(site, count).map((row, index) => ({ ...row, parent_id: (index % parents) + 1, size: 1 }))
    return [`/${site}/things`, rows] as const
  })
  const [[, a], [, b]] = things as [(typeof things)[0], (typeof things)[0]]
  // One that no integer holds, one whose parent does not exist.
  a[2] = { ...a[2], size: 99_999_999_999 } as (typeof a)[number]
  b[1] = { ...b[1], parent_id: 99 } as (typeof b)[number]
  const parentRows = Array.from({ length: parents }, (_, index) => ({ id: index + 1, name: `parent ${index + 1}` }))
  return { '/parents': parentRows, ...Object.fromEntries(things) }
}

const definition = (apiPort: number): string => `source: fire
base_url: http://127.0.0.1:${apiPort}
budget: { delay: 0s, concurrency: 1 }
dimensions: { site: [${Object.keys(sites).join(', ')}] }
paginate: { page: page, size: size, total: header X-Total }
page_size: 4
retry_delay: 20ms
backoff: 100ms
attempts: 10
timeout: 10s
flush: { rows: 4 }
streams:
  parent:
    path: /parents
    key: id
    columns: { id: bigint, name: text }
  thing:
    path: '/{site}/things'
    key: [site, id]
    references: { parent_id: parent.id }
    columns:
      site: { type: text, dimension: site }
      id: bigint
      name: text
      parent_id: bigint
      size: integer
`

function makeFolder(apiPort: number): string {
  const directory = fastFolder('backfill-fire-')
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), 'database: $TEST_DATABASE\ntimezone: UTC\nmax_runtime: 6m\n')
  writeFileSync(join(directory, 'sources/fire.yaml'), definition(apiPort))
  return directory
}

async function openRun(template: string, tap: WireTap): Promise<ReferenceRun> {
  const database = await createDatabase()
  const client = await openClient(database.config)
  // Older rows of the parents, so that children find theirs in whatever order tasks are taken back.
  await client.query('create table parent (id bigint primary key, name text)')
  await client.query(`insert into parent select id, 'old ' || id from generate_series(1, ${parents}) id`)
  const directory = makeFolder(tap.apiPort)
  copyFileSync(join(template, 'queue.db'), join(directory, 'queue.db'))
  const { user, database: name } = database.config
  const environment = { TEST_DATABASE: `postgresql://${user}@127.0.0.1:${tap.databasePort}/${name}` }
  const start = (...args: string[]) => startBackfill(args, directory, { environment })
  const query = async <Row extends pg.QueryResultRow>(sql: string) => (await client.query<Row>(sql)).rows
  return {
    directory,
    database,
    start,
    doneTasks: async () => (await query('select from backfill.ledger where done')).length,
    idleInTransaction: async () =>
      (await query(`select from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`))
        .length,
    drain: () => start('worker', '--until-empty').ended,
    expectExact: async () => {
      await expectExactlyOnce({ directory, query }, sites, {
        held: { 'a 3': 'invalid_value', 'b 2': 'parent_missing' },
        alsoLoaded: { parent: parents },
      })
    },
    close: async () => {
      await client.end()
      await database.drop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Kills the process, as the power does: at this message, before it gets through. */
export function killAt(number: number, victim: () => Started | null): (message: WireMessage) => Verdict {
  return (message) => {
    if (message.number !== number) return 'pass'
    victim()?.child.kill('SIGKILL')
    return 'stop'
  }
}
