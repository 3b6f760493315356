/**
 * What is happening, and when it ends. Reads queue.db only, through counters that are kept up to date, so that a million tasks cost no more than ten.
 * Must not know Postgres, HTTP or a terminal. Writes nothing: it may run beside a worker and in another user's workspace.
 */
import { type ControlState, gateOf } from '../domain/controls.js'
import type { HeldNote } from '../domain/held.js'
import { isWithinHours, nextOpening } from '../domain/hours.js'
import type { Dismissals, StreamCounts } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { noTotals, type Task } from '../domain/task.js'
import { currentDoubts } from './doubts.js'
import { finishOf, latest, notBeforeGates, requestsOwed, type StreamWork } from './finish.js'
import { freshnessOf } from './freshness.js'
import { runsToJudge } from './last-runs.js'
import { refusingOf, retryingOf } from './setbacks.js'
import type { BudgetStatus, Finish, Freshness, StatusDeps, StatusReport, StatusRequest, StreamStatus } from './types.js'
import { findProblems, judge, sightWorker } from './verdict.js'

/** Leased tasks are at most streams × concurrency; more than this are not worth a line. */
const runningLimit = 100
const selectedLimit = 200

/** @throws QueueUnavailable where the store is busy. */
export async function status(request: StatusRequest, deps: StatusDeps): Promise<StatusReport> {
  const now = deps.clock.now()
  const runs = await runsToJudge(deps.queue, request.runLimit)
  const { counts, differing } = await currentDoubts(await countsOf(request, deps), deps.queue)
  const running = await deps.queue.tasks({ ...taskFilter(request), states: ['leased'], limit: runningLimit })
  const works = new Map(counts.map((one) => [nameOf(one), workOf(one, running)]))
  const budgets = await budgetsOf(request, deps, works)
  const heldNote = await deps.queue.heldNote()
  const freshness = await freshnessOf(request.streams, deps)
  const state = await deps.controls.read()
  const configured = new Map(request.streams.map(({ stream }) => [streamName(stream), stream]))
  const sight = { request, configured, works, budgets, controls: state, now }
  const held =
    heldNote === null ? null : { ...heldNote, byStream: new Map(heldNote.counts.map((one) => [nameOf(one), one])) }
  const streams = counts.map((one) => streamStatus(one, { ...sight, held, freshness }))
  const worker = sightWorker(runs, now, deps.isAlive)
  const controls = controlsIn(request, state)
  const names = new Set(request.streams.map(({ source }) => source.name))
  const secretEnds = (deps.secretEnds?.() ?? []).filter(({ source }) => names.has(source))
  const findings = {
    now,
    streams,
    budgets,
    runs,
    worker,
    controls,
    secretEnds,
    cutOffSeeds: await deps.queue.cutOffSeeds(),
    differing,
    verifyFindings: (await deps.findings.counts()).filter((one) => configured.has(nameOf(one))),
    oldestReady: runs.some(({ command }) => command === 'worker') ? null : await oldestReady(request, deps),
  }
  const dismissals = dismissalsIn(request, await deps.queue.dismissals(request.deadLimit))
  const problems = findProblems(findings)
  return {
    at: now,
    verdict: judge(findings, problems),
    problems,
    retrying: await retryingOf({ streams, running }, deps.queue),
    refusing: await refusingOf(budgets, deps),
    worker,
    streams,
    finish: finishOfAll(sight),
    running,
    dead: await deps.queue.tasks({ ...taskFilter(request), states: ['dead'], limit: request.deadLimit }),
    deadCount: streams.reduce((total, stream) => total + stream.counts.dead, 0),
    ...dismissals,
    controls,
    selected: await selectedTasks(request, deps),
    budgets,
    runs: runs.slice(0, request.runLimit),
  }
}

/** When the first task that a worker would claim was made: since then, at the latest, one is due. */
async function oldestReady(request: StatusRequest, deps: StatusDeps): Promise<number | null> {
  const [first] = await deps.queue.tasks({ ...taskFilter(request), states: ['ready'], limit: 1 })
  return first?.createdAt ?? null
}

/** One entry a stream: the configured ones in their order, then what only the queue knows. */
async function countsOf(request: StatusRequest, deps: StatusDeps): Promise<readonly StreamCounts[]> {
  const found = new Map((await deps.queue.counts()).map((counts) => [nameOf(counts), counts]))
  const configured = request.streams.map(({ stream }) => {
    const key = { source: stream.source, stream: stream.name }
    return found.get(nameOf(key)) ?? { ...noCounts, ...key }
  })
  const names = new Set(configured.map(nameOf))
  const others = request.isEverything ? [...found.values()].filter((counts) => !names.has(nameOf(counts))) : []
  return [...configured, ...others]
}

const noCounts: Omit<StreamCounts, 'source' | 'stream'> = {
  ready: 0,
  retrying: 0,
  waiting: 0,
  leased: 0,
  done: 0,
  dead: 0,
  cancelled: 0,
  doneToday: 0,
  totals: noTotals,
  requests: 0,
  unproven: 0,
  differs: 0,
  medianWorkedMs: null,
  nextDueAt: null,
}

function workOf(counts: StreamCounts, running: readonly Task[]): StreamWork {
  return {
    counts,
    running: running.filter((task) => nameOf(task) === nameOf(counts)),
    requestsPerTask: counts.done === 0 ? null : counts.requests / counts.done,
  }
}

/** One entry a budget key: several sources may share one. */
async function budgetsOf(
  request: StatusRequest,
  deps: StatusDeps,
  works: ReadonlyMap<string, StreamWork>,
): Promise<readonly BudgetStatus[]> {
  const budgets: BudgetStatus[] = []
  for (const rules of uniqueRules(request)) {
    const streams = request.streams.filter(({ source }) => source.budget.key === rules.key)
    const owed = streams.map(({ stream }) => works.get(streamName(stream))).map(owedBy)
    budgets.push({
      key: rules.key,
      sources: [...new Set(streams.map(({ source }) => source.name))],
      rules,
      state: await deps.budget.state(rules),
      owed: owed.includes(null) ? null : owed.reduce<number>((sum, part) => sum + (part ?? 0), 0),
    })
  }
  return budgets
}

function owedBy(work: StreamWork | undefined): number | null {
  return work === undefined ? 0 : requestsOwed(work)
}

function uniqueRules(request: StatusRequest) {
  return [...new Map(request.streams.map(({ source }) => [source.budget.key, source.budget])).values()]
}

interface Sight {
  readonly request: StatusRequest
  /** By `source.stream`: a look-up for each stream among all of them took minutes at some ten thousands. */
  readonly configured: ReadonlyMap<string, Stream>
  readonly works: ReadonlyMap<string, StreamWork>
  readonly budgets: readonly BudgetStatus[]
  readonly controls: ControlState
  readonly now: number
}

function streamStatus(
  counts: StreamCounts,
  sight: Sight & { readonly held: HeldByStream | null; readonly freshness: ReadonlyMap<string, Freshness> },
): StreamStatus {
  const work = sight.works.get(nameOf(counts))
  const budget = sight.budgets.find(({ sources }) => sources.includes(counts.source)) ?? null
  const ended = counts.done + counts.dead
  const opensAt = opensAtOf(counts, sight)
  const finish = finishOf({ works: work === undefined ? [] : [work], budget, now: sight.now })
  return {
    source: counts.source,
    stream: counts.stream,
    isConfigured: sight.configured.has(nameOf(counts)),
    counts,
    successRate: ended === 0 ? null : counts.done / ended,
    requestsPerTask: work?.requestsPerTask ?? null,
    finish: notBeforeGates(finish, { now: sight.now, opensAt, gates: [gateOf(sight.controls, counts, sight.now)] }),
    opensAt,
    freshness: sight.freshness.get(nameOf(counts)) ?? null,
    held: heldOf(counts, sight.held),
  }
}

/** Outside of a stream's hours: when they begin. */
function opensAtOf(
  stream: Pick<StreamCounts, 'source' | 'stream'>,
  { configured, request, now }: Sight,
): number | null {
  const hours = configured.get(nameOf(stream))?.settings.hours
  return isWithinHours(hours, now, request.timezone) ? null : nextOpening(hours, now, request.timezone)
}

type HeldByStream = HeldNote & { readonly byStream: ReadonlyMap<string, HeldNote['counts'][number]> }

function heldOf(stream: Pick<StreamCounts, 'source' | 'stream'>, note: HeldByStream | null): StreamStatus['held'] {
  if (note === null) return null
  const found = note.byStream.get(nameOf(stream))
  const dismissed = found?.dismissed?.rows ?? 0
  return { waiting: found?.waiting ?? 0, rejected: found?.rejected ?? 0, dismissed, countedAt: note.countedAt }
}

/** Streams that share a budget share its time, so they are asked about together. */
function finishOfAll(sight: Sight): Finish {
  const { request, works, budgets, now } = sight
  const shared = budgets.map((budget) => {
    const names = request.streams.filter(({ source }) => budget.sources.includes(source.name))
    const own = names.flatMap(({ stream }) => works.get(streamName(stream)) ?? [])
    return finishOf({ works: own, budget, now })
  })
  const whole = latest(shared)
  const open = [...works.values()].map(({ counts }) => counts).filter(({ ready, leased }) => ready + leased > 0)
  const opensAt = Math.max(...open.map((counts) => opensAtOf(counts, sight) ?? now), now)
  return notBeforeGates(whole, { now, opensAt, gates: open.map((counts) => gateOf(sight.controls, counts, now)) })
}

/** Of a selection, what concerns it. */
function controlsIn(request: StatusRequest, state: ControlState): ControlState {
  if (request.isEverything) return state
  const isAsked = (name: { readonly source: string; readonly stream?: string | null }): boolean =>
    request.streams.some(({ stream }) => stream.source === name.source && (name.stream ?? stream.name) === stream.name)
  return { ...state, parkings: state.parkings.filter(isAsked), pauses: state.pauses.filter(isAsked) }
}

function dismissalsIn(
  request: StatusRequest,
  { tasks, counts }: Dismissals,
): Pick<StatusReport, 'dismissed' | 'dismissedCount'> {
  const names = new Set(request.streams.map(({ stream }) => streamName(stream)))
  const isAsked = (name: { readonly source: string; readonly stream: string }): boolean =>
    request.isEverything || names.has(nameOf(name))
  return {
    dismissed: tasks.filter(({ task }) => isAsked(task)),
    dismissedCount: counts.filter(isAsked).reduce((sum, { count }) => sum + count, 0),
  }
}

async function selectedTasks(request: StatusRequest, deps: StatusDeps): Promise<readonly Task[]> {
  if (Object.keys(request.filter).length === 0) return []
  return deps.queue.tasks({ ...taskFilter(request), limit: selectedLimit })
}

function taskFilter(request: StatusRequest) {
  if (request.isEverything && Object.keys(request.filter).length === 0) return {}
  const streams = request.streams.map(({ stream }) => ({ source: stream.source, stream: stream.name }))
  return { filter: { streams, partitions: request.filter } }
}

function nameOf(stream: { readonly source: string; readonly stream: string }): string {
  return `${stream.source}.${stream.stream}`
}

function streamName({ source, name }: Pick<Stream, 'source' | 'name'>): string {
  return nameOf({ source, stream: name })
}
