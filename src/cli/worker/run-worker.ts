/**
 * Runs `backfill worker`: takes the lock, opens the queue, records the run, and lets the use case work. Owns the order of opening and the exit code; what is
 * heavy (HTTP client, Postgres driver, embedded server) is opened only when a task is due.
 */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../clock/system-clock.js'
import { DestinationUnavailable, TemporaryFailure } from '../../domain/errors.js'
import { redactor } from '../../log/redact.js'
import { stuckAfterMs } from '../../status/verdict.js'
import type { StoresFound } from '../../worker/reconcile.js'
import type { WorkerReport } from '../../worker/types.js'
import type { Asked } from '../asked.js'
import { checkQueueFile, openClient, openDestination, openWorkspaceLock, openWorkspaceLog } from '../compose.js'
import { type OpenQueue, openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes, failureOf } from '../exit.js'
import { type Opened, withOpened } from '../opened.js'
import { complain, complainOf, say, sayJson } from '../say.js'
import { withSettings } from '../settings.js'
import type { Stop } from '../signals.js'
import { plural } from '../text.js'
import { clockText } from '../zone.js'
import { workerDocument } from './document.js'
import { openWorkerScreen } from './screen.js'
import { newsLines, summaryLines } from './view.js'

export interface WorkerFlags {
  readonly json: boolean | undefined
  readonly 'max-runtime': number | undefined
  readonly 'max-requests': number | undefined
  readonly 'max-tasks': number | undefined
  readonly claim: number | undefined
  readonly concurrency: number | undefined
  readonly 'until-empty': boolean
  readonly 'page-size': number | undefined
}
type WorkerAsked = Asked<WorkerFlags>

const unattendedRuntimeMs = 4 * 3_600_000
/** A flush in flight may take its deadline of two minutes. */
const graceMs = 180_000
/** Heartbeats come every two seconds. */
const secondLookMs = 5000
/** A longer one fires at once. */
const longestTimerMs = 2 ** 31 - 1

/** Answers the exit code. */
export async function runWorkerCommand(asked: WorkerAsked, stop: Stop): Promise<number> {
  checkQueueFile(asked.workspace)
  return withOpened(async (opened) => {
    const lock = await openWorkspaceLock(asked.workspace)
    const held = await lock.acquire('worker')
    if (held === null) return standAside(asked, opened, await lock.holder())
    opened.keep(held, (one) => one.release())
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'hold'), (one) => one.close())
    return work(asked, { opened, queue, signal: AbortSignal.any([stop.signal, held.lost]), lost: held.lost, stop })
  })
}

/** Another worker is at work: no failure, unless it has been silent for ten minutes. Silent itself without a terminal. */
async function standAside(
  asked: WorkerAsked,
  opened: Opened,
  holder: { readonly pid: number } | null,
): Promise<number> {
  const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'read'), (one) => one.close())
  const sight = async () =>
    (await queue.runs(20)).find(({ command, finishedAt }) => command === 'worker' && finishedAt === null)
  let run = await sight()
  if (run !== undefined && systemClock.now() - run.touchedAt > stuckAfterMs) {
    // A machine that slept, or a clock that was set: a worker that is well shows it in a moment.
    await systemClock.sleep(secondLookMs)
    run = await sight()
  }
  const pid = holder?.pid ?? run?.pid ?? null
  const who = pid === null ? 'another worker' : `worker ${pid}`
  const now = systemClock.now()
  if (run !== undefined && (pid === null || run.pid === pid) && now - run.touchedAt > stuckAfterMs) {
    throw new TemporaryFailure(
      'stuck_worker',
      `start found ${who} without progress since ${clockText(run.touchedAt, now)}`,
      {
        hint: `look at it ("ps -p ${pid ?? 'PID'}"); if it hangs, end it: the next worker goes on`,
      },
    )
  }
  if (asked.flags.json === true) sayJson({ end: 'another worker', holder: { pid }, exit_code: exitCodes.done })
  else if (hasTerminal())
    say(
      `${who} is at work since ${run === undefined ? 'a moment ago' : clockText(run.startedAt, now)}; nothing to do here`,
    )
  return exitCodes.done
}

interface Work {
  readonly opened: Opened
  readonly queue: OpenQueue
  readonly signal: AbortSignal
  readonly lost: AbortSignal
  readonly stop: Stop
}

async function work(asked: WorkerAsked, { opened, queue, signal, lost, stop }: Work): Promise<number> {
  const runId = randomUUID()
  const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'worker', run: runId })
  const screen = opened.keep(await openWorkerScreen(asked), (one) => one.close())
  const { runWorker } = await import('../../worker/worker.js')
  const { isComparisonDue, reconcileStores } = await import('../../worker/reconcile.js')
  await queue.beginRun({ id: runId, command: 'worker', pid: process.pid })
  endAfterGrace(optionsOf(asked).maxRuntimeMs)
  const connect = async () => {
    const destination = await openDestination(asked.workspace, { opened, queue, log, signal: lost })
    try {
      const { repair, budget } = queue
      const stores = { queue, repair, budget, destination, ledger: destination.ledger, log }
      const found = await reconcileStores(runId, stores)
      tellStores(found)
      return { destination, found }
    } catch (error) {
      await destination.close()
      throw error
    }
  }
  const report = await runWorker(
    { ...optionsOf(asked), runId, signal, timezone: asked.workspace.timezone },
    {
      queue,
      follows: queue.follows,
      budget: queue.budget,
      controls: queue.controls,
      clock: systemClock,
      log,
      open: async (budget) => {
        const { boundHeap } = await import('./bound-heap.js')
        boundHeap()
        const { destination } = await connect()
        try {
          return { destination, client: await openClient(asked.workspace, { budget, log }) }
        } catch (error) {
          await destination.close()
          throw error
        }
      },
      compareStores: async () => {
        if (!(await isComparisonDue(queue.repair, systemClock.now()))) return false
        try {
          const { destination, found } = await connect()
          await destination.close()
          return found.reopened > 0
        } catch (error) {
          // Nothing is due, so nobody misses the database now.
          if (!(error instanceof DestinationUnavailable)) throw error
          log('warn', 'stores not compared', { reason: error.message })
          return false
        }
      },
      onEvent: screen.show,
      random: Math.random,
      uuid: randomUUID,
    },
  )
  screen.close()
  const failed = named(lost.aborted ? lockLost(report) : report, stop)
  const exitCode = exitCodeOf(failed, stop)
  await queue.touchRun(runId, {
    requests: report.requests,
    done: report.done,
    dead: report.died.length,
    rows: report.rows,
  })
  await queue.endRun(runId, { exitCode, reason: failed.reason })
  if (report.end !== 'nothing due')
    log('info', 'run ended', {
      reason: failed.reason,
      exit_code: exitCode,
      requests: report.requests,
      rows: report.rows,
      done: report.done,
    })
  tell(asked, failed, exitCode)
  return exitCode
}

/** One of the stores was put back from a backup: what was done about it. */
function tellStores({ reopened, isQueueOlder }: StoresFound): void {
  if (reopened > 0)
    complain(
      `The database was put back to an earlier moment: ${plural(reopened, 'task that was done is', 'tasks that were done are')} ready again`,
    )
  if (isQueueOlder)
    complain(
      'queue.db was put back to an earlier moment: budgets count as used up, what is done is adopted as it is claimed; for tasks made since then run "backfill seed --from-ledger"',
    )
}

/** A worker that does not end after its deadline would hold the lock for ever: the process ends, as a kill would end it. */
function endAfterGrace(maxRuntimeMs: number | null): void {
  if (maxRuntimeMs === null) return
  const timer = setTimeout(
    () => {
      complain('Error: end the run found it still at work three minutes after its deadline')
      process.exit(exitCodes.temporary)
    },
    Math.min(maxRuntimeMs + graceMs, longestTimerMs),
  )
  timer.unref()
}

function optionsOf({ workspace, flags, streams, filter, today }: WorkerAsked) {
  const configured = flags['max-runtime'] ?? workspace.maxRuntimeMs
  return {
    streams: withSettings(streams, { pageSize: flags['page-size'], claim: flags.claim }),
    filter,
    today,
    timezone: workspace.timezone,
    maxRuntimeMs: configured ?? (hasTerminal() ? null : unattendedRuntimeMs),
    maxRequests: flags['max-requests'] ?? null,
    maxTasks: flags['max-tasks'] ?? null,
    claim: flags.claim ?? null,
    concurrency: flags.concurrency ?? null,
    untilEmpty: flags['until-empty'],
    metricsIntervalMs: workspace.metrics.enabled ? workspace.metrics.intervalMs : null,
  }
}

function lockLost(report: WorkerReport): WorkerReport {
  const failure = new TemporaryFailure(
    'lock_lost',
    'hold the lock of the workspace found it taken by another process',
    {
      hint: 'nothing is lost; look for a second worker or a copied workspace',
    },
  )
  return { ...report, failure: report.failure ?? failure }
}

/** The first that applies of DESIGN.md §9's order: bug, configuration, temporary, died; then the signal. */
function exitCodeOf(report: WorkerReport, stop: Stop): number {
  const failure = report.failure === null ? null : failureOf(report.failure).exitCode
  if (failure === exitCodes.bug) return exitCodes.bug
  if (report.refused.some(({ error }) => failureOf(error).exitCode === exitCodes.bug)) return exitCodes.bug
  if (failure === exitCodes.usage || report.refused.length > 0) return exitCodes.usage
  if (failure !== null) return exitCodes.temporary
  const needsLook = [report.died, report.differing, report.shrunk, report.parked].some((list) => list.length > 0)
  if (needsLook) return exitCodes.attention
  return stop.exitCode() ?? exitCodes.done
}

/** The reason as `status` and the summary give it: the failure before the signal, the signal before the rest. */
function named(report: WorkerReport, stop: Stop): WorkerReport {
  const name = stop.name()
  const failure = report.failure ?? report.refused[0]?.error
  if (failure !== undefined) return { ...report, reason: failure.message }
  return name === null ? report : { ...report, reason: `signal ${name}` }
}

/** People at a terminal get a summary; cron gets nothing but news: what died, what was refused, what failed. */
function tell(asked: WorkerAsked, report: WorkerReport, exitCode: number): void {
  const redact = redactor(asked.workspace.environment)
  if (asked.flags.json === true) sayJson(workerDocument(report, exitCode))
  else if (hasTerminal()) for (const line of summaryLines(report, systemClock.now())) say(line)
  for (const { error } of report.refused) complainOf(failureOf(error), redact)
  if (report.failure !== null) complainOf(failureOf(report.failure), redact)
  if (asked.flags.json !== true) for (const line of newsLines(report)) complain(line)
}

function hasTerminal(): boolean {
  return process.stdout.isTTY || process.stderr.isTTY
}
