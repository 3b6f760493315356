/**
 * The rate limits of an application (wire/school42.md §2.5): two sliding windows, judged when the server answers. It knows no route and no token. Counts live in the
 * process and are kept for as long as the longest window.
 */
import type { School42Switches, SlidingLimit } from './switches.js'

export type WindowName = 'secondly' | 'hourly'
const windowNames: readonly WindowName[] = ['secondly', 'hourly']

export interface Judgement {
  /** The window that refuses, or null. */
  readonly refusedBy: WindowName | null
  /** `x-secondly-ratelimit-limit` and the like, as they stand after this request. */
  readonly headers: Readonly<Record<string, string>>
  /** Until the refusing window has room, whole seconds, at least 1. */
  readonly retryAfterS: number
}

export class RateLimits {
  /** When each application's requests were answered, ascending. */
  readonly #answers = new Map<string, number[]>()

  /** Judges a data request that is being answered now, and counts it where it is let through (or where refusals count, too). */
  judge(application: string, at: number, switches: School42Switches): Judgement {
    const refusedBy = windowNames.find((name) => this.#isSpent(application, at, switches[name])) ?? null
    if (refusedBy === null || switches.countsRefusals) this.count(application, at, switches)
    const limit = refusedBy === null ? null : switches[refusedBy]
    const headers = this.headers(application, at, switches)
    return { refusedBy, headers, retryAfterS: limit === null ? 0 : this.#secondsUntilRoom(application, at, limit) }
  }

  count(application: string, at: number, switches: School42Switches): void {
    const answers = this.#of(application)
    answers.push(at)
    const longest = Math.max(1000, ...windowNames.map((name) => switches[name]?.periodMs ?? 0))
    let old = 0
    while ((answers[old] ?? at) <= at - longest) old += 1
    if (old > 0) answers.splice(0, old)
  }

  headers(application: string, at: number, switches: School42Switches): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {}
    for (const name of windowNames) {
      const limit = switches[name]
      if (limit === null) continue
      headers[`x-${name}-ratelimit-limit`] = String(limit.requests)
      headers[`x-${name}-ratelimit-remaining`] = String(
        Math.max(0, limit.requests - this.#used(application, at, limit)),
      )
    }
    return headers
  }

  #isSpent(application: string, at: number, limit: SlidingLimit | null): boolean {
    return limit !== null && this.#used(application, at, limit) >= limit.requests
  }

  #used(application: string, at: number, limit: SlidingLimit): number {
    const answers = this.#of(application)
    let used = 0
    while (used < answers.length && (answers[answers.length - 1 - used] ?? 0) > at - limit.periodMs) used += 1
    return used
  }

  #secondsUntilRoom(application: string, at: number, limit: SlidingLimit): number {
    const answers = this.#of(application)
    // The one that must leave the window before another may be answered.
    const blocking = answers[answers.length - limit.requests] ?? at
    return Math.max(1, Math.ceil((blocking + limit.periodMs - at) / 1000))
  }

  #of(application: string): number[] {
    const answers = this.#answers.get(application) ?? []
    this.#answers.set(application, answers)
    return answers
  }
}
