/** A budget that stops the run at its request cap (`--max-requests`), and a stream at its own: never one more, whoever asks. */
import { StoppedError } from '../domain/errors.js'
import type { Booking, BookingRequest, Budget, BudgetAnswer, BudgetState } from '../domain/ports.js'
import type { BudgetRules } from '../domain/source-model.js'
import type { StreamCaps } from './stream-caps.js'

export interface Caps {
  /** Requests of the run; null: no limit. */
  readonly max: number | null
  readonly streams: StreamCaps
}

export class CappedBudget implements Budget {
  readonly #inner: Budget
  readonly #caps: Caps
  readonly #onCap: () => void
  #sent = 0
  #waiting = 0

  constructor(inner: Budget, caps: Caps, onCap: () => void) {
    this.#inner = inner
    this.#caps = caps
    this.#onCap = onCap
  }

  get sent(): number {
    return this.#sent
  }

  /** A request waits for its place: no progress is expected then. */
  get isWaiting(): boolean {
    return this.#waiting > 0
  }

  async book(request: BookingRequest): Promise<Booking> {
    const { max, streams } = this.#caps
    if (max !== null && this.#sent >= max) {
      this.#onCap()
      throw new StoppedError(`stopped at the cap of ${max} requests`)
    }
    const { stream } = request
    if (stream !== undefined) streams.takeRequest(stream)
    // Counted before the wait, so that two tasks cannot both take the last request.
    this.#sent += 1
    this.#waiting += 1
    try {
      return await this.#inner.book(request)
    } catch (error) {
      this.#sent -= 1
      if (stream !== undefined) streams.giveRequestBack(stream)
      throw error
    } finally {
      this.#waiting -= 1
    }
  }

  answered(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): Promise<number | null> {
    return this.#inner.answered(booking, rules, answer)
  }

  refusedSince(rules: BudgetRules): Promise<number | null> {
    return this.#inner.refusedSince(rules)
  }

  state(rules: BudgetRules): Promise<BudgetState> {
    return this.#inner.state(rules)
  }
}
