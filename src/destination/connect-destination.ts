/**
 * Owns the Postgres adapter: connects, migrates, and answers the `Destination` port with the parts of this folder. Every failure leaves it as one of our
 * errors. What survives a kill is in Postgres; nothing here is needed to go on.
 */
import type pg from 'pg'
import { ConfigError, InvariantError, PromotionConflict } from '../domain/errors.js'
import type { DueQuery, DueReport } from '../domain/follow.js'
import type { HeldCount, HeldDismissal, HeldDismissed, HeldRetried, HeldSelection } from '../domain/held.js'
import { type Partition, partitionLabel } from '../domain/partition.js'
import type {
  Advance,
  Batch,
  Binding,
  Checkpoint,
  Clock,
  Destination,
  FlushResult,
  KeyText,
  Log,
  Missing,
  PartitionActual,
  PrunedQuery,
  PrunedRow,
  PruneScope,
  StreamTable,
} from '../domain/ports.js'
import type { LedgerReader } from '../domain/repair-ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Lease } from '../domain/task.js'
import type { RowDimension } from '../domain/walk-model.js'
import { readActual } from './actual.js'
import { TableBatch } from './batch.js'
import { type Attempt, classify } from './classify.js'
import { type Connection, Connections, type Deadlines, defaultDeadlines } from './connections.js'
import type { HeldMark } from './flush.js'
import { readDue, readWatermark } from './follow.js'
import { readGone } from './gone-rows.js'
import { dismissHeldRows } from './held-dismiss.js'
import { readHeldCounts } from './held-list.js'
import { retryHeldRows } from './held-retry.js'
import { quoteTable, tableLabel } from './identifiers.js'
import { bindIdentity, placeName, readIdentity, writeLastRun } from './identity.js'
import type { Layout } from './layout.js'
import { openLedger } from './ledger.js'
import { createLedgerReader } from './ledger-tasks.js'
import { migrate } from './migrations.js'
import { checkLayout, openLayout } from './open-table.js'
import { wholeKey } from './partition-sql.js'
import { readMissing, readUnconfirmed, readWalked, writeAnswers } from './prune.js'
import { agreeToPrune, readPruned, restorePruned } from './pruned.js'
import { inUtc, readStrangers, readValues } from './row-values.js'
import { runFlush } from './run-flush.js'
import { PostgresStreamTable } from './stream-table.js'

export interface DestinationOptions {
  /** What `new pg.Client(…)` takes; never repeated in a message. */
  readonly config: pg.ClientConfig
  /** Delta tables are called `<prefix><table>`, in the stable table's schema. */
  readonly deltaPrefix: string
  readonly log: Log
  /** For the pause before a flush is repeated, and to say by our clock when something is due. */
  readonly clock: Pick<Clock, 'sleep' | 'now'>
  /** Aborting it ends every wait at once and destroys the connections: for "exit now". A stop that still flushes must not abort it. */
  readonly signal: AbortSignal
  readonly maxConnections: number
  readonly deadlines?: Partial<Deadlines>
  /** From 0 to 1, for the jitter of that pause. */
  readonly random?: () => number
}

const oldestServer = 140_000
/** Rows deleted from a delta table before it is vacuumed: about 120 MB of dead rows, swept in 0.3 s, a twentieth of their flushes. */
const sweepAfterRows = 200_000

/**
 * Connects, checks the server's version and brings the schema `backfill` to this code's.
 * @throws DestinationUnavailable where the server cannot be reached; ConfigError where it refuses us, is too old, or its schema is newer than this code.
 */
export async function connectDestination(
  options: DestinationOptions,
): Promise<Destination & { readonly ledger: LedgerReader }> {
  const deadlines = { ...defaultDeadlines, ...options.deadlines }
  const connections = new Connections({ ...options, max: options.maxConnections, deadlines })
  try {
    const databaseId = await connections.run(async (connection) => {
      await checkServer(connection)
      await migrate(connection)
      return (await readIdentity(connection)).database
    })
    return new PostgresDestination({ ...options, deadlines, connections, databaseId })
  } catch (error) {
    await connections.close()
    throw classify(error, { doing: 'connect to the database', phase: 'setup' })
  }
}

async function checkServer(connection: Connection): Promise<void> {
  const answer = await connection.query<{ number: number; text: string }>({
    text: "select current_setting('server_version_num')::int as number, current_setting('server_version') as text",
  })
  const server = answer.rows[0]
  if (server === undefined || server.number >= oldestServer) return
  throw new ConfigError(
    'database_too_old',
    `connect to the database found PostgreSQL ${server.text}, expected 14 or later`,
  )
}

interface Parts extends DestinationOptions {
  readonly connections: Connections
  readonly databaseId: string
  readonly deadlines: Deadlines
}

class PostgresDestination implements Destination {
  readonly databaseId: string
  /** The ledger's word on all tasks, for a queue that was lost or put back. */
  readonly ledger: LedgerReader
  readonly #parts: Parts
  /** Streams that may have held rows; of the others, which a claim found without any, a flush need not look. */
  readonly #withHeld = new Set<string>()
  readonly #deadRows = new Map<string, number>()
  /** Of who fills the database, once it is bound. */
  #place: string | null = null

  constructor(parts: Parts) {
    this.#parts = parts
    this.databaseId = parts.databaseId
    this.ledger = createLedgerReader((doing, work) => this.#run({ doing, phase: 'work' }, work))
  }

  async bindQueue(queueId: string, binding: Binding): Promise<void> {
    await this.#run({ doing: 'bind the database to its queue', phase: 'setup' }, (connection) =>
      bindIdentity(connection, queueId, binding),
    )
    const { workspace, origin } = binding
    this.#place = origin === undefined ? null : placeName(origin.machine, workspace)
  }

  async lastRunId(): Promise<string | null> {
    const { last_run } = await this.#run({ doing: 'read the last run', phase: 'work' }, readIdentity)
    return last_run
  }

  async setLastRunId(runId: string): Promise<void> {
    await this.#run({ doing: 'write the last run', phase: 'work' }, (connection) =>
      writeLastRun(connection, runId, this.#place),
    )
  }

  async openTable(stream: Stream): Promise<StreamTable> {
    const attempt: Attempt = { doing: `open the table of "${stream.source}.${stream.name}"`, phase: 'setup' }
    const layout = await this.#run(attempt, (connection) => openLayout(connection, stream, this.#parts.deltaPrefix))
    return new PostgresStreamTable(layout)
  }

  async checkTable(stream: Stream): Promise<boolean> {
    const attempt: Attempt = { doing: `check the table of "${stream.source}.${stream.name}"`, phase: 'setup' }
    return await this.#run(attempt, (connection) => checkLayout(connection, stream))
  }

  /**
   * With several leases, one whose ledger row names another source, stream or partition is left out and logged, so that it stops nobody else; asked for alone it
   * throws PromotionConflict `ledger_conflict`.
   */
  async openTasks(leases: readonly Lease[]): Promise<ReadonlyMap<string, Checkpoint>> {
    if (leases.length === 0) return new Map()
    const attempt: Attempt = { doing: 'open tasks in the ledger', phase: 'work' }
    const opened = await this.#run(attempt, (connection) => openLedger(connection, leases, this.#parts.deadlines))
    for (const { source, stream, hasHeld } of opened) if (hasHeld) this.#withHeld.add(`${source}.${stream}`)
    const checkpoints = new Map(opened.map(({ checkpoint }) => [checkpoint.taskId, checkpoint]))
    const conflicts = leases.filter(({ task }) => !checkpoints.has(task.id)).map(ledgerConflict)
    const [first] = conflicts
    if (first !== undefined && leases.length === 1) throw first
    for (const { message, context } of conflicts) this.#parts.log('error', 'ledger_conflict', { message, ...context })
    return checkpoints
  }

  async flush(checkpoint: Checkpoint, batch: Batch, advance: Advance): Promise<FlushResult> {
    if (!(batch instanceof TableBatch)) throw new InvariantError('flush got a batch of another destination')
    const { layout } = batch
    const doing = `promote "${layout.stream.name}" of ${partitionLabel(batch.partition, layout.stream.dimensions)}`
    const name = `${layout.stream.source}.${layout.stream.name}`
    const heldMark: HeldMark = { has: () => this.#withHeld.has(name), set: () => this.#withHeld.add(name) }
    const order = { checkpoint, batch, advance, heldMark }
    try {
      const result = await runFlush(order, { random: Math.random, ...this.#parts })
      await this.#sweep(layout, batch.rows)
      return result
    } catch (error) {
      throw classify(error, { doing, phase: 'work' })
    }
  }

  async walked(checkpoint: Checkpoint, table: StreamTable, partition: Partition) {
    const scope = { partition, partitions: () => [], rows: null, referrers: [] }
    const search = { layout: layoutOf(table), checkpoint, scope }
    return await this.#run(pruning(table), (connection) => readWalked(connection, search))
  }

  async missing(checkpoint: Checkpoint, table: StreamTable, scope: PruneScope): Promise<Missing> {
    const search = { layout: layoutOf(table), checkpoint, scope }
    return await this.#run(pruning(table), (connection) => readMissing(connection, search))
  }

  async unconfirmed(checkpoint: Checkpoint, table: StreamTable, scope: PruneScope & { readonly limit: number }) {
    const search = { layout: layoutOf(table), checkpoint, scope }
    return await this.#run(pruning(table), (connection) => readUnconfirmed(connection, search, scope.limit))
  }

  async confirm(
    table: StreamTable,
    answers: readonly { readonly key: KeyText; readonly isGone: boolean }[],
    partition: Partition,
  ): Promise<void> {
    const given = { answers, partition: wholeKey(partition) }
    await this.#run(pruning(table), (connection) => writeAnswers(connection, layoutOf(table), given))
  }

  async askOperator(checkpoint: Checkpoint, missing: number): Promise<void> {
    const text = 'update backfill.ledger set missing = $3 where task = $1 and epoch = $2'
    const values = [checkpoint.taskId, checkpoint.epoch, missing]
    await this.#run({ doing: 'write down what is missing', phase: 'work' }, (connection) =>
      connection.query({ text }, values),
    )
  }

  async agree(taskIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return await this.#run({ doing: 'agree to a deletion', phase: 'work' }, (connection) =>
      agreeToPrune(connection, taskIds),
    )
  }

  async pruned(query: PrunedQuery): Promise<readonly PrunedRow[]> {
    return await this.#run({ doing: 'read deleted rows', phase: 'work' }, (connection) => readPruned(connection, query))
  }

  async restore(query: PrunedQuery): Promise<readonly number[]> {
    return await this.#run({ doing: 'put deleted rows back', phase: 'work' }, (connection) =>
      restorePruned(connection, query),
    )
  }

  async actual(stream: Stream, partition: Partition): Promise<PartitionActual> {
    const doing = `count "${stream.name}" of ${partitionLabel(partition, stream.dimensions)}`
    return await this.#run({ doing, phase: 'work' }, (connection) => readActual(connection, stream, partition))
  }

  async due(query: DueQuery): Promise<DueReport> {
    const doing = `look for partitions of "${query.stream.name}" that are due`
    return await this.#run({ doing, phase: 'work' }, (connection) => readDue(connection, query, this.#parts.clock))
  }

  async watermark(stream: Stream, partitions: readonly Partition[]): Promise<number | null> {
    const doing = `read watermarks of "${stream.name}"`
    return await this.#run({ doing, phase: 'work' }, (connection) => readWatermark(connection, stream, partitions))
  }

  async strangers(dimension: RowDimension, values: readonly string[], limit: number) {
    return await this.#run(readingRows(dimension), (connection) =>
      inUtc(connection, () => readStrangers(connection, dimension, { values, limit })),
    )
  }

  async gone(source: string, dimension: RowDimension, values: readonly string[]) {
    return await this.#run(readingRows(dimension), (connection) =>
      inUtc(connection, () => readGone(connection, source, { dimension, values })),
    )
  }

  async values(dimension: RowDimension): Promise<readonly string[]> {
    const values = await this.#run(readingRows(dimension), (connection) =>
      inUtc(connection, () => readValues(connection, dimension)),
    )
    return values ?? []
  }

  async retryHeld(table: StreamTable, selection: HeldSelection, signal: AbortSignal): Promise<HeldRetried> {
    if (!(table instanceof PostgresStreamTable)) throw new InvariantError('retry got a table of another destination')
    const { source, name } = table.stream
    try {
      return await retryHeldRows(table, selection, { ...this.#parts, signal })
    } catch (error) {
      throw classify(error, { doing: `try held rows of "${source}.${name}" again`, phase: 'work' })
    }
  }

  async dismissHeld(dismissal: HeldDismissal): Promise<readonly HeldDismissed[]> {
    return await this.#run({ doing: 'give held rows up', phase: 'work' }, (connection) =>
      dismissHeldRows(connection, dismissal),
    )
  }

  async heldCounts(): Promise<readonly HeldCount[]> {
    return await this.#run({ doing: 'count held rows', phase: 'work' }, readHeldCounts)
  }

  async close(): Promise<void> {
    await this.#parts.connections.close()
  }

  /** Gives the room of deleted delta rows back before autovacuum comes round. Not part of the promise: where it fails, it is logged. */
  async #sweep(layout: Layout, rows: number): Promise<void> {
    const delta = quoteTable(layout.delta)
    const dead = (this.#deadRows.get(delta) ?? 0) + rows
    this.#deadRows.set(delta, dead < sweepAfterRows ? dead : 0)
    if (dead < sweepAfterRows) return
    const text = `vacuum (skip_locked, truncate false) ${delta}`
    await this.#parts.connections
      .run((connection) => connection.query({ text }))
      .catch((error: unknown) => this.#parts.log('warn', 'delta_not_swept', { table: delta, reason: String(error) }))
  }

  async #run<T>(attempt: Attempt, work: (connection: Connection) => Promise<T>): Promise<T> {
    try {
      return await this.#parts.connections.run(work)
    } catch (error) {
      throw classify(error, attempt)
    }
  }
}

function layoutOf(table: StreamTable): Layout {
  if (table instanceof PostgresStreamTable) return table.layout
  throw new InvariantError('look for missing rows got a table of another destination')
}

function pruning({ stream }: StreamTable): Attempt {
  return { doing: `look for rows of "${stream.source}.${stream.name}" that are gone`, phase: 'work' }
}

function readingRows({ table }: RowDimension): Attempt {
  return { doing: `read rows of ${tableLabel(table)}`, phase: 'work' }
}

function ledgerConflict({ task }: Lease): PromotionConflict {
  const label = `${task.source}.${task.stream} ${partitionLabel(task.partition)}`
  return new PromotionConflict(
    'ledger_conflict',
    `claim task ${task.number} (${label}) found a ledger row of another stream or partition`,
    {
      hint: `look at it with "select * from backfill.ledger where task = '${task.id}'"`,
      context: { task: task.id, number: task.number },
    },
  )
}
