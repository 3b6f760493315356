/** What an operator has to know first: is anything wrong, and what goes on. Pure; the sentences are made where they are printed. */
import { type SecretEnd, secretWarningMs } from '../domain/auth.js'
import { type ControlState, gateOf } from '../domain/controls.js'
import type { FindingCount } from '../domain/finding.js'
import type { CutOffSeed, RunRecord } from '../domain/ports.js'
import type { Task } from '../domain/task.js'
import { failedRuns } from './last-runs.js'
import type { BudgetStatus, StatusProblem, StreamStatus, Verdict, WorkerSight } from './types.js'

/** Silence after which an unfinished run is called stuck (DESIGN.md §7), ms. */
export const stuckAfterMs = 10 * 60_000
/** Time without any worker, while tasks are due, after which its cron line is missed, ms. */
const missedAfterMs = 24 * 3_600_000

export interface Findings {
  readonly now: number
  readonly streams: readonly StreamStatus[]
  readonly budgets: readonly BudgetStatus[]
  readonly runs: readonly RunRecord[]
  readonly worker: WorkerSight | null
  readonly controls: ControlState
  readonly secretEnds: readonly SecretEnd[]
  readonly cutOffSeeds: readonly CutOffSeed[]
  /** One of the finished walks that differ from their source. */
  readonly differing: Task | null
  /** What verify found and has not taken back, of the streams that are asked about. */
  readonly verifyFindings: readonly FindingCount[]
  /** Where no worker ever ran: when the first ready task was made, Unix ms; null: none is ready, or one ran. */
  readonly oldestReady: number | null
}

/** The newest worker run, where it has not ended. */
export function sightWorker(
  runs: readonly RunRecord[],
  now: number,
  isAlive: (pid: number) => boolean,
): WorkerSight | null {
  const run = lastWorkerRun(runs)
  if (run?.finishedAt !== null) return null
  if (!isAlive(run.pid)) return { run, state: 'gone' }
  return { run, state: now - run.touchedAt > stuckAfterMs ? 'stuck' : 'working' }
}

/** Everything that `--check` complains about, the worst first. */
export function findProblems(findings: Findings): readonly StatusProblem[] {
  const dead = sum(findings.streams, (stream) => stream.counts.dead)
  const differs = sum(findings.streams, (stream) => stream.counts.differs)
  const problems: StatusProblem[] = []
  if (findings.worker?.state === 'stuck') problems.push({ code: 'stuck_worker', count: 1, run: findings.worker.run })
  for (const parking of findings.controls.parkings)
    problems.push({ code: 'source_parked', count: parking.failures, run: null, parking })
  if (dead > 0) problems.push({ code: 'dead_tasks', count: dead, run: null })
  if (differs > 0) problems.push({ code: 'count_differs', count: differs, run: null, ...taskOf(findings.differing) })
  const strangers = findings.streams.filter(({ isConfigured }) => !isConfigured)
  const unclaimed = sum(strangers, ({ counts }) => counts.ready + counts.leased)
  if (unclaimed > 0) problems.push({ code: 'unknown_stream', count: unclaimed, run: null })
  if (findings.worker?.state === 'gone') problems.push({ code: 'run_cut_off', count: 1, run: findings.worker.run })
  for (const seed of findings.cutOffSeeds) problems.push({ code: 'seed_cut_off', count: 1, run: null, seed })
  for (const secret of findings.secretEnds)
    if (secret.validUntil - findings.now < secretWarningMs)
      problems.push({ code: 'secret_ends', count: 1, run: null, secret })
  problems.push(...failedRuns(findings.runs, findings.verifyFindings), ...missedWorker(findings))
  return problems
}

export function judge(findings: Findings, problems: readonly StatusProblem[]): Verdict {
  const activity = activityOf(findings)
  return { state: problems.length > 0 ? 'attention' : activity, activity }
}

function taskOf(task: Task | null): Pick<StatusProblem, 'task'> {
  return task === null ? {} : { task }
}

function missedWorker(findings: Findings): readonly StatusProblem[] {
  const run = lastWorkerRun(findings.runs)
  const due = dueCount(findings.streams.filter((stream) => isWorkable(stream, findings)))
  if (findings.worker !== null || due === 0) return []
  // Where no worker ever ran, one is missed since there is something to do.
  const since = run === undefined ? (findings.oldestReady ?? findings.now) : (run.finishedAt ?? run.touchedAt)
  return findings.now - since > missedAfterMs ? [{ code: 'no_worker', count: due, run: run ?? null }] : []
}

/** Nothing but its budget holds it back, its hours have come, and there is a definition to go by. */
function isWorkable(
  { source, stream, opensAt, isConfigured }: StreamStatus,
  { controls, now }: Pick<Findings, 'controls' | 'now'>,
): boolean {
  if (opensAt !== null || !isConfigured) return false
  const { kind } = gateOf(controls, { source, stream }, now)
  return kind === 'open' || kind === 'probe'
}

function activityOf({ streams, budgets, worker, controls, now }: Findings): Verdict['activity'] {
  const isWorking = worker?.state === 'working'
  if (isWorking && sum(streams, ({ counts }) => counts.leased) > 0) return 'working'
  const open = sum(streams, ({ counts }) => counts.ready + counts.leased)
  if (open === 0)
    return sum(streams, ({ counts }) => counts.done + counts.dead + counts.cancelled) === 0 ? 'empty' : 'done'
  const closed = new Set(
    budgets.filter(({ state }) => (state.closedUntil ?? 0) > now).flatMap(({ sources }) => sources),
  )
  const free = streams.filter((stream) => !closed.has(stream.source) && isWorkable(stream, { controls, now }))
  if (dueCount(free) === 0) return 'waiting'
  return isWorking ? 'working' : 'due'
}

/** Ready tasks whose time has come, and leased ones that nobody works on. */
function dueCount(streams: readonly StreamStatus[]): number {
  return sum(streams, ({ counts }) => counts.ready - counts.waiting + counts.leased)
}

function lastWorkerRun(runs: readonly RunRecord[]): RunRecord | undefined {
  return runs.find(({ command }) => command === 'worker')
}

function sum(streams: readonly StreamStatus[], count: (stream: StreamStatus) => number): number {
  return streams.reduce((total, stream) => total + count(stream), 0)
}
