/**
 * Decides what the end of a walk is: what it proves, whether it deletes, what it says of its partitions, or that another walk must follow. Owns the questions
 * that are asked at an end and their order; the ledger writes the answer down in one flush. If the process dies before that, the walk's end is asked about again.
 */
import { AnswerInvalid, SourceUnavailable, TerminalError } from '../domain/errors.js'
import type { PageOfWalk } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import type {
  Advance,
  Checkpoint,
  Clock,
  Destination,
  KeyText,
  Log,
  SourceClient,
  SourceCount,
  StreamTable,
  Walk,
  WalkEnd,
  WalkStart,
} from '../domain/ports.js'
import { mayPrune, pruneScope } from '../domain/prune.js'
import type { Source, Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import { markOf } from './mark.js'
import { splitOf } from './pass-over.js'
import { decidePrune } from './prune.js'
import { hasShrunk, proofOf, verdictOf } from './walk.js'

/** What a task knows that asks for the end of its walk. */
export interface EndOfWalkDeps {
  readonly source: Source
  readonly stream: Stream
  readonly partition: Partition
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** The one page that the task asks for; null: the whole partition. */
  readonly page: PageOfWalk | null
  readonly table: StreamTable
  readonly client: SourceClient
  readonly destination: Destination
  readonly clock: Clock
  readonly log: Log
}

/** A walk that read its last page. */
export interface WalkedOut {
  /** As it stands after the last page; what it holds as distinct is only known once everything is promoted. */
  readonly walk: Walk
  /** The count that its last answers named. */
  readonly lastCount: SourceCount | null
  /** Rows of the partition's last proven walk. */
  readonly lastProven: number | null | undefined
  /** What a request about this walk begins with. */
  readonly start: WalkStart
  /** An earlier run read it to its end, and did not end it: what the source counts now is of another moment. */
  readonly isOld: boolean
  /** Promotes everything that waits. */
  readonly drain: () => Promise<Checkpoint>
}

export type Ending =
  | {
      readonly kind: 'ended'
      readonly proof: Proof
      /** The source's count after the last page, where it was asked for. */
      readonly atEnd: SourceCount | null
      readonly beside: Pick<Advance, 'end' | 'mark'>
    }
  /** The walk is proven, and a second one must confirm what it would delete. */
  | { readonly kind: 'again' }
  /** The source's count contradicts a walk that is to replace the table: nothing of it may be shown. */
  | { readonly kind: 'contradicted'; readonly error: AnswerInvalid }

/** @throws what the source says when it is asked for a count or a row; PromotionConflict where an operator must agree. */
export async function endOfWalk(walked: WalkedOut, deps: EndOfWalkDeps): Promise<Ending> {
  const end = new EndOfWalk(walked, deps)
  return mayPrune(deps.stream) ? await end.ofMirror() : await end.ofTable()
}

class EndOfWalk {
  readonly #walked: WalkedOut
  readonly #deps: EndOfWalkDeps
  /** A page alone, and a walk that passed some over: compared with no count, and nothing is said of the partition. */
  readonly #isPart: boolean

  constructor(walked: WalkedOut, deps: EndOfWalkDeps) {
    this.#walked = walked
    this.#deps = deps
    this.#isPart = deps.page !== null || splitOf(walked.walk).length > 0
  }

  /** The end of a walk that only adds and changes rows. */
  async ofTable(): Promise<Ending> {
    const verdict = this.#isPart ? null : verdictOf(this.#walked.walk)
    if (verdict !== null) {
      const walk = await this.#promoted()
      return this.#ended(verdict === 'proven' ? this.#heldAgainstLast(walk) : verdict, null)
    }
    if (this.#deps.stream.count.length === 0 || this.#isPart) return this.#ended('unproven', null)
    // The rows come first: asking for the count may take as long as the budget wants.
    const walk = await this.#promoted()
    const atEnd = await this.#countAtEnd()
    const counted = proofOf(walk, atEnd)
    return this.#ended(counted === 'proven' ? await this.#heldAgainstPast(walk) : counted, atEnd)
  }

  /** The end of a walk that may delete: it knows every key it brought, so a repeat shows wherever it came. */
  async ofMirror(): Promise<Ending> {
    const { stream, destination, table, partition } = this.#deps
    const checkpoint = await this.#walked.drain()
    const walk = checkpoint.walk ?? this.#walked.walk
    const verdict = this.#isPart ? null : verdictOf(this.#walked.walk)
    const isCounted = verdict === null && stream.count.length > 0 && !this.#isPart
    const atEnd = isCounted ? await this.#countAtEnd() : null
    const known = await destination.walked(checkpoint, table, partition)
    const counted = verdict ?? proofOf({ ...walk, distinct: known.distinct }, atEnd)
    const proof = counted === 'proven' && known.hasUnreadable ? 'unproven' : counted
    if (stream.disposition === 'replace' && (proof === 'differs' || this.#isOutdated(walk, atEnd)))
      return { kind: 'contradicted', error: contradicted(stream, walk, atEnd) }
    const mayDelete = proof === 'proven' && walk.since === null
    const end: WalkEnd = mayDelete ? await this.#prune(checkpoint) : { kind: 'keep' }
    return end.kind === 'again' ? { kind: 'again' } : this.#ended(proof, atEnd, end)
  }

  #ended(proof: Proof, atEnd: SourceCount | null, end?: WalkEnd): Ending {
    const beside = { ...(end === undefined ? {} : { end }), ...this.#markOf(proof) }
    return { kind: 'ended', proof, atEnd, beside }
  }

  /** What the walk says of its partitions. */
  #markOf(proof: Proof): Pick<Advance, 'mark'> {
    if (this.#isPart) return {}
    const { stream, partition } = this.#deps
    const { walk } = this.#walked
    const mark = markOf({ stream, partition, walk, proof, isShrunk: this.#isShrunk(walk) })
    return mark === undefined ? {} : { mark }
  }

  /** A walk of another moment that the count of today contradicts is no set that moved under it. */
  #isOutdated({ received }: Walk, atEnd: SourceCount | null): boolean {
    return this.#walked.isOld && atEnd?.trust === 'exact' && atEnd.value !== received
  }

  /** The walk as the ledger has it once all its rows are promoted. */
  async #promoted(): Promise<Walk> {
    return (await this.#walked.drain()).walk ?? this.#walked.walk
  }

  #isShrunk(walk: Walk): boolean {
    return hasShrunk(walk, this.#walked.lastProven, this.#deps.stream.settings.maxShrink)
  }

  /** An answer that is empty, or nearly, where there was plenty: the source's count agrees with it, and both may be wrong. */
  async #heldAgainstPast(walk: Walk): Promise<Proof> {
    return this.#heldAgainstLast(walk) === 'proven' ? await this.#heldAgainstTable(walk) : 'unproven'
  }

  #heldAgainstLast(walk: Walk): Proof {
    if (walk.since !== null || !this.#isShrunk(walk)) return 'proven'
    this.#deps.log('warn', 'walk shrank', {
      stream: this.#streamName,
      partition: this.#deps.partition,
      received: walk.received,
      last_proven: this.#walked.lastProven,
    })
    return 'unproven'
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

  async #prune(checkpoint: Checkpoint): Promise<WalkEnd> {
    const { source, stream, partition, today, client } = this.#deps
    const areGone = (keys: readonly KeyText[]) => client.areGone(this.#walked.start, keys)
    const scope = pruneScope({ source, stream }, partition, today)
    return await decidePrune(checkpoint, { ...this.#deps, scope, areGone })
  }

  async #countAtEnd(): Promise<SourceCount | null> {
    const { lastCount, walk, start } = this.#walked
    if (lastCount?.trust === 'exact') return lastCount
    const hasOwnRequest = this.#deps.stream.count.some((rule) => rule.request !== null)
    // A walk that named a count before a kill names one again: its end is not left unproven for want of asking.
    const hasForgotten = lastCount === null && walk.expected !== null
    if (!hasOwnRequest && !hasForgotten) return lastCount
    try {
      const { count } = await this.#deps.client.count(start)
      return count ?? lastCount
    } catch (error) {
      // A closed budget or a stop waits at the walk's end, which the ledger has; only the source's own refusal leaves it unproven.
      if (!(error instanceof TerminalError || error instanceof SourceUnavailable)) throw error
      this.#deps.log('warn', 'count failed', { stream: this.#streamName, reason: String(error) })
      return lastCount
    }
  }

  get #streamName(): string {
    return `${this.#deps.stream.source}.${this.#deps.stream.name}`
  }
}

/** Half a load in the place of a whole one is what `replace` is there to prevent. */
function contradicted(stream: Stream, walk: Walk, atEnd: SourceCount | null): AnswerInvalid {
  return new AnswerInvalid(
    'replace_differs',
    `replace "${stream.source}.${stream.name}" found ${walk.received} rows where the source counts ${atEnd?.value ?? 0}`,
    {
      hint: 'the table is as it was; "backfill retry" asks for the count again, and walks the partition again where it still differs',
    },
  )
}
