/** What is booked before a request is sent, what its answer says of the budget, and what keeps a source from being asked at all. */
import type { ControlName, ControlState, Parking, ParkRules, Pause } from '../controls.js'
import type { BudgetRules, Quota } from '../source-model.js'

export interface Booking {
  readonly id: number
  readonly key: string
}
export interface BookingRequest {
  readonly rules: BudgetRules
  readonly purpose: 'worker' | 'verify' | 'seed'
  readonly timeoutMs: number
  /** Unix ms; a wait that would end later is refused with OverBudgetError. */
  readonly deadlineAt: number | null
  readonly signal: AbortSignal
  /** What it costs of each limit; absent: 1. */
  readonly weight?: number
  /** In the line of those that wait: the higher first, until a lower one has waited for long. Absent: 0. */
  readonly priority?: number
  /** Whose request it is, `source.stream`, for caps of a run. */
  readonly stream?: string
}
/** What an answer said about the budget. */
export interface BudgetAnswer {
  readonly isRefusal: boolean
  /** From `Retry-After` (seconds or date), ms from now; null where absent or unreadable. */
  readonly retryAfterMs: number | null
  /** What its headers said of windows; absent: nothing. */
  readonly windows?: readonly ToldWindow[]
}
/** A window as an answer's headers tell of it; null: they do not say. */
export interface ToldWindow {
  readonly periodMs: number
  readonly limit: number | null
  readonly remaining: number | null
  /** From the answer, ms. */
  readonly resetMs: number | null
}
export interface BudgetState {
  readonly key: string
  readonly windows: readonly {
    /** The limit that holds: the source's own word, else the declared one. */
    readonly requests: number
    readonly periodMs: number
    /** Of all: ours, of every process, and what others use as far as headers tell. */
    readonly used: number
    /** For the worker. */
    readonly left: number
    /** Part of `used` that is somebody else's. */
    readonly others: number
    /** True: the source's headers say this limit. */
    readonly isTold: boolean
  }[]
  readonly quotas: readonly {
    readonly requests: number
    readonly per: Quota['per']
    readonly used: number
    readonly left: number
    readonly others: number
    readonly isTold: boolean
    /** Unix ms. */
    readonly resetsAt: number
  }[]
  /** Requests that wait in line, of all processes. */
  readonly waiting: number
  /** The gate is shut until then (a refusal or Retry-After), Unix ms. */
  readonly closedUntil: number | null
  /** Earliest moment a request may be sent, Unix ms. */
  readonly opensAt: number
}
/**
 * Request limits of all processes of a workspace, or of all workspaces that name one file. A request is booked durably before it is sent and stays in each
 * window until that window's length after its answer or time-out. Who waits has a place in line: first come, first served, over all processes, but for
 * priorities and for what is kept free for a purpose.
 */
export interface Budget {
  /** Waits for a slot and books it. @throws OverBudgetError past the deadline; StoppedError when the signal aborts. */
  book(request: BookingRequest): Promise<Booking>
  /** The request was answered, failed or timed out. A refusal closes the gate. Returns when the gate opens, where it closed (Unix ms). */
  answered(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): Promise<number | null>
  state(rules: BudgetRules): Promise<BudgetState>
  /** Since when it is refused without an answer between, Unix ms; null: it is not. */
  refusedSince(rules: BudgetRules): Promise<number | null>
  /** Requests of this process so far. */
  readonly sent: number
}

/** Why a source is to be parked, or nearly. */
export interface SourceFailure {
  readonly reason: Parking['reason']
  readonly code: string
  readonly message: string
  readonly hint: string | null
  readonly rules: Pick<ParkRules, 'after' | 'firstMs' | 'longestMs'>
  /** Unix ms before which asking again makes no sense; null: none. */
  readonly notBefore: number | null
}
/** What holds sources back beside their budgets: parked by their failures, paused by hand. Durable when it resolves. */
export interface Controls {
  read(): Promise<ControlState>
  /** Pauses sources or streams; an earlier pause of the same name is replaced. `until` null: until it is resumed. */
  pause(
    names: readonly ControlName[],
    how: { readonly until: number | null; readonly note: string | null },
  ): Promise<readonly Pause[]>
  /** Ends what holds them back: of a source, the pauses of its streams and its parking, too. Answers what ended. */
  resume(
    names: readonly ControlName[],
  ): Promise<{ readonly pauses: readonly Pause[]; readonly parkings: readonly Parking[] }>
  /** A task failed because of its source. Parks the source where its rules say so; `isNew`: it was not parked before. */
  failed(source: string, failure: SourceFailure): Promise<{ readonly parking: Parking | null; readonly isNew: boolean }>
  /** The source answered: its failures are forgotten, a parking ends. */
  answered(source: string): Promise<void>
  /** At the start of a run: pauses, parkings and waits of tasks that seem to have begun in the future (the clock was set back) begin now. */
  adjustToClock(): Promise<void>
}

/** For whoever put the store back from a copy, or made it anew. */
export interface BudgetKeeper {
  /** What was sent before now is not known: from now on every window shorter than a day counts as used up until its length has passed. */
  countAsSpent(): Promise<void>
}
