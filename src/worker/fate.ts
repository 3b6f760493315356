/**
 * What becomes of a task after an error: the one place where an error's class decides (DESIGN.md §6). Pure.
 */
import {
  BackfillError,
  ConfigError,
  CredentialsRefused,
  DestinationUnavailable,
  FencedError,
  InvariantError,
  OverBudgetError,
  ParentMissing,
  PartitionGone,
  QueueUnavailable,
  StoppedError,
  TerminalError,
  TransientError,
} from '../domain/errors.js'
import type { StreamSettings } from '../domain/source-model.js'

/** `stop…`: the task is given back unspent and more than this task is concerned. */
export type Fate =
  | { readonly kind: 'later'; readonly readyAt: number; readonly attempts: number }
  | { readonly kind: 'dead'; readonly attempts: number }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'released' }
  | { readonly kind: 'over budget'; readonly opensAt: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'database' }
  | { readonly kind: 'bug' }

export interface FateInput {
  readonly error: unknown
  /** Attempts spent before this one; 0 after progress. */
  readonly attemptsBefore: number
  /** A request was sent in this attempt. */
  readonly hasSpent: boolean
  /** What fills the table of a missing parent still has tasks to do. */
  readonly hasOpenParent?: boolean
  readonly settings: StreamSettings
  readonly now: number
  /** 0 to below 1. */
  readonly jitter: number
  /** The source is parked by this failure, until then (Unix ms): it was the source's fault, not the task's. */
  readonly parkedUntil?: number | null
}

export function fateOf(input: FateInput): Fate {
  const { error, settings, now } = input
  const attempts = input.attemptsBefore + (input.hasSpent ? 1 : 0)
  if (error instanceof OverBudgetError) return { kind: 'over budget', opensAt: error.opensAt }
  if (error instanceof StoppedError || error instanceof FencedError) return { kind: 'released' }
  if (error instanceof PartitionGone) return { kind: 'cancelled' }
  if (error instanceof ConfigError) return { kind: 'refused' }
  if (error instanceof CredentialsRefused) {
    // No task's fault: whatever was spent on it is not counted.
    const readyAt = (input.parkedUntil ?? now) + backoffMs(settings, 1, input.jitter)
    return { kind: 'later', readyAt, attempts: input.attemptsBefore }
  }
  if (error instanceof ParentMissing) return parentFate(input)
  if (isOwnFault(error)) {
    // The flush at the walk's end sends no request, and must not be tried for ever all the same.
    const tried = Math.max(attempts, input.attemptsBefore + 1)
    if (tried >= settings.attempts) return { kind: 'dead', attempts: tried }
    return { kind: 'later', readyAt: now + backoffMs(settings, tried, input.jitter), attempts: tried }
  }
  if (error instanceof DestinationUnavailable || error instanceof QueueUnavailable) return { kind: 'database' }
  if (error instanceof TerminalError) return { kind: 'dead', attempts: Math.max(1, attempts) }
  if (error instanceof TransientError) {
    if (input.parkedUntil !== undefined && input.parkedUntil !== null) {
      // A little later than the source, so that another task asks first: one that always fails must not keep it parked.
      const readyAt = input.parkedUntil + backoffMs(settings, 1, input.jitter)
      return { kind: 'later', readyAt, attempts: input.attemptsBefore }
    }
    if (attempts >= settings.attempts) return { kind: 'dead', attempts }
    return { kind: 'later', readyAt: now + backoffMs(settings, attempts, input.jitter), attempts }
  }
  return { kind: 'bug' }
}

/** Pauses doubled before a refused flush is tried again: its parents are being loaded meanwhile. */
const parentPause = 4

/** While the parents are still to be loaded, waiting for them is free; afterwards a task that lacks one must end dead, where it is seen. */
function parentFate({ attemptsBefore, hasOpenParent, settings, now, jitter }: FateInput): Fate {
  const attempts = attemptsBefore + (hasOpenParent === true ? 0 : 1)
  if (hasOpenParent !== true && attempts >= settings.attempts) return { kind: 'dead', attempts }
  return { kind: 'later', readyAt: now + backoffMs(settings, attempts + parentPause - 1, jitter), attempts }
}

/**
 * A failure of Postgres that belongs to one table or row (a lock that somebody holds, a trigger that breaks, a merge over its time), by its SQLSTATE: other
 * tasks go on. A lost connection has none of these.
 */
export function isOwnFault(error: unknown): boolean {
  if (!(error instanceof DestinationUnavailable)) return false
  const { sqlstate } = error.context
  return typeof sqlstate === 'string' && /^(40...|XX...|57014|55P03)$/.test(sqlstate)
}

/** Exponential, at most an hour, with up to a fifth added so that tasks that failed together do not come back together. */
export function backoffMs(settings: StreamSettings, attempts: number, jitter: number): number {
  const base = Math.min(settings.backoffMs * 2 ** Math.max(0, attempts - 1), Math.max(settings.backoffMs, 3_600_000))
  return Math.round(base * (1 + jitter / 5))
}

/** Code, sentence and hint of any error, for the queue and `status`. */
export function describe(error: unknown): {
  readonly code: string
  readonly message: string
  readonly hint: string | null
} {
  if (error instanceof BackfillError) return { code: error.code, message: error.message, hint: error.hint ?? null }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'bug', message: `run task met an unexpected error: ${message}`, hint: 'the stack is in .backfill/log' }
}

/** The error itself where it is one of ours, else our bug around it. */
export function asError(error: unknown): Error {
  if (error instanceof BackfillError) return error
  return new InvariantError(describe(error).message, { cause: error })
}
