/**
 * Turns what an operator asked for into tasks. Owns the order of planning: the backfill is begun, tasks go in a thousand a transaction, and it is marked
 * planned last; a seed that dies on the way is completed by the same command. Asks no API and touches no Postgres.
 */
import { ConfigError, StoppedError } from '../domain/errors.js'
import { hasMovingDates } from '../domain/moving-dates.js'
import type { Partition } from '../domain/partition.js'
import { partitionsOf, rowsOf } from '../domain/plan.js'
import type { EnqueueResult, NewTask } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import { followsAll, taskPartitions } from './fan-out.js'
import { partitionsFromLines } from './from-file.js'
import type { SeedDeps, SeedReport, SeedRequest } from './types.js'

/** Tasks in one transaction: a few ms, so that a worker beside it never waits long. */
const chunkSize = 1000
/** Open tasks that the report names. */
const namedOpen = 1000

/**
 * Idempotent: a partition that has an open task, or a finished one, is left alone and counted (unless `force`).
 * @throws ConfigError `nothing_to_seed` where the selection has no partition.
 */
export async function seed(request: SeedRequest, deps: SeedDeps): Promise<SeedReport> {
  if (request.streams.length === 0) {
    throw new ConfigError('no_source', 'seed found no source in this workspace', {
      hint: 'describe one in sources/NAME.yaml, or list a shipped one under "sources" in backfill.yaml',
    })
  }
  const planned = await plan(request)
  const fingerprint = JSON.stringify([request.scope, request.order, request.priority ?? 0, request.force])
  const { scope, force: isForced } = request
  const backfillId = await deps.queue.beginBackfill({ scope, fingerprint, reason: 'seed', isForced })
  const byStream: SeedReport['byStream'][number][] = []
  await followSelected(request, deps)
  const open: Task[] = []
  let superseded = 0
  for (const { selected, partitions } of planned) {
    const sum = { created: 0, alreadyDone: 0, alreadyOpen: 0 }
    for (const tasks of chunks(selected, partitions, request.priority ?? selected.stream.settings.priority ?? 0)) {
      if (request.signal.aborted) throw new StoppedError()
      const options = { supersede: request.force, skipDone: !request.force }
      const result = await deps.queue.enqueue(backfillId, tasks, options)
      add(sum, result)
      superseded += result.superseded
      open.push(...result.open.slice(0, namedOpen - open.length))
    }
    const follows = followsAll(selected.stream, request) ? followedName(selected) : null
    byStream.push({ source: selected.source.name, stream: selected.stream.name, ...sum, follows })
  }
  // Before the last word: a seed that is called planned is not typed again, and later days would never come.
  await goOnWithCalendar(request, deps)
  await deps.queue.finishPlanning(backfillId)
  const report = total(byStream, { superseded, open })
  const isAnything = byStream.some(({ follows }) => follows !== null)
  if (report.created + report.alreadyDone + report.alreadyOpen === 0 && !isAnything) throw nothingToSeed()
  deps.log('info', 'seeded', {
    scope: request.scope,
    created: report.created,
    superseded,
    already_done: report.alreadyDone,
  })
  return report
}

/** What the request selects: partitions lazily, or those of the file. */
export async function plan(
  request: SeedRequest,
): Promise<readonly { readonly selected: SelectedStream; readonly partitions: Iterable<Partition> }[]> {
  const { streams, filter, today, order, force } = request
  const named =
    request.lines !== null
      ? await partitionsFromLines(request.lines, streams, { filter, today, order })
      : streams.map((selected) => ({
          selected,
          partitions: followsAll(selected.stream, request)
            ? []
            : partitionsOf(selected.stream, selected.source, { filter, today, order }),
        }))
  return named.map(({ selected, partitions }) => ({
    selected,
    partitions: taskPartitions(selected.stream, partitions, force),
  }))
}

/** From now on the worker makes the tasks of streams that follow others, and those of changes. */
async function followSelected({ streams, filter, lines, force }: SeedRequest, deps: SeedDeps): Promise<void> {
  for (const { source, stream } of streams) {
    if (stream.fanOut === null && stream.incremental === null) continue
    const isAll = followsAll(stream, { filter, lines })
    const fullBefore = isAll && force ? deps.clock.now() : null
    await deps.follows.follow({ source: source.name, stream: stream.name }, { isAll, fullBefore })
  }
}

/** A stream that was seeded whole has its partitions up to today; the worker lets in those of later days where it comes round by itself. */
async function goOnWithCalendar({ streams, filter, lines, today }: SeedRequest, deps: SeedDeps): Promise<void> {
  if (lines !== null || Object.keys(filter).length > 0) return
  for (const { source, stream } of streams) {
    if (stream.fanOut !== null || stream.incremental !== null || !hasMovingDates(stream, source)) continue
    const name = { source: source.name, stream: stream.name }
    // The day comes first: a stream that is followed has one.
    await deps.follows.planned(name, { seen: today })
    await deps.follows.follow(name, { isAll: true, fullBefore: null })
  }
}

function followedName({ source, stream }: SelectedStream): string | null {
  const rows = rowsOf(stream, source)
  return rows === null ? null : `${source.name}.${rows.dimension.stream}`
}

function nothingToSeed(): ConfigError {
  return new ConfigError('nothing_to_seed', 'seed found no partition in what was selected', {
    hint: 'check the dimension flags, and the lists of the source in backfill.yaml',
  })
}

function* chunks(
  selected: SelectedStream,
  partitions: Iterable<Partition>,
  priority: number,
): Generator<readonly NewTask[]> {
  const name = { source: selected.source.name, stream: selected.stream.name, priority }
  let tasks: NewTask[] = []
  for (const partition of partitions) {
    tasks.push({ ...name, partition })
    if (tasks.length < chunkSize) continue
    yield tasks
    tasks = []
  }
  if (tasks.length > 0) yield tasks
}

interface Sum {
  created: number
  alreadyDone: number
  alreadyOpen: number
}

function add(sum: Sum, result: EnqueueResult): void {
  sum.created += result.created
  sum.alreadyDone += result.alreadyDone
  sum.alreadyOpen += result.openCount
}

function total(
  byStream: SeedReport['byStream'],
  rest: { readonly superseded: number; readonly open: readonly Task[] },
): SeedReport {
  const sum: Sum = { created: 0, alreadyDone: 0, alreadyOpen: 0 }
  for (const stream of byStream) {
    sum.created += stream.created
    sum.alreadyDone += stream.alreadyDone
    sum.alreadyOpen += stream.alreadyOpen
  }
  return { ...sum, ...rest, byStream }
}
