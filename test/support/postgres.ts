/** A database of its own for each test file, on the run's embedded Postgres (global-setup.ts). */
import { randomUUID } from 'node:crypto'
import { inject } from 'vitest'
import type { EmbeddedConnection } from '../../src/embedded/open-embedded.js'
import { openClient } from './open-client.js'

export interface TestDatabase {
  /** What `new pg.Client(…)` and `new pg.Pool(…)` take. */
  readonly config: EmbeddedConnection
  /** The same as a connection string, for backfill.yaml and child processes. */
  readonly url: string
  /** Cuts off whoever is connected and drops the database. */
  drop(): Promise<void>
}

/** A fresh, empty database. Drop it in `afterAll`; what a failed test leaves goes with the run's server. */
export async function createDatabase(): Promise<TestDatabase> {
  const server = inject('postgres')
  const database = `test_${randomUUID().replaceAll('-', '')}`
  await run(server, `create database "${database}"`)
  const { host, port, user } = server
  return {
    config: { ...server, database },
    url: `postgresql://${user}@/${database}?host=${encodeURIComponent(host)}&port=${String(port)}`,
    drop: () => run(server, `drop database if exists "${database}" with (force)`),
  }
}

async function run(server: EmbeddedConnection, sql: string): Promise<void> {
  const client = await openClient(server)
  await client.query(sql).finally(() => client.end())
}
