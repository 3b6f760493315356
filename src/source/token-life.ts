// Owns the arithmetic of a token's life: when it ends by what its answer says, and when another one is due. Pure: the time of day is an argument.

/** A token as it is kept, in memory and in its file. Instants are Unix ms. */
export interface KeptToken {
  readonly source: string
  /** Where it was asked for, without secrets. */
  readonly tokenUrl: string
  readonly accessToken: string
  readonly obtainedAt: number
  /** null: it did not say; kept until it is refused. */
  readonly expiresAt: number | null
  /** Life that it had when it came, ms; null as `expiresAt`. */
  readonly lifetimeMs: number | null
  /** The source hands the old token back as long as it lives: asking again before its end brings nothing. */
  readonly isHandedBack: boolean
  /** When the client secret itself ends; null: never, or unknown. */
  readonly secretValidUntil: number | null
}

/** What an answer says of its token. */
export interface TokenAnswer {
  readonly accessToken: string
  /** Seconds; null: not said. */
  readonly expiresIn: number | null
  /** Unix seconds by the source's clock; null: not said. */
  readonly createdAt: number | null
  readonly secretValidUntil: number | null
  /** Before the request left, by our clock. Unix ms. */
  readonly sentAt: number
  /** The answer's own `Date`; null: none. Unix ms. */
  readonly servedAt: number | null
}

export interface LifeRules {
  readonly marginMs: number
  readonly aheadMs: number
}

/** Why another token is due. */
export type Due = 'over' | 'margin' | 'ahead'
export interface DueAt {
  readonly now: number
  /** The run begins: a token should outlive it. */
  readonly looksAhead: boolean
  /** When the run ends, Unix ms; null: not known. */
  readonly deadlineAt: number | null
}

/**
 * What is kept of an answer. `before` is the token that was in use, dead or alive; `isForced`: it was refused, so that its successor says nothing of the source's
 * habits.
 */
export function keepToken(
  answer: TokenAnswer,
  { source, tokenUrl }: Pick<KeptToken, 'source' | 'tokenUrl'>,
  { before, isForced }: { readonly before: KeptToken | null; readonly isForced: boolean },
): KeptToken {
  const { accessToken, sentAt, secretValidUntil } = answer
  const lived = before !== null && (before.expiresAt === null || sentAt < before.expiresAt)
  const isSame = before?.accessToken === accessToken
  const habit = before?.isHandedBack ?? false
  const isHandedBack = isSame || isOld(answer) ? true : lived && !isForced ? false : habit
  // The end of a token that is known already stays what it was: its answer counts from some moment in the middle.
  const life = isSame && lived && before.expiresAt !== null ? before : lifeOf(answer)
  const { expiresAt, lifetimeMs } = life
  return {
    ...{ source, tokenUrl, accessToken, obtainedAt: sentAt, expiresAt, lifetimeMs, isHandedBack },
    secretValidUntil: secretValidUntil ?? (isSame ? before.secretValidUntil : null),
  }
}

/**
 * The life left is counted from before the request, on our clock; how old the token was, on the source's. A token that was handed back says either its whole life
 * and when it began, or what is left of it. Both read alike; the shorter reading is taken as long as it leaves any life at all.
 */
function lifeOf(answer: TokenAnswer): Pick<KeptToken, 'expiresAt' | 'lifetimeMs'> {
  const { expiresIn, sentAt } = answer
  if (expiresIn === null) return { expiresAt: null, lifetimeMs: null }
  const lifetimeMs = Math.max(0, expiresIn) * 1000
  const age = ageOf(answer)
  const left = age < lifetimeMs ? lifetimeMs - age : lifetimeMs
  return { expiresAt: sentAt + left, lifetimeMs }
}

/** Older than this when it comes, a token was not made for the one who asks. Clocks of one service differ by less. */
const oldFromMs = 30_000

/** Of an age that its life cannot hold nothing is concluded: two clocks are at work there. */
function isOld(answer: TokenAnswer): boolean {
  const age = ageOf(answer)
  return age > oldFromMs && age <= (answer.expiresIn ?? 0) * 1000
}

/** By the source's own clock where it shows it, ms; 0 where it cannot be told. */
function ageOf({ createdAt, sentAt, servedAt }: TokenAnswer): number {
  // Both are whole seconds, cut off: a second of age is none.
  return createdAt === null ? 0 : Math.max(0, (servedAt ?? sentAt) - createdAt * 1000 - 1000)
}

/** Why another token is due; null: this one is good. */
export function dueOf(token: KeptToken, rules: LifeRules, { now, looksAhead, deadlineAt }: DueAt): Due | null {
  const { expiresAt, lifetimeMs } = token
  if (expiresAt === null) return null
  if (now >= expiresAt) return 'over'
  // Asking would bring the same token again.
  if (token.isHandedBack) return null
  // A token that lives for less than the rules were made for is not renewed all the time.
  const life = lifetimeMs ?? 0
  const marginAt = expiresAt - Math.min(rules.marginMs, life / 4)
  if (now >= marginAt) return 'margin'
  const isShort = expiresAt - now < Math.min(rules.aheadMs, life / 2)
  return looksAhead && isShort && (deadlineAt === null || deadlineAt > marginAt) ? 'ahead' : null
}
