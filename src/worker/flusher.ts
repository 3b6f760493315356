/**
 * Decides when a task's encoded rows are promoted, and keeps one flush at a time in flight while the next batch fills. Rows wait in bounded memory: at most
 * one batch that is being promoted and one that fills. What has not been flushed when the process dies is asked for again.
 */
import { InvariantError } from '../domain/errors.js'
import type { Partition } from '../domain/partition.js'
import type {
  Advance,
  Batch,
  Checkpoint,
  Clock,
  Destination,
  Page,
  PageDigest,
  SourceCount,
  StreamTable,
  Walk,
} from '../domain/ports.js'
import type { StreamSettings } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'

export interface FlusherDeps {
  readonly table: StreamTable
  readonly partition: Partition
  readonly destination: Destination
  readonly clock: Clock
  readonly settings: StreamSettings
  /** Requests are dear: each page is promoted as soon as no other flush is running. */
  readonly isDear: boolean
  readonly requests: () => number
  readonly onFlushed: (checkpoint: Checkpoint) => void
}

export class Flusher {
  readonly #deps: FlusherDeps
  #checkpoint: Checkpoint
  #walk: Walk
  #batch: Batch
  /** Monotonic ms of the oldest page in the batch; null while nothing waits. */
  #oldestAt: number | null = null
  /** Ends when that page is too old; one for each batch, because a timer a page was a tenth of the path's time. */
  #age: { readonly tooOld: Promise<boolean>; readonly cancel: () => void } | null = null
  #running: Promise<void> | null = null
  #failure: { readonly error: unknown } | null = null

  constructor(checkpoint: Checkpoint, walk: Walk, deps: FlusherDeps) {
    this.#deps = deps
    this.#checkpoint = checkpoint
    this.#walk = walk
    this.#batch = deps.table.newBatch(deps.partition)
  }

  /** The ledger's word after the last flush that is known to have committed. */
  get checkpoint(): Checkpoint {
    return this.#checkpoint
  }

  /** Encodes a page; `advance` says where the walk stands once it is promoted. Answers the fields that no column names. */
  async add(page: Page, advance: (digest: PageDigest) => Walk): Promise<readonly string[]> {
    try {
      const digest = await this.#batch.add(page)
      this.#walk = advance(digest)
      this.#oldestAt ??= this.#deps.clock.monotonic()
      return digest.unknownFields
    } catch (error) {
      // A page that is refused must not be promoted without its walk; what waited with it is asked for again.
      this.#empty()
      this.#failure ??= { error }
      throw error
    }
  }

  /** The walk stands elsewhere without a page: the next flush says so. */
  moveTo(walk: Walk): void {
    this.#walk = walk
  }

  #empty(): Batch {
    const batch = this.#batch
    this.#batch = this.#deps.table.newBatch(this.#deps.partition)
    this.#oldestAt = null
    this.#age?.cancel()
    this.#age = null
    return batch
  }

  /** Starts a flush where rows, bytes or age ask for it. Waits only where the flush before is still running: that bounds memory. */
  async flushIfDue(): Promise<void> {
    if (this.#failure !== null) throw this.#failure.error
    if (!this.#isDue()) return
    await this.#start()
  }

  /** Flushes what grows too old while `next` is waited for. */
  async whileWaiting(next: Promise<unknown>): Promise<void> {
    const settled = next.then(
      () => true,
      () => true,
    )
    while (this.#oldestAt !== null) {
      if (await Promise.race([settled, this.#tooOld(this.#oldestAt)])) return
      await this.#start()
    }
  }

  /** Resolves with false when what waits is too old. */
  #tooOld(oldestAt: number): Promise<boolean> {
    if (this.#age === null) {
      const left = oldestAt + this.#deps.settings.flush.ageMs - this.#deps.clock.monotonic()
      const timer = new AbortController()
      const isOver = () => false
      const tooOld = this.#deps.clock.sleep(Math.max(0, left), timer.signal).then(isOver, isOver)
      this.#age = {
        tooOld,
        cancel: () => {
          timer.abort()
        },
      }
    }
    return this.#age.tooOld
  }

  /** Promotes everything that waits. Throws what a flush threw. */
  async drain(): Promise<Checkpoint> {
    if (this.#oldestAt !== null) await this.#start()
    await this.#settled()
    return this.#checkpoint
  }

  /** Promotes everything and writes the walk's end into the ledger, with what the end does beside. */
  async finish(
    proof: Proof,
    atEnd: SourceCount | null,
    beside: Pick<Advance, 'end' | 'mark'> = {},
  ): Promise<Checkpoint> {
    await this.#settled()
    this.#walk = { ...this.#walk, expected: this.#walk.expected ?? atEnd }
    await this.#flush({ done: true, proof, ...beside })
    return this.#checkpoint
  }

  /** The walk is proven and another one begins, in the same task. */
  async beginAgain(walk: Walk): Promise<Checkpoint> {
    await this.drain()
    this.#walk = walk
    await this.#flush({ done: false, proof: null, end: { kind: 'again' } })
    return this.#checkpoint
  }

  #isDue(): boolean {
    const { flush } = this.#deps.settings
    if (this.#oldestAt === null) return false
    if (this.#batch.rows + this.#batch.held >= flush.rows || this.#batch.bytes >= flush.bytes) return true
    if (this.#running !== null) return false
    return this.#deps.isDear || this.#deps.clock.monotonic() - this.#oldestAt >= flush.ageMs
  }

  async #start(): Promise<void> {
    await this.#settled()
    this.#running = this.#flush({ done: false, proof: null })
      .catch((error: unknown) => {
        this.#failure = { error }
      })
      .finally(() => {
        this.#running = null
      })
  }

  async #settled(): Promise<void> {
    if (this.#running !== null) await this.#running
    if (this.#failure !== null) throw this.#failure.error
  }

  async #flush(end: Pick<Advance, 'done' | 'proof' | 'end' | 'mark'>): Promise<void> {
    const batch = this.#empty()
    const walk = this.#walk
    const known = this.#checkpoint.walk
    const distinct = known?.id === walk.id ? known.distinct : 0
    const advance = { walk: { ...walk, distinct }, ...end, requests: this.#deps.requests() }
    const { checkpoint } = await this.#deps.destination.flush(this.#checkpoint, batch, advance)
    if (checkpoint.sequence <= this.#checkpoint.sequence) throw new InvariantError('flush did not move the ledger')
    this.#checkpoint = checkpoint
    this.#deps.onFlushed(checkpoint)
  }
}
