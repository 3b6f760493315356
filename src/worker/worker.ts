/**
 * One run of `backfill worker`: takes back what the dead left, lets due rounds come round, works every source until nothing is due or the run must end, and
 * reports. The caller holds the workspace's lock. Nothing heavy is loaded unless something is due.
 */
import { BackfillError, DestinationUnavailable } from '../domain/errors.js'
import type { Destination, StreamTable } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Stream } from '../domain/source-model.js'
import { CappedBudget } from './capped-budget.js'
import { asError } from './fate.js'
import { letInNewDates } from './new-dates.js'
import { hasDueWork, waitForMore } from './next-work.js'
import { followingStreams, isPlanDue, Planner } from './planner.js'
import { startRounds } from './rounds.js'
import { Run } from './run.js'
import { withTimers } from './run-timers.js'
import type { LoopDeps, SourceLoop } from './source-loop.js'
import { StreamCaps } from './stream-caps.js'
import type { WorkerDeps, WorkerOptions, WorkerReport } from './types.js'
import { WaitingRows } from './waiting-rows.js'
import { reportOf } from './worker-report.js'

type RunDeps = WorkerDeps & { readonly budget: CappedBudget; readonly caps: StreamCaps }

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
    const runDeps: RunDeps = { ...deps, budget, caps }
    if (isDue) await withTimers(run, { options, deps: runDeps }, () => work(run, options, runDeps))
  } catch (error) {
    run.fail(asError(error))
  }
  return reportOf(run, options, { ...deps, budget, caps })
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
