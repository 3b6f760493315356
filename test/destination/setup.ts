/** What the tests of this folder share: a database, a destination on it, and short words for streams, pages, walks and claims. */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { connectDestination, type DestinationOptions } from '../../src/destination/connect-destination.js'
import type { Json } from '../../src/domain/json.js'
import type { Partition } from '../../src/domain/partition.js'
import type {
  Advance,
  Batch,
  Checkpoint,
  Destination,
  FlushResult,
  Page,
  StreamTable,
  Walk,
} from '../../src/domain/ports.js'
import type { Column, ColumnType, Stream } from '../../src/domain/source-model.js'
import type { Lease } from '../../src/domain/task.js'
import { noTotals } from '../../src/domain/task.js'
import { openClient } from '../support/open-client.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { makeStream } from '../support/stream.js'

/** A database of its own for the test file; `sql` answers rows. */
export function useDatabase() {
  let database: TestDatabase | undefined
  let client: pg.Client | undefined
  beforeAll(async () => {
    database = await createDatabase()
    client = await openClient(database.config)
    // A user called like our schema would find that one first.
    await client.query('set search_path to public')
  })
  afterAll(async () => {
    await client?.end()
    await database?.drop()
  })
  return {
    get config() {
      if (database === undefined) throw new Error('no database yet')
      return database.config
    },
    sql: async <Row extends pg.QueryResultRow = Record<string, unknown>>(
      text: string,
      values?: unknown[],
    ): Promise<Row[]> => {
      if (client === undefined) throw new Error('no database yet')
      return (await client.query<Row>(text, values)).rows
    },
  }
}

/** A destination that closes with the test. */
export async function openDestination(
  config: pg.ClientConfig,
  overrides: Partial<DestinationOptions> = {},
): Promise<Awaited<ReturnType<typeof connectDestination>>> {
  const destination = await connectDestination({
    config,
    deltaPrefix: 'delta_',
    log: () => undefined,
    clock: { now: () => Date.now(), sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, 20))) },
    signal: new AbortController().signal,
    maxConnections: 4,
    ...overrides,
  })
  onTestFinished(() => destination.close())
  return destination
}

export function column(name: string, type: ColumnType, overrides: Partial<Column> = {}): Column {
  return { name, type, path: [name], dimension: null, isRequired: false, parsesJson: false, ...overrides }
}

/** A stream without dimensions, with a table of its own name, fresh each time. */
export function streamOf(columns: readonly Column[] | null, overrides: Partial<Stream> = {}): Stream {
  const name = overrides.name ?? `t_${randomUUID().slice(0, 8)}`
  const plain = { fanOut: null, incremental: null, windows: null, match: {} }
  return makeStream({
    ...plain,
    dimensions: [],
    columns,
    name,
    table: { schema: 'public', name },
    key: ['id'],
    ...overrides,
  })
}

export function leaseOf(
  stream: Stream,
  partition: Partition = {},
  overrides: { id?: string; epoch?: number } = {},
): Lease {
  const epoch = overrides.epoch ?? 1
  return {
    epoch,
    task: {
      id: overrides.id ?? randomUUID(),
      number: 1,
      source: stream.source,
      stream: stream.name,
      partition,
      backfillId: randomUUID(),
      state: 'leased',
      priority: 0,
      epoch,
      attempts: 0,
      reclaims: 0,
      createdAt: 0,
      readyAt: null,
      leasedAt: 0,
      renewedAt: 0,
      finishedAt: null,
      runId: null,
      code: null,
      message: null,
      hint: null,
      totals: noTotals,
      requests: 0,
      expected: null,
      proof: null,
      cursor: null,
      workedMs: 0,
    },
  }
}

export function pageOf(records: readonly Json[], number = 1): Page {
  return {
    number,
    records,
    reread: () => records,
    bytes: 0,
    next: null,
    loop: null,
    count: null,
    servedAt: 0,
    requests: 1,
    address: '/things',
  }
}

function walkOf(overrides: Partial<Walk> = {}): Walk {
  return {
    id: 'walk-1',
    startedAt: 1_700_000_000_123,
    pageSize: 100,
    requestHash: 'hash-1',
    since: null,
    until: null,
    cursor: null,
    loop: null,
    pages: 1,
    received: 0,
    distinct: 0,
    expected: null,
    ...overrides,
  }
}

export function advanceOf(walk: Partial<Walk> = {}, overrides: Partial<Advance> = {}): Advance {
  return { walk: walkOf(walk), done: false, proof: null, requests: 1, ...overrides }
}

/** One task on one table: claim, then flush records as they are given. */
export interface Work {
  readonly table: StreamTable
  readonly lease: Lease
  checkpoint: Checkpoint
  batchOf(...pages: (readonly Json[])[]): Promise<Batch>
  flush(...pages: (readonly Json[])[]): Promise<FlushResult>
}

export async function startWork(destination: Destination, stream: Stream, partition: Partition = {}): Promise<Work> {
  const table = await destination.openTable(stream)
  const lease = leaseOf(stream, partition)
  const work: Work = {
    table,
    lease,
    checkpoint: await claim(destination, lease),
    batchOf: async (...pages) => {
      const batch = table.newBatch(partition)
      for (const [at, records] of pages.entries()) await batch.add(pageOf(records, at + 1))
      return batch
    },
    flush: async (...pages) => {
      const result = await destination.flush(work.checkpoint, await work.batchOf(...pages), advanceOf())
      work.checkpoint = result.checkpoint
      return result
    },
  }
  return work
}

export async function claim(destination: Destination, lease: Lease): Promise<Checkpoint> {
  const checkpoint = (await destination.openTasks([lease])).get(lease.task.id)
  if (checkpoint === undefined) throw new Error('the claim got no checkpoint')
  return checkpoint
}

/** The promise of the product after every fault: each source row once in the table, the delta table empty, the ledger adding up. */
export async function heldPromises(
  sql: (text: string) => Promise<Record<string, unknown>[]>,
  stream: Stream,
  ids: readonly number[],
): Promise<void> {
  const rows = await sql(`select id from public."${stream.table.name}" order by id`)
  const found = rows.map(({ id }) => Number(id))
  if (JSON.stringify(found) !== JSON.stringify([...ids].sort((a, b) => a - b))) {
    throw new Error(`the table holds ${found.join(' ')}, expected ${ids.join(' ')}`)
  }
  const [left] = await sql(`select count(*)::int as rows from public."delta_${stream.table.name}"`)
  if (left?.rows !== 0) throw new Error(`the delta table holds ${String(left?.rows)} rows`)
}
