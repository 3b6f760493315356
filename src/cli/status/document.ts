/** `status --json`: the contract. Keys are snake_case and stable, instants are UTC with Z, durations are milliseconds. Pure. */
import type { Dismissal, RunRecord } from '../../domain/ports.js'
import type { Task } from '../../domain/task.js'
import type { BudgetStatus, Finish, StatusReport, StreamStatus } from '../../status/types.js'
import { parkingDocument, pauseDocument } from '../pause/document.js'
import { utc } from '../zone.js'
import { activitySentence, problemSentence } from './sentences.js'

export function statusDocument(
  report: StatusReport,
  workspace: { readonly directory: string; readonly timezone: string },
): unknown {
  const activity = activitySentence(report)
  return {
    at: utc(report.at),
    workspace: workspace.directory,
    timezone: workspace.timezone,
    state: report.verdict.state,
    activity: report.verdict.activity,
    message: activity.message,
    hint: activity.hint,
    problems: report.problems.map((problem) => ({
      code: problem.code,
      count: problem.count,
      run_id: problem.run?.id ?? null,
      ...problemSentence(problem, report.at),
    })),
    retrying: retryingDocument(report.retrying),
    refusing: report.refusing.map(({ key, sources, since, until }) => ({
      ...{ key, sources },
      ...{ since: utc(since), until: utc(until) },
    })),
    worker:
      report.worker === null
        ? null
        : { state: report.worker.state, pid: report.worker.run.pid, run_id: report.worker.run.id },
    finish: finishDocument(report.finish),
    streams: report.streams.map(streamDocument),
    running: report.running.map(taskDocument),
    dead_count: report.deadCount,
    dead: report.dead.map(taskDocument),
    dismissed_count: report.dismissedCount,
    dismissed: report.dismissed.map(({ task, dismissal }) => ({
      task: taskDocument(task),
      ...dismissalFields(dismissal),
    })),
    parked: report.controls.parkings.map(parkingDocument),
    paused: report.controls.pauses.map(pauseDocument),
    tasks: report.selected.map(taskDocument),
    budgets: report.budgets.map(budgetDocument),
    runs: report.runs.map(runDocument),
  }
}

function retryingDocument(retrying: StatusReport['retrying']): unknown {
  if (retrying === null) return null
  const { count, task } = retrying
  const next = task === null ? null : { number: task.number, source: task.source, stream: task.stream }
  const said = { code: task?.code ?? null, message: task?.message ?? null, hint: task?.hint ?? null }
  return { count, next_try_at: utc(task?.readyAt ?? null), task: next, ...said }
}

function streamDocument(status: StreamStatus): unknown {
  const { counts } = status
  const { totals } = counts
  return {
    source: status.source,
    stream: status.stream,
    is_configured: status.isConfigured,
    ready: counts.ready,
    waiting: counts.waiting,
    retrying: counts.retrying,
    leased: counts.leased,
    done: counts.done,
    done_today: counts.doneToday,
    dead: counts.dead,
    cancelled: counts.cancelled,
    unproven: counts.unproven,
    differs: counts.differs,
    rows: rowsDocument(totals),
    pages: totals.pages,
    requests: counts.requests,
    requests_per_task: status.requestsPerTask,
    success_rate: status.successRate,
    median_task_ms: counts.medianWorkedMs,
    next_due_at: utc(counts.nextDueAt),
    opens_at: utc(status.opensAt),
    finish: finishDocument(status.finish),
    freshness: freshnessDocument(status.freshness),
    held:
      status.held === null
        ? null
        : {
            waiting: status.held.waiting,
            rejected: status.held.rejected,
            dismissed: status.held.dismissed,
            counted_at: utc(status.held.countedAt),
          },
  }
}

function freshnessDocument(freshness: StreamStatus['freshness']): unknown {
  if (freshness === null) return null
  const { freshTo, partitions, behind, lookedAt, nextAt } = freshness
  return { fresh_to: utc(freshTo), partitions, behind, looked_at: utc(lookedAt), next_at: utc(nextAt) }
}

function rowsDocument(totals: Task['totals']): unknown {
  const { received, created, updated, unchanged, held, duplicates } = totals
  return { received, created, updated, unchanged, held, duplicates }
}

function finishDocument(finish: Finish): unknown {
  return {
    at: finish.kind === 'at' ? utc(finish.at) : null,
    requests: finish.kind === 'at' ? finish.requests : null,
    unknown_because: finish.kind === 'unknown' ? finish.why : null,
  }
}

function budgetDocument({ key, sources, rules, state, owed }: BudgetStatus): unknown {
  return {
    key,
    sources,
    windows: state.windows.map(({ requests, periodMs, used, left, others, isTold }) => ({
      ...{ requests, period_ms: periodMs, used, left, others },
      is_told: isTold,
    })),
    quotas: state.quotas.map(({ requests, per, used, left, others, isTold, resetsAt }) => ({
      ...{ requests, per, used, left, others },
      ...{ is_told: isTold, resets_at: utc(resetsAt) },
    })),
    file: rules.file ?? null,
    waiting: state.waiting,
    reserve: rules.reserve,
    delay_ms: rules.delayMs,
    closed_until: utc(state.closedUntil),
    opens_at: utc(state.opensAt),
    owed,
  }
}

function runDocument(run: RunRecord): unknown {
  return {
    id: run.id,
    command: run.command,
    pid: run.pid,
    started_at: utc(run.startedAt),
    touched_at: utc(run.touchedAt),
    finished_at: utc(run.finishedAt),
    exit_code: run.exitCode,
    reason: run.reason,
    requests: run.requests,
    done: run.done,
    dead: run.dead,
    rows: run.rows,
  }
}

/** When a dead task was dismissed, and why; null where it was not. */
export function dismissalDocument(dismissal: Dismissal | null): unknown {
  return dismissal === null ? null : dismissalFields(dismissal)
}

function dismissalFields({ at, note }: Dismissal) {
  return { dismissed_at: utc(at), note }
}

/** One task, as every command's `--json` prints it. */
export function taskDocument(task: Task): unknown {
  return {
    id: task.id,
    number: task.number,
    source: task.source,
    stream: task.stream,
    partition: task.partition,
    backfill_id: task.backfillId,
    state: task.state,
    priority: task.priority,
    epoch: task.epoch,
    attempts: task.attempts,
    reclaims: task.reclaims,
    created_at: utc(task.createdAt),
    ready_at: utc(task.readyAt),
    leased_at: utc(task.leasedAt),
    renewed_at: utc(task.renewedAt),
    finished_at: utc(task.finishedAt),
    run_id: task.runId,
    code: task.code,
    message: task.message,
    hint: task.hint,
    rows: rowsDocument(task.totals),
    pages: task.totals.pages,
    requests: task.requests,
    expected: task.expected,
    proof: task.proof,
    cursor: task.cursor,
    worked_ms: task.workedMs,
  }
}
