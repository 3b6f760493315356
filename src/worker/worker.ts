/**
 * One run of `backfill worker`: takes back what the dead left, lets due rounds come round, works every source until nothing is due or the run must end, and
 * reports. The caller holds the workspace's lock. Nothing heavy is loaded unless something is due.
 */
import { BackfillError, DestinationUnavailable, StoppedError } from '../domain/errors.js'
import type { BackfillPlan, Destination, NewTask, StreamTable, TaskFilter } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Stream } from '../domain/source-model.js'
import { CappedBudget } from './capped-budget.js'
import { asError } from './fate.js'
import { keepsWatermarks } from './mark.js'
import { letInNewDates } from './new-dates.js'
import { followingStreams, isPlanDue, Planner } from './planner.js'
import { Run } from './run.js'
import type { LoopDeps, SourceLoop } from './source-loop.js'
import { StreamCaps } from './stream-caps.js'
import type { WorkerDeps, WorkerOptions, WorkerReport } from './types.js'
import { WaitingRows } from './waiting-rows.js'
import { type HoldBacks, heldBackText, workableAt, workableStreams } from './workable.js'

const heartbeatMs = 2000
/** A worker that waits notices a pause or a resume in this time. */
const controlsLookMs = 3000
type RunDeps = WorkerDeps & { readonly budget: CappedBudget; readonly caps: StreamCaps }
/** Partitions of one round are enqueued so many a transaction. */
const enqueueSize = 1000

/** Runs until the end that the report names. Failures are in the report, not thrown: what was done before them counts. */
export async function runWorker(options: WorkerOptions, deps: WorkerDeps): Promise<WorkerReport> {
  const run = new Run(options, deps.clock)
  const caps = new StreamCaps(options.streams, deps.log)
  const budget = new CappedBudget(deps.budget, { max: options.maxRequests, streams: caps }, () => {
    run.close('max requests', `${String(options.maxRequests)} requests were sent`)
  })
  try {
    await deps.controls.adjustToClock()
    await reclaim(run, options, deps)
    await letInNewDates(options, deps)
    await startRounds(options, deps)
    const isDue =
      (await hasDueWork(options, deps)) ||
      (await isPlanDue(options.streams, deps)) ||
      ((await deps.compareStores?.()) ?? false)
    if (isDue) await workWithTimers(run, options, { ...deps, budget, caps })
  } catch (error) {
    run.fail(asError(error))
  }
  return report(run, options, { ...deps, budget, caps })
}

async function reclaim(run: Run, options: WorkerOptions, deps: WorkerDeps): Promise<void> {
  const { reclaimed, dead } = await deps.queue.reclaim(options.runId)
  if (reclaimed.length > 0) {
    deps.log('warn', 'tasks reclaimed from a dead worker', { tasks: reclaimed.map((task) => task.id) })
    deps.onEvent({ type: 'reclaimed', tasks: reclaimed })
  }
  for (const task of dead) {
    const message = `run task ${task.number} ended with the death of the worker ten times in a row`
    run.recordDeath(task, { code: task.code ?? 'crash_loop', message: task.message ?? message, hint: task.hint })
  }
}

/** A stream with `every` comes round by itself: a new task for each partition whose time has come. */
async function startRounds(options: WorkerOptions, deps: WorkerDeps): Promise<void> {
  for (const { source, stream } of options.streams) {
    if (stream.everyMs === null || keepsWatermarks(stream)) continue
    const name = { source: source.name, stream: stream.name }
    const due = await deps.queue.dueRounds(name, stream.everyMs)
    if (due.length === 0) continue
    const scope = `every ${source.name}.${stream.name}`
    // Each round is a backfill of its own: one that a kill left unplanned must not take what is due now for done.
    const plan: BackfillPlan = { scope, fingerprint: `${scope} ${deps.uuid()}`, reason: 'every' }
    const backfill = await deps.queue.beginBackfill(plan)
    const tasks: NewTask[] = due.map((partition) => ({ ...name, partition, priority: stream.settings.priority ?? 0 }))
    for (let at = 0; at < tasks.length; at += enqueueSize) {
      await deps.queue.enqueue(backfill, tasks.slice(at, at + enqueueSize), { supersede: false, skipDone: false })
    }
    await deps.queue.finishPlanning(backfill)
    deps.log('info', 'round started', { stream: `${source.name}.${stream.name}`, tasks: tasks.length })
  }
}

function filterOf(options: Pick<WorkerOptions, 'filter'>, selected: readonly SelectedStream[]): TaskFilter {
  const streams = selected.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
  return { streams, partitions: options.filter }
}

/** What is paused or parked is no reason to connect to anything. */
async function hasDueWork(options: WorkerOptions, deps: WorkerDeps): Promise<boolean> {
  if (options.untilEmpty) return (await deps.queue.nextDueAt(filterOf(options, options.streams))) !== null
  const workable = workableStreams(options.streams, await holdBacksOf(options, deps))
  const dueAt = await deps.queue.nextDueAt(filterOf(options, workable))
  return dueAt !== null && dueAt <= deps.clock.now()
}

/** What holds streams back now. */
async function holdBacksOf(
  options: Pick<WorkerOptions, 'timezone'>,
  deps: Pick<WorkerDeps, 'controls' | 'clock'> & { readonly caps?: StreamCaps },
): Promise<HoldBacks> {
  const capped = deps.caps?.reached ?? new Map<string, string>()
  return { state: await deps.controls.read(), now: deps.clock.now(), timezone: options.timezone, capped }
}

async function workWithTimers(run: Run, options: WorkerOptions, deps: RunDeps): Promise<void> {
  const timers = new AbortController()
  const deadline = stopAtDeadline(run, deps, timers.signal)
  const heartbeat = beat(run, options, { ...deps, signal: timers.signal })
  const metrics = logMetrics(run, options, { ...deps, signal: timers.signal })
  try {
    await work(run, options, deps)
  } finally {
    timers.abort()
    await Promise.all([deadline, heartbeat, metrics])
  }
}

async function stopAtDeadline(run: Run, deps: WorkerDeps, signal: AbortSignal): Promise<void> {
  if (run.deadlineAt === null) return
  try {
    await deps.clock.sleep(run.deadlineAt - deps.clock.now(), signal)
    run.stop('deadline', 'the longest run time was reached')
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error
  }
}

async function beat(run: Run, options: WorkerOptions, deps: RunDeps & { readonly signal: AbortSignal }): Promise<void> {
  for (let before = ''; ; ) {
    try {
      await deps.clock.sleep(heartbeatMs, deps.signal)
    } catch {
      return
    }
    const totals = totalsOf(run, deps)
    const now = `${JSON.stringify(totals)} ${run.flushed}`
    // A sign of progress, not of life: a run that hangs must look like one to the next.
    if (now === before && !run.isWaiting && !deps.budget.isWaiting) continue
    before = now
    await touch(options.runId, totals, deps)
  }
}

/** A queue that is busy for a moment must not make a run that works look dead. */
async function touch(
  runId: string,
  totals: ReturnType<typeof totalsOf>,
  deps: Pick<WorkerDeps, 'queue' | 'log'>,
): Promise<void> {
  await deps.queue.touchRun(runId, totals).catch((error: unknown) => {
    deps.log('warn', 'heartbeat failed', { reason: String(error) })
  })
}

/** The run's figures so far, every `metrics.interval`, for whoever reads the log. */
async function logMetrics(
  run: Run,
  options: WorkerOptions,
  deps: WorkerDeps & { readonly signal: AbortSignal },
): Promise<void> {
  if (options.metricsIntervalMs === null) return
  try {
    for (;;) {
      await deps.clock.sleep(options.metricsIntervalMs, deps.signal)
      deps.log('info', 'metrics', {
        ...totalsOf(run, deps),
        retrying: run.retrying,
        seconds: Math.round((deps.clock.now() - run.startedAt) / 1000),
      })
    }
  } catch (error) {
    if (!(error instanceof StoppedError)) throw error
  }
}

function totalsOf(run: Run, deps: WorkerDeps): { requests: number; done: number; dead: number; rows: number } {
  return { requests: deps.budget.sent, done: run.done, dead: run.died.length, rows: run.rows }
}

async function work(run: Run, options: WorkerOptions, deps: RunDeps): Promise<void> {
  const { destination, client } = await deps.open(deps.budget)
  try {
    const waiting = new WaitingRows(streamsOf(options), { ...deps, run, destination })
    const planner = new Planner(options.streams, {
      ...deps,
      ...options,
      destination,
      onRefused: ({ source, stream }, error) => {
        if (run.refused.some((one) => one.source === source.name && one.stream === stream.name)) return
        run.refused.push({ source: source.name, stream: stream.name, error })
      },
    })
    await planner.plan()
    const loopDeps: LoopDeps = { ...deps, run, destination, client, waiting, planner }
    const tables = new Map<SelectedStream, StreamTable>()
    await whileWatching(waiting, async () => {
      let claimed: number
      do {
        claimed = run.claimed
        await openTables(run, options, { ...deps, destination, tables })
        const loops = await loopsOf(run, options, { ...loopDeps, tables })
        await Promise.all(loops.map((loop) => loop.work()))
      } while (await waitForMore(run, options, { ...deps, hasClaimed: run.claimed > claimed }))
    })
    await waiting.finish()
    if (run.failure === null && run.end !== 'signal') await planner.finish()
  } finally {
    await client.close()
    await destination.close()
  }
}

/** All streams of the sources at work, those of this run as it was asked to treat them. */
function streamsOf(options: WorkerOptions): readonly Stream[] {
  const own = options.streams.map(({ stream }) => stream)
  const all = options.streams.flatMap(({ source }) => Object.values(source.streams))
  return [...new Map([...all, ...own].map((stream) => [`${stream.source}.${stream.name}`, stream])).values()]
}

async function whileWatching(waiting: WaitingRows, work: () => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const watching = waiting.watch(stop.signal)
  try {
    await work()
  } finally {
    stop.abort()
    await watching
  }
}

/** Checks each stream that has work against its table, before a request is spent. One that does not fit stops only itself. */
async function openTables(
  run: Run,
  options: WorkerOptions,
  deps: WorkerDeps & { readonly destination: Destination; readonly tables: Map<SelectedStream, StreamTable> },
): Promise<void> {
  const following = new Set(await followingStreams(options.streams, deps.follows))
  for (const selected of options.streams) {
    const { source, stream } = selected
    const isKnown =
      deps.tables.has(selected) || run.refused.some((one) => one.source === source.name && one.stream === stream.name)
    if (isKnown || run.signal.aborted) continue
    const filter = { streams: [{ source: source.name, stream: stream.name }], partitions: options.filter }
    // The tasks of a stream that follows another may be made at any moment.
    if (!following.has(selected) && (await deps.queue.nextDueAt(filter)) === null) continue
    try {
      deps.tables.set(selected, await deps.destination.openTable(stream))
    } catch (error) {
      if (error instanceof DestinationUnavailable || !(error instanceof BackfillError)) throw error
      run.refused.push({ source: source.name, stream: stream.name, error })
      deps.log('error', 'stream refused', {
        stream: `${source.name}.${stream.name}`,
        code: error.code,
        message: error.message,
      })
    }
  }
}

async function loopsOf(
  run: Run,
  options: WorkerOptions,
  deps: LoopDeps & { readonly tables: ReadonlyMap<SelectedStream, StreamTable> },
): Promise<SourceLoop[]> {
  const bySource = new Map<string, { selected: SelectedStream; table: StreamTable }[]>()
  for (const [selected, table] of deps.tables) {
    const isRefused = run.refused.some(
      (one) => one.source === selected.source.name && one.stream === selected.stream.name,
    )
    if (isRefused) continue
    const streams = bySource.get(selected.source.name) ?? []
    streams.push({ selected, table })
    bySource.set(selected.source.name, streams)
  }
  // A run with nothing due, as most of cron's are, never loads it.
  const { SourceLoop } = await import('./source-loop.js')
  return [...bySource].map(([name, streams]) => new SourceLoop(name, streams, { options, deps }))
}

/** With `--until-empty`: waits for the next due task or the budget. False: the run ends here. */
async function waitForMore(
  run: Run,
  options: WorkerOptions,
  deps: RunDeps & { readonly hasClaimed: boolean },
): Promise<boolean> {
  if (run.end !== null) return false
  const open = options.streams.filter(
    ({ source, stream }) =>
      !run.refused.some((one) => one.source === source.name && (one.stream === null || one.stream === stream.name)),
  )
  const times = await dueTimes(open, run, { options, deps })
  if (times.length === 0) {
    const held = heldBackText(await holdBacksOf(options, deps), open)
    // A look at what others had moved that found nothing to do: nothing was due.
    if (held === '' && run.claimed === 0) return false
    run.close('empty', held === '' ? 'the queue has nothing left to do' : `nothing else is left to do: ${held}`)
    return false
  }
  // What is due but was not claimed (another command holds it, say) is looked for again after a moment, not in a busy loop.
  const until = Math.max(Math.min(...times), deps.clock.now() + (deps.hasClaimed ? 0 : 1000))
  const patience = options.untilEmpty ? Number.POSITIVE_INFINITY : run.closed.size > 0 ? 120_000 : 0
  if (until - deps.clock.now() > patience || (run.deadlineAt !== null && until >= run.deadlineAt)) return false
  if (until <= deps.clock.now()) return true
  deps.onEvent({ type: 'waiting', source: [...run.closed.keys()][0] ?? null, until })
  run.isWaiting = true
  try {
    await sleepUntil(until, run, deps)
  } catch (error) {
    if (error instanceof StoppedError) return false
    throw error
  } finally {
    run.isWaiting = false
  }
  for (const [source, opensAt] of run.closed) if (opensAt <= deps.clock.now()) run.closed.delete(source)
  return true
}

/** Until then, or until somebody pauses or resumes something: looked for every few seconds. */
async function sleepUntil(until: number, run: Run, deps: WorkerDeps): Promise<void> {
  const before = JSON.stringify(await deps.controls.read())
  while (until > deps.clock.now()) {
    await deps.clock.sleep(Math.min(until - deps.clock.now(), controlsLookMs), run.signal)
    if (JSON.stringify(await deps.controls.read()) !== before) return
  }
}

/** When each stream has something to do that its source's budget, a pause or a parking allows. */
async function dueTimes(
  streams: readonly SelectedStream[],
  run: Run,
  {
    options,
    deps,
  }: { readonly options: WorkerOptions; readonly deps: Pick<RunDeps, 'queue' | 'controls' | 'clock' | 'caps'> },
): Promise<number[]> {
  const holdBacks = await holdBacksOf(options, deps)
  const times: number[] = []
  for (const selected of streams) {
    const opensAt = workableAt(selected, holdBacks)
    const dueAt = opensAt === null ? null : await deps.queue.nextDueAt(filterOf(options, [selected]))
    if (dueAt !== null && opensAt !== null)
      times.push(Math.max(dueAt, opensAt, run.closed.get(selected.source.name) ?? 0))
  }
  return times
}

async function report(run: Run, options: WorkerOptions, deps: RunDeps): Promise<WorkerReport> {
  const closed = run.closedAt(deps.clock.now())
  const nextDueAt =
    run.failure === null ? await deps.queue.nextDueAt(filterOf(options, options.streams)).catch(() => null) : null
  const end =
    run.end ?? (closed.length > 0 ? 'budget' : nextDueAt === null && run.claimed > 0 ? 'empty' : 'nothing due')
  const held =
    run.failure === null
      ? await holdBacksOf(options, deps).then(
          (all) => heldBackText(all, options.streams),
          () => '',
        )
      : ''
  const reason = run.reason ?? [reasonOf(end, closed), held].filter((text) => text !== '').join(': ')
  await touch(options.runId, totalsOf(run, deps), deps)
  return {
    end,
    reason,
    requests: deps.budget.sent,
    rows: run.rows,
    done: run.done,
    died: run.died,
    differing: run.differing,
    shrunk: run.shrunk,
    retrying: run.retrying,
    putBack: run.putBack,
    refused: run.refused,
    closed,
    parked: run.parked,
    failure: run.failure,
    nextDueAt,
  }
}

function reasonOf(
  end: WorkerReport['end'],
  closed: readonly { readonly source: string; readonly opensAt: number }[],
): string {
  if (end !== 'budget') return end === 'empty' ? 'the queue has nothing left to do' : 'nothing is due'
  const named = closed.map(({ source, opensAt }) => `${source} until ${new Date(opensAt).toISOString()}`)
  return `budget closed: ${named.join(', ')}`
}
