// Owns a walk: pages in order, the next request on its way while the consumer works on this one, loops found, an end by the source's own sign.
// What survives a kill is what the consumer made durable: cursor and loop of its last page. Requests still in flight when the consumer stops are
// aborted, and booked as answered before the walk returns.
import { createHash } from 'node:crypto'
import { AnswerInvalid, PositionForgotten, SourceRejected, SourceUnavailable, StoppedError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { LoopState } from '../domain/loop.js'
import { noLoop, stepLoop } from '../domain/loop.js'
import type { Cursor, Page, WalkStart } from '../domain/ports.js'
import type { NextStep, PageReply, Pager } from './pager.js'
import type { Step } from './request.js'
import { countIn } from './rows.js'

/** One request of a walk, retries included. */
export interface Asking {
  readonly signal: AbortSignal
  readonly onRequest: () => void
  /** A request of it failed on its way and is sent again: it may have been answered. Absent: nobody asks. */
  readonly onRepeat?: () => void
  /** The error that the source declares to be its end is one on later pages only. */
  readonly isFirst: boolean
  /** Statuses that are not tried again, because the caller knows another way. */
  readonly surfaces?: readonly number[]
}
export interface WalkDependencies {
  readonly pager: Pager
  readonly ask: (step: Step, asking: Asking) => Promise<PageReply>
  /** Requests on their way at once where cursors can be guessed. */
  readonly depth: number
}

/** A request that was sent, perhaps before it was certain to be needed. */
interface Flight {
  readonly key: string
  readonly reply: Promise<PageReply>
  readonly requests: number
  readonly isRepeat: boolean
}

/** One for all walks: an abort without a reason makes a DOMException with a stack, 4 % of the time of a task of one page. */
const walkIsOver = new StoppedError()

/** @throws what `ask` throws, in the order of the pages; AnswerInvalid `loop` and `endless`. */
export async function* walkPages(
  start: WalkStart,
  dependencies: WalkDependencies,
): AsyncGenerator<Page, void, undefined> {
  const stop = new AbortController()
  const stopToo = () => stop.abort(walkIsOver)
  start.signal.addEventListener('abort', stopToo, { once: true })
  if (start.signal.aborted) stopToo()
  const flights = new Flights(start, dependencies, stop.signal)
  try {
    yield* pagesInOrder(start, dependencies.pager, flights)
  } finally {
    start.signal.removeEventListener('abort', stopToo)
    stopToo()
    await flights.settle()
  }
}

/** The one page at a cursor, as the whole of a walk. A past-the-end error is an answer: the page is gone since. @throws what `ask` throws. */
export async function onePage(
  start: WalkStart,
  { pager, ask, cursor }: Pick<WalkDependencies, 'pager' | 'ask'> & { readonly cursor: Cursor },
): Promise<Page> {
  let requests = 0
  const onRequest = () => {
    requests += 1
    start.onRequest()
  }
  const reply = await ask(pager.stepAt(cursor), { signal: start.signal, onRequest, isFirst: false })
  return {
    number: start.page?.number ?? 1,
    ...contentOf(reply),
    next: null,
    loop: start.loop,
    count: null,
    requests,
  }
}

function contentOf(reply: PageReply): Pick<Page, 'records' | 'reread' | 'bytes' | 'address' | 'servedAt'> {
  const { records, reread, bytes, address, servedAt } = reply
  return { records, reread, bytes, address, servedAt }
}

async function* pagesInOrder(start: WalkStart, pager: Pager, flights: Flights): AsyncGenerator<Page, void, undefined> {
  let { cursor } = start
  let loop = readLoop(start.loop)
  const ownCounts = start.stream.count.filter((rule) => rule.request === null)
  const isKept = (at: Cursor | null) => at !== null && pager.stepAt(at).isKept === true
  if (isKept(cursor)) throw passedOn(start)
  let isRepeat = cursor !== null
  for (let number = start.pages + 1; ; number += 1) {
    const taken = await flights.takeSmaller(cursor)
    const { reply } = taken
    cursor = taken.cursor
    const next = pager.after(cursor, reply)
    isRepeat = flights.takeRepeat() || isRepeat
    if (isRepeat && (isKept(cursor) || isKept(next.cursor))) throw passedOn(start)
    isRepeat = false
    loop = advanceLoop(loop, next, reply)
    const isEndless = next.cursor !== null && number >= start.stream.settings.maxPages
    // Sent before the page is handed over: the consumer's work and the next answer's way overlap.
    if (next.cursor !== null && !isEndless && start.readsAhead) flights.launch(next.cursor, reply)
    yield {
      number,
      ...contentOf(reply),
      next: next.cursor,
      loop: { ...loop },
      count: pager.isPartial === true ? null : countIn(reply, ownCounts),
      ...(pager.judges === true ? { judged: { verdict: next.verdict ?? null } } : {}),
      requests: flights.takeRequests(),
    }
    if (isEndless) throw endless(start, reply)
    if (next.cursor === null) return
    cursor = next.cursor
  }
}

/** Requests on their way, in the order of their pages. */
class Flights {
  readonly #start: WalkStart
  readonly #dependencies: WalkDependencies
  readonly #signal: AbortSignal
  readonly #all = new Set<Promise<unknown>>()
  #queue: Flight[] = []
  #requests = 0
  #isRepeat = false

  constructor(start: WalkStart, dependencies: WalkDependencies, signal: AbortSignal) {
    this.#start = start
    this.#dependencies = dependencies
    this.#signal = signal
  }

  /** The answer at a cursor, asked for now or before. */
  async take(cursor: Cursor | null): Promise<PageReply> {
    const flight = this.#at(cursor)
    this.#queue.shift()
    try {
      return await flight.reply
    } finally {
      this.#requests += flight.requests
      this.#isRepeat = flight.isRepeat
    }
  }

  /** Whether the page taken last may have been answered before. */
  takeRepeat(): boolean {
    return this.#isRepeat
  }

  /** The answer at a cursor, or at one in its place that asks for less, where the source says that it was too much. */
  async takeSmaller(cursor: Cursor | null): Promise<{ readonly reply: PageReply; readonly cursor: Cursor | null }> {
    for (let at = cursor; ; ) {
      try {
        return { reply: await this.take(at), cursor: at }
      } catch (error) {
        const status =
          error instanceof SourceUnavailable || error instanceof SourceRejected ? error.context.status : null
        const smaller = typeof status === 'number' ? this.#dependencies.pager.shrink?.(at, status) : null
        if (smaller === null || smaller === undefined) throw error
        at = smaller
      }
    }
  }

  /** Makes sure that the request at `cursor` is on its way, and what probably follows it as far as allowed. */
  launch(cursor: Cursor, reply: PageReply): void {
    this.#at(cursor)
    let last = cursor
    for (let depth = 1; depth < this.#dependencies.depth; depth += 1) {
      const guess = this.#dependencies.pager.guessAfter(last, reply)
      if (guess === null) return
      if (this.#queue[depth] === undefined) this.#queue.push(this.#send(guess))
      last = guess
    }
  }

  /** Requests sent since the last call, for pages taken and for guesses that were wrong. */
  takeRequests(): number {
    const requests = this.#requests
    this.#requests = 0
    return requests
  }

  /** When everything sent has been booked as answered. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#all)
  }

  #at(cursor: Cursor | null): Flight {
    const key = keyOf(this.#dependencies.pager.stepAt(cursor))
    const flight = this.#queue[0]
    if (flight?.key === key) return flight
    // Guesses that did not come true; their answers are dropped, their requests were sent all the same.
    for (const wrong of this.#queue) this.#requests += wrong.requests
    const sent = this.#send(cursor)
    this.#queue = [sent]
    return sent
  }

  #send(cursor: Cursor | null): Flight {
    const step = this.#dependencies.pager.stepAt(cursor)
    let requests = 0
    let isRepeat = false
    const onRequest = () => {
      requests += 1
      this.#start.onRequest()
    }
    const onRepeat = () => {
      isRepeat = true
    }
    const asking = { signal: this.#signal, onRequest, onRepeat, isFirst: cursor === null }
    const reply = this.#dependencies.ask(step, asking)
    this.#all.add(reply)
    // A failure ahead is the consumer's to see only when it gets there.
    reply.then(
      () => this.#all.delete(reply),
      () => this.#all.delete(reply),
    )
    return {
      key: keyOf(step),
      reply,
      get requests() {
        return requests
      },
      get isRepeat() {
        return isRepeat
      },
    }
  }
}

/** Asked again after a stop or a failure, a source that keeps the position itself answers with what comes next: what it said meanwhile would be lost. */
function passedOn({ stream }: WalkStart): PositionForgotten {
  const name = `${stream.source}.${stream.name}`
  return new PositionForgotten(
    `go on with ${name} found that the source keeps the position itself (it names the same one behind each page), and an answer may have been lost`,
  )
}

function keyOf(step: Step): string {
  return JSON.stringify([step.params, step.url, step.cursor])
}

function advanceLoop(loop: LoopState, next: NextStep, reply: PageReply): LoopState {
  if (next.fingerprint === null) return loop
  const fingerprint = createHash('sha256').update(next.fingerprint).digest('base64url').slice(0, 22)
  const { state, isLoop } = stepLoop(loop, fingerprint)
  if (!isLoop) return state
  throw new AnswerInvalid('loop', `walk on after ${reply.address} found a position where it had been before`, {
    hint: 'compare "paginate" with how the source wants to be asked: a parameter it ignores gives the same page for ever; one that names a cursor after its last page, too, says elsewhere that there is no more ("more", "done", "end")',
  })
}

function readLoop(value: Json): LoopState {
  const [anchor, power, length] = ['anchor', 'power', 'length'].map((name) => valueAt(value, [name]))
  if (typeof power !== 'number' || typeof length !== 'number') return noLoop
  return { anchor: typeof anchor === 'string' ? anchor : null, power, length }
}

function endless(start: WalkStart, reply: PageReply): AnswerInvalid {
  const { maxPages } = start.stream.settings
  return new AnswerInvalid('endless', `walk on after ${reply.address} found no end in ${maxPages} pages`, {
    hint: 'raise "max_pages" where the partition is that large',
    context: { max_pages: maxPages },
  })
}
