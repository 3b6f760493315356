/**
 * Lets rows in that waited for their parent: while the run goes on, soon after the parent's table moved; at its end, all whose parent is there. Owns when; each try
 * is a transaction of its own. If the process dies, they wait for the next run's end.
 */
import { DestinationUnavailable, StoppedError } from '../domain/errors.js'
import type { HeldRetried } from '../domain/held.js'
import type { Clock, Destination, Log, Queue } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { childrenOf, tryWaiting } from '../domain/waiting.js'
import { asError } from './fate.js'
import type { Run } from './run.js'

/** A parent that moves at every flush has its children tried this often. */
const pauseMs = 10_000

interface WaitingDeps {
  readonly run: Run
  readonly destination: Destination
  readonly queue: Pick<Queue, 'noteHeld'>
  readonly clock: Clock
  readonly log: Log
}

export class WaitingRows {
  readonly #streams: readonly Stream[]
  readonly #deps: WaitingDeps
  readonly #moved = new Set<Stream>()

  /** `streams`: all of the sources at work, also those that the run was not asked for: their rows may wait for it. */
  constructor(streams: readonly Stream[], deps: WaitingDeps) {
    this.#streams = streams
    this.#deps = deps
  }

  /** A flush of this stream was promoted. */
  moved(stream: Stream): void {
    this.#moved.add(stream)
  }

  /** Tries children of tables that moved, until the signal. A failure is the next try's. */
  async watch(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#deps.clock.sleep(pauseMs, signal)
      } catch (error) {
        if (error instanceof StoppedError) return
        throw error
      }
      const children = [...this.#moved].flatMap((parent) => childrenOf(parent, this.#streams))
      this.#moved.clear()
      if (children.length > 0) await this.#try([...new Set(children)])
    }
  }

  /** The end of the run: everything that waits, and what is held then for `status`. A run that must end at once only counts. */
  async finish(): Promise<void> {
    const { run, destination, queue } = this.#deps
    if (run.failure !== null) return
    if (!run.signal.aborted) await this.#try(this.#streams)
    try {
      await queue.noteHeld(await destination.heldCounts())
    } catch (error) {
      this.#deps.log('warn', 'held rows not counted', { reason: String(error) })
    }
  }

  async #try(streams: readonly Stream[]): Promise<void> {
    const { destination, log } = this.#deps
    try {
      const results = await tryWaiting(streams, {
        destination,
        signal: this.#deps.run.signal,
        onProblem: (stream, { code, message }) => {
          log('warn', 'waiting rows not tried', { stream: `${stream.source}.${stream.name}`, code, message })
        },
      })
      for (const [stream, retried] of results) this.#note(stream, retried)
    } catch (error) {
      if (!(error instanceof DestinationUnavailable)) this.#deps.run.fail(asError(error))
      else log('warn', 'waiting rows not tried', { code: error.code, message: error.message })
    }
  }

  #note(stream: Stream, { tried, created, updated, unchanged, held }: HeldRetried): void {
    if (created + updated > 0) this.#moved.add(stream)
    this.#deps.run.putBack += created + updated
    if (tried === 0) return
    const name = `${stream.source}.${stream.name}`
    this.#deps.log('info', 'waiting rows tried', { stream: name, tried, created, updated, unchanged, held })
  }
}
