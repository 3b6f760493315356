/** The sentences of `backfill status`: read at 03:00, and the `message` fields of its `--json`. Pure; instants in the workspace's zone. */
import { controlLabel } from '../../domain/controls.js'
import type { FindingCount } from '../../domain/finding.js'
import { partitionLabel } from '../../domain/partition.js'
import type { RunRecord } from '../../domain/ports.js'
import type { Task } from '../../domain/task.js'
import type { Finish, Retrying, StatusProblem, StatusReport } from '../../status/types.js'
import { clean, duration, plural } from '../text.js'
import { clockText, localTimes } from '../zone.js'

export interface Sentence {
  readonly message: string
  readonly hint: string | null
}

/** `working: 2 tasks run, 1,796 are left, done about Fri 14:20 (in 11 h 50 min)`. */
export function activitySentence(report: StatusReport): Sentence {
  const open = openCount(report)
  switch (report.verdict.activity) {
    case 'empty':
      return { message: 'nothing is queued', hint: 'run "backfill seed SOURCE" to make tasks' }
    case 'done':
      return { message: doneSentence(report), hint: null }
    case 'working':
      return {
        message: `${workingSentence(report)}, ${plural(open, 'task is', 'tasks are')} open${finishTail(report)}`,
        hint: null,
      }
    case 'waiting':
      return {
        message: `${plural(open, 'task waits', 'tasks wait')}: ${waitingReason(report)}${finishTail(report)}`,
        hint: null,
      }
    case 'due':
      return {
        message: `${plural(dueTasks(report), 'task is', 'tasks are')} due and no worker runs${finishTail(report)}`,
        hint: 'cron starts the next one; to start it now, run "backfill worker"',
      }
  }
}

function doneSentence(report: StatusReport): string {
  const done = report.streams.reduce((sum, { counts }) => sum + counts.done, 0)
  if (done === 0) return 'no task is open'
  return report.deadCount === 0
    ? `all ${plural(done, 'task is', 'tasks are')} done`
    : `${plural(done, 'task is', 'tasks are')} done, none is open`
}

function workingSentence(report: StatusReport): string {
  const leased = report.streams.reduce((sum, { counts }) => sum + counts.leased, 0)
  const { worker } = report
  const who = worker === null ? '' : `worker ${worker.run.pid} since ${clockText(worker.run.startedAt, report.at)}: `
  return `${who}${plural(leased, 'task runs', 'tasks run')}`
}

function waitingReason(report: StatusReport): string {
  const closed = report.budgets.filter(({ state }) => (state.closedUntil ?? 0) > report.at)
  const [first] = closed
  if (first !== undefined) {
    return `the budget of ${first.key} is closed until ${clockText(first.state.closedUntil ?? report.at, report.at)}`
  }
  const [pause] = report.controls.pauses
  const parking = report.controls.parkings.find((one) => one.until > report.at)
  if (parking !== undefined) return `${parking.source} is parked until ${clockText(parking.until, report.at)}`
  if (pause !== undefined) {
    const until = pause.until === null ? '' : ` until ${clockText(pause.until, report.at)}`
    return `${controlLabel(pause)} is paused${until}`
  }
  const closedStream = report.streams.find(({ opensAt, counts }) => opensAt !== null && counts.ready > 0)
  if (closedStream !== undefined) {
    const { source, stream, opensAt } = closedStream
    return `${source}.${stream} opens at ${clockText(opensAt ?? report.at, report.at)}`
  }
  const next = report.streams.flatMap(({ counts }) => (counts.nextDueAt === null ? [] : [counts.nextDueAt]))
  return next.length === 0 ? 'none is due' : `the next is due at ${clockText(Math.min(...next), report.at)}`
}

function finishTail(report: StatusReport): string {
  const text = finishText(report.finish, report.at)
  return text === null ? '' : `, ${text}`
}

/** `done about Fri 14:20 (in 11 h 50 min)`, or why that is unknown; null where nothing is open. */
function finishText(finish: Finish, now: number): string | null {
  switch (finish.kind) {
    case 'nothing open':
      return null
    case 'unknown':
      return `end unknown: ${finish.why}`
    case 'at':
      return finish.at - now < 60_000
        ? 'done within a minute'
        : `done about ${clockText(finish.at, now)} (in ${duration(finish.at - now)})`
  }
}

/** What failed and is tried again by itself: `1 task is retrying: http_503: ask page 1 got status 503; next try at 10:25`. */
export function setbackSentences(report: StatusReport): readonly Sentence[] {
  const { retrying, refusing, at } = report
  const aside = asideSentence(report)
  const sentences = refusing.map(({ key, since, until }) => ({
    message: `${clean(key)} refuses every request since ${clockText(since, at)} (its limit, it says); it is asked again at ${clockText(until, at)}`,
    hint: null,
  }))
  return [...(retrying === null ? [] : [retryingSentence(retrying, at)]), ...sentences, ...aside]
}

/** Rows that no walk brings in by itself. */
export function rowsAside({ streams }: Pick<StatusReport, 'streams'>): number {
  return streams.reduce((sum, { held }) => sum + (held?.rejected ?? 0), 0)
}

function asideSentence(report: StatusReport): readonly Sentence[] {
  const rows = rowsAside(report)
  if (rows === 0) return []
  const hint = '"backfill status --held" says why; when the cause is gone, "backfill retry --held" tries them again'
  return [{ message: `${plural(rows, 'row is', 'rows are')} set aside with a reason, and not in the table`, hint }]
}

function retryingSentence({ count, task }: Retrying, now: number): Sentence {
  const what = plural(count, 'task is', 'tasks are')
  if (task === null) return { message: `${what} retrying; the next try is due now`, hint: null }
  const why = task.message === null ? '' : `: ${task.code ?? 'unknown'}: ${clean(task.message)}`
  return {
    message: `${what} retrying${why}; ${nextTry(task, now)}`,
    hint: task.hint === null ? null : clean(task.hint),
  }
}

function nextTry({ state, readyAt }: Task, now: number): string {
  if (state === 'leased') return 'it is being tried now'
  return readyAt === null || readyAt <= now ? 'the next try is due now' : `next try at ${clockText(readyAt, now)}`
}

/** What is wrong, and what to do. */
export function problemSentence(problem: StatusProblem, now: number): Sentence {
  const { count, run } = problem
  switch (problem.code) {
    case 'dead_tasks':
      return {
        message: `${plural(count, 'task is', 'tasks are')} dead`,
        hint: 'read why below, then run "backfill retry --task N" or "--code CODE"',
      }
    case 'source_parked':
      return parkedSentence(problem, now)
    case 'seed_cut_off':
      return seedSentence(problem, now)
    case 'secret_ends':
      return secretSentence(problem, now)
    case 'count_differs':
      return {
        message: `${plural(count, 'finished walk differs', 'finished walks differ')} from the source's own count${example(problem)}`,
        hint: 'run "backfill verify" to see what is missing; "backfill seed --force" of it walks it again, which ends this',
      }
    case 'verify_differs':
      return {
        message:
          problem.findings === undefined
            ? `the last verify (${since(run, now)}) found ${localTimes(clean(run?.reason ?? 'differences'), now)}`
            : findingsSentence(problem.findings, now),
        hint: 'run "backfill verify" to see what to do, and once more when that is done: it ends this',
      }
    case 'unknown_stream':
      return {
        message: `${plural(count, 'task is', 'tasks are')} of streams that no definition of the workspace names: no worker claims them`,
        hint: 'put the definition back, or its mistakes right; the streams are those with "not in backfill.yaml" below',
      }
    case 'stuck_worker':
      return {
        message: `worker ${run?.pid ?? 0} has made no progress since ${since(run, now)}`,
        hint: `look at it ("ps -p ${run?.pid ?? 0}"); if it hangs, end it: the next worker goes on`,
      }
    case 'run_cut_off':
      return {
        message: `worker ${run?.pid ?? 0} was last seen at ${since(run, now)} and is gone (killed, or power lost)`,
        hint: 'nothing is lost: the next worker takes its tasks over',
      }
    case 'run_failed':
      return { message: failedSentence(run, now), hint: 'read the log in .backfill/log' }
    case 'no_worker':
      return {
        message: `${plural(count, 'task is', 'tasks are')} due and no worker ${run === null ? 'ever ran' : `ran since ${since(run, now)}`}`,
        hint: 'look at the crontab, or run "backfill worker"',
      }
  }
}

/** `verify found 2 discrepancies and 1 partition unproven, acme.users a (09:00) among them`. */
function findingsSentence(found: readonly FindingCount[], now: number): string {
  const discrepancies = found.reduce((sum, one) => sum + one.discrepancies, 0)
  const unproven = found.reduce((sum, one) => sum + one.unproven, 0)
  const parts = [
    ...(discrepancies > 0 ? [plural(discrepancies, 'discrepancy', 'discrepancies')] : []),
    ...(unproven > 0 ? [`${plural(unproven, 'partition')} unproven`] : []),
  ]
  const shown = (found.find((one) => one.discrepancies > 0) ?? found[0])?.example
  if (shown === undefined) return 'verify found differences'
  const name = `${shown.source}.${shown.stream} ${clean(partitionLabel(shown.partition))} (${clockText(shown.foundAt, now)})`
  const head = `verify found ${parts.join(' and ')}`
  return discrepancies + unproven === 1 ? `${head}: ${name}` : `${head}, ${name} among them`
}

/** `: acme.users a`, or `, acme.users a among them`. */
function example({ count, task }: StatusProblem): string {
  if (task === undefined) return ''
  const name = `${task.source}.${task.stream} ${clean(partitionLabel(task.partition))}`
  return count === 1 ? `: ${name}` : `, ${name} among them`
}

function parkedSentence({ parking }: StatusProblem, now: number): Sentence {
  if (parking === undefined) return { message: 'a source is parked', hint: null }
  const { source, reason, since: from, until, code, message, hint } = parking
  const next = until > now ? `until ${clockText(until, now)}` : 'and is asked again by the next task'
  return {
    message: `${source} is parked since ${clockText(from, now)} ${next} (${code}: ${clean(message)})`,
    // What no waiting heals has an instruction of its own.
    hint:
      reason === 'credentials' && hint !== null
        ? clean(hint)
        : `it goes on by itself when it answers; to ask it at once, run "backfill resume ${source}"`,
  }
}

function seedSentence({ seed }: StatusProblem, now: number): Sentence {
  if (seed === undefined) return { message: 'a seed was cut off', hint: null }
  const what = `the seed of ${seed.scope === 'all' ? 'everything' : clean(seed.scope)} begun at ${clockText(seed.begunAt, now)}`
  const again = 'run the same "backfill seed" again, with its flags: it makes what is missing'
  if (seed.isGone) return { message: `${what} was cut off (killed, or power lost): tasks are missing`, hint: again }
  return {
    message: `${what} has not come to its end: tasks are missing`,
    hint: `where it does not run any more, ${again}`,
  }
}

function secretSentence({ secret }: StatusProblem, now: number): Sentence {
  if (secret === undefined) return { message: 'a client secret ends soon', hint: null }
  const { source, validUntil } = secret
  const when = clockText(validUntil, now)
  return {
    message: `the client secret of ${source} ${validUntil <= now ? `ended at ${when}` : `ends at ${when}, in ${duration(validUntil - now)}`}`,
    hint: `make a new one at the source and write it into .env; where ${source} is parked, run "backfill resume ${source}"`,
  }
}

function failedSentence(run: RunRecord | null, now: number): string {
  const why = localTimes(clean(run?.reason ?? ''), now)
  const end = why === '' ? '' : `: ${why}`
  return `the last run (${run?.command ?? 'worker'}, ${since(run, now)}) failed with exit ${run?.exitCode ?? 1}${end}`
}

function since(run: RunRecord | null, now: number): string {
  return run === null ? 'unknown' : clockText(run.finishedAt ?? run.touchedAt, now)
}

function openCount(report: StatusReport): number {
  return report.streams.reduce((sum, { counts }) => sum + counts.ready + counts.leased, 0)
}

function dueTasks(report: StatusReport): number {
  return report.streams.reduce((sum, { counts }) => sum + counts.ready - counts.waiting + counts.leased, 0)
}
