/**
 * When a run has something to do: now, soon enough to be waited for, or not any more. Owns how long a run waits; asks the queue, the budget and what holds streams back.
 */
import { StoppedError } from '../domain/errors.js'
import type { TaskFilter } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Run } from './run.js'
import type { StreamCaps } from './stream-caps.js'
import type { WorkerDeps, WorkerOptions } from './types.js'
import { type HoldBacks, heldBackText, workableAt, workableStreams } from './workable.js'

/** A worker that waits notices a pause or a resume in this time. */
const controlsLookMs = 3000
/** How long it waits for a closed budget, where it is not to wait until the queue is empty. */
export const patienceMs = 120_000

type NextWorkDeps = Pick<WorkerDeps, 'queue' | 'controls' | 'clock' | 'onEvent'> & { readonly caps: StreamCaps }

/** Tasks of these streams, and of the partitions that the run was asked for. */
export function filterOf(options: Pick<WorkerOptions, 'filter'>, selected: readonly SelectedStream[]): TaskFilter {
  const streams = selected.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
  return { streams, partitions: options.filter }
}

/** What is paused or parked is no reason to connect to anything. */
export async function hasDueWork(
  options: WorkerOptions,
  deps: Pick<WorkerDeps, 'queue' | 'controls' | 'clock'>,
): Promise<boolean> {
  if (options.untilEmpty) return (await deps.queue.nextDueAt(filterOf(options, options.streams))) !== null
  const workable = workableStreams(options.streams, await holdBacksOf(options, deps))
  const dueAt = await deps.queue.nextDueAt(filterOf(options, workable))
  return dueAt !== null && dueAt <= deps.clock.now()
}

/** What holds streams back now. */
export async function holdBacksOf(
  options: Pick<WorkerOptions, 'timezone'>,
  deps: Pick<WorkerDeps, 'controls' | 'clock'> & { readonly caps?: StreamCaps },
): Promise<HoldBacks> {
  const capped = deps.caps?.reached ?? new Map<string, string>()
  return { state: await deps.controls.read(), now: deps.clock.now(), timezone: options.timezone, capped }
}

/** With `--until-empty`: waits for the next due task or the budget. False: the run ends here. */
export async function waitForMore(
  run: Run,
  options: WorkerOptions,
  deps: NextWorkDeps & { readonly hasClaimed: boolean },
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
  const patience = options.untilEmpty ? Number.POSITIVE_INFINITY : run.closed.size > 0 ? patienceMs : 0
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
async function sleepUntil(until: number, run: Run, deps: NextWorkDeps): Promise<void> {
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
  { options, deps }: { readonly options: WorkerOptions; readonly deps: NextWorkDeps },
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
