/**
 * Rebuilds a lost queue from the ledger: what is done, and where each walk stands, without a request. Owns the order: everything is judged before anything is
 * written, the budget counts as spent before a task is there, and the database is bound to this queue last, so that no worker runs on half of it. A kill leaves
 * a queue that the same command completes.
 */
import { ConfigError, StoppedError } from '../domain/errors.js'
import { partitionLabel } from '../domain/partition.js'
import type { BudgetKeeper, Destination, Log, Queue } from '../domain/ports.js'
import type {
  Contradiction,
  LedgerReader,
  LedgerTask,
  QueueRepair,
  RestoreCounts,
  RestoreResult,
} from '../domain/repair-ports.js'

export interface FromLedgerRequest {
  /** Restricts it to these; null: every task of the ledger, of streams that no definition names, too. */
  readonly only: readonly { readonly source: string; readonly stream: string }[] | null
  /** Streams that the workspace defines. */
  readonly configured: readonly { readonly source: string; readonly stream: string }[]
  /** Absolute folder. */
  readonly workspace: string
  /** `--adopt`, typed by the operator: takes a database over that another folder's queue is bound to. */
  readonly adopt: boolean
  readonly signal: AbortSignal
}

export interface FromLedgerDeps {
  /** null in a dry run of a workspace without queue.db. */
  readonly store: { readonly queue: Queue; readonly repair: QueueRepair; readonly budget: BudgetKeeper } | null
  readonly destination: Pick<Destination, 'databaseId' | 'bindQueue' | 'lastRunId'>
  readonly ledger: LedgerReader
  readonly log: Log
}

export interface FromLedgerReport {
  readonly streams: readonly (RestoreCounts & { readonly isConfigured: boolean })[]
  /** At most the first hundred. */
  readonly contradictions: readonly Contradiction[]
  readonly contradictionCount: number
  /** Whose the database was; null: nobody else's. */
  readonly adoptedFrom: { readonly queue: string; readonly workspace: string } | null
}

const contradictionsKept = 100

/** What {@link seedFromLedger} would do. Writes nothing. @throws ConfigError `second_workspace`, `wrong_database` */
export async function judgeLedger(request: FromLedgerRequest, deps: FromLedgerDeps): Promise<FromLedgerReport> {
  const adoptedFrom = await checkBinding(request, deps)
  const sum = new Sum(request)
  await eachWanted(request, deps, async (tasks) => {
    sum.add(deps.store === null ? ofNewQueue(tasks) : await deps.store.repair.judge(tasks))
  })
  return sum.report(adoptedFrom)
}

/** Idempotent. @throws ConfigError `second_workspace`, `wrong_database`, `ledger_contradicts` */
export async function seedFromLedger(
  request: FromLedgerRequest,
  deps: FromLedgerDeps & { readonly store: NonNullable<FromLedgerDeps['store']> },
): Promise<FromLedgerReport> {
  const { queue, repair, budget } = deps.store
  const judged = await judgeLedger(request, deps)
  const [first] = judged.contradictions
  if (first !== undefined) throw contradicts(first, judged.contradictionCount)
  const sum = new Sum(request)
  const isNew = judged.streams.some(({ done, ready, past }) => done + ready + past > 0)
  if (isNew || judged.adoptedFrom !== null) await budget.countAsSpent()
  if (isNew) {
    const backfill = await queue.beginBackfill({
      scope: 'from the ledger',
      fingerprint: 'from ledger',
      reason: 'seed',
      isForced: false,
    })
    await eachWanted(request, deps, async (tasks) => {
      const result = await repair.restore(backfill, tasks)
      const [late] = result.contradictions
      if (late !== undefined) throw contradicts(late, 1)
      sum.add(result)
    })
    // After all: a page's own task may have a row of its own.
    await eachWanted(request, deps, async (tasks) => {
      await repair.splitPages(tasks.filter(({ isNewest, split }) => isNewest && split !== null))
    })
    await queue.finishPlanning(backfill)
  }
  const lastRun = await deps.destination.lastRunId()
  if (lastRun !== null) await queue.setLastRunId(lastRun)
  await queue.bindDatabase(deps.destination.databaseId)
  await deps.destination.bindQueue(queue.id, { workspace: request.workspace, adopt: true })
  const report = isNew ? sum.report(judged.adoptedFrom) : judged
  deps.log('warn', 'queue rebuilt from the ledger', {
    streams: report.streams,
    adopted_from: report.adoptedFrom?.workspace ?? null,
  })
  return report
}

/**
 * A database that was bound from this very folder lost its queue: that is what this command is for. One that is bound from elsewhere may be in use, so it takes
 * an operator's word.
 */
async function checkBinding(
  { workspace, adopt }: FromLedgerRequest,
  { store, destination, ledger }: FromLedgerDeps,
): Promise<FromLedgerReport['adoptedFrom']> {
  if (store !== null && (await store.queue.boundDatabase()) !== null)
    await store.queue.bindDatabase(destination.databaseId)
  const bound = await ledger.boundQueue()
  if (bound === null || bound.queue === store?.queue.id) return null
  if (bound.workspace === workspace || adopt) return bound
  throw new ConfigError(
    'second_workspace',
    `rebuild the queue of "${workspace}" found the database bound to "${bound.workspace}"`,
    {
      hint: 'where that workspace works on, use it or another database; where it is gone for good, add --adopt',
      context: { workspace: bound.workspace },
    },
  )
}

async function eachWanted(
  { only, signal }: FromLedgerRequest,
  { ledger }: FromLedgerDeps,
  take: (tasks: readonly LedgerTask[]) => Promise<void>,
): Promise<void> {
  const names = only === null ? null : new Set(only.map(nameOf))
  await ledger.eachLedgerTask(async (tasks) => {
    if (signal.aborted) throw new StoppedError()
    const wanted = names === null ? tasks : tasks.filter((task) => names.has(nameOf(task)))
    if (wanted.length > 0) await take(wanted)
  })
}

/** What an empty queue would make of them. */
function ofNewQueue(tasks: readonly LedgerTask[]): RestoreResult {
  const streams = tasks.map(({ source, stream, done, isNewest }) => ({
    ...{ source, stream, known: 0 },
    done: Number(isNewest && done),
    ready: Number(isNewest && !done),
    past: Number(!isNewest),
  }))
  return { streams, contradictions: [] }
}

class Sum {
  readonly #streams = new Map<string, { -readonly [K in keyof RestoreCounts]: RestoreCounts[K] }>()
  readonly #contradictions: Contradiction[] = []
  readonly #configured: ReadonlySet<string>
  #count = 0

  constructor({ configured }: FromLedgerRequest) {
    this.#configured = new Set(configured.map(nameOf))
  }

  add({ streams, contradictions }: RestoreResult): void {
    for (const { source, stream, done, ready, past, known } of streams) {
      const key = nameOf({ source, stream })
      const sum = this.#streams.get(key) ?? { source, stream, done: 0, ready: 0, past: 0, known: 0 }
      sum.done += done
      sum.ready += ready
      sum.past += past
      sum.known += known
      this.#streams.set(key, sum)
    }
    this.#count += contradictions.length
    this.#contradictions.push(...contradictions.slice(0, contradictionsKept - this.#contradictions.length))
  }

  report(adoptedFrom: FromLedgerReport['adoptedFrom']): FromLedgerReport {
    const streams = [...this.#streams].map(([key, counts]) => ({ ...counts, isConfigured: this.#configured.has(key) }))
    return { streams, contradictions: this.#contradictions, contradictionCount: this.#count, adoptedFrom }
  }
}

function contradicts({ kind, ledger, queued }: Contradiction, count: number): ConfigError {
  const label = `${ledger.source}.${ledger.stream} ${partitionLabel(ledger.partition)}`
  const fact =
    kind === 'other task'
      ? `the ledger knows task ${queued.number} as one of ${label}, the queue as one of ${queued.source}.${queued.stream} ${partitionLabel(queued.partition)}`
      : `a walk of ${label} is open in the ledger, and task ${queued.number} of the queue is open for it, too`
  const others = count > 1 ? ` (and ${count - 1} more)` : ''
  return new ConfigError('ledger_contradicts', `rebuild the queue found that ${fact}${others}`, {
    hint: 'nothing was changed; move queue.db, queue.db-wal and queue.db-shm away, run "backfill seed --from-ledger" again, then "backfill seed" for what was never begun',
    context: { task: queued.number, contradictions: count },
  })
}

function nameOf({ source, stream }: { readonly source: string; readonly stream: string }): string {
  return `${source}.${stream}`
}
