/**
 * Owns what becomes of a flush that did not go through at once: contention repeats it unchanged, a bad row sends it the long way, a lost compare-and-set asks
 * the ledger who was first. Must not know how rows are merged.
 */
import { DestinationUnavailable, FencedError } from '../domain/errors.js'
import type { Advance, Checkpoint, Clock, FlushResult, Log } from '../domain/ports.js'
import { addTotals, type Totals } from '../domain/task.js'
import type { TableBatch } from './batch.js'
import { isContention, isPreparedLost, isRowFault, sqlstate } from './classify.js'
import type { Connections, Deadlines } from './connections.js'
import { promoteEnd } from './end-walk.js'
import { type HeldMark, type Promoted, promote } from './flush.js'
import { promoteGoodRows } from './good-rows.js'
import { readLedger, walkAfter } from './ledger.js'

interface FlushTools {
  readonly connections: Connections
  readonly deadlines: Deadlines
  readonly clock: Pick<Clock, 'sleep'>
  readonly signal: AbortSignal
  readonly log: Log
  readonly random: () => number
}

/** What the caller asks for. */
interface FlushOrder {
  readonly checkpoint: Checkpoint
  readonly batch: TableBatch
  readonly advance: Advance
  readonly heldMark: HeldMark
}

/** Tries of one flush under contention, and the longest pause before the second, ms (doubling). */
const tries = 4
const pauseMs = 50

/** Promotes the batch. @throws FencedError where a newer epoch holds the task; what the server says otherwise. */
export async function runFlush(order: FlushOrder, tools: FlushTools): Promise<FlushResult> {
  const promoted = await promoteInTime(order, tools)
  return promoted === null ? await adoptOrYield(order, tools) : resultOf(order, promoted)
}

async function promoteInTime(order: FlushOrder, tools: FlushTools): Promise<Promoted | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await promoteOnce(order, tools)
    } catch (error) {
      if (isPreparedLost(error)) tools.connections.stopNaming()
      else if (!isContention(error)) throw error
      if (attempt === tries) throw error
      tools.log('info', 'flush_repeated', { task: order.checkpoint.taskId, attempt, sqlstate: sqlstate(error) })
      await tools.clock.sleep(tools.random() * pauseMs * 2 ** attempt, tools.signal)
    }
  }
}

async function promoteOnce(order: FlushOrder, tools: FlushTools): Promise<Promoted | null> {
  try {
    return await attempt(order, tools, order.advance.end === undefined ? promote : promoteEnd)
  } catch (error) {
    if (!isRowFault(error) || order.advance.end !== undefined) throw error
    tools.log('debug', 'flush_halved', {
      task: order.checkpoint.taskId,
      rows: order.batch.rows,
      sqlstate: sqlstate(error),
    })
    return await attempt(order, tools, promoteGoodRows)
  }
}

async function attempt(order: FlushOrder, tools: FlushTools, way: typeof promote): Promise<Promoted | null> {
  return await tools.connections.run(async (connection) => {
    const statements = await order.batch.table.statements(connection)
    return await way(connection, { ...order, statements, deadlines: tools.deadlines })
  })
}

function resultOf({ checkpoint, advance, batch }: FlushOrder, { counts, created, updated }: Promoted): FlushResult {
  const totals: Totals = {
    pages: batch.pages,
    received: counts.received,
    created,
    updated,
    unchanged: counts.merged - created - updated,
    held: counts.held,
    duplicates: counts.duplicates,
  }
  const moved: Checkpoint = {
    ...checkpoint,
    sequence: checkpoint.sequence + 1,
    done: advance.done,
    proof: advance.done ? (advance.proof ?? 'unproven') : null,
    walk: walkAfter(checkpoint, advance, counts),
    totals: addTotals(checkpoint.totals, totals),
    requests: Math.max(checkpoint.requests, advance.requests),
  }
  return { checkpoint: moved, totals }
}

/** The ledger has moved without us: by our own commit, whose answer was lost, or by somebody who claimed the task since. */
async function adoptOrYield({ checkpoint }: FlushOrder, tools: FlushTools): Promise<FlushResult> {
  const found = await tools.connections.run((connection) => readLedger(connection, checkpoint.taskId))
  const task = checkpoint.taskId
  if (found === null || found.epoch < checkpoint.epoch) {
    throw new DestinationUnavailable(
      'ledger_behind',
      `flush task ${task} found its ledger row missing or older than the claim`,
      {
        hint: 'the database was restored to an earlier moment: the next claim starts from what it holds',
        context: { task },
      },
    )
  }
  if (found.epoch === checkpoint.epoch && found.sequence === checkpoint.sequence + 1) {
    // What only the claim asked for stays.
    return { checkpoint: { ...checkpoint, ...found }, totals: subtractTotals(found.totals, checkpoint.totals) }
  }
  const fact = `epoch ${found.epoch} and sequence ${found.sequence}, expected ${checkpoint.epoch} and ${checkpoint.sequence}`
  throw new FencedError(`flush task ${task} found ${fact}`, { context: { task, epoch: found.epoch } })
}

function subtractTotals(a: Totals, b: Totals): Totals {
  return {
    pages: a.pages - b.pages,
    received: a.received - b.received,
    created: a.created - b.created,
    updated: a.updated - b.updated,
    unchanged: a.unchanged - b.unchanged,
    held: a.held - b.held,
    duplicates: a.duplicates - b.duplicates,
  }
}
