// Owns one question to a source until it is answered: budget, retries of layer one (DESIGN.md §6), redirects, the fate of a status. Every try is
// booked before it leaves and answered after, whatever became of it. Knows nothing of pages. Nothing is kept.
import pRetry from 'p-retry'
import {
  AnswerInvalid,
  BackfillError,
  ConfigError,
  OverBudgetError,
  SourceRejected,
  SourceUnavailable,
  StoppedError,
} from '../domain/errors.js'
import type { BookingRequest, Budget, Clock, Log, ToldWindow } from '../domain/ports.js'
import type { Fate, Source, Stream } from '../domain/source-model.js'
import type { Authorised, Credentials } from './credentials.js'
import { cleanLine, excerptOf, isHtml } from './excerpt.js'
import { headerText } from './header-text.js'
import { readLimitHeaders } from './limit-headers.js'
import { challengeText } from './refusal-text.js'
import type { WireRequest } from './request.js'
import { readRetryAfter } from './retry-after.js'
import type { Secrets } from './secrets.js'
import { fateOfStatus, isEmptyBody, type StatusVerdict } from './status-fate.js'
import type { Transport, WireAnswer } from './transport.js'

export interface ExchangeDependencies {
  readonly budget: Budget
  readonly transport: Transport
  readonly clock: Clock
  readonly log: Log
  /** 0 to 1. */
  readonly random: () => number
}
/** Who asks, and how answers are read. */
export interface Caller<T> {
  readonly source: Source
  readonly stream: Stream
  readonly secrets: Secrets
  /** What each request carries so that the source knows who asks; absent: nothing. */
  readonly credentials?: Credentials | undefined
  readonly purpose: BookingRequest['purpose']
  readonly deadlineAt: number | null
  /** Longest wait for the budget before one request, ms; null: up to the deadline. */
  readonly maxWaitMs: number | null
  /** Of its place in line; absent: 0. */
  readonly priority?: number
  /** What one request costs of each limit; absent: 1. */
  readonly weight?: number
  readonly signal: AbortSignal
  /** Statuses that are not tried again, because the caller knows another way. */
  readonly surfaces?: readonly number[]
  /** Called for each try, booked and about to leave. */
  readonly onRequest: () => void
  /** Called before a try whose answer the one before it may have had; absent: nobody asks. */
  readonly onRepeat?: (() => void) | undefined
  /** Reads a 2xx. What it throws is classified already; SourceUnavailable is tried again, {@link Refusal} waits for the budget. */
  readonly read: (answer: WireAnswer) => T
  /** What an error status means where it is an answer all the same (past the end); null where it is an error. */
  readonly readError: (answer: WireAnswer) => T | null
}

/** The source says that it was asked too often: the gate closes, and no attempt and no retry is spent. */
class Refusal extends Error {}

/** Waits between tries that the source asks for are taken at once up to here, ms; longer ones are left to the queue. */
const longestWaitMs = 60_000
/** A question that is refused again and again, while others are answered, is asked once in so long at least, ms. */
const longestRefusedMs = 300_000
const mostRedirects = 5
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** What one try brought. */
type Outcome<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'redirect'; readonly request: WireRequest }
  /** `waitMs`: how long the definition wants to wait, where the answer does not say. */
  | { readonly kind: 'refused'; readonly waitMs: number | null }
  /** A 401 under credentials; `declared`: what the definition makes of it where they cannot be renewed any more. */
  | { readonly kind: 'unauthorised'; readonly answer: WireAnswer; readonly declared: BackfillError | null }
  /** What it carries ran out while it waited for the budget: not sent. */
  | { readonly kind: 'stale' }
  | { readonly kind: 'failed'; readonly error: unknown }
interface Tried<T> {
  readonly outcome: Outcome<T>
  readonly retryAfterMs: number | null
  /** When the gate opens again, where this answer closed it, Unix ms. */
  readonly opensAt: number | null
}

/** A failure of the wire that another try may heal, and how long the source wants to be left alone before it. */
class Retryable extends Error {
  readonly failure: SourceUnavailable
  readonly waitMs: number
  constructor(failure: SourceUnavailable, waitMs: number) {
    super(failure.message)
    this.failure = failure
    this.waitMs = waitMs
  }
}

/**
 * @throws SourceUnavailable after the last retry, SourceRejected, AnswerInvalid, OverBudgetError (from the budget), StoppedError, ConfigError.
 */
export async function exchange<T>(
  request: WireRequest,
  caller: Caller<T>,
  dependencies: ExchangeDependencies,
): Promise<T> {
  const { retries, retryDelayMs } = caller.stream.settings
  const question: Question<T> = { request, caller, dependencies, isRenewed: false }
  try {
    return await pRetry(async () => await askOnce(question), {
      retries,
      // The waits are ours: they follow the clock, the signal and Retry-After. p-retry counts.
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof Retryable && error.waitMs <= longestWaitMs,
      onFailedAttempt: async ({ error, retriesLeft, retriesConsumed }) => {
        if (!(error instanceof Retryable) || error.waitMs > longestWaitMs || retriesLeft === 0) return
        const backoff = retryDelayMs * 2 ** retriesConsumed * (0.5 + dependencies.random() / 2)
        const waitMs = Math.max(Math.round(backoff), error.waitMs)
        logRetry(error, waitMs, { caller, dependencies })
        caller.onRepeat?.()
        await dependencies.clock.sleep(waitMs, caller.signal)
      },
    })
  } catch (error) {
    throw error instanceof Retryable ? error.failure : error
  }
}

interface LogContext {
  readonly caller: Pick<Caller<unknown>, 'source' | 'stream'>
  readonly dependencies: Pick<ExchangeDependencies, 'log'>
}

function logRetry(error: Retryable, waitMs: number, { caller, dependencies }: LogContext): void {
  const { code, message } = error.failure
  dependencies.log('info', 'source.retry', {
    source: caller.source.name,
    stream: caller.stream.name,
    code,
    message,
    wait_ms: waitMs,
  })
}

interface Question<T> {
  readonly request: WireRequest
  readonly caller: Caller<T>
  readonly dependencies: ExchangeDependencies
  /** Its credentials were renewed for it: a second refusal is the last, on whichever try it comes. */
  isRenewed: boolean
}

/** One try of p-retry: refusals wait for the budget, redirects are followed and credentials renewed inside it, so that none counts as a retry. */
async function askOnce<T>(question: Question<T>): Promise<T> {
  const { caller, dependencies } = question
  let { request } = question
  let refusals = 0
  const visited = new Set([request.url])
  for (;;) {
    const authorised = await authorise(request, caller, dependencies)
    const { outcome, retryAfterMs, opensAt } = await tryRequest(authorised, caller, dependencies)
    switch (outcome.kind) {
      case 'value':
        return outcome.value
      case 'failed':
        throw retryableOr(outcome.error, opensAt === null ? (retryAfterMs ?? 0) : 0, caller.surfaces)
      case 'redirect':
        request = nextHop(outcome.request, visited)
        break
      case 'stale':
        break
      case 'unauthorised': {
        const isOver = question.isRenewed || caller.credentials?.canRenew !== true
        if (isOver && outcome.declared !== null) throw retryableOr(outcome.declared, retryAfterMs ?? 0)
        const refused = { authorised, answer: outcome.answer, isRepeat: question.isRenewed }
        question.isRenewed = true
        await caller.credentials?.refused(refused, { caller, dependencies })
        break
      }
      case 'refused':
        refusals += 1
        await waitForGate(refusals, { opensAt, isStated: retryAfterMs !== null, request, caller, dependencies })
    }
  }
}

async function authorise(
  request: WireRequest,
  caller: Caller<unknown>,
  dependencies: ExchangeDependencies,
): Promise<Authorised> {
  if (caller.credentials === undefined) return { request, generation: 0, endsAt: null }
  return await caller.credentials.authorise(request, { caller, dependencies })
}

/** p-retry sees only failures of the wire as repeatable; a page of somebody else's would be the same a second later. */
function retryableOr(error: unknown, waitMs: number, surfaces: readonly number[] = []): unknown {
  if (error instanceof SourceUnavailable && surfaces.includes(Number(error.context.status))) return error
  const isRepeatable = error instanceof SourceUnavailable && error.code !== 'not_json' && error.code !== 'not_csv'
  return isRepeatable ? new Retryable(error, waitMs) : error
}

interface GateContext {
  readonly opensAt: number | null
  /** The source said itself when to come back. */
  readonly isStated: boolean
  readonly request: WireRequest
  readonly caller: Caller<unknown>
  readonly dependencies: ExchangeDependencies
}

async function waitForGate(refusals: number, { opensAt, isStated, ...context }: GateContext): Promise<void> {
  const { request, caller, dependencies } = context
  const { source, stream, signal } = caller
  const fields = { source: source.name, stream: stream.name, address: request.address, opens_at: opensAt }
  dependencies.log('warn', 'source.refused', fields)
  // The next booking waits for the gate. Where that is open again because others are answered, a question that alone is refused waits longer each time.
  const { clock } = dependencies
  const ownMs = Math.min(1000 * 2 ** (refusals - 1), longestRefusedMs)
  if (opensAt !== null && (isStated || refusals === 1 || opensAt - clock.now() >= ownMs)) return
  const until = clock.now() + ownMs
  const deadlineAt = bookingDeadline(caller, clock.now())
  if (deadlineAt !== null && until > deadlineAt)
    throw new OverBudgetError(`fetch ${request.address} was refused ${refusals} times in a row`, until)
  await clock.sleep(ownMs, signal)
}

async function tryRequest<T>(
  { request, endsAt }: Authorised,
  caller: Caller<T>,
  dependencies: ExchangeDependencies,
): Promise<Tried<T>> {
  const { budget, clock } = dependencies
  const { stream, source, purpose, signal } = caller
  const { timeoutMs } = stream.settings
  const deadlineAt = bookingDeadline(caller, clock.now())
  const { delayMs = source.budget.delayMs } = stream.settings
  const rules = { ...source.budget, delayMs }
  const { priority = 0, weight = 1 } = caller
  const bookedFrom = clock.now()
  const booking = await budget.book({
    ...{ rules, purpose, timeoutMs, deadlineAt, signal, priority, weight },
    stream: `${source.name}.${stream.name}`,
  })
  if (endsAt !== null && bookedFrom < endsAt && endsAt <= clock.now()) {
    // Given back as spent, for what it waited for is renewed within the same budget.
    await budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null })
    return { outcome: { kind: 'stale' }, retryAfterMs: null, opensAt: null }
  }
  let retryAfterMs: number | null = null
  let windows: readonly ToldWindow[] = []
  let outcome: Outcome<T>
  try {
    if (signal.aborted) throw new StoppedError()
    caller.onRequest()
    const limits = { timeoutMs, maxBytes: stream.settings.maxAnswerBytes, signal }
    const answer = await dependencies.transport.send(request, limits)
    retryAfterMs = readRetryAfter(answer.headers, clock.now())
    if (rules.headers !== undefined) windows = readLimitHeaders(answer.headers, rules.headers, clock.now())
    outcome = judge(answer, request, caller)
    if (outcome.kind === 'refused') retryAfterMs ??= outcome.waitMs
  } catch (error) {
    outcome =
      error instanceof Refusal ? { kind: 'refused', waitMs: null } : { kind: 'failed', error: named(error, request) }
  }
  const told = windows.length === 0 ? {} : { windows }
  const opensAt = await budget.answered(booking, rules, {
    isRefusal: outcome.kind === 'refused',
    retryAfterMs,
    ...told,
  })
  return { outcome, retryAfterMs, opensAt }
}

/** A wait for the budget ends at the run's deadline or when the caller's patience does. */
function bookingDeadline({ deadlineAt, maxWaitMs }: Caller<unknown>, now: number): number | null {
  if (maxWaitMs === null) return deadlineAt
  return Math.min(now + maxWaitMs, deadlineAt ?? Number.POSITIVE_INFINITY)
}

/** What got refuses to send at all is a mistake of the definition, not of the source. */
function named(error: unknown, request: WireRequest): unknown {
  if (error instanceof BackfillError || !(error instanceof TypeError)) return error
  return new ConfigError('bad_request', `build ${request.address} found something that no request may hold`, {
    cause: error,
  })
}

function judge<T>(answer: WireAnswer, request: WireRequest, caller: Caller<T>): Outcome<T> {
  const { status } = answer
  if (status >= 200 && status < 300) return { kind: 'value', value: caller.read(answer) }
  const verdict = fateOfStatus(answer, caller.stream.settings, caller.source)
  const { fate, isDeclared, waitMs } = verdict
  if (fate === 'budget') return { kind: 'refused', waitMs }
  if (fate === 'credentials' && caller.credentials !== undefined)
    return { kind: 'unauthorised', answer, declared: null }
  const value = caller.readError(answer)
  if (value !== null) return { kind: 'value', value }
  if (status === 401 && caller.credentials !== undefined) {
    const declared = isDeclared ? statusError(answer, verdict, { request, caller }) : null
    return { kind: 'unauthorised', answer, declared }
  }
  if (fate === 'dead' && !isDeclared && redirects.has(status)) return redirect(answer, request)
  return { kind: 'failed', error: statusError(answer, verdict, { request, caller }) }
}

interface StatusContext {
  readonly request: WireRequest
  readonly caller: Pick<Caller<unknown>, 'secrets'>
}

function statusError(
  answer: WireAnswer,
  { fate, isDisguised }: StatusVerdict,
  { request, caller }: StatusContext,
): BackfillError {
  const { status } = answer
  const { clean } = caller.secrets
  const excerpt = excerptOf(answer.body, clean)
  const challenge = clean(challengeText(answer) ?? '')
  const also = challenge === '' || excerpt.includes(challenge) ? '' : ` (${cleanLine(challenge)})`
  const message = `fetch ${request.address} found status ${status}${excerpt === '' ? '' : `: "${excerpt}"`}${also}`
  const context = { status, ...(isDisguised ? { is_disguised: true } : {}) }
  if (fate === 'retry') return new SourceUnavailable(`http_${status}`, message, { context })
  return new SourceRejected(`http_${status}`, message, { hint: hintOf(answer, request), context })
}

/** A 403 says by its form who said it: the source's rules, its front door, or a wall before it. */
function hintOf(answer: WireAnswer, { url }: WireRequest): string | undefined {
  const { status, body } = answer
  if (status === 404 && /%2F/i.test(new URL(url).pathname))
    return 'the path holds a value with a slash in it: where its slashes part the path, write {name:path} in the definition'
  if (status === 401) return 'check the credentials of the source, and its user agent'
  if (status !== 403) return undefined
  if (isEmptyBody(answer))
    return 'a source that says nothing more refuses the user agent: set "user-agent" in its headers'
  if (isHtml(body.subarray(0, 256).toString('latin1')))
    return 'this is a page, perhaps of a wall before the source: where it goes away by itself, say so with "statuses: { 403: [{ content_type: text/html, fate: retry }, dead] }"'
  return 'check what the credentials of the source may read, and its user agent'
}

/** Followed within one origin only; who answers elsewhere is not who was asked. */
function redirect<T>(answer: WireAnswer, request: WireRequest): Outcome<T> {
  const location = headerText(answer.headers.location)
  const target = location !== undefined && URL.canParse(location, request.url) ? new URL(location, request.url) : null
  if (target === null) {
    throw new SourceRejected(
      'redirect',
      `fetch ${request.address} found status ${answer.status} without an address to go to`,
    )
  }
  const from = new URL(request.url)
  if (target.origin !== from.origin) throw elsewhere(answer, { request, from, target })
  target.hash = ''
  // As browsers do: only 307 and 308 repeat a body.
  const isRepeated = answer.status === 307 || answer.status === 308
  const next = isRepeated ? request : { ...request, method: 'GET' as const, body: null }
  return { kind: 'redirect', request: { ...next, url: target.href } }
}

function elsewhere(answer: WireAnswer, hop: { request: WireRequest; from: URL; target: URL }): SourceRejected {
  const { request, from, target } = hop
  const fact = `status ${answer.status} from ${from.origin} to ${target.origin}`
  return new SourceRejected('redirect', `fetch ${request.address} found a redirect to another origin: ${fact}`, {
    hint: `check that the partition exists at ${from.host}, or correct base_url`,
    context: { status: answer.status, from: from.host, to: target.host },
  })
}

function nextHop(request: WireRequest, visited: Set<string>): WireRequest {
  if (visited.has(request.url))
    throw new SourceRejected('redirect', `fetch ${request.address} found redirects in a circle`)
  visited.add(request.url)
  if (visited.size <= mostRedirects + 1) return request
  throw new SourceRejected('redirect', `fetch ${request.address} found more than ${mostRedirects} redirects`)
}

/** The error that a declared error inside a 200 becomes. @throws Refusal where its fate is the budget. */
export function answerError(fate: Fate, message: string): BackfillError {
  if (fate === 'budget') throw new Refusal(message)
  if (fate === 'retry') return new SourceUnavailable('answer_error', message)
  return new AnswerInvalid('answer_error', message)
}
