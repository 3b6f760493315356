/**
 * Owns the flush in which a row is at fault: the same transaction as `promote`, with savepoints, halved again and again until the bad rows stand alone. They
 * are held with the server's words; their neighbours are promoted. Costs a few times a flush for a few bad rows.
 */
import { ParentMissing } from '../domain/errors.js'
import type { HeldRow, TableBatch } from './batch.js'
import { isRowFault, rejectionOf, rowReason, sqlstate } from './classify.js'
import type { Connection } from './connections.js'
import type { Line } from './copy-format.js'
import {
  beginScript,
  discardScript,
  dropOrphans,
  dropRepeats,
  type Flush,
  heldOrphan,
  holdsBack,
  moveAndEnd,
  noteSeen,
  type Orphan,
  ownRows,
  type Promoted,
  parentCodes,
  refuseOrphans,
  type Staging,
  settleHeld,
  tableLock,
} from './flush.js'

/** A row that Postgres refused, and why. */
export interface Rejected {
  readonly line: Line
  readonly error: unknown
}
interface Merged {
  created: number
  updated: number
}

/** Promotes what can be promoted and holds the rest, row by row. */
export async function promoteGoodRows(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const { batch } = flush
  await connection.query({ text: `${beginScript(flush)}${discardScript(flush)}` })
  const unreadable = await copyGoodRows(connection, flush)
  await connection.query({ text: tableLock(batch.layout) })
  await noteSeen(connection, flush)
  const { repeats, orphans, refused, created, updated } = holdsBack(batch.layout)
    ? await keepStaged(connection, flush)
    : await mergeGoodRows(connection, flush, unreadable)
  refuseOrphans(batch, orphans)
  refuseRejected(batch, refused)
  const removed = [
    ...orphans.map((orphan) => heldOrphan(batch, orphan)),
    ...[...unreadable, ...refused].map((rejected) => heldRejected(batch, rejected)),
  ]
  const counts = await settleHeld(connection, flush, { repeats: repeats.length, removed })
  return await moveAndEnd(connection, flush, { counts, created, updated })
}

/** Copies the rows that Postgres can read. Answers the others. Inside a transaction. */
export async function copyGoodRows(connection: Connection, staging: Staging): Promise<readonly Rejected[]> {
  return await halve(connection, staging.batch.lines(), (part) => copyPart(connection, staging, part))
}

/** What became of rows that were copied; every row is in one of the lists, or was merged. */
export interface GoodRows {
  /** Numbers of those that lost against another of their key. */
  readonly repeats: readonly number[]
  readonly orphans: readonly Orphan[]
  readonly refused: readonly Rejected[]
  readonly created: number
  readonly updated: number
}

/** Rows that are held back are merged, and judged, at the end of their walk. */
async function keepStaged(connection: Connection, staging: Staging): Promise<GoodRows> {
  const repeats = await dropRepeats(connection, staging)
  const orphans = await dropOrphans(connection, staging)
  return { repeats, orphans, refused: [], created: 0, updated: 0 }
}

/** Merges the copied rows that Postgres takes, and empties the delta table of all. */
export async function mergeGoodRows(
  connection: Connection,
  staging: Staging,
  unreadable: readonly Rejected[],
): Promise<GoodRows> {
  const repeats = await dropRepeats(connection, staging)
  const orphans = await dropOrphans(connection, staging)
  const merged: Merged = { created: 0, updated: 0 }
  const lines = without(staging.batch.lines(), unreadable)
  const refused = await mergeGood(connection, staging, { lines, merged })
  await connection.query(staging.statements.empty, ownRows(staging))
  return { repeats, orphans, refused, ...merged }
}

async function mergeGood(
  connection: Connection,
  staging: Staging,
  { lines, merged }: { readonly lines: readonly Line[]; readonly merged: Merged },
): Promise<readonly Rejected[]> {
  let refused = await halve(connection, lines, (part) => mergePart(connection, staging, { part, merged }))
  // A row may have waited for a neighbour in another half (a table that refers to itself): again, one by one, while that helps.
  for (;;) {
    const waiting = refused.filter(({ error }) => sqlstate(error) === '23503')
    const still: Rejected[] = []
    for (const { line } of waiting) {
      const error = await tryPart(connection, () => mergePart(connection, staging, { part: [line], merged }))
      if (error !== null) still.push({ line, error })
    }
    refused = [...refused.filter((row) => !waiting.includes(row)), ...still]
    if (still.length === waiting.length) return refused
  }
}

/** Tries all lines at once, else each half by itself. Answers the single lines that failed. */
async function halve(
  connection: Connection,
  lines: readonly Line[],
  attempt: (part: readonly Line[]) => Promise<void>,
): Promise<readonly Rejected[]> {
  const rejected: Rejected[] = []
  const waiting: (readonly Line[])[] = lines.length === 0 ? [] : [lines]
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const error = await tryPart(connection, () => attempt(part))
    if (error === null) continue
    const [first] = part
    if (part.length === 1 && first !== undefined) rejected.push({ line: first, error })
    else {
      const middle = Math.ceil(part.length / 2)
      // The first half is tried first, so that rows reach the table in the order they came.
      waiting.push(part.slice(middle), part.slice(0, middle))
    }
  }
  return rejected
}

/** Null where it went well; the row's fault where it has one; everything else is thrown. */
export async function tryPart(connection: Connection, attempt: () => Promise<void>): Promise<unknown> {
  await connection.query({ text: 'savepoint part' })
  try {
    await attempt()
    await connection.query({ text: 'release savepoint part' })
    return null
  } catch (error) {
    if (!isRowFault(error)) throw error
    await connection.query({ text: 'rollback to savepoint part; release savepoint part' })
    return error
  }
}

async function copyPart(connection: Connection, staging: Staging, part: readonly Line[]): Promise<void> {
  const { format } = staging.batch.layout
  const rows = Buffer.concat(part.map(({ line }) => line))
  await connection.copy(staging.statements.copy, format.framed([rows]))
}

async function mergePart(
  connection: Connection,
  staging: Staging,
  { part, merged }: { readonly part: readonly Line[]; readonly merged: Merged },
): Promise<void> {
  const range = [part[0]?.row, part.at(-1)?.row]
  const answer = await connection.query<{ created: string; updated: string }>(staging.statements.mergeRange, [
    ...ownRows(staging),
    ...range,
  ])
  merged.created += Number(answer.rows[0]?.created)
  merged.updated += Number(answer.rows[0]?.updated)
}

function without(lines: readonly Line[], rejected: readonly Rejected[]): readonly Line[] {
  const bad = new Set(rejected.map(({ line }) => line.row))
  return lines.filter(({ row }) => !bad.has(row))
}

/** A row whose parent was refused with it, which only the database found. @throws ParentMissing as `refuseOrphans`. */
function refuseRejected(batch: TableBatch, refused: readonly Rejected[]): void {
  const { source, name, settings } = batch.layout.stream
  const found = refused.find(({ error }) => sqlstate(error) === '23503')
  if (settings.missingParent !== 'refuse' || found === undefined) return
  throw new ParentMissing(
    'parent_missing',
    `promote "${name}" found a row without its parent: ${rowReason(found.error)}`,
    {
      hint: `run "backfill status --held", or set "missing_parent: wait" on "${source}.${name}"`,
    },
  )
}

/** A row that Postgres refused, in its words. One whose parent was not there after all waits for it, where its stream says so. */
export function heldRejected(batch: TableBatch, { line, error }: Rejected): HeldRow {
  const lacksParent = sqlstate(error) === '23503' && batch.layout.stream.settings.missingParent !== 'reject'
  const code = lacksParent ? parentCodes.waiting : 'rejected'
  const reason = rejectionOf(error)
  return batch.heldRow(line.row, { code, reason, waitsFor: null })
}
