/**
 * Owns putting held rows back: their raw text goes through today's mapping again, through COPY, checks and merge, without a request to the source. One
 * transaction a chunk, under the table's lock: a kill leaves a row held or promoted, never both and never neither. Must not know the queue.
 *
 * A held row never takes the table back in time. Merging a key takes its held row out unless that one is newer (held.ts), so what is still held came after what
 * the table has, and the merge's own rule decides; once it is in, what other partitions held of its key before is taken out, too. Where that cannot be said (its
 * key reads otherwise today, or only Postgres can compare it), a version decides, and without one the row goes in only where the table has none of its key.
 */
import { randomUUID } from 'node:crypto'
import { PromotionConflict } from '../domain/errors.js'
import { addRetried, type HeldRetried, type HeldSelection, noneRetried } from '../domain/held.js'
import type { Json } from '../domain/json.js'
import { blankerOf } from '../domain/nulls.js'
import { type Partition, parsePartitionKey } from '../domain/partition.js'
import type { Clock, Log } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Fault, HeldRow, TableBatch } from './batch.js'
import { isContention, isPreparedLost, sqlstate } from './classify.js'
import { type Connection, type Connections, commit, type Deadlines } from './connections.js'
import { beginScript, heldOrphan, ownRows, parentCodes, type Staging, tableLock } from './flush.js'
import { copyGoodRows, heldRejected, mergeGoodRows } from './good-rows.js'
import { identityOf } from './held.js'
import {
  type ChunkRow,
  heldChunk,
  heldDrop,
  heldMoved,
  heldOvertaken,
  heldPlan,
  heldPutBack,
  type PlannedRow,
} from './held-sql.js'
import { parseExact } from './json-text.js'
import type { PostgresStreamTable } from './stream-table.js'

interface RetryTools {
  readonly connections: Connections
  readonly deadlines: Deadlines
  readonly clock: Pick<Clock, 'sleep'>
  readonly signal: AbortSignal
  readonly log: Log
}

/** Rows that are looked for at once, and rows of one transaction. */
const planRows = 20_000
const chunkRows = 500
/** Tries of one chunk under contention, and the pause between, ms. */
const tries = 4
const pauseMs = 200

/** Tries every selected row once. What it did before it throws is durable. */
export async function retryHeldRows(
  table: PostgresStreamTable,
  selection: HeldSelection,
  tools: RetryTools,
): Promise<HeldRetried> {
  const since = await tools.connections.run(readNow)
  let total = noneRetried
  for (;;) {
    const plan = await tools.connections.run((connection) => readPlan(connection, { table, selection, since }))
    if (plan.length === 0) return total
    let tried = 0
    for (const rows of chunksOf(plan)) {
      if (tools.signal.aborted) return total
      const chunk = await retryInTime({ table, since, rows }, tools)
      tried += chunk.tried
      total = addRetried(total, chunk)
    }
    // All of them are somebody else's by now: a worker's flush holds them anew.
    if (tried === 0) return total
  }
}

interface RetryPlan {
  readonly table: PostgresStreamTable
  readonly selection: HeldSelection
  readonly since: string
}

async function readPlan(
  connection: Connection,
  { table, selection, since }: RetryPlan,
): Promise<readonly PlannedRow[]> {
  const { mayHaveParent } = await table.statements(connection)
  const plan = heldPlan({ stream: table.stream, selection, since, mayHaveParent, limit: planRows })
  return (await connection.query<PlannedRow>(plan, plan.values)).rows
}

/** Rows of one partition and task. */
function* chunksOf(plan: readonly PlannedRow[]): Generator<readonly PlannedRow[]> {
  let chunk: PlannedRow[] = []
  for (const row of plan) {
    const [first = row] = chunk
    const isSame = row.partition === first.partition && row.task === first.task
    if (!isSame || chunk.length === chunkRows) {
      yield chunk
      chunk = []
    }
    chunk.push(row)
  }
  if (chunk.length > 0) yield chunk
}

/** By the database's clock: it stamps the rows. */
async function readNow(connection: Connection): Promise<string> {
  const answer = await connection.query<{ at: string }>({
    text: "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00') as at",
  })
  return answer.rows[0]?.at ?? ''
}

interface RetryOrder {
  readonly table: PostgresStreamTable
  /** Rows that were tried at or after this moment had their turn. */
  readonly since: string
  /** Of one partition and task. */
  readonly rows: readonly PlannedRow[]
}

async function retryInTime(order: RetryOrder, tools: RetryTools): Promise<HeldRetried> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tools.connections.run((connection) => retryChunk(connection, order, tools))
    } catch (error) {
      if (isPreparedLost(error)) tools.connections.stopNaming()
      else if (!isContention(error)) throw error
      if (attempt === tries) throw error
      tools.log('info', 'held_retry_repeated', { attempt, sqlstate: sqlstate(error) })
      await tools.clock.sleep(pauseMs * attempt, tools.signal)
    }
  }
}

async function retryChunk(connection: Connection, order: RetryOrder, tools: RetryTools): Promise<HeldRetried> {
  const { table, since } = order
  const { stream } = table
  const checkpoint = { taskId: randomUUID(), sequence: 0 }
  const { deadlines } = tools
  await connection.query({ text: beginScript({ checkpoint, deadlines }) })
  // Before the rows are read: a flush that merges one of their keys takes it out, under this lock.
  await connection.query({ text: tableLock(table.layout) })
  const [planned] = order.rows
  const { rows } = await connection.query<ChunkRow & Record<string, unknown>>(heldChunk, [
    ...[stream.source, stream.name, since, planned?.partition, planned?.task],
    order.rows.map(({ identity }) => identity),
  ])
  const [first] = rows
  let counts = noneRetried
  if (first !== undefined) {
    const statements = await table.statements(connection)
    const batch = newBatch(table, parsePartitionKey(first.partition))
    const outcome =
      batch instanceof PromotionConflict
        ? stillHeld(rows, batch)
        : await mergeChunk(connection, { staging: { checkpoint, deadlines, statements, batch }, rows })
    counts = await keepBooks(connection, { stream, rows, outcome })
  }
  await commit(connection)
  return counts
}

/** A partition that the definition no longer knows: its rows stay held, and the others go on. */
function newBatch(table: PostgresStreamTable, partition: Partition): TableBatch | PromotionConflict {
  try {
    return table.newBatch(partition)
  } catch (error) {
    if (error instanceof PromotionConflict) return error
    throw error
  }
}

/** What became of a chunk. Rows are its own, by position. */
interface Outcome {
  readonly held: ReadonlyMap<number, Fault & Pick<HeldRow, 'key' | 'version'>>
  readonly created: number
  readonly updated: number
  /** Rows that turned out to be other held rows' records. */
  readonly duplicates: number
}

function stillHeld(rows: readonly ChunkRow[], { code, message }: PromotionConflict): Outcome {
  const held = rows.map(
    ({ key, version }, at) => [at, { code, reason: message, waitsFor: null, key, version }] as const,
  )
  return { held: new Map(held), created: 0, updated: 0, duplicates: 0 }
}

interface Chunk {
  readonly staging: Staging
  readonly rows: readonly ChunkRow[]
}

async function mergeChunk(connection: Connection, { staging, rows }: Chunk): Promise<Outcome> {
  const { batch } = staging
  await batch.add(pageOf(rows, batch.layout.stream))
  const unreadable = batch.rows === 0 ? [] : await copyGoodRows(connection, staging)
  const present = await dropPresent(connection, { staging, rows })
  const merged = await mergeGoodRows(connection, staging, unreadable)
  const heldRows: HeldRow[] = [
    ...batch.heldRows,
    ...merged.orphans.map((orphan) => heldOrphan(batch, orphan)),
    ...[...unreadable, ...merged.refused].map((rejected) => heldRejected(batch, rejected)),
    ...present.map((row) => batch.heldRow(row, keyPresent(batch))),
  ]
  return {
    held: new Map(heldRows.map((row) => [row.row - 1, row])),
    created: merged.created,
    updated: merged.updated,
    duplicates: merged.repeats.length,
  }
}

function pageOf(rows: readonly ChunkRow[], { answer }: Stream) {
  // As it was sent, before the definition named what stands for nothing.
  const blank = blankerOf(answer) ?? ((record: Json) => record)
  const records = rows.map(({ raw }) => blank(readRaw(raw)))
  return {
    number: 1,
    records,
    reread: () => records,
    bytes: rows.reduce((sum, { raw }) => sum + raw.length, 0),
    next: null,
    loop: null,
    count: null,
    servedAt: 0,
    requests: 0,
    address: '',
  }
}

/** Text that is no JSON is refused by the mapping like any record that is no object. */
function readRaw(raw: string): Json {
  try {
    return parseExact(raw)
  } catch {
    return null
  }
}

/** Takes rows out that may be older than the table's. Answers those of which that is not known; the known ones have had their time. */
async function dropPresent(connection: Connection, { staging, rows }: Chunk): Promise<readonly number[]> {
  const { batch, statements } = staging
  const { layout } = batch
  const today = batch.keysByRow()
  const unsure = rows.flatMap(({ identity, raw }, at) => {
    const key = today.get(at + 1)
    const isSame = key !== undefined && identityOf({ key, raw }) === identity
    return isSame && layout.hasPlainKey ? [] : [at + 1]
  })
  if (unsure.length === 0 || layout.keyAt.length === 0 || layout.stream.disposition === 'append') return []
  const answer = await connection.query<{ row: string; is_known: boolean }>(statements.dropPresent, [
    ...ownRows(staging),
    unsure,
  ])
  return answer.rows.filter(({ is_known: isKnown }) => !isKnown).map(({ row }) => Number(row))
}

function keyPresent({ layout }: TableBatch): Fault {
  const reason =
    layout.versionAt === null
      ? 'the table has this key already, and no version says which of the two is newer'
      : 'the table has this key already, and a version is missing that says which of the two is newer'
  return { code: 'key_present', reason, waitsFor: null }
}

interface Books {
  readonly stream: { readonly source: string; readonly name: string }
  readonly rows: readonly ChunkRow[]
  readonly outcome: Outcome
}

/** Takes what was promoted out of `backfill.held`, writes the new reason of the rest, and moves the counts in the ledger row of their task. */
async function keepBooks(connection: Connection, { stream, rows, outcome }: Books): Promise<HeldRetried> {
  const [first] = rows
  if (first === undefined) return noneRetried
  const scope = [stream.source, stream.name, first.partition]
  await connection.query(heldDrop, [...scope, rows.map(({ identity }) => identity)])
  const held = rows.flatMap((row, at) => {
    const now = outcome.held.get(at)
    return now === undefined ? [] : [{ row, now }]
  })
  const gone = rows.filter((_, at) => !outcome.held.has(at))
  await connection.query(heldOvertaken, [
    ...scope,
    gone.map(({ identity }) => identity),
    gone.map(({ held_at: heldAt }) => heldAt),
  ])
  const kept = held.length === 0 ? 0 : await putBack(connection, [...scope, first.task], held)
  const counts = countsOf(rows, outcome, kept)
  await connection.query(heldMoved, [first.task, counts.created, counts.updated, counts.unchanged, counts.duplicates])
  return counts
}

interface StillHeld {
  readonly row: ChunkRow
  readonly now: Fault & Pick<HeldRow, 'key' | 'version'>
}

/** Answers how many are held: of rows that read as one record now, one is. */
async function putBack(connection: Connection, scope: readonly string[], held: readonly StillHeld[]): Promise<number> {
  const answer = await connection.query(heldPutBack, [
    ...scope,
    held.map(({ row, now }) => identityOf({ key: now.key, raw: row.raw })),
    held.map(({ row }) => row.walk),
    held.map(({ row }) => row.page),
    held.map(({ row }) => row.row_number),
    held.map(({ now }) => now.key),
    held.map(({ now }) => now.version),
    held.map(({ now }) => now.code),
    held.map(({ now }) => now.reason),
    held.map(({ row }) => row.raw),
    held.map(({ row }) => row.held_at),
    held.map(({ now }) => now.waitsFor?.reference ?? null),
    held.map(({ now }) => (now.waitsFor === null ? null : JSON.stringify(now.waitsFor.key))),
    held.map(({ row }) => row.dismissed_at),
    held.map(({ row }) => row.dismissal_note),
  ])
  return answer.rows.length
}

function countsOf(
  rows: readonly ChunkRow[],
  { held, created, updated, duplicates }: Outcome,
  kept: number,
): HeldRetried {
  const tried = rows.length
  const isGivenUp = (at: number): boolean => (rows[at]?.dismissed_at ?? null) !== null
  const waiting = [...held].filter(([at, { code }]) => code === parentCodes.waiting && !isGivenUp(at)).length
  const dismissed = [...held.keys()].filter(isGivenUp).length
  const revived = rows.filter((_, at) => isGivenUp(at) && !held.has(at)).length
  const unchanged = tried - held.size - created - updated - duplicates
  const stored = { created, updated, unchanged, duplicates: duplicates + held.size - kept }
  return { tried, ...stored, held: kept, waiting, dismissed, revived }
}
