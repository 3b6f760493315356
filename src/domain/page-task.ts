/**
 * Owns the names in a task's partition that are no dimensions: they say how it is walked, so that each way has a task of its own in queue.db and in the ledger.
 * A full walk of a partition is one, a single page the other: a page of a numbered walk that always failed was split off, and its task has the walk's partition and two names more that
 * no dimension can have. So it has a partition of its own in queue.db and in the ledger, and every replay computes the same one. Pure.
 */
import type { Partition } from './partition.js'

/** A page that a walk passed over, as the walk's ledger row names it. */
export interface SplitPage {
  /** Of the walk, from 1. */
  readonly number: number
  /** Page number or offset, as it is asked for. */
  readonly at: number
  /** Why it was given up. */
  readonly code: string
  readonly message: string
  /** Not a page, but half of the values of this dimension: the first (`at` 0) or the second. A walk over many values that always fails is split into two. */
  readonly half?: string
}

/** The one page that a task asks for, and under which circumstances it is that page. */
export interface PageOfWalk {
  readonly number: number
  readonly at: number
  /** Rows per request of the walk; null: the source's own. */
  readonly pageSize: number | null
  /** Beginning of the hash of its request definition. */
  readonly request: string
}

/** A page's own names among those of dimensions, which begin with a letter. In a sorted partition they come first. */
const pageName = '#page'
const walkName = '#walk'
/** What the text of such a partition begins with, and no other's: a range of an index. */
export const pageTaskRange = { from: `{"${pageName}"`, before: `{"${pageName}#` } as const
const hashLength = 12

/** The partition of a split page's task. */
export function pageTaskPartition(
  partition: Partition,
  page: Pick<SplitPage, 'number' | 'at' | 'half'>,
  walk: { readonly pageSize: number | null; readonly requestHash: string },
): Partition {
  if (page.half !== undefined) return { ...partition, [page.half]: halfOf(partition[page.half] ?? '', page.at) }
  const size = walk.pageSize === null ? '' : ` size ${walk.pageSize}`
  const request = walk.requestHash.slice(0, hashLength)
  return { ...partition, [pageName]: String(page.number), [walkName]: `at ${page.at}${size} request ${request}` }
}

function halfOf(text: string, at: number): string {
  const values = text.split(',')
  const middle = Math.ceil(values.length / 2)
  return (at === 0 ? values.slice(0, middle) : values.slice(middle)).join(',')
}

/** The page that a task of this partition asks for; null where it asks for the whole partition. */
export function pageOfTask(partition: Partition): PageOfWalk | null {
  const number = partition[pageName]
  const match = /^at (\d+)(?: size (\d+))? request (\S*)$/.exec(partition[walkName] ?? '')
  if (number === undefined || match === null) return null
  const [, at = '', size, request = ''] = match
  return { number: Number(number), at: Number(at), pageSize: size === undefined ? null : Number(size), request }
}

/** The name of a task that walks everything of its partition again, beside the one that asks for changes. */
const fullName = '#full'

/** The partition of a task that walks everything, whatever was walked before. */
export function fullWalkPartition(partition: Partition): Partition {
  return { ...partition, [fullName]: 'yes' }
}

/** True for a task that {@link fullWalkPartition} made. */
export function isFullWalk(partition: Partition): boolean {
  return partition[fullName] !== undefined
}

/** The partition without the names that only say how it is walked. */
export function wholePartition(partition: Partition): Partition {
  if (!Object.keys(partition).some((name) => name.startsWith('#'))) return partition
  return Object.fromEntries(Object.entries(partition).filter(([name]) => !name.startsWith('#')))
}

/** False where the page is another one by now: rows per request or the request itself changed. */
export function isSamePage(
  page: PageOfWalk,
  walk: { readonly pageSize: number | null; readonly requestHash: string },
): boolean {
  return page.pageSize === walk.pageSize && walk.requestHash.startsWith(page.request)
}
