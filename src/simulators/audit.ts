/**
 * What a simulator remembers of the requests it received, so that a test can say what a client asked, how often, and what it was given.
 * It knows no service. Nothing survives the process.
 */

/** One request as the simulator received and answered it. Control requests (`/-/…`) are not in the audit. */
export interface AuditEntry {
  /** 1 for the first request of the simulator's life. */
  readonly number: number
  /** Unix ms at which the request had arrived. */
  readonly at: number
  /** Unix ms at which it was answered: when the service had judged it, before the first byte left. */
  readonly answeredAt: number
  readonly method: string
  /** As sent, without the port. */
  readonly host: string
  /** Path and query as sent, not decoded. */
  readonly path: string
  /** Status answered; 0 where the connection was cut before one was sent. */
  readonly status: number
  /** Rows served in a 2xx. */
  readonly rows: number
  /** Kind of the fault that was sprung on it, or null. */
  readonly fault: string | null
  /** What the service says of it beside the answer: the number of a token, the name of a trap. Never a secret. */
  readonly labels: Readonly<Record<string, string | number>>
}

export interface AuditTotals {
  readonly requests: number
  readonly rows: number
  /** Requests by status: `{"200": 12, "402": 1}`. */
  readonly statuses: Readonly<Record<string, number>>
}

/** Reads the audit in process; other processes read `GET /-/audit`. */
export interface Audit {
  /** Entries in the order of arrival, from `after` (exclusive) on. */
  entries(after?: number): readonly AuditEntry[]
  totals(after?: number): AuditTotals
}

/** An audit that the simulator writes to. */
export class AuditLog implements Audit {
  readonly #entries: AuditEntry[] = []
  #last = 0

  /** The number of a request that has just arrived; its entry follows when it has been answered. */
  nextNumber(): number {
    this.#last += 1
    return this.#last
  }

  add(entry: AuditEntry): void {
    // Answers overtake one another; the place follows the arrival. Nearly always the last, so the search is from the end.
    let place = this.#entries.length
    while (place > 0 && (this.#entries[place - 1]?.number ?? 0) > entry.number) place -= 1
    this.#entries.splice(place, 0, entry)
  }

  entries(after = 0): readonly AuditEntry[] {
    return this.#entries.filter((entry) => entry.number > after)
  }

  totals(after = 0): AuditTotals {
    const entries = this.entries(after)
    const statuses: Record<string, number> = {}
    for (const entry of entries) statuses[entry.status] = (statuses[entry.status] ?? 0) + 1
    return { requests: entries.length, rows: entries.reduce((sum, entry) => sum + entry.rows, 0), statuses }
  }
}
