/**
 * What holds one source back beside its budget, as its loop sees it: pauses by hand, parking after failures in a row, hours of the day. Owns what counts as a failure of the
 * source and what as an answer; the state itself is in the queue's file, so that it holds across runs.
 */
import { type ControlGate, gateOf, type Parking } from '../domain/controls.js'
import { CredentialsRefused, OverBudgetError, SourceUnavailable } from '../domain/errors.js'
import { isWithinHours } from '../domain/hours.js'
import type { Budget, Clock, Controls, Log } from '../domain/ports.js'
import type { Source } from '../domain/source-model.js'
import { describe } from './fate.js'
import type { Run } from './run.js'
import type { TaskEnd } from './types.js'

export interface SourceGateDeps {
  readonly controls: Controls
  readonly budget: Pick<Budget, 'refusedSince'>
  readonly clock: Clock
  readonly log: Log
  readonly run: Run
  /** Of the workspace: hours of the day are told in it. */
  readonly timezone: string
}
/** What may be claimed now. `isProbe`: one task alone asks whether the source answers again. */
export interface Allowed {
  readonly streams: readonly string[]
  readonly isProbe: boolean
}

/** A source that refuses is looked at so often, at least, while its requests wait. */
const refusalLookMs = 30_000

export class SourceGate {
  readonly #source: Source
  readonly #deps: SourceGateDeps
  #hasFailures = false
  #hasAnswered = false
  /** When its credentials were refused last, monotonic ms: what began before is no answer to it. */
  #refusedAt = Number.NEGATIVE_INFINITY
  #looksForRefusalAt = 0

  constructor(source: Source, deps: SourceGateDeps) {
    this.#source = source
    this.#deps = deps
  }

  /** Of these streams those whose tasks may run now. */
  async look(streams: readonly string[]): Promise<Allowed> {
    const state = await this.#deps.controls.read()
    this.#hasFailures = (state.failures[this.#source.name] ?? 0) > 0
    const now = this.#deps.clock.now()
    const gates = streams.map((stream) => [stream, gateOf(state, { source: this.#source.name, stream }, now)] as const)
    const isOpen = ({ kind }: ControlGate): boolean => kind === 'open' || kind === 'probe'
    return {
      streams: gates.flatMap(([stream, gate]) => (isOpen(gate) && this.#isWithinHours(stream, now) ? [stream] : [])),
      isProbe: gates.some(([, gate]) => gate.kind === 'probe'),
    }
  }

  /** What runs at their end is given back where it stands, as with a pause. */
  #isWithinHours(stream: string, now: number): boolean {
    return isWithinHours(this.#source.streams[stream]?.settings.hours, now, this.#deps.timezone)
  }

  /** A page was promoted by a task that began at this monotonic moment: the source answers. */
  noteAnswer(startedAt: number): void {
    if (startedAt > this.#refusedAt) this.#hasAnswered = true
  }

  /** Once a second: writes what was noted, and parks a source that has refused for too long while its requests wait. */
  async tick(): Promise<void> {
    await this.#writeAnswer()
    if (this.#deps.clock.monotonic() < this.#looksForRefusalAt) return
    this.#looksForRefusalAt = this.#deps.clock.monotonic() + Math.min(refusalLookMs, this.#source.park.refusedMs)
    await this.#parkRefusing(null)
  }

  /** A task ended that began at this monotonic moment. Answers the parking that its failure led to or met; null where the source is not parked by it. */
  async end(end: TaskEnd, startedAt: number): Promise<Parking | null> {
    if (end.hasProgress || (end.error === null && end.sent > 0)) this.noteAnswer(startedAt)
    await this.#writeAnswer()
    if (end.error instanceof OverBudgetError) {
      await this.#parkRefusing(end.error.opensAt)
      return null
    }
    // One refusal is enough: the credentials are every task's.
    const isRefused = end.error instanceof CredentialsRefused
    if (!isRefused && !isSourceDown(end.error)) return null
    this.#hasFailures = true
    // Everything at work is stopped now; what it brought until then must not end the parking.
    if (isRefused) this.#refusedAt = this.#deps.clock.monotonic()
    const { park, name } = this.#source
    const said = describe(end.error)
    const result = await this.#deps.controls.failed(name, {
      ...said,
      reason: isRefused ? 'credentials' : 'unavailable',
      rules: isRefused ? { ...park, after: 0 } : park,
      notBefore: null,
    })
    if (result.isNew && result.parking !== null) this.#announce(result.parking)
    return result.parking
  }

  async #writeAnswer(): Promise<void> {
    if (!this.#hasAnswered) return
    this.#hasAnswered = false
    if (!this.#hasFailures) return
    this.#hasFailures = false
    await this.#deps.controls.answered(this.#source.name)
  }

  /** Its budget has been refused for long, without one answer between: somebody should know, and nothing is gained by asking on. */
  async #parkRefusing(opensAt: number | null): Promise<void> {
    const { budget, park, name } = this.#source
    const since = await this.#deps.budget.refusedSince(budget)
    const now = this.#deps.clock.now()
    if (since === null || now - since < park.refusedMs) return
    const hours = Math.round((now - since) / 360_000) / 10
    const { parking, isNew } = await this.#deps.controls.failed(name, {
      reason: 'refused',
      code: 'refused_for_long',
      message: `ask "${name}" found it over its limit for ${hours} h, without one answer`,
      hint: 'check whether the credentials are banned, or what else uses them; then run "backfill resume"',
      rules: { ...park, after: 0 },
      notBefore: opensAt,
    })
    this.#hasFailures = true
    if (isNew && parking !== null) this.#announce(parking)
  }

  #announce(parking: Parking): void {
    this.#deps.run.parked.push(parking)
    const { source, reason, code, message, until, failures } = parking
    this.#deps.log('error', 'source parked', {
      source,
      reason,
      code,
      message,
      failures,
      until: new Date(until).toISOString(),
    })
  }
}

/**
 * The source did not answer, or somebody else did in its place (`is_disguised`: a rule for a content type told). Not: an answer that says no (4xx, even one that
 * is declared to be tried again), rows that do not fit, a closed budget.
 */
function isSourceDown(error: unknown): boolean {
  if (!(error instanceof SourceUnavailable)) return false
  const { status, is_disguised: isDisguised } = error.context
  if (isDisguised === true) return true
  return typeof status !== 'number' || status < 400 || status >= 500 || status === 408
}
