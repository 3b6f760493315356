/** The last run of each command, whatever else ran since: a verify of one partition after another must not hide that the worker fails. Pure, but for the asking. */
import type { FindingCount } from '../domain/finding.js'
import type { RunRecord } from '../domain/ports.js'
import type { StatusDeps, StatusProblem } from './types.js'

/** As many as the queue keeps. */
const deepLook = 1_000

/** The last runs, newest first: so many, and more where no finished one of the worker is among them. */
export async function runsToJudge(
  queue: Pick<StatusDeps['queue'], 'runs'>,
  limit: number,
): Promise<readonly RunRecord[]> {
  const runs = await queue.runs(limit)
  const isEnough = runs.length < limit || runs.some((run) => run.command === 'worker' && run.finishedAt !== null)
  return isEnough ? runs : await queue.runs(deepLook)
}

/**
 * Exit 3 of a worker is told by the dead tasks themselves, so that the alarm ends when they are put back; that of a verify by what it found, whatever others looked
 * at since; where it kept nothing (it compared nothing, or an older version ran), by its run.
 */
export function failedRuns(runs: readonly RunRecord[], found: readonly FindingCount[]): readonly StatusProblem[] {
  const worker = lastFinished(runs, 'worker', () => true)
  // Who mistypes a verify, or ends it, sees it there; it says nothing of the table.
  const verify = lastFinished(runs, 'verify', (exitCode) => exitCode !== 2 && exitCode < 128)
  const judged = lastFinished(runs, 'verify', (exitCode) => exitCode === 0 || exitCode === 3)
  const problems: StatusProblem[] = []
  for (const run of [worker, verify])
    if (run !== undefined && failures.includes(run.exitCode ?? 0)) problems.push({ code: 'run_failed', count: 1, run })
  if (found.length > 0) problems.push({ code: 'verify_differs', count: countOf(found), run: null, findings: found })
  else if (judged?.exitCode === 3) problems.push({ code: 'verify_differs', count: 1, run: judged })
  return problems
}

function countOf(found: readonly FindingCount[]): number {
  return found.reduce((sum, { discrepancies, unproven }) => sum + discrepancies + unproven, 0)
}

const failures = [1, 2, 75]

function lastFinished(
  runs: readonly RunRecord[],
  command: string,
  counts: (exitCode: number) => boolean,
): RunRecord | undefined {
  return runs.find((run) => run.command === command && run.finishedAt !== null && counts(run.exitCode ?? 1))
}
