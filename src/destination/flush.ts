/**
 * Owns the flush: one transaction on one connection that makes a task's rows and its checkpoint durable together (DESIGN.md §4.2). COPY, duplicates, foreign
 * keys, held rows, merge with the compare-and-set, commit. A kill at any point leaves either all of it or nothing.
 */
import { BackfillError, DestinationUnavailable, InvariantError, ParentMissing } from '../domain/errors.js'
import type { Advance, Checkpoint } from '../domain/ports.js'
import type { HeldRow, TableBatch } from './batch.js'
import { isLost } from './classify.js'
import { type Connection, commit, type Deadlines } from './connections.js'
import { keepHeld, newestHeld, releaseHeld } from './held.js'
import { quoteTable, tableLabel } from './identifiers.js'
import type { CheckedKey, ForeignKey, Layout } from './layout.js'
import { type FlushCounts, ledgerMove, type MovedRow, moveValues } from './ledger.js'
import { marks, writeMark } from './mark.js'
import { isSelfReference, type MergeStatements } from './merge-sql.js'
import { recordSeen } from './prune.js'

/** Everything that one flush needs to know. */
export interface Flush {
  readonly checkpoint: Checkpoint
  readonly batch: TableBatch
  readonly advance: Advance
  readonly statements: MergeStatements
  readonly deadlines: Deadlines
  readonly heldMark: HeldMark
}

/** Whether the stream may have held rows that a merged one takes out. Asked and set under the table's lock, so that no flush misses what the one before held. */
export interface HeldMark {
  has(): boolean
  set(): void
}

/** What staging rows needs to know of its flush. */
export type Staging = Pick<Flush, 'batch' | 'statements' | 'deadlines'> & {
  readonly checkpoint: Pick<Checkpoint, 'taskId' | 'sequence'>
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
  if (batch.rows === 0 && batch.held === 0 && discardScript(flush) === '') return await moveOnly(connection, flush)
  await stage(connection, flush)
  if (batch.rows === 0) return await endWithoutRows(connection, flush)
  await noteSeen(connection, flush)
  const repeats = batch.mayRepeatKeys ? await dropRepeats(connection, flush) : []
  const checks = batch.layout.stream.settings.checksForeignKeys
  const orphans = checks ? await dropOrphans(connection, flush) : []
  refuseOrphans(batch, orphans)
  const removed = orphans.map((orphan) => heldOrphan(batch, orphan))
  const counts = await settleHeld(connection, flush, { repeats: repeats.length, removed })
  if (holdsBack(batch.layout)) return await moveAndEnd(connection, flush, { counts, created: 0, updated: 0 })
  const moved = await connection.query<MovedRow & Row>(
    flush.statements.promote,
    moveValues(flush.checkpoint, flush.advance, counts),
  )
  return await end(connection, flush, { moved: moved.rows[0], counts })
}

type Row = Record<string, unknown>

/** Nothing to store: the ledger moves by one statement, which is its own transaction unless a watermark moves with it. */
async function moveOnly(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const counts = countsOf(flush.batch, { merged: 0, held: 0 })
  if (marks(flush.advance)) {
    await connection.query({ text: beginScript(flush) })
    return await moveAndEnd(connection, flush, { counts, created: 0, updated: 0 })
  }
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
  return await end(connection, flush, { moved: moved.rows[0], counts: done.counts })
}

interface Moved {
  /** undefined: the compare-and-set lost. */
  readonly moved: MovedRow | undefined
  readonly counts: FlushCounts
}

/** Every way through a flush that moves a ledger row to done ends here: after the ledger and the rows, before the commit, the partitions are marked. */
async function end(connection: Connection, flush: Flush, { moved, counts }: Moved): Promise<Promoted | null> {
  if (moved === undefined) {
    await connection.query({ text: 'rollback' })
    return null
  }
  await writeMark(connection, flush)
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
  const lock = tableLock(batch.layout)
  if (batch.rows === 0) await connection.query({ text: `${beginScript(flush)}${discardScript(flush)}; ${lock}` })
  // The lock comes after COPY, so that flushes into one table stage side by side and only merge in turn.
  else await connection.copy(`${beginScript(flush)}${discardScript(flush)}; ${statements.copy}; ${lock}`, batch.copied)
}

/** Settings for this transaction only: a pooler may hand the session to somebody else afterwards. */
export function beginScript({ checkpoint, deadlines }: Pick<Staging, 'checkpoint' | 'deadlines'>): string {
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
export function tableLock({ oid }: Pick<Layout, 'oid'>): string {
  // Object ids are unsigned, the lock's number is not.
  return `select pg_advisory_xact_lock(${lockSpace}, ${oid | 0})`
}
const lockSpace = 0x6266

// Rows that do not go into the merge ---------------------------------------------------------------------------------

/** Answers the numbers of the rows that lost against another one of their key. */
export async function dropRepeats(connection: Connection, staging: Staging): Promise<readonly number[]> {
  const answer = await connection.query<{ row: string }>(staging.statements.dropRepeats, ownRows(staging))
  return answer.rows.map(({ row }) => Number(row))
}

/** A row without a parent, taken out of the delta table. */
export interface Orphan {
  readonly row: number
  readonly key: CheckedKey
  /** Text of the key's columns. */
  readonly values: readonly string[]
}

/** Takes rows without a parent out of the delta table, and in a table that refers to itself those that lose their parent by that, too. */
export async function dropOrphans(connection: Connection, staging: Staging): Promise<readonly Orphan[]> {
  const { statements, batch } = staging
  const { layout } = batch
  if (statements.dropOrphans === null) return []
  const mayLoseMore = layout.foreignKeys.some((key) => isSelfReference(layout, key))
  const orphans: Orphan[] = []
  for (;;) {
    const answer = await connection.query<OrphanRow>(statements.dropOrphans, ownRows(staging))
    orphans.push(...answer.rows.map((found) => orphanOf(layout, found)))
    if (answer.rows.length === 0 || !mayLoseMore) return orphans
  }
}

interface OrphanRow {
  readonly [name: string]: unknown
  readonly row: string
  readonly at: number
  readonly values: readonly string[]
}

function orphanOf(layout: Layout, { row, at, values }: OrphanRow): Orphan {
  const key = layout.foreignKeys[at]
  if (key === undefined) throw new InvariantError(`look for parents found no foreign key ${at}`)
  return { row: Number(row), key, values }
}

/** @throws ParentMissing where a row may not be promoted without its neighbours. */
export function refuseOrphans(batch: TableBatch, orphans: readonly Orphan[]): void {
  const refused = orphans.filter(({ key }) => key.missingParent === 'refuse')
  const [first] = refused
  if (first === undefined) return
  const rows = refused.length === 1 ? '1 row' : `${refused.length} rows`
  const { source, name } = batch.layout.stream
  const parent = tableLabel(first.key.parent)
  throw new ParentMissing('parent_missing', `promote "${name}" found ${rows} whose parent is not in ${parent}`, {
    hint: `load what fills ${parent}, or set "missing_parent: wait" on "${source}.${name}"`,
    context: { rows: refused.length, parent },
  })
}

/** The row as it is held: for its parent, or for an operator. */
export function heldOrphan(batch: TableBatch, { row, key, values }: Orphan): HeldRow {
  const isRejected = key.missingParent === 'reject'
  const waitsFor = { reference: key.label, key: values }
  return batch.heldRow(row, {
    code: isRejected ? parentCodes.rejected : parentCodes.waiting,
    reason: orphanReason(key),
    waitsFor: isRejected ? null : waitsFor,
  })
}

/** What `backfill.held` calls a row without its parent: one that waits, and one that only an operator tries again. */
export const parentCodes = { waiting: 'parent_missing', rejected: 'parent_rejected' } as const

function orphanReason(key: ForeignKey): string {
  const columns = key.columns.map((name) => `"${name}"`).join(', ')
  return `${tableLabel(key.parent)} has no row for ${columns}`
}

/** The parameters of every statement that names only its rows. */
export function ownRows({ checkpoint }: Pick<Staging, 'checkpoint'>): readonly unknown[] {
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
  const { batch, heldMark } = flush
  const hasHeld = heldMark.has()
  const kept = newestHeld(batch, removed)
  if (kept.length > 0) heldMark.set()
  if (hasHeld) await releaseHeld(connection, batch, removed)
  const by = { taskId: flush.checkpoint.taskId, walkId: flush.advance.walk.id }
  const held = await keepHeld(connection, { batch, rows: kept, hasHeld }, by)
  return countsOf(batch, { merged: batch.rows - repeats - removed.length, held })
}

function countsOf(batch: TableBatch, part: { readonly merged: number; readonly held: number }): FlushCounts {
  const { pages, received } = batch
  return { pages, received, ...part, duplicates: received - part.merged - part.held }
}
