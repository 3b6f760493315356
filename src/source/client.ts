// Owns the source port: walks and counts over HTTP, from a source's definition alone. Knows no source by name, no queue and no database.
// Secrets are read from the environment at each walk and never leave. Open connections and access tokens are kept between walks, tokens also between runs.
import { AnswerInvalid, BackfillError, InvariantError, SourceUnavailable, TerminalError } from '../domain/errors.js'
import { manyValues } from '../domain/fan-out.js'
import type { Budget, Clock, KeyText, Log, Page, SourceClient, SourceCount, WalkStart } from '../domain/ports.js'
import type { ConfirmRequest, CountRule } from '../domain/source-model.js'
import { countAnswers } from './count-answers.js'
import { createCredentialKeeper } from './credential-keeper.js'
import type { ExchangeDependencies } from './exchange.js'
import { cursorOf } from './numbered-pager.js'
import type { PagerOptions } from './pager.js'
import { countPager, pagerOf, passOverPage } from './pagination.js'
import { originOf } from './request.js'
import { countBy } from './rows.js'
import { createTokenStore } from './token-store.js'
import { createTransport } from './transport.js'
import { defaultUserAgent } from './user-agent.js'
import type { PartitionStart, Visit } from './visit.js'
import { createVisit } from './visit.js'
import { onePage, walkPages } from './walk.js'

export interface SourceClientOptions {
  readonly budget: Budget
  readonly clock: Clock
  readonly log: Log
  /** Process environment over `.env`: what `$NAME` in a definition means. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Sent where neither source nor stream sets one. */
  readonly userAgent?: string
  /** Where access tokens are kept across runs (`<workspace>/.backfill/tokens`); absent: in memory only. */
  readonly tokenDirectory?: string
  /** 0 to 1, for jitter. */
  readonly random?: () => number
}
type VisitMaker = (start: PartitionStart) => Visit

/** The adapter that {@link SourceClient} describes. `close` ends its connections. */
export function createSourceClient(options: SourceClientOptions): SourceClient {
  const { budget, clock, log, environment, random = Math.random, userAgent = defaultUserAgent() } = options
  const transport = createTransport()
  const dependencies: ExchangeDependencies = { budget, clock, log, random, transport }
  const store = createTokenStore({ directory: options.tokenDirectory ?? null, clock, log })
  const keeper = createCredentialKeeper({ store, clock, log })
  const visitOf: VisitMaker = (start) => createVisit(start, { environment, userAgent, keeper, dependencies })
  const sizes = new Map<string, number>()
  return {
    walk: (start) => walk(start, { visitOf, sizes, log }),
    count: async (start) => await count(start, { visit: visitOf(start), sizes }, log),
    areGone: async (start, keys) => {
      const { confirm } = start.stream.prune
      if (typeof confirm === 'string' || keys.length > (confirm.many?.max ?? 1))
        throw new InvariantError(`confirm ${keys.length} keys of "${start.stream.name}" found no request for it`)
      return await areGone(keys, confirm, { start, visit: visitOf(start), sizes })
    },
    passOver: passOverPage,
    close: async () => transport.close(),
  }
}

async function* walk(
  start: WalkStart,
  { visitOf, sizes, log }: { readonly visitOf: VisitMaker; readonly sizes: Map<string, number>; readonly log: Log },
): AsyncGenerator<Page, void, undefined> {
  const { source, since } = start
  const visit = visitOf(start)
  const askPage: typeof visit.askPage = async (step, asking) => {
    const reply = await visit.askPage(step, asking)
    // No row and no list either: the definition takes it for the source's word, so somebody can read it afterwards.
    if (asking.isFirst && reply.isPastEnd)
      log('info', 'source.nothing', { source: source.name, stream: start.stream.name, address: reply.address })
    return reply
  }
  const pager = pagerOf({ ...pagerOptions(start, { visit, sizes }), since })
  if (start.page !== undefined) {
    yield await onePage(start, { pager, ask: askPage, cursor: cursorOf(start.page) })
    return
  }
  // Running further ahead would spend the budget of a limited source on pages that a stop throws away.
  const depth = source.budget.limits.length === 0 && source.budget.concurrency > 1 ? 2 : 1
  yield* walkPages(start, { pager, ask: askPage, depth })
}

type CountStart = PartitionStart & { readonly changedSince?: number }
interface Asked {
  readonly visit: Visit
  readonly sizes: Map<string, number>
}

function pagerOptions({ stream, partition }: PartitionStart, { visit: { parts }, sizes }: Asked): PagerOptions {
  const values = manyValues(stream, partition)
  return { stream, secrets: parts.secrets, origin: originOf(parts), since: null, values, sizes }
}

interface Confirming extends Asked {
  readonly start: PartitionStart
}

/** Fewer at a time where the source says that they were too many, which is learned once. */
async function areGone(
  keys: readonly KeyText[],
  confirm: ConfirmRequest,
  asked: Confirming,
): Promise<readonly boolean[]> {
  const { start, visit, sizes } = asked
  const name = `${start.stream.source}.${start.stream.name} confirm`
  const shrinkOn = confirm.many?.shrinkOn ?? []
  const gone: boolean[] = []
  for (let at = 0; at < keys.length; ) {
    const some = keys.slice(at, at + (sizes.get(name) ?? keys.length))
    const surfaces = some.length > 1 ? shrinkOn : []
    const asking = { signal: start.signal, onRequest: start.onRequest, isFirst: true, surfaces }
    try {
      const answers = await visit.askGone(confirm, some, asking)
      if (answers === null && some.length === 1) throw cutShort(start)
      if (answers === null) sizes.set(name, Math.floor(some.length / 2))
      else {
        gone.push(...answers)
        at += some.length
      }
    } catch (error) {
      const { status } = error instanceof BackfillError ? error.context : {}
      if (typeof status !== 'number' || !surfaces.includes(status)) throw error
      sizes.set(name, Math.floor(some.length / 2))
    }
  }
  return gone
}

function cutShort({ stream }: PartitionStart): AnswerInvalid {
  return new AnswerInvalid(
    'confirm_incomplete',
    `ask ${stream.source}.${stream.name} for one row found an answer with further pages`,
    { hint: 'the source seems to ignore the parameter of "confirm"' },
  )
}

interface Counted {
  readonly count: SourceCount | null
  readonly requests: number
}

/** Rules in their order until one is exact. A rule that the source refuses is passed over; where none gives anything, its error is thrown. */
async function count(start: CountStart, asked: Asked, log: Log): Promise<Counted> {
  let requests = 0
  const onRequest = () => {
    requests += 1
    start.onRequest()
  }
  const ask = countAsker(start, asked, onRequest)
  let best: SourceCount | null = null
  let failure: TerminalError | SourceUnavailable | null = null
  for (const rule of start.stream.count) {
    try {
      const found = await ask(rule)
      if (found?.trust === 'exact') return { count: found, requests }
      best ??= found
    } catch (error) {
      if (!(error instanceof TerminalError || error instanceof SourceUnavailable)) throw error
      failure = error
      log('warn', 'source.count_failed', {
        source: start.source.name,
        stream: start.stream.name,
        message: error.message,
      })
    }
  }
  if (best === null && failure !== null) throw failure
  return { count: best, requests }
}

/** Asks by one rule; all rules that read the stream's own answer share one request. */
function countAsker(
  start: CountStart,
  asked: Asked,
  onRequest: () => void,
): (rule: CountRule) => Promise<SourceCount | null> {
  const asking = { signal: start.signal, onRequest, isFirst: true }
  const { visit } = asked
  const { changedSince } = start
  const askPage = async (options: PagerOptions) => {
    const pager = changedSince === undefined ? countPager(options) : pagerOf({ ...options, since: changedSince })
    return await visit.askPage(pager.stepAt(null), asking)
  }
  let pages: ReturnType<typeof countAnswers> | null = null
  return async (rule) => {
    if (rule.request !== null) return await visit.askCount(rule, rule.request, asking)
    pages ??= countAnswers(pagerOptions(start, asked), askPage)
    return sumOf((await pages).map((page) => countBy(page, rule)))
  }
}

/** null where one part has none. */
function sumOf(counts: readonly (SourceCount | null)[]): SourceCount | null {
  const known = counts.filter((count) => count !== null)
  if (known.length === 0 || known.length < counts.length) return null
  const value = known.reduce((sum, count) => sum + count.value, 0)
  return { value, trust: known.every(({ trust }) => trust === 'exact') ? 'exact' : 'at least' }
}
