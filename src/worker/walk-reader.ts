/**
 * Reads a walk's pages in their order into the flusher, and over pages that always fail. Owns where the walk stands in memory; the ledger has it as of the last
 * flush, and whatever dies here is asked for again from there. Must not know what the walk's end means.
 */
import {
  AnswerInvalid,
  DestinationUnavailable,
  InvariantError,
  PositionForgotten,
  SourceUnavailable,
  StoppedError,
  TerminalError,
} from '../domain/errors.js'
import { isSamePage } from '../domain/page-task.js'
import type { Page, SourceCount, Walk, WalkStart } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { describe } from './fate.js'
import type { Flusher } from './flusher.js'
import { linkAbort } from './linked-abort.js'
import { halves, isPageFault, mayPassOver, type Passing, pageMoved, passPage, walkBehind } from './pass-over.js'
import type { TaskDeps } from './types.js'
import { sourceLoop, walkAfter } from './walk.js'

/** What the reader asks of its task. */
export interface TaskMeter {
  /** A request is about to leave. */
  readonly countRequest: () => void
  /** Whether the task would be given up for this error, with the ledger at this sequence. */
  readonly wouldDie: (error: unknown, sequence: number) => boolean
}

/** One for all tasks: an abort without a reason makes a DOMException with a stack each time. */
const nobodyWaits = new StoppedError()

export class WalkReader {
  readonly #deps: TaskDeps
  readonly #flusher: Flusher
  readonly #meter: TaskMeter
  #walk: Walk
  #lastCount: SourceCount | null = null
  /** Failed pages, while it is not known whether a page behind them answers. */
  #passing: Passing | null = null

  /** @throws AnswerInvalid `page_moved` where the task is for a page that the walk would ask for otherwise. */
  constructor(
    walk: Walk,
    deps: TaskDeps,
    { flusher, meter }: { readonly flusher: Flusher; readonly meter: TaskMeter },
  ) {
    if (deps.page !== null && !isSamePage(deps.page, walk)) throw pageMoved(deps.stream, deps.page)
    this.#walk = walk
    this.#deps = deps
    this.#flusher = flusher
    this.#meter = meter
  }

  /** As it stands after the last page that was taken. */
  get walk(): Walk {
    return this.#walk
  }
  /** The count that the last answers named. */
  get lastCount(): SourceCount | null {
    return this.#lastCount
  }

  /** A walk that has pages and no cursor has reached its end; only its proof is missing. */
  get isAtEnd(): boolean {
    return this.#walk.pages > 0 && this.#walk.cursor === null
  }

  /** Reads what is left of the walk. */
  async toTheEnd(): Promise<void> {
    if (!this.isAtEnd) await this.#readPages()
  }

  /** Another walk in the same task. */
  beginAgain(walk: Walk): void {
    this.#walk = walk
    this.#lastCount = null
  }

  /** To the end of the walk, over pages that always fail. */
  async #readPages(): Promise<void> {
    for (;;) {
      try {
        await this.#readOn()
        return
      } catch (error) {
        if (error instanceof PositionForgotten) throw error
        if (this.#halve(error)) return
        if (!(await this.#passOver(error)))
          throw this.#passing !== null && isPageFault(error) ? this.#passing.error : error
      }
    }
  }

  /** True where the walk of many values ends here, for two tasks with half of them each: one value that fails must not stop the others. */
  #halve(error: unknown): boolean {
    const { stream, partition, log, signal } = this.#deps
    if (signal.aborted || !this.#meter.wouldDie(error, this.#flusher.checkpoint.sequence)) return false
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
    if (this.#passing === null && !this.#meter.wouldDie(error, this.#flusher.checkpoint.sequence)) return false
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
      if ((await this.#deps.client.count(this.start())).count === null) return false
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
    const pages = this.#deps.client.walk({ ...this.start(), signal: stop.signal })
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

  /** What a request of this walk begins with. */
  start(): WalkStart {
    const { source, stream, partition, page, deadlineAt, maxWaitMs, priority = 0, signal } = this.#deps
    const { received, since, until } = this.#walk
    const cursor = this.#passing === null ? this.#walk.cursor : this.#passing.next
    const pages = this.#walk.pages + (this.#passing?.pages.length ?? 0)
    const loop = sourceLoop(this.#walk)
    const onRequest = this.#meter.countRequest
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

function tooManyPages(stream: Stream): AnswerInvalid {
  return new AnswerInvalid(
    'too_many_pages',
    `walk ${stream.source}.${stream.name} passed ${stream.settings.maxPages} pages without an end`,
    {
      hint: 'raise "max_pages" in the definition if that many are right, then run "backfill retry --code too_many_pages"',
    },
  )
}
