/**
 * Owns the flush that ends a walk of a stream which may delete: rows held back are merged, missing ones deleted, the ledger moved, all in one transaction.
 * Must not judge whether the walk is proven.
 */
import { InvariantError } from '../domain/errors.js'
import type { WalkEnd } from '../domain/ports.js'
import type { HeldRow } from './batch.js'
import { rejectionOf } from './classify.js'
import type { Connection } from './connections.js'
import { beginScript, type Flush, holdsBack, moveAndEnd, type Promoted, tableLock } from './flush.js'
import { tryPart } from './good-rows.js'
import { keepHeld } from './held.js'
import { quoteName, quoteTable } from './identifiers.js'
import { removeMissing } from './prune.js'

/** Ends the walk, or begins the next one. Null: another flush or claim was first, and nothing was changed. */
export async function promoteEnd(connection: Connection, flush: Flush): Promise<Promoted | null> {
  const { batch, advance, checkpoint } = flush
  if (batch.received > 0 || advance.end === undefined) throw new InvariantError('end a walk found rows that wait')
  await connection.query({ text: `${beginScript(flush)}; ${tableLock(batch.layout)}` })
  if (advance.end.kind === 'again') {
    const text = 'update backfill.ledger set proven_since = walk_since where task = $1'
    await connection.query({ text }, [checkpoint.taskId])
    await discardStaged(connection, flush)
    return await moveAndEnd(connection, flush, { counts: noCounts, created: 0, updated: 0 })
  }
  const staged = holdsBack(batch.layout) ? await mergeStaged(connection, flush) : nothingStaged
  await prune(connection, flush, advance.end)
  if (staged.rejected.length > 0) flush.heldMark.set()
  const by = { taskId: checkpoint.taskId, walkId: advance.walk.id }
  const held = await keepHeld(connection, { batch, rows: staged.rejected, hasHeld: true }, by)
  // What could not be stored after all was counted as stored when it was staged.
  const counts = { ...noCounts, merged: -held, held }
  return await moveAndEnd(connection, flush, { counts, created: staged.created, updated: staged.updated })
}

/** The walk that begins brings its own rows; what only the one before brought may be gone by its end. */
async function discardStaged(connection: Connection, { batch, checkpoint }: Flush): Promise<void> {
  if (!holdsBack(batch.layout)) return
  const text = `delete from ${quoteTable(batch.layout.delta)} where _task = $1`
  await connection.query({ text }, [checkpoint.taskId])
}

const noCounts = { pages: 0, received: 0, merged: 0, held: 0, duplicates: 0 }

async function prune(connection: Connection, flush: Flush, end: WalkEnd): Promise<void> {
  if (end.kind !== 'prune') return
  const { batch, checkpoint } = flush
  const { pruned, kept } = await removeMissing(connection, { layout: batch.layout, checkpoint, scope: end.scope })
  const text = 'update backfill.ledger set pruned = pruned + $2, kept = $3 where task = $1'
  if (pruned + kept > 0) await connection.query({ text }, [checkpoint.taskId, pruned, kept])
}

// Rows that were held back -----------------------------------------------------------------------------------------------

interface Staged {
  readonly created: number
  readonly updated: number
  readonly rejected: readonly HeldRow[]
}
const nothingStaged: Staged = { created: 0, updated: 0, rejected: [] }

/** Merges all rows of the task, and takes out what other tasks of the partition left behind: they were superseded. */
async function mergeStaged(connection: Connection, flush: Flush): Promise<Staged> {
  const { batch, checkpoint, statements } = flush
  const delta = quoteTable(batch.layout.delta)
  await connection.query({ text: statements.dropStagedRepeats }, [checkpoint.taskId])
  const ranges = await connection.query<{ sequence: string; first: string; last: string }>(
    {
      text: `select _sequence as sequence, min(_row) as first, max(_row) as last from ${delta} where _task = $1 group by _sequence order by _sequence`,
    },
    [checkpoint.taskId],
  )
  const waiting = ranges.rows
    .map(
      ({ sequence, first, last }): Range => ({ sequence: Number(sequence), first: Number(first), last: Number(last) }),
    )
    .reverse()
  const done = { created: 0, updated: 0 }
  const rejected: HeldRow[] = []
  for (let range = waiting.pop(); range !== undefined; range = waiting.pop()) {
    const error = await tryPart(connection, () => mergeRange(connection, flush, { range, done }))
    if (error === null) continue
    const { sequence, first, last } = range
    if (first === last) rejected.push(await stagedRow(connection, flush, { range, error }))
    else {
      const middle = Math.floor((first + last) / 2)
      waiting.push({ sequence, first: middle + 1, last }, { sequence, first, last: middle })
    }
  }
  await connection.query(
    {
      text: `delete from ${delta} where _task = $1 or _task in (select l.task from backfill.ledger l join backfill.ledger o using (source, stream, partition) where o.task = $1)`,
    },
    [checkpoint.taskId],
  )
  return { ...done, rejected }
}

interface Range {
  readonly sequence: number
  readonly first: number
  readonly last: number
}

async function mergeRange(
  connection: Connection,
  { checkpoint, statements }: Flush,
  { range, done }: { readonly range: Range; readonly done: { created: number; updated: number } },
): Promise<void> {
  const values = [checkpoint.taskId, range.sequence, range.first, range.last]
  const answer = await connection.query<{ created: string; updated: string }>(statements.mergeRange, values)
  done.created += Number(answer.rows[0]?.created)
  done.updated += Number(answer.rows[0]?.updated)
}

/** A staged row as `backfill.held` keeps it. What the source sent is gone by now: the raw text is that of the mapped row. */
async function stagedRow(
  connection: Connection,
  { batch, checkpoint }: Flush,
  { range, error }: { readonly range: Range; readonly error: unknown },
): Promise<HeldRow> {
  const { layout } = batch
  const keys = layout.keyAt.map((at) => `d.${quoteName(layout.columns[at]?.name ?? '')}::text`)
  const version =
    layout.versionAt === null ? 'null' : `d.${quoteName(layout.columns[layout.versionAt]?.name ?? '')}::text`
  const answer = await connection.query<{ raw: string; key: string; version: string | null }>(
    {
      text: `select (to_jsonb(d) - array['_task', '_sequence', '_row'])::text as raw, concat_ws(E'\\t', ${keys.join(', ')}) as key, ${version} as version
        from ${quoteTable(layout.delta)} d where d._task = $1 and d._sequence = $2 and d._row = $3`,
    },
    [checkpoint.taskId, range.sequence, range.first],
  )
  const row = answer.rows[0]
  const reason = rejectionOf(error)
  return {
    code: 'rejected',
    reason,
    waitsFor: null,
    row: range.first,
    page: 0,
    position: range.first,
    key: row?.key ?? null,
    version: row?.version ?? null,
    raw: row?.raw ?? '{}',
  }
}
