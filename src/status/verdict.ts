/** What an operator has to know first: is anything wrong, and what goes on. Pure; the sentences are made where they are printed. */
import { type SecretEnd, secretWarningMs } from '../domain/auth.js'
import { type ControlState, gateOf } from '../domain/controls.js'
import type { CutOffSeed, RunRecord } from '../domain/ports.js'
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
  if (differs > 0) problems.push({ code: 'count_differs', count: differs, run: null })
  if (findings.worker?.state === 'gone') problems.push({ code: 'run_cut_off', count: 1, run: findings.worker.run })
  for (const seed of findings.cutOffSeeds) problems.push({ code: 'seed_cut_off', count: 1, run: null, seed })
  for (const secret of findings.secretEnds)
    if (secret.validUntil - findings.now < secretWarningMs)
      problems.push({ code: 'secret_ends', count: 1, run: null, secret })
  problems.push(...failedRun(findings), ...missedWorker(findings))
  return problems
}

export function judge(findings: Findings, problems: readonly StatusProblem[]): Verdict {
  const activity = activityOf(findings)
  return { state: problems.length > 0 ? 'attention' : activity, activity }
}

/** Exit 3 is told by the dead tasks themselves, so that the alarm ends when they are put back. */
function failedRun({ runs }: Findings): readonly StatusProblem[] {
  const run = runs.find((candidate) => candidate.finishedAt !== null)
  const isFailure = run?.exitCode === 1 || run?.exitCode === 2 || run?.exitCode === 75
  return run !== undefined && isFailure ? [{ code: 'run_failed', count: 1, run }] : []
}

function missedWorker(findings: Findings): readonly StatusProblem[] {
  const run = lastWorkerRun(findings.runs)
  const due = dueCount(findings.streams.filter((stream) => isWorkable(stream, findings)))
  if (run === undefined || findings.worker !== null || due === 0) return []
  return findings.now - (run.finishedAt ?? run.touchedAt) > missedAfterMs
    ? [{ code: 'no_worker', count: due, run }]
    : []
}

/** Nothing but its budget holds it back, and its hours have come. */
function isWorkable(
  { source, stream, opensAt }: StreamStatus,
  { controls, now }: Pick<Findings, 'controls' | 'now'>,
): boolean {
  if (opensAt !== null) return false
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
