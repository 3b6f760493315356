/**
 * Changes of a school's data between requests: by the number of requests, by time, or step by step. What happens, and to which row, follows from the seed and the
 * order of the steps alone; only the stamps are the clock's. It knows no HTTP.
 */
import { type Random, randomFrom } from '../synthetic.js'
import { type ChangeKind, changeKinds, usualWeights } from './changes.js'
import type { School } from './school.js'
import type { Oddities } from './size.js'

export interface ChurnRules {
  /** A step before every so many data requests, null: none. */
  readonly everyRequests: number | null
  /** A step for every so many ms that have passed, made up for at the next request or look; null: none. */
  readonly everyMs: number | null
  readonly seed: string
  /** Changes in one step, 1 by default. */
  readonly changes?: number
  /** Kinds not named keep their usual weight; 0: never. With `only`, kinds not named never happen. */
  readonly weights?: Partial<Record<ChangeKind, number>>
  readonly only?: boolean
  /** Stamps are up to so much older than the moment that a change is seen: what is committed late. 0 by default. */
  readonly lateMs?: number
}

/** One step's change, for whoever must know that a kind did happen. */
export interface ChangeEntry {
  /** 1 for the first. */
  readonly number: number
  readonly at: number
  readonly kind: ChangeKind
}

/** More steps than these are not made up for at once. */
const mostStepsAtOnce = 10_000
const byHand: ChurnRules = { everyRequests: null, everyMs: null, seed: 'by hand' }

export class Churn {
  readonly #school: School
  readonly #oddities: Oddities
  readonly #changes: ChangeEntry[] = []
  #random: { readonly seed: string; readonly next: Random } | null = null
  #requests = 0
  #steppedAt: number | null = null
  #isFrozen = false

  constructor(school: School, oddities: Oddities) {
    this.#school = school
    this.#oddities = oddities
  }

  /** Stops all changes but those made by hand. */
  freeze(): void {
    this.#isFrozen = true
  }

  /** Goes on; the time frozen is not made up for. */
  thaw(): void {
    this.#isFrozen = false
    this.#steppedAt = null
  }

  changes(after = 0): readonly ChangeEntry[] {
    return this.#changes.filter((change) => change.number > after)
  }

  /** A data request is about to be answered. */
  beforeRequest(rules: ChurnRules | null, at: number): void {
    if (rules === null || this.#isFrozen) return
    this.#requests += 1
    if (rules.everyRequests !== null && this.#requests % rules.everyRequests === 0) this.step(1, rules, at)
    this.catchUp(rules, at)
  }

  /** Makes the steps that time has brought. */
  catchUp(rules: ChurnRules | null, at: number): void {
    if (rules?.everyMs === null || rules === null || this.#isFrozen) return
    this.#steppedAt ??= at
    const steps = Math.min(mostStepsAtOnce, Math.floor((at - this.#steppedAt) / rules.everyMs))
    if (steps <= 0) return
    this.#steppedAt += steps * rules.everyMs
    this.step(steps, rules, at)
  }

  /** Steps by hand, also while frozen; without rules as usual. */
  step(steps: number, rules: ChurnRules | null, at: number): void {
    const used = rules ?? byHand
    for (let step = 0; step < steps * (used.changes ?? 1); step += 1) this.change(this.#kind(used), at, used)
  }

  /** One change of one kind. @throws RangeError for an unknown kind. */
  change(kind: string, at: number, rules: ChurnRules = byHand): void {
    if (!isKind(kind)) throw new RangeError(`churn has no kind "${kind}"`)
    const random = this.#randomOf(rules)
    const atMs = at - Math.floor(random() * (rules.lateMs ?? 0))
    changeKinds[kind]({ school: this.#school, random, atMs, oddities: this.#oddities })
    this.#changes.push({ number: this.#changes.length + 1, at, kind })
  }

  #kind(rules: ChurnRules): ChangeKind {
    const weights: Partial<Record<ChangeKind, number>> =
      rules.only === true ? (rules.weights ?? {}) : { ...usualWeights, ...rules.weights }
    const kinds = Object.keys(weights).filter(isKind)
    const sum = kinds.reduce((total, kind) => total + (weights[kind] ?? 0), 0)
    let left = this.#randomOf(rules)() * sum
    for (const kind of kinds) {
      left -= weights[kind] ?? 0
      if (left < 0) return kind
    }
    throw new RangeError('churn has no kind with a weight')
  }

  #randomOf({ seed }: ChurnRules): Random {
    if (this.#random?.seed !== seed) this.#random = { seed, next: randomFrom(`churn ${seed}`) }
    return this.#random.next
  }
}

function isKind(kind: string): kind is ChangeKind {
  return Object.hasOwn(changeKinds, kind)
}
