/** A budget that stops the run at its request cap (`--max-requests`): never one more, whoever asks. */
import { StoppedError } from '../domain/errors.js'
import type { Booking, BookingRequest, Budget, BudgetAnswer, BudgetState } from '../domain/ports.js'
import type { BudgetRules } from '../domain/source-model.js'

export class CappedBudget implements Budget {
  readonly #inner: Budget
  readonly #max: number | null
  readonly #onCap: () => void
  #sent = 0
  #waiting = 0

  constructor(inner: Budget, max: number | null, onCap: () => void) {
    this.#inner = inner
    this.#max = max
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
    if (this.#max !== null && this.#sent >= this.#max) {
      this.#onCap()
      throw new StoppedError(`stopped at the cap of ${this.#max} requests`)
    }
    // Counted before the wait, so that two tasks cannot both take the last request.
    this.#sent += 1
    this.#waiting += 1
    try {
      return await this.#inner.book(request)
    } catch (error) {
      this.#sent -= 1
      throw error
    } finally {
      this.#waiting -= 1
    }
  }

  answered(booking: Booking, rules: BudgetRules, answer: BudgetAnswer): Promise<number | null> {
    return this.#inner.answered(booking, rules, answer)
  }

  state(rules: BudgetRules): Promise<BudgetState> {
    return this.#inner.state(rules)
  }
}
