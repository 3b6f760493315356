/**
 * When a numbered walk passes a page over that always fails: pure policy. The page becomes a task of its own and the walk goes on without proof, but only where
 * the next page shows that it is the page that fails and not the source.
 */
import { AnswerInvalid, SourceRejected, SourceUnavailable } from '../domain/errors.js'
import { manyOf, manyValues } from '../domain/fan-out.js'
import { type PageOfWalk, pageTaskPartition, type SplitPage } from '../domain/page-task.js'
import type { Partition } from '../domain/partition.js'
import type { Cursor, Walk } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { SplitTasks } from '../domain/task.js'
import { describe } from './fate.js'

/** Pages that one walk passes over at most: with more, the source itself is looked at. */
const mostSplit = 5
/** Pages in a row; before the walk's first page only one, for nothing shows yet that the source answers at all. */
const mostInARow = 2

/** Pages that failed one after the other, until a page behind them answers. */
export interface Passing {
  readonly pages: readonly SplitPage[]
  /** Where the walk goes on; null: there is no page behind. */
  readonly next: Cursor | null
  /** What the first of them met: the task's, where no page behind answers. */
  readonly error: unknown
}

/** Whether one more page may be passed over. */
export function mayPassOver(walk: Walk, passing: Passing | null): boolean {
  const inARow = passing?.pages.length ?? 0
  return inARow < (walk.pages === 0 ? 1 : mostInARow) && splitOf(walk).length + inARow < mostSplit
}

/** True for an error that may be one page's own. What the walk as a whole did wrong, and credentials, are not. */
export function isPageFault(error: unknown): boolean {
  if (error instanceof SourceUnavailable) return true
  if (error instanceof SourceRejected) return /^http_4(?!01|03)\d\d$/.test(error.code)
  return error instanceof AnswerInvalid && !walkFaults.has(error.code)
}
const walkFaults = new Set([
  ...['loop', 'endless', 'page_repeats', 'too_many_pages', 'page_moved'],
  ...['foreign_rows', 'not_ascending', 'change_missing', 'confirm_incomplete'],
])

/** One more failed page. */
export function passPage(
  passing: Passing | null,
  passed: { readonly page: Pick<SplitPage, 'number' | 'at'>; readonly next: Cursor | null },
  error: unknown,
): Passing {
  const { code, message } = describe(error)
  const page: SplitPage = { ...passed.page, code, message }
  return { pages: [...(passing?.pages ?? []), page], next: passed.next, error: passing?.error ?? error }
}

/** The walk once a page behind the failed ones answered. */
export function walkBehind(walk: Walk, passing: Passing): Walk {
  return { ...walk, split: [...splitOf(walk), ...passing.pages] }
}

export function splitOf(walk: Walk): readonly SplitPage[] {
  return walk.split ?? []
}

/** The tasks that a walk's ledger row asks for; absent: none. Computed anew at every settle, so that one that is repeated makes nothing twice. */
export function splitTasksOf(walk: Walk | null, partition: Partition): SplitTasks | undefined {
  if (walk === null || splitOf(walk).length === 0) return undefined
  return {
    partitions: splitOf(walk).map((page) => pageTaskPartition(partition, page, walk)),
    since: walk.startedAt,
  }
}

/**
 * Both halves of a walk over many values that the source always fails at; null: there is one value, which is the one that fails. Not for an answer that says no or
 * does not fit: that would be every value's, and each would be asked for alone.
 */
export function halves(
  error: unknown,
  { stream, partition }: { readonly stream: Pick<Stream, 'fanOut'>; readonly partition: Partition },
): readonly SplitPage[] | null {
  const half = manyOf(stream)?.dimension
  if (half === undefined || manyValues(stream, partition).length < 2 || !(error instanceof SourceUnavailable))
    return null
  const { code, message } = describe(error)
  return [0, 1].map((at) => ({ number: at + 1, at, code, message, half }))
}

/** What an operator should know of a walk whose task died of a page; undefined where the page had nothing to do with it. */
export function walkNote(error: unknown, walk: Walk | null, stream: Pick<Stream, 'pagination'>): string | undefined {
  if (walk === null || !isPageFault(error) || stream.pagination.kind === 'none') return undefined
  const stands = `the walk stands before its page ${walk.pages + 1} and goes on there`
  const { kind } = stream.pagination
  if (kind !== 'page' && kind !== 'offset')
    return `${stands}: where the next page is named by the one before, none can be passed over`
  if (splitOf(walk).length >= mostSplit) return `${stands}: it passed ${mostSplit} pages over already`
  return `${stands}: no page behind that one answers, so it was not split off`
}

/** The page of a task is another one by now. */
export function pageMoved(stream: Pick<Stream, 'source' | 'name'>, page: PageOfWalk): AnswerInvalid {
  return new AnswerInvalid(
    'page_moved',
    `ask for page ${page.number} of ${stream.source}.${stream.name} found another page size or request than it was split off with`,
    {
      hint: `run "backfill seed ${stream.source}.${stream.name} --force" for its partition: the new walk asks for every page`,
    },
  )
}
