/**
 * Faults that any simulator can spring on the n-th request: slow, refused, cut, hung, another answer. They come from outside the product, so that
 * no test hook is needed inside it. Counters live in the plan and start again when the rules are set.
 */

/** What happens to a request in place of, or around, its own answer. */
export type Fault =
  /** The answer leaves this much later. */
  | { readonly kind: 'latency'; readonly ms: number }
  /** Another answer: a 500, a 429 with `Retry-After`, an HTML page with status 200. Nothing of the service itself happens. */
  | {
      readonly kind: 'status'
      readonly status: number
      readonly body?: string
      readonly headers?: Readonly<Record<string, string>>
    }
  /** The connection is reset before the first byte of the answer. */
  | { readonly kind: 'reset' }
  /** The full length is declared, half of the body is sent, then the connection is reset. */
  | { readonly kind: 'truncate' }
  /** Half of the body as a complete HTTP answer: only its content says that it is not whole. */
  | { readonly kind: 'cut' }
  /** No answer, until the client gives up or the simulator closes. */
  | { readonly kind: 'hang' }

/** Which requests a fault meets. Requests are counted per rule, from 1, since the rules were set. */
export interface FaultRule {
  readonly fault: Fault
  /** First request it meets, 1 by default. */
  readonly from?: number
  /** How many in a row, 1 by default; null for all that follow. */
  readonly times?: number | null
  /** Only requests whose path and query contain this text count and are met. */
  readonly path?: string
}

/** Counts requests against rules; the first rule that meets one wins, and every rule counts it. */
export class FaultPlan {
  #rules: { readonly rule: FaultRule; seen: number }[] = []

  /** Replaces all rules; counting starts again. */
  set(rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, seen: 0 }))
  }

  /** The fault for a request that has just arrived, or null. */
  next(path: string): Fault | null {
    let met: Fault | null = null
    for (const counted of this.#rules) {
      if (!path.includes(counted.rule.path ?? '')) continue
      counted.seen += 1
      if (met === null && isMet(counted.rule, counted.seen)) met = counted.rule.fault
    }
    return met
  }
}

function isMet(rule: FaultRule, number: number): boolean {
  const from = rule.from ?? 1
  if (number < from) return false
  return rule.times === null || number < from + (rule.times ?? 1)
}
