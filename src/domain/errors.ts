/** Facts that belong to an error: names and numbers only, never a credential. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | null>>

export interface ErrorDetails {
  readonly hint?: string | undefined
  readonly context?: ErrorContext | undefined
  readonly cause?: unknown
}

/**
 * Every failure that this product names. `code` is stable and is what `retry --code` selects; `message` is verb, object, fact;
 * `hint` is an instruction. The subclass decides what becomes of the task (DESIGN.md §6).
 */
export abstract class BackfillError extends Error {
  readonly code: string
  readonly hint: string | undefined
  readonly context: ErrorContext
  constructor(code: string, message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint
    this.context = options.context ?? {}
  }
}

/** Usage or configuration is wrong: exit 2, nothing was changed. */
export class ConfigError extends BackfillError {
  /** Every mistake that was found, when there is more than one. */
  readonly problems: readonly Problem[]
  constructor(code: string, message: string, options: ErrorDetails & { readonly problems?: readonly Problem[] } = {}) {
    super(code, message, options)
    this.problems = options.problems ?? []
  }
}

/** One mistake in a definition or in backfill.yaml. */
export interface Problem {
  readonly file: string
  readonly line: number | null
  readonly path: string
  readonly expected: string
  readonly found: string
}

/** A failure that time may heal: the task goes back with backoff and one attempt is spent. */
export abstract class TransientError extends BackfillError {}

/** The source did not answer, or answered with a failure of its own (refused, reset, time-out, 5xx, a page of somebody else's). */
export class SourceUnavailable extends TransientError {}

/** The source has forgotten where the walk stood (a scroll, an iterator, a token with an end): it begins anew, once in an attempt. */
export class PositionForgotten extends TransientError {
  constructor(message: string, options: ErrorDetails = {}) {
    super('position_forgotten', message, options)
  }
}

/** Postgres did not answer, refused the connection or gave up (08*, 57P0*, 40001, 40P01, 55P03, 53*). Exit 75 where nothing else worked. */
export class DestinationUnavailable extends TransientError {}

/** Rows of a flush lack their parent, and their stream refuses to promote it without them: nothing was promoted, the task is tried again later. */
export class ParentMissing extends TransientError {}

/** The rows of another stream that a task is made for were deleted because the source no longer has them: nothing is left to ask for. */
export class PartitionGone extends BackfillError {
  constructor(message: string, options: ErrorDetails = {}) {
    super('parent_gone', message, options)
  }
}

/** queue.db is busy or its disk is full: nothing was written. Exit 75. */
export class QueueUnavailable extends TransientError {}

/** The budget is closed until `opensAt` (Unix ms). Never spends an attempt. */
export class OverBudgetError extends BackfillError {
  readonly opensAt: number
  constructor(message: string, opensAt: number, options: ErrorDetails = {}) {
    super('over_budget', message, options)
    this.opensAt = opensAt
  }
}

/**
 * The source does not take its credentials: it concerns every task of the source and is none's fault. The source is parked, no attempt is spent, and a person has
 * to mend it.
 */
export class CredentialsRefused extends BackfillError {}

/** A failure that repeating cannot heal: the task goes dead with this code and sentence. */
export abstract class TerminalError extends BackfillError {}

/** The source refused the request (4xx that the source does not declare otherwise). */
export class SourceRejected extends TerminalError {}

/** The source answered, but not with what its definition says (unparsable, rows missing, a loop, an error inside a 200). */
export class AnswerInvalid extends TerminalError {}

/** The rows cannot be promoted and it is no single row's fault (missing column, lost permission, missing table). */
export class PromotionConflict extends TerminalError {}

/** A newer epoch holds the task: drop own rows, stop quietly, settle nothing. */
export class FencedError extends BackfillError {
  constructor(message: string, options: ErrorDetails = {}) {
    super('fenced', message, options)
  }
}

/** A temporary outside failure of the whole command, or a lock holder without progress: exit 75. */
export class TemporaryFailure extends BackfillError {}

/** Our bug: exit 1, the stack is printed. */
export class InvariantError extends BackfillError {
  constructor(message: string, options: ErrorDetails = {}) {
    super('bug', message, options)
  }
}

/** The process was told to stop (SIGTERM, SIGINT, SIGHUP, a deadline). The task is released unspent. */
export class StoppedError extends BackfillError {
  constructor(message = 'stopped before the end', options: ErrorDetails = {}) {
    super('stopped', message, options)
  }
}
