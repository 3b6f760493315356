/**
 * Moves one leased task: from the ledger's checkpoint, page by page, flush by flush, to its end. Owns the order in which rows and cursor become durable;
 * must not know HTTP, SQL or the queue. Whatever dies here, the ledger says where the walk stands: rows that wait in memory are asked for again.
 */
import {
  AnswerInvalid,
  DestinationUnavailable,
  InvariantError,
  SourceUnavailable,
  StoppedError,
  TerminalError,
} from '../domain/errors.js'
import { isSamePage, type PageOfWalk } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import type {
  Advance,
  Checkpoint,
  Clock,
  Destination,
  KeyText,
  Log,
  Page,
  SourceClient,
  SourceCount,
  StreamTable,
  Walk,
  WalkEnd,
  WalkStart,
} from '../domain/ports.js'
import { mayPrune, pruneScope } from '../domain/prune.js'
import type { Source, Stream } from '../domain/source-model.js'
import type { Lease, Progress, Proof, SplitTasks } from '../domain/task.js'
import { describe, fateOf, isOwnFault } from './fate.js'
import { Flusher } from './flusher.js'
import { linkAbort } from './linked-abort.js'
import { markOf, requirePartition, sinceOf } from './mark.js'
import {
  halves,
  isPageFault,
  mayPassOver,
  type Passing,
  pageMoved,
  passPage,
  splitOf,
  splitTasksOf,
  walkBehind,
  walkNote,
} from './pass-over.js'
import { endOfWalk } from './prune.js'
import { freshWalk, hasShrunk, proofOf, sourceLoop, verdictOf, walkAfter, walkToGoOn } from './walk.js'

export interface TaskDeps {
  readonly source: Source
  readonly stream: Stream
  /** The whole partition, also where the task is for a page of it. */
  readonly partition: Partition
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** The one page that the task asks for; null: the whole partition. */
  readonly page: PageOfWalk | null
  /** It walks everything, also where only changes are asked for otherwise. */
  readonly isFull: boolean
  readonly table: StreamTable
  readonly client: SourceClient
  readonly destination: Destination
  readonly clock: Clock
  readonly log: Log
  readonly uuid: () => string
  readonly signal: AbortSignal
  readonly deadlineAt: number | null
  readonly maxWaitMs: number | null
  /** Of its requests, where they wait in line; absent: 0. */
  readonly priority?: number
  readonly onProgress: (progress: Progress) => void
  readonly onUnknownFields: (fields: readonly string[]) => void
}

/** How a task's run ended; `error` null: it is done. Nothing is thrown: what was promoted counts either way. */
export interface TaskEnd {
  readonly error: unknown
  readonly proof: Proof | null
  readonly progress: Progress
  /** Requests of this lease. */
  readonly sent: number
  /** A page was promoted in this lease. */
  readonly hasProgress: boolean
  /** Raw rows of its last walk. */
  readonly received: number
  /** Raw rows that were promoted in this lease. */
  readonly fresh: number
  /** Rows of the partition's last proven walk, where this one ended unproven with far fewer; null otherwise. */
  readonly shrunkFrom: number | null
  /** Pages that its walk passed over. */
  readonly split?: SplitTasks | undefined
  /** What becomes of the walk, for an operator who reads why the task died. */
  readonly note?: string | undefined
  /** Of a flush that was refused for a missing parent: what fills the parent's table still has tasks to do. */
  readonly hasOpenParent?: boolean
}

/** Connection losses in a row, without a flush between, before the database counts as gone. */
const maxReconnects = 3
const reconnectMs = 1000

export async function runTask(lease: Lease, opened: Checkpoint, deps: TaskDeps): Promise<TaskEnd> {
  let checkpoint = opened
  let sent = 0
  const countRequest = () => {
    sent += 1
  }
  // The ledger knows of requests that a dead worker could not tell the queue.
  const requestsBefore = Math.max(lease.task.requests, opened.requests)
  const end = (error: unknown): TaskEnd => ({
    error,
    split: splitTasksOf(checkpoint.walk, deps.partition),
    note: error === null ? undefined : walkNote(error, checkpoint.walk, deps.stream),
    proof: checkpoint.proof,
    progress: progressOf(checkpoint, requestsBefore + sent),
    sent,
    received: checkpoint.walk?.received ?? 0,
    fresh: checkpoint.totals.received - opened.totals.received,
    hasProgress: checkpoint.sequence > opened.sequence,
    shrunkFrom: shrunkFrom(checkpoint, opened, deps.stream),
  })
  for (let losses = 1; ; losses += 1) {
    const before = checkpoint.sequence
    let run: TaskRun | null = null
    try {
      const walk = await walkOf(checkpoint, deps)
      run = new TaskRun({ checkpoint, walk }, deps, {
        countRequest,
        requests: () => requestsBefore + sent,
        wouldDie: (error, sequence) => {
          const attemptsBefore = sequence > opened.sequence ? 0 : lease.task.attempts
          const { settings } = deps.stream
          return fateOf({ error, attemptsBefore, hasSpent: sent > 0, settings, now: 0, jitter: 0 }).kind === 'dead'
        },
      })
      await run.toTheEnd()
      checkpoint = run.checkpoint
      return end(null)
    } catch (error) {
      checkpoint = run?.checkpoint ?? checkpoint
      if (checkpoint.sequence > before) losses = 0
      if (!isConnectionLost(error) || losses > maxReconnects || deps.signal.aborted) return end(error)
      // A connection lost, perhaps during COMMIT: a new claim in the ledger waits that out and says what was promoted.
      const reopened = await reopen(lease, deps, losses)
      if (reopened instanceof Error) return end(reopened)
      checkpoint = reopened
    }
  }
}

/** The walk to go on with, or a new one: over what changed since the watermark, where there is one. */
async function walkOf(checkpoint: Checkpoint, deps: TaskDeps): Promise<Walk> {
  const { stream, clock, uuid } = deps
  const known = walkToGoOn(checkpoint, stream, clock.now())
  if (known !== null) return known
  if (!checkpoint.done) await requirePartition(deps)
  return freshWalk(stream, { id: uuid(), now: clock.now(), since: await sinceOf(deps) })
}

function shrunkFrom(checkpoint: Checkpoint, { lastProven }: Checkpoint, { settings }: Stream): number | null {
  const { walk, proof } = checkpoint
  if (walk === null || proof !== 'unproven' || typeof lastProven !== 'number') return null
  return hasShrunk(walk, lastProven, settings.maxShrink) ? lastProven : null
}

/** What one table or row did to its flush is not healed by another connection, nor is a full disk or a database that must not be written. */
function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof DestinationUnavailable) || isOwnFault(error)) return false
  return error.context.sqlstate !== '53100' && error.context.sqlstate !== '25006'
}

async function reopen(lease: Lease, deps: TaskDeps, losses: number): Promise<Checkpoint | Error> {
  try {
    await deps.clock.sleep(reconnectMs * 2 ** losses, deps.signal)
    const checkpoint = (await deps.destination.openTasks([lease])).get(lease.task.id)
    return checkpoint ?? new InvariantError(`open task ${lease.task.number} got no checkpoint`)
  } catch (error) {
    return error instanceof Error ? error : new InvariantError(String(error))
  }
}

interface RequestCounter {
  readonly countRequest: () => void
  /** Requests of the task in all leases. */
  readonly requests: () => number
  /** Whether the task would be given up for this error, with the ledger at this sequence. */
  readonly wouldDie: (error: unknown, sequence: number) => boolean
}

/** One for all tasks: an abort without a reason makes a DOMException with a stack each time. */
const nobodyWaits = new StoppedError()

/** One connected run of a task: from one opening in the ledger to the end, or to an error. */
class TaskRun {
  readonly #deps: TaskDeps
  readonly #counter: RequestCounter
  readonly #flusher: Flusher
  #walk: Walk
  #lastCount: SourceCount | null = null
  /** Failed pages, while it is not known whether a page behind them answers. */
  #passing: Passing | null = null

  constructor(
    { checkpoint, walk }: { readonly checkpoint: Checkpoint; readonly walk: Walk },
    deps: TaskDeps,
    counter: RequestCounter,
  ) {
    this.#deps = deps
    this.#counter = counter
    this.#walk = walk
    if (deps.page !== null && !isSamePage(deps.page, this.#walk)) throw pageMoved(deps.stream, deps.page)
    this.#flusher = new Flusher(checkpoint, this.#walk, {
      table: deps.table,
      partition: deps.partition,
      destination: deps.destination,
      clock: deps.clock,
      settings: deps.stream.settings,
      isDear: deps.source.budget.limits.length > 0,
      requests: counter.requests,
      onFlushed: (flushed) => {
        deps.onProgress(progressOf(flushed, counter.requests()))
      },
    })
  }

  get checkpoint(): Checkpoint {
    return this.#flusher.checkpoint
  }

  async toTheEnd(): Promise<void> {
    if (this.checkpoint.done) return
    do {
      // A walk that has pages and no cursor has reached its end; only its proof is missing.
      const isAtEnd = this.#walk.pages > 0 && this.#walk.cursor === null
      if (!isAtEnd) await this.#readPages()
    } while (!(await this.#finish()))
  }

  /** To the end of the walk, over pages that always fail. */
  async #readPages(): Promise<void> {
    for (;;) {
      try {
        await this.#readOn()
        return
      } catch (error) {
        if (this.#halve(error)) return
        if (!(await this.#passOver(error)))
          throw this.#passing !== null && isPageFault(error) ? this.#passing.error : error
      }
    }
  }

  /** True where the walk of many values ends here, for two tasks with half of them each: one value that fails must not stop the others. */
  #halve(error: unknown): boolean {
    const { stream, partition, log, signal } = this.#deps
    if (signal.aborted || !this.#counter.wouldDie(error, this.checkpoint.sequence)) return false
    const split = halves(error, this.#deps)
    if (split === null) return false
    const { code, message } = describe(error)
    log('warn', 'task split', { stream: `${stream.source}.${stream.name}`, partition, code, message })
    this.#walk = { ...this.#walk, split, cursor: null }
    this.#flusher.moveTo(this.#walk)
    return true
  }

  /** True where the walk goes on behind the page that failed. */
  async #passOver(error: unknown): Promise<boolean> {
    const { stream, client, page } = this.#deps
    if (page !== null || !isPageFault(error) || this.#deps.signal.aborted) return false
    if (this.#passing === null && !this.#counter.wouldDie(error, this.checkpoint.sequence)) return false
    if (!mayPassOver(this.#walk, this.#passing)) return false
    const passed = client.passOver(stream, this.#passing?.next ?? this.#walk.cursor)
    if (passed === null) return false
    this.#passing = passPage(this.#passing, passed, error)
    if (passed.next !== null) return true
    return await this.#endBehind(this.#passing)
  }

  /** Behind the last page there is none to show that the source answers: its count does. */
  async #endBehind(passing: Passing): Promise<boolean> {
    try {
      if ((await this.#deps.client.count(this.#walkStart())).count === null) return false
    } catch (error) {
      if (error instanceof TerminalError || error instanceof SourceUnavailable) return false
      throw error
    }
    const pages = this.#walk.pages + passing.pages.length
    this.#notePassed(passing)
    this.#walk = { ...walkBehind(this.#walk, passing), cursor: null, pages }
    this.#flusher.moveTo(this.#walk)
    return true
  }

  async #readOn(): Promise<void> {
    if (this.#walk.pages > 0 && this.#walk.cursor === null) return
    const stop = linkAbort(this.#deps.signal)
    const pages = this.#deps.client.walk({ ...this.#walkStart(), signal: stop.signal })
    try {
      for (;;) {
        const next = pages.next()
        // The age of waiting rows counts while the source is waited for.
        await this.#flusher.whileWaiting(next)
        const result = await next
        if (result.done === true) break
        await this.#take(result.value)
        if (result.value.next === null) break
      }
    } catch (error) {
      await this.#keepWhatIsGood(error)
      throw error
    } finally {
      // Without the signal, the end of the walk would wait for an answer that nobody wants any more.
      stop.abort(nobodyWaits)
      stop.release()
      await pages.return?.()
    }
    if (this.#walk.cursor !== null || this.#walk.pages === 0) {
      throw new InvariantError(`walk ${this.#deps.stream.source}.${this.#deps.stream.name} ended without an end`)
    }
  }

  /** Pages that were received before the error are promoted: they must not be asked for again. */
  async #keepWhatIsGood(error: unknown): Promise<void> {
    if (error instanceof DestinationUnavailable) return
    await this.#flusher.drain()
  }

  async #take(page: Page): Promise<void> {
    const passing = this.#passing
    const fields = await this.#flusher.add(page, (digest) => {
      const walk = passing === null ? this.#walk : walkBehind(this.#walk, passing)
      this.#walk = walkAfter(walk, page, digest)
      return this.#walk
    })
    if (passing !== null) this.#notePassed(passing)
    this.#lastCount = page.count ?? this.#lastCount
    if (fields.length > 0) this.#deps.onUnknownFields(fields)
    if (this.#walk.pages > this.#deps.stream.settings.maxPages) throw tooManyPages(this.#deps.stream)
    await this.#flusher.flushIfDue()
    if (this.#deps.signal.aborted && page.next !== null) throw new StoppedError()
  }

  #notePassed({ pages }: Passing): void {
    this.#passing = null
    const { stream, partition, log } = this.#deps
    const name = `${stream.source}.${stream.name}`
    for (const { number, code, message } of pages) {
      log('warn', 'page split off', { stream: name, partition, page: number, code, message })
    }
  }

  /** False: the walk begins again. */
  async #finish(): Promise<boolean> {
    const { stream, page } = this.#deps
    // A page alone, and a walk without one, are compared with no count.
    const isPart = page !== null || splitOf(this.#walk).length > 0
    if (mayPrune(stream)) return await this.#finishMirror(isPart)
    const verdict = isPart ? null : verdictOf(this.#walk)
    if (verdict !== null) {
      const walk = (await this.#flusher.drain()).walk ?? this.#walk
      const proof = verdict === 'proven' ? this.#heldAgainstLast(walk) : verdict
      await this.#flusher.finish(proof, null, this.#markOf(proof))
      return true
    }
    if (stream.count.length === 0 || isPart) {
      await this.#flusher.finish('unproven', null, this.#markOf('unproven'))
      return true
    }
    // The rows come first: asking for the count may take as long as the budget wants.
    const walk = (await this.#flusher.drain()).walk ?? this.#walk
    const atEnd = await this.#countAtEnd()
    const counted = proofOf(walk, atEnd)
    const proof = counted === 'proven' ? await this.#heldAgainstPast(walk) : counted
    await this.#flusher.finish(proof, atEnd, this.#markOf(proof))
    return true
  }

  #markOf(proof: Proof): Pick<Advance, 'mark'> {
    const isPart = this.#deps.page !== null || splitOf(this.#walk).length > 0
    if (isPart) return {}
    const { stream, partition } = this.#deps
    const isShrunk = hasShrunk(this.#walk, this.checkpoint.lastProven, stream.settings.maxShrink)
    const mark = markOf({ stream, partition, walk: this.#walk, proof, isShrunk })
    return mark === undefined ? {} : { mark }
  }

  /** An answer that is empty, or nearly, where there was plenty: the source's count agrees with it, and both may be wrong. */
  async #heldAgainstPast(walk: Walk): Promise<Proof> {
    return this.#heldAgainstLast(walk) === 'proven' ? await this.#heldAgainstTable(walk) : 'unproven'
  }

  #heldAgainstLast(walk: Walk): Proof {
    const { stream } = this.#deps
    const { lastProven } = this.checkpoint
    if (walk.since !== null || !hasShrunk(walk, lastProven, stream.settings.maxShrink)) return 'proven'
    this.#deps.log('warn', 'walk shrank', {
      stream: `${stream.source}.${stream.name}`,
      partition: this.#deps.partition,
      received: walk.received,
      last_proven: lastProven,
    })
    return 'unproven'
  }

  /** The end of a walk that may delete: it knows every key it brought, so a repeat shows wherever it came. */
  async #finishMirror(isPart: boolean): Promise<boolean> {
    const { stream, destination, table, partition } = this.#deps
    const checkpoint = await this.#flusher.drain()
    const walk = checkpoint.walk ?? this.#walk
    const verdict = isPart ? null : verdictOf(this.#walk)
    const isCounted = verdict === null && stream.count.length > 0 && !isPart
    const atEnd = isCounted ? await this.#countAtEnd() : null
    const walked = await destination.walked(checkpoint, table, partition)
    const counted = verdict ?? proofOf({ ...walk, distinct: walked.distinct }, atEnd)
    const proof = counted === 'proven' && walked.hasUnreadable ? 'unproven' : counted
    if (stream.disposition === 'replace' && proof === 'differs') throw contradicted(stream, walk, atEnd)
    const mayDelete = proof === 'proven' && walk.since === null
    const end: WalkEnd = mayDelete ? await this.#pruneEnd(checkpoint) : { kind: 'keep' }
    if (end.kind !== 'again') {
      await this.#flusher.finish(proof, atEnd, { end, ...this.#markOf(proof) })
      return true
    }
    this.#walk = freshWalk(stream, { id: this.#deps.uuid(), now: this.#deps.clock.now() })
    this.#lastCount = null
    await this.#flusher.beginAgain(this.#walk)
    return false
  }

  async #pruneEnd(checkpoint: Checkpoint): Promise<WalkEnd> {
    const { source, stream, partition, today } = this.#deps
    const areGone = (keys: readonly KeyText[]) => this.#deps.client.areGone(this.#walkStart(), keys)
    return await endOfWalk(checkpoint, {
      ...this.#deps,
      scope: pruneScope({ source, stream }, partition, today),
      areGone,
    })
  }

  /**
   * In a numbered walk a row may come twice and another be passed over while the counts agree. Repeats in different flushes are not seen by the flushes; but a
   * table that holds fewer rows than came proves one.
   */
  async #heldAgainstTable(walk: Walk): Promise<Proof> {
    const { stream, partition, destination } = this.#deps
    const isNumbered = stream.pagination.kind === 'page' || stream.pagination.kind === 'offset'
    if (!isNumbered || stream.key.length === 0 || walk.pages < 2) return 'proven'
    const { rows, held } = await destination.actual(stream, partition)
    if (rows === null) return 'unproven'
    return rows + held < walk.received ? 'differs' : 'proven'
  }

  async #countAtEnd(): Promise<SourceCount | null> {
    if (this.#lastCount?.trust === 'exact') return this.#lastCount
    const hasOwnRequest = this.#deps.stream.count.some((rule) => rule.request !== null)
    // A walk that named a count before a kill names one again: its end is not left unproven for want of asking.
    const hasForgotten = this.#lastCount === null && this.#walk.expected !== null
    if (!hasOwnRequest && !hasForgotten) return this.#lastCount
    try {
      const { count } = await this.#deps.client.count(this.#walkStart())
      return count ?? this.#lastCount
    } catch (error) {
      // A closed budget or a stop waits at the walk's end, which the ledger has; only the source's own refusal leaves it unproven.
      if (!(error instanceof TerminalError || error instanceof SourceUnavailable)) throw error
      this.#deps.log('warn', 'count failed', {
        stream: `${this.#deps.stream.source}.${this.#deps.stream.name}`,
        reason: String(error),
      })
      return this.#lastCount
    }
  }

  #walkStart(): WalkStart {
    const { source, stream, partition, page, deadlineAt, maxWaitMs, priority = 0, signal } = this.#deps
    const { received, since, until } = this.#walk
    const cursor = this.#passing === null ? this.#walk.cursor : this.#passing.next
    const pages = this.#walk.pages + (this.#passing?.pages.length ?? 0)
    const loop = sourceLoop(this.#walk)
    const onRequest = this.#counter.countRequest
    return {
      source,
      stream,
      partition,
      cursor,
      since,
      until,
      ...(page === null ? {} : { page }),
      loop,
      pages,
      received,
      purpose: 'worker',
      deadlineAt,
      maxWaitMs,
      priority,
      readsAhead: true,
      signal,
      onRequest,
    }
  }
}

/** Half a load in the place of a whole one is what `replace` is there to prevent. */
function contradicted(stream: Stream, walk: Walk, atEnd: SourceCount | null): AnswerInvalid {
  return new AnswerInvalid(
    'replace_differs',
    `replace "${stream.source}.${stream.name}" found ${walk.received} rows where the source counts ${atEnd?.value ?? 0}`,
    { hint: 'the table is as it was; walk the partition again with "backfill seed --force"' },
  )
}

function tooManyPages(stream: Stream): AnswerInvalid {
  return new AnswerInvalid(
    'too_many_pages',
    `walk ${stream.source}.${stream.name} passed ${stream.settings.maxPages} pages without an end`,
    {
      hint: 'raise "max_pages" in the definition if that many are right, then run "backfill retry --code too_many_pages"',
    },
  )
}

function progressOf(checkpoint: Checkpoint, requests: number): Progress {
  const expected = checkpoint.walk?.expected ?? null
  return {
    totals: checkpoint.totals,
    requests,
    expected: expected?.trust === 'exact' ? expected.value : null,
    cursor:
      checkpoint.walk?.cursor === undefined || checkpoint.walk.cursor === null ? null : shortCursor(checkpoint.walk),
  }
}

function shortCursor(walk: Walk): string {
  const text = JSON.stringify(walk.cursor, (_, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}
