// Owns what every kind of pagination has in common: a request for a cursor, and the cursor after an answer. Pure; all state is in the cursor,
// so that another process can go on from it.
import { AnswerInvalid } from '../domain/errors.js'
import { ExactDecimal, isJsonObject, type Json } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination, Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import type { Step } from './request.js'
import { type Reply, textOf, wholeNumber } from './rows.js'
import type { Secrets } from './secrets.js'

/** A decoded answer, as pagination sees it. */
export interface PageReply extends Reply {
  /** Rows as the source counts them. */
  readonly rows: readonly Json[]
  /** What is loaded: the rows, or what the stream unfolds of them. */
  readonly records: readonly Json[]
  /** The same records, parsed again. */
  readonly reread: () => readonly Json[]
  /** The source's clock when it answered, at the latest, Unix ms. */
  readonly servedAt: number
  /** Size of the answer's body. */
  readonly bytes: number
  /** Equal for a page that repeats. */
  readonly hashBody: () => string
  /** Against this address relative ones are resolved. */
  readonly url: string
  /** The source answered with the error that it declares to be its end. */
  readonly isPastEnd: boolean
  /** Method and address without secrets. */
  readonly address: string
}
/** Where the walk goes after a page. */
export interface NextStep {
  /** null: the end, by the source's own sign. */
  readonly cursor: Cursor | null
  /** What must not repeat; null where no loop is possible. */
  readonly fingerprint: string | null
  /** At an end: what the pages prove of themselves; absent where only counts can judge. */
  readonly verdict?: Proof
}
export interface Pager {
  /** The request at a cursor; null is the beginning. */
  stepAt(cursor: Cursor | null): Step
  /** @throws AnswerInvalid where a cursor is none, or leads to another origin. */
  after(cursor: Cursor | null, reply: PageReply): NextStep
  /** The cursor that will probably follow `cursor`, before its answer is there; null where that cannot be said. */
  guessAfter(cursor: Cursor, reply: PageReply): Cursor | null
  /** Where the walk goes on after this status, with a smaller request; null: the status is an error. */
  shrink?(cursor: Cursor | null, status: number): Cursor | null
  /** True where the verdict of its last page counts, and not the source's count of the partition. */
  readonly judges?: boolean
  /** True where an answer's count is not the partition's: it asks for a part of it at a time. */
  readonly isPartial?: boolean
}
export interface PagerOptions {
  readonly stream: Stream
  readonly secrets: Secrets
  /** Origin of the stream's own requests. */
  readonly origin: string
  /** Only what changed since then, Unix ms; null: everything. */
  readonly since: number | null
  /** Values of the fan-out's dimension, in their order; empty where it has one request each. */
  readonly values: readonly string[]
  /** Values in one request that the source took last, by stream: learned once, not at every walk. */
  readonly sizes: Map<string, number>
}

/** The parameter for the page size, where one is sent. */
export function sizeParams(pagination: Exclude<Pagination, { kind: 'none' }>, stream: Stream): Record<string, number> {
  const { pageSize } = stream.settings
  return pagination.sizeParam === null || pageSize === null ? {} : { [pagination.sizeParam]: pageSize }
}

/** A value that can stand in a cursor and in a parameter. */
export type Scalar = string | number

/** Large integers stay exact as text; a cursor must be plain JSON. null: neither text nor a number. */
export function scalarOf(value: Json | undefined): Scalar | null {
  if (typeof value === 'string') return value
  if (wholeNumber(value) !== null) return value as number
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? String(value) : null
}

/** A value as JSON that can stand in a cursor and in a body: lists and objects stay, numbers that are not exact here become text. */
export function plainOf(value: Json): Json {
  if (Array.isArray(value)) return value.map((part: Json) => plainOf(part))
  if (value instanceof ExactDecimal) return textOf(value)
  if (typeof value === 'bigint') return String(value)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plainOf(part)]))
}

/** An answer that does not say where the walk goes on. */
export function badAnswer(reply: Pick<PageReply, 'address'>, fact: string, hint?: string): AnswerInvalid {
  return new AnswerInvalid('bad_cursor', `read ${reply.address} found ${fact}`, hint === undefined ? {} : { hint })
}
