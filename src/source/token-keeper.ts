// Owns one access token: kept across runs in its file, renewed ahead of need, by one request however many wait for it here and in other processes. Its refusals are
// the source's, not a task's. A kill leaves the file before or after a renewal; a lost one costs one request for a token.
import { secretWarningMs } from '../domain/auth.js'
import { CredentialsRefused, OverBudgetError, StoppedError } from '../domain/errors.js'
import type { Clock, Log } from '../domain/ports.js'
import type { TokenAsking } from './credentials.js'
import { type Due, dueOf, type KeptToken, keepToken } from './token-life.js'
import { askToken, isoOf, type TokenQuestion } from './token-request.js'
import type { TokenStore } from './token-store.js'

export interface TokenKeeperOptions {
  readonly source: string
  /** Of its file. */
  readonly name: string
  readonly question: TokenQuestion
  readonly store: TokenStore
  readonly clock: Clock
  readonly log: Log
}
/** A token in use; `generation` counts the answers that brought one. */
export interface HeldToken {
  readonly token: KeptToken
  readonly generation: number
}
/** Who needs it: `seen` refusals were known when it began. */
export interface TokenNeed {
  readonly asking: TokenAsking
  readonly userAgent: string
  readonly seen: number
}
/** `none`: there is none yet; `refused`: a 401 to the present one. */
type Why = Due | 'none' | 'refused'

/** After an answer the next renewal by time is this far off, whatever the answer said. */
const leastBetweenMs = 1000
/** Tokens of before, which a source may still show in its answers. */
const mostSpoken = 8

export class TokenKeeper {
  readonly #options: TokenKeeperOptions
  #held: HeldToken | null = null
  #generation = 0
  #flight: Promise<void> | null = null
  /** Monotonic ms before which no renewal is due by time. */
  #notBefore = 0
  #hasLookedAhead = false
  #refusal: CredentialsRefused | null = null
  #refusals = 0
  #spoken: readonly string[] = []
  #hasWarned = false

  constructor(options: TokenKeeperOptions) {
    this.#options = options
  }

  /** Tokens that no message may show. */
  get spoken(): readonly string[] {
    return this.#spoken
  }

  /** How often the source refused these credentials. Who began before a refusal is not to ask again after it. */
  get refusals(): number {
    return this.#refusals
  }

  /** A token that may be used now. @throws CredentialsRefused, SourceUnavailable, OverBudgetError, StoppedError */
  async current(need: TokenNeed): Promise<HeldToken> {
    for (;;) {
      const why = this.#whyNow(need)
      const held = this.#held
      if (held !== null && why === null) return held
      const refusal = this.#refusedSince(need)
      if (refusal !== null && held !== null && isAlive(why)) return held
      if (refusal !== null) throw refusal
      await this.#fly(need, why ?? 'none')
    }
  }

  /** A 401 to the token of this generation: comes back when there is a newer one. @throws as {@link TokenKeeper.current} */
  async renew(generation: number, need: TokenNeed): Promise<void> {
    while (this.#held === null || this.#held.generation <= generation) {
      const refusal = this.#refusedSince(need)
      if (refusal !== null) throw refusal
      await this.#fly(need, 'refused')
    }
  }

  /** The renewed token was refused, too: whoever asks next asks for another one. */
  refuse(generation: number, refusal: CredentialsRefused): void {
    this.#note(refusal)
    if (this.#held?.generation !== generation) return
    this.#options.store.forget(this.#options.name, this.#held.token.accessToken)
    this.#held = null
  }

  #refusedSince({ seen }: TokenNeed): CredentialsRefused | null {
    return this.#refusals > seen ? this.#refusal : null
  }

  #note(refusal: CredentialsRefused): void {
    this.#refusal = refusal
    this.#refusals += 1
  }

  #whyNow(need: TokenNeed): Why | null {
    if (this.#held === null) this.#adopt(this.#read())
    if (this.#held === null) return 'none'
    if (this.#options.clock.monotonic() < this.#notBefore) return null
    const looksAhead = !this.#hasLookedAhead
    // At most once a run.
    this.#hasLookedAhead = true
    return this.#due(this.#held.token, need, looksAhead)
  }

  #due(token: KeptToken, { asking }: TokenNeed, looksAhead: boolean): Due | null {
    const { deadlineAt } = asking.caller
    return dueOf(token, this.#options.question.auth, { now: this.#options.clock.now(), looksAhead, deadlineAt })
  }

  /** One renewal at a time; who comes meanwhile waits for its end, and looks again. */
  async #fly(need: TokenNeed, why: Why): Promise<void> {
    if (this.#flight === null) {
      const flight = this.#renew(need, why).finally(() => {
        this.#flight = null
      })
      this.#flight = flight
      await flight
      return
    }
    const { signal } = need.asking.caller
    try {
      await orStopped(this.#flight, signal)
    } catch (error) {
      // Whoever asked was stopped; those who waited for it were not.
      if (error instanceof StoppedError && !signal.aborted) return
      throw error
    }
  }

  async #renew(need: TokenNeed, why: Why): Promise<void> {
    const { store, name } = this.#options
    const letGo = await store.lock(name, need.asking.caller.signal)
    try {
      const kept = this.#read()
      // Another process was faster.
      if (kept !== null && this.#isGood(kept, need, why)) this.#adopt(kept)
      else await this.#ask(need, { why, before: this.#held?.token ?? kept })
    } catch (error) {
      if (error instanceof CredentialsRefused) this.#note(error)
      if (!isAlive(why) || error instanceof StoppedError || error instanceof OverBudgetError) throw error
      this.#putOff(why, error)
    } finally {
      await letGo()
    }
  }

  #isGood(kept: KeptToken, need: TokenNeed, why: Why): boolean {
    const known = this.#held?.token.accessToken
    if (why === 'refused') return kept.accessToken !== known && this.#due(kept, need, false) !== 'over'
    return this.#due(kept, need, why === 'ahead' && kept.accessToken === known) === null
  }

  async #ask(
    need: TokenNeed,
    { why, before }: { readonly why: Why; readonly before: KeptToken | null },
  ): Promise<void> {
    const { store, name, source, question, clock, log } = this.#options
    const secretValidUntil = before?.secretValidUntil ?? null
    const answer = await askToken(question, { userAgent: need.userAgent, secretValidUntil }, need.asking)
    const tokenUrl = need.asking.caller.secrets.clean(question.url)
    const token = keepToken(answer, { source, tokenUrl }, { before, isForced: why === 'refused' })
    this.#adopt(token)
    this.#notBefore = clock.monotonic() + leastBetweenMs
    this.#hasLookedAhead = true
    store.write(name, token)
    const { expiresAt, isHandedBack } = token
    const fields = { source, expires_at: expiresAt === null ? null : isoOf(expiresAt), reason: why }
    log('info', 'source.token', { ...fields, handed_back: isHandedBack })
  }

  /** The old token still lives: what went wrong matters only at its end. */
  #putOff(why: Why, error: unknown): void {
    const { source, clock, log, question } = this.#options
    const left = (this.#held?.token.expiresAt ?? 0) - clock.now()
    const untilMs = why === 'ahead' ? left - question.auth.marginMs : left
    this.#notBefore = clock.monotonic() + Math.max(leastBetweenMs, untilMs)
    const message = error instanceof Error ? error.message : String(error)
    log('warn', 'source.token_not_renewed', { source, reason: why, message })
  }

  #read(): KeptToken | null {
    const { store, name, clock } = this.#options
    const kept = store.read(name)
    // From a future that the clock came back from: how long it lives cannot be told.
    return kept === null || kept.obtainedAt > clock.now() + 60_000 ? null : kept
  }

  #adopt(token: KeptToken | null): void {
    if (token === null) return
    this.#generation += 1
    this.#held = { token, generation: this.#generation }
    if (!this.#spoken.includes(token.accessToken))
      this.#spoken = [token.accessToken, ...this.#spoken].slice(0, mostSpoken)
    this.#warnOfSecret(token)
  }

  #warnOfSecret({ secretValidUntil }: KeptToken): void {
    const { source, clock, log } = this.#options
    if (this.#hasWarned || secretValidUntil === null || secretValidUntil - clock.now() > secretWarningMs) return
    this.#hasWarned = true
    log('warn', 'source.secret_ends', { source, valid_until: isoOf(secretValidUntil) })
  }
}

/** The token at hand is good for a while. */
function isAlive(why: Why | null): boolean {
  return why === 'margin' || why === 'ahead'
}

async function orStopped(flight: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new StoppedError()
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => reject(new StoppedError())
    signal.addEventListener('abort', stop, { once: true })
    void flight.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
