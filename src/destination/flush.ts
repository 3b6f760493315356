/**
 * Owns the flush: one transaction on one connection that makes a task's rows and its checkpoint durable together (DESIGN.md §4.2). COPY, duplicates, foreign
 * keys, held rows, merge with the compare-and-set, commit. A kill at any point leaves either all of it or nothing.
 */
import { BackfillError, DestinationUnavailable } from '../domain/errors.js'
import type { Advance, Checkpoint } from '../domain/ports.js'
import type { HeldRow, TableBatch } from './batch.js'
import { isLost } from './classify.js'
import { type Connection, commit, type Deadlines } from './connections.js'
import { keepHeld, releaseHeld } from './held.js'
import { quoteTable, tableLabel } from './identifiers.js'
import type { ForeignKey, Layout } from './layout.js'
import { type FlushCounts, ledgerMove, type MovedRow, moveValues } from './ledger.js'
import type { MergeStatements } from './merge-sql.js'
import { recordSeen } from './prune.js'

/** Everything that one flush needs to know. */
export interface Flush {
  readonly checkpoint: Checkpoint
  readonly batch: TableBatch
  readonly advance: Advance
  readonly statements: MergeStatements
  readonly deadlines: Deadlines
  /** The partition may have held rows that a merged one takes out. */
  readonly hasHeld: boolean
}

/** What a flush did; null: the compare-and-set found another epoch or sequence, and nothing was promoted. */
export interface Promoted {
  readonly counts: FlushCounts
  readonly created: number
  readonly updated: number
}

/** The flush as it nearly always goes. Throws what the server says; a row at fault is then looked for by `promoteGoodRows`. */
export async function promote(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const { batch } = flush
  if (batch.rows === 0 && batch.held === 0) return await moveOnly(connection, flush)
  await stage(connection, flush)
  if (batch.rows === 0) return await endWithoutRows(connection, flush)
  await noteSeen(connection, flush)
  const repeats = batch.mayRepeatKeys ? await dropRepeats(connection, flush) : 0
  const checks = batch.layout.stream.settings.checksForeignKeys
  const orphans = checks ? await dropOrphans(connection, flush) : []
  const counts = await settleHeld(connection, flush, { repeats, removed: orphans })
  if (holdsBack(batch.layout)) return await moveAndEnd(connection, flush, { counts, created: 0, updated: 0 })
  const moved = await connection.query<MovedRow & Row>(
    flush.statements.promote,
    moveValues(flush.checkpoint, flush.advance, counts),
  )
  return await end(connection, moved.rows[0], counts)
}

type Row = Record<string, unknown>

/** Nothing to store: the ledger moves by one statement, which is its own transaction. */
async function moveOnly(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const counts = countsOf(flush.batch, { merged: 0, held: 0 })
  const values = [...moveValues(flush.checkpoint, flush.advance, counts), 0, 0]
  const moved = await connection.query<MovedRow & Row>(ledgerMove, values).catch(doubt)
  return promotedOf(moved.rows[0], counts)
}

async function endWithoutRows(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const counts = await settleHeld(connection, flush, { repeats: 0, removed: [] })
  return await moveAndEnd(connection, flush, { counts, created: 0, updated: 0 })
}

/** Moves the ledger for rows that were merged before, and commits. */
export async function moveAndEnd(connection: Connection, flush: Flush, done: Promoted): Promise<Promoted | null> {
  const values = [...moveValues(flush.checkpoint, flush.advance, done.counts), done.created, done.updated]
  const moved = await connection.query<MovedRow & Row>(ledgerMove, values)
  return await end(connection, moved.rows[0], done.counts)
}

async function end(connection: Connection, moved: MovedRow | undefined, counts: FlushCounts): Promise<Promoted | null> {
  if (moved === undefined) {
    await connection.query({ text: 'rollback' })
    return null
  }
  await commit(connection).catch(doubt)
  return promotedOf(moved, counts)
}

function promotedOf(moved: MovedRow | undefined, counts: FlushCounts): Promoted | null {
  return moved === undefined ? null : { counts, created: Number(moved.created), updated: Number(moved.updated) }
}

/** After a COMMIT was sent, a lost connection says nothing about it: only the ledger knows, and the next claim asks it. */
function doubt(error: unknown): never {
  if (!isLost(error)) throw error
  const reason = error instanceof BackfillError || error instanceof Error ? error.message : String(error)
  throw new DestinationUnavailable('commit_in_doubt', `commit a flush lost the database before its answer: ${reason}`, {
    hint: 'the next claim asks the ledger what was promoted',
    context: { inDoubt: true },
    cause: error,
  })
}

// Staging ------------------------------------------------------------------------------------------------------------

/** Opens the transaction, copies the rows and takes the table's lock: two round trips. */
async function stage(connection: Connection, flush: Flush): Promise<void> {
  const { batch, statements } = flush
  const lock = tableLock(flush)
  if (batch.rows === 0) await connection.query({ text: `${beginScript(flush)}${discardScript(flush)}; ${lock}` })
  // The lock comes after COPY, so that flushes into one table stage side by side and only merge in turn.
  else await connection.copy(`${beginScript(flush)}${discardScript(flush)}; ${statements.copy}; ${lock}`, batch.buffers)
}

/** Settings for this transaction only: a pooler may hand the session to somebody else afterwards. */
export function beginScript({ checkpoint, deadlines }: Flush): string {
  const settings = {
    lock_timeout: `${deadlines.lockMs}ms`,
    statement_timeout: `${deadlines.statementMs}ms`,
    idle_in_transaction_session_timeout: `${deadlines.answerMs}ms`,
    timezone: 'UTC',
    datestyle: 'ISO, YMD',
    'backfill.task': checkpoint.taskId,
    'backfill.sequence': String(checkpoint.sequence),
  }
  const sets = Object.entries(settings).map(([name, value]) => `set local ${name} = '${value}'`)
  // Deferred constraints would speak only at COMMIT, when no row can be set aside any more.
  return ['begin', ...sets, 'set constraints all immediate'].join('; ')
}

/** True for a stream whose rows wait in the delta table until their walk is proven. */
export function holdsBack({ stream }: Layout): boolean {
  return stream.disposition === 'replace'
}

/** A new walk begins with nothing: what the one before held back is not its. */
export function discardScript({ checkpoint, advance, batch }: Flush): string {
  if (!holdsBack(batch.layout) || checkpoint.walk?.id === advance.walk.id) return ''
  return `; delete from ${quoteTable(batch.layout.delta)} where _task = '${checkpoint.taskId}'`
}

/** Before anything is taken out of the delta table: a key that is a duplicate, an orphan or refused was seen all the same. */
export async function noteSeen(connection: Connection, { batch, checkpoint, advance }: Flush): Promise<void> {
  const by = { taskId: checkpoint.taskId, sequence: checkpoint.sequence, walkId: advance.walk.id }
  await recordSeen(connection, batch.layout, by)
}

/** Held until the transaction ends: one merge into a table at a time. */
export function tableLock({ batch }: Flush): string {
  // Object ids are unsigned, the lock's number is not.
  return `select pg_advisory_xact_lock(${lockSpace}, ${batch.layout.oid | 0})`
}
const lockSpace = 0x6266

// Rows that do not go into the merge ---------------------------------------------------------------------------------

/** Answers how many rows lost against another one of their key. */
export async function dropRepeats(connection: Connection, flush: Flush): Promise<number> {
  const answer = await connection.query(flush.statements.dropRepeats, ownRows(flush))
  return answer.rows.length
}

/** Takes rows without a parent out of the delta table; answers them as held rows. */
export async function dropOrphans(connection: Connection, flush: Flush): Promise<readonly HeldRow[]> {
  if (flush.statements.dropOrphans === null) return []
  const answer = await connection.query<{ row: string; at: number }>(flush.statements.dropOrphans, ownRows(flush))
  const { batch } = flush
  return answer.rows.map(({ row, at }) => {
    const key = batch.layout.foreignKeys[at]
    return batch.heldRow(Number(row), 'parent_missing', key === undefined ? '' : orphanReason(key))
  })
}

function orphanReason(key: ForeignKey): string {
  const columns = key.columns.map((name) => `"${name}"`).join(', ')
  return `${tableLabel(key.parent)} has no row for ${columns}`
}

/** The parameters of every statement that names only its rows. */
export function ownRows({ checkpoint }: Flush): readonly unknown[] {
  return [checkpoint.taskId, checkpoint.sequence]
}

interface NotMerged {
  readonly repeats: number
  /** Encoded rows that were taken out of the delta table again. */
  readonly removed: readonly HeldRow[]
}

/** Writes the held rows and settles the counts: received = merged + held + duplicates. */
export async function settleHeld(
  connection: Connection,
  flush: Flush,
  { repeats, removed }: NotMerged,
): Promise<FlushCounts> {
  const { batch } = flush
  if (flush.hasHeld && batch.keys.size > 0) await releaseHeld(connection, batch)
  const by = { taskId: flush.checkpoint.taskId, walkId: flush.advance.walk.id }
  const held = await keepHeld(connection, { batch, rows: [...batch.heldRows, ...removed] }, by)
  return countsOf(batch, { merged: batch.rows - repeats - removed.length, held })
}

function countsOf(batch: TableBatch, part: { readonly merged: number; readonly held: number }): FlushCounts {
  const { pages, received } = batch
  return { pages, received, ...part, duplicates: received - part.merged - part.held }
}
