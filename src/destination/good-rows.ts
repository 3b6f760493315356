/**
 * Owns the flush in which a row is at fault: the same transaction as `promote`, with savepoints, halved again and again until the bad rows stand alone. They
 * are held with the server's words; their neighbours are promoted. Costs a few times a flush for a few bad rows.
 */
import type { HeldRow } from './batch.js'
import { isRowFault, rejectionOf, sqlstate } from './classify.js'
import type { Connection } from './connections.js'
import {
  beginScript,
  discardScript,
  dropOrphans,
  dropRepeats,
  type Flush,
  holdsBack,
  moveAndEnd,
  noteSeen,
  ownRows,
  type Promoted,
  settleHeld,
  tableLock,
} from './flush.js'

interface Line {
  readonly row: number
  readonly line: Buffer
}
interface Rejected {
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
  const lines = batch.lines()
  const unreadable = await halve(connection, lines, (part) => copyPart(connection, flush, part))
  await connection.query({ text: tableLock(flush) })
  await noteSeen(connection, flush)
  const repeats = await dropRepeats(connection, flush)
  const orphans = await dropOrphans(connection, flush)
  const merged: Merged = { created: 0, updated: 0 }
  // Rows that are held back are merged, and judged, at the end of their walk.
  const isMerging = !holdsBack(batch.layout)
  const refused = isMerging ? await mergeGood(connection, flush, { lines: without(lines, unreadable), merged }) : []
  if (isMerging) await connection.query(flush.statements.empty, ownRows(flush))
  const rejected = [...unreadable, ...refused].map(({ line, error }) => rejectedRow(flush, line.row, error))
  const counts = await settleHeld(connection, flush, { repeats, removed: [...orphans, ...rejected] })
  return await moveAndEnd(connection, flush, { counts, ...merged })
}

async function mergeGood(
  connection: Connection,
  flush: Flush,
  { lines, merged }: { readonly lines: readonly Line[]; readonly merged: Merged },
): Promise<readonly Rejected[]> {
  let refused = await halve(connection, lines, (part) => mergePart(connection, flush, { part, merged }))
  // A row may have waited for a neighbour in another half (a table that refers to itself): again, one by one, while that helps.
  for (;;) {
    const waiting = refused.filter(({ error }) => sqlstate(error) === '23503')
    const still: Rejected[] = []
    for (const { line } of waiting) {
      const error = await tryPart(connection, () => mergePart(connection, flush, { part: [line], merged }))
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

async function copyPart(connection: Connection, flush: Flush, part: readonly Line[]): Promise<void> {
  await connection.copy(flush.statements.copy, [Buffer.concat(part.map(({ line }) => line))])
}

async function mergePart(
  connection: Connection,
  flush: Flush,
  { part, merged }: { readonly part: readonly Line[]; readonly merged: Merged },
): Promise<void> {
  const range = [part[0]?.row, part.at(-1)?.row]
  const answer = await connection.query<{ created: string; updated: string }>(flush.statements.mergeRange, [
    ...ownRows(flush),
    ...range,
  ])
  merged.created += Number(answer.rows[0]?.created)
  merged.updated += Number(answer.rows[0]?.updated)
}

function without(lines: readonly Line[], rejected: readonly Rejected[]): readonly Line[] {
  const bad = new Set(rejected.map(({ line }) => line.row))
  return lines.filter(({ row }) => !bad.has(row))
}

function rejectedRow(flush: Flush, row: number, error: unknown): HeldRow {
  return flush.batch.heldRow(row, 'rejected', rejectionOf(error))
}
