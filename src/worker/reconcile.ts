/**
 * Before a run works: do queue.db and the database tell the same story? One that was put back from a backup is behind. Done tasks that the ledger does not know
 * go back to ready; a queue that is behind counts the budget as spent, and adopts what is done as it claims. Must not know SQL. Everything here may be repeated.
 */
import type { BudgetKeeper, Destination, Log, Queue } from '../domain/ports.js'
import type { LedgerReader, QueueRepair } from '../domain/repair-ports.js'

export interface Stores {
  readonly queue: Pick<Queue, 'lastRunId' | 'setLastRunId'>
  readonly repair: QueueRepair
  readonly budget: BudgetKeeper
  readonly destination: Pick<Destination, 'lastRunId' | 'setLastRunId'>
  readonly ledger: LedgerReader
  readonly log: Log
}
export interface StoresFound {
  /** Done tasks whose rows the database does not have: ready again. */
  readonly reopened: number
  /** The database knows a run that the queue does not: queue.db is older than it was. */
  readonly isQueueOlder: boolean
}

/** A database that lacks anything lacks what was committed last. */
const lookedAt = 20
const chunkSize = 1000
/** A run that finds nothing due does not connect, but so often: a restored database would never be noticed else. */
const compareAgainMs = 3_600_000

/** Compares the stores, mends the queue, and names this run in both as the last one. */
export async function reconcileStores(runId: string, stores: Stores): Promise<StoresFound> {
  const [inQueue, inDatabase] = [await stores.queue.lastRunId(), await stores.destination.lastRunId()]
  const order = await orderOf(inQueue, inDatabase, stores.repair)
  const isQueueOlder = order === 'queue is older'
  if (isQueueOlder) await stores.budget.countAsSpent()
  const isDatabaseOlder = order === 'database is older' || (await lacksLastDone(stores))
  const reopened = isDatabaseOlder ? await reopenMissing(stores) : 0
  if (order !== 'same' || reopened > 0)
    stores.log('warn', 'stores differ', { queue: inQueue, database: inDatabase, order, reopened })
  // The database first: a kill in between leaves it with a run that the queue knows, which is no sign of anything.
  await stores.destination.setLastRunId(runId)
  await stores.queue.setLastRunId(runId)
  await stores.repair.noteCompared()
  return { reopened, isQueueOlder }
}

/** True where a queue that has nothing to do should be held against the database all the same: it was, but not for a while. */
export async function isComparisonDue(repair: Pick<QueueRepair, 'comparedAt'>, now: number): Promise<boolean> {
  const at = await repair.comparedAt()
  return at !== null && (now - at >= compareAgainMs || at > now)
}

type Order = 'same' | 'queue is older' | 'database is older'

async function orderOf(inQueue: string | null, inDatabase: string | null, repair: QueueRepair): Promise<Order> {
  if (inQueue === inDatabase) return 'same'
  if (inDatabase === null) return 'database is older'
  if (inQueue === null) return 'queue is older'
  const order = await repair.compareRuns(inDatabase, inQueue)
  if (order === null) return 'queue is older'
  // A later run that the queue knows: it was killed between its two notes.
  return order > 0 ? 'same' : 'database is older'
}

async function lacksLastDone({ repair, ledger }: Stores): Promise<boolean> {
  const ids = await repair.lastDone(lookedAt)
  if (ids.length === 0) return false
  const known = await ledger.doneTasks(ids)
  return ids.some((id) => !known.has(id))
}

async function reopenMissing({ repair, ledger }: Stores): Promise<number> {
  let reopened = 0
  let after = 0
  for (;;) {
    const tasks = await repair.doneAfter(after, chunkSize)
    const last = tasks.at(-1)
    if (last === undefined) return reopened
    const known = await ledger.doneTasks(tasks.map(({ id }) => id))
    reopened += await repair.reopen(tasks.map(({ id }) => id).filter((id) => !known.has(id)))
    after = last.number
  }
}
