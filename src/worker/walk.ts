/**
 * What a walk is and when it may go on: pure policy over the ledger's word. Knows no HTTP, SQL or time of its own.
 */
import { AnswerInvalid } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { isJsonObject } from '../domain/json.js'
import { type LoopState, noLoop, stepLoop } from '../domain/loop.js'
import type { Checkpoint, Page, PageDigest, SourceCount, Walk } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'

/** What the ledger keeps in `walk.loop`: the source's own state, and Brent's over the keys of the pages. */
interface WalkLoops {
  readonly source: Json
  readonly pages: LoopState
  /** What the walk says of itself at its end, where it does. */
  readonly verdict?: Proof
  /** Walks of this task before it whose position the source forgot; absent: none. */
  readonly anew?: number
}

/** The walk to go on with: the ledger's where it still asks the same question and is young enough; null: a new one begins. */
export function walkToGoOn(checkpoint: Checkpoint, stream: Stream, now: number): Walk | null {
  const walk = checkpoint.walk
  // A start that lies as far in the future was written by a clock that was wrong: its age is not known either.
  const ageMs = walk === null ? 0 : Math.abs(now - walk.startedAt)
  return walk !== null && isSameQuestion(walk, stream) && ageMs <= stream.settings.maxWalkAgeMs ? walk : null
}

/** What a walk begins with. */
interface Fresh {
  readonly id: string
  readonly now: number
  /** Only what changed since then, Unix ms; absent: everything. */
  readonly since?: number | null
  /** Walks before it whose position the source forgot; absent: none. */
  readonly anew?: number
}

/** A walk from the beginning. */
export function freshWalk(stream: Stream, fresh: Fresh): Walk {
  const { anew } = fresh
  const loops: WalkLoops | null = anew === undefined ? null : { source: null, pages: noLoop, anew }
  return {
    id: fresh.id,
    startedAt: fresh.now,
    pageSize: stream.settings.pageSize,
    requestHash: stream.requestHash,
    since: fresh.since ?? null,
    until: null,
    cursor: null,
    loop: loops as unknown as Json,
    pages: 0,
    received: 0,
    distinct: 0,
    expected: null,
  }
}

function isSameQuestion(walk: Walk, stream: Stream): boolean {
  if (walk.requestHash !== stream.requestHash) return false
  const isNumbered = stream.pagination.kind === 'page' || stream.pagination.kind === 'offset'
  return !isNumbered || walk.pageSize === stream.settings.pageSize
}

/** The part of `walk.loop` that belongs to the source adapter. */
export function sourceLoop(walk: Walk): Json {
  return loopsOf(walk).source
}

/**
 * The walk after one more page. `distinct` is filled in by the flush, from what was really promoted.
 * @throws AnswerInvalid `page_repeats` where the keys of a page are those of an earlier one.
 */
export function walkAfter(walk: Walk, page: Page, digest: PageDigest): Walk {
  const loops = loopsOf(walk)
  // A walk that judges its pages may read one twice on purpose; where it would go round in circles, its own positions show that.
  const fingerprint = page.judged === undefined ? digest.fingerprint : null
  const step = fingerprint === null ? null : stepLoop(loops.pages, fingerprint)
  if (step?.isLoop === true) {
    throw new AnswerInvalid(
      'page_repeats',
      `read page ${page.number} of ${page.address} found the same keys as on an earlier page`,
      {
        hint: 'the source seems to ignore the page parameter: check "paginate" in its definition',
      },
    )
  }
  const verdict = page.judged?.verdict ?? null
  const next: WalkLoops = {
    source: page.loop,
    pages: step?.state ?? loops.pages,
    ...(verdict === null ? {} : { verdict }),
    ...(loops.anew === undefined ? {} : { anew: loops.anew }),
  }
  return {
    ...walk,
    until: walk.until ?? page.servedAt,
    cursor: page.next,
    loop: next as unknown as Json,
    pages: page.number,
    received: walk.received + page.records.length,
    expected: walk.expected ?? page.count,
  }
}

/** What a walk that judges its own pages said at its end; null: it says nothing of itself, or has not ended. */
export function verdictOf(walk: Walk): Proof | null {
  return loopsOf(walk).verdict ?? null
}

/** Walks of this task before this one whose position the source forgot. */
export function begunAnew(walk: Walk): number {
  return loopsOf(walk).anew ?? 0
}

function loopsOf(walk: Walk): WalkLoops {
  const loop = walk.loop
  if (!isJsonObject(loop)) return { source: null, pages: noLoop }
  const verdict = proofs.find((proof) => proof === loop.verdict)
  return {
    source: loop.source ?? null,
    pages: (loop.pages ?? noLoop) as unknown as LoopState,
    ...(verdict === undefined ? {} : { verdict }),
    ...(typeof loop.anew === 'number' ? { anew: loop.anew } : {}),
  }
}
const proofs: readonly Proof[] = ['proven', 'unproven', 'differs']

/** What the end of a walk proves. `atEnd` is the source's count after the last page, `walk.expected` the one at its beginning. */
export function proofOf(walk: Walk, atEnd: SourceCount | null): Proof {
  if (atEnd === null) return 'unproven'
  if (atEnd.trust === 'at least') return walk.received < atEnd.value ? 'differs' : 'unproven'
  if (walk.distinct !== walk.received) return 'differs'
  const atStart = walk.expected?.trust === 'exact' ? walk.expected.value : atEnd.value
  if (atStart === atEnd.value) return walk.received === atEnd.value ? 'proven' : 'differs'
  // The set moved under the walk: what lies between its two sizes can be neither proven nor refuted by counting.
  const [least, most] = [Math.min(atStart, atEnd.value), Math.max(atStart, atEnd.value)]
  return walk.received >= least && walk.received <= most ? 'unproven' : 'differs'
}

/** True where a walk brought so much less than the last proven one of its partition that its own count is not enough to believe it. */
export function hasShrunk(walk: Walk, lastProven: number | null | undefined, maxShrink: number): boolean {
  return typeof lastProven === 'number' && walk.received < lastProven * (1 - maxShrink)
}
