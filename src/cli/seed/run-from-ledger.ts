/** Runs `backfill seed --from-ledger`: opens queue (made where it is missing) and database, and says what was put back. */
import { existsSync } from 'node:fs'
import { ConfigError, TemporaryFailure } from '../../domain/errors.js'
import { partitionLabel } from '../../domain/partition.js'
import { type FromLedgerReport, type FromLedgerRequest, judgeLedger, seedFromLedger } from '../../seed/from-ledger.js'
import type { Asked } from '../asked.js'
import { connectUnbound, openWorkspaceLock, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { type Opened, withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { taskDocument } from '../status/document.js'
import { clean, count, plural } from '../text.js'
import type { SeedFlags } from './run-seed.js'

const contradictionsShown = 10

/** Answers the exit code: 0; a dry run that finds a contradiction 3. */
export async function runFromLedger(asked: Asked<SeedFlags>, stop: Stop): Promise<number> {
  const { workspace, flags } = asked
  if (Object.keys(asked.filter).length > 0) {
    throw new ConfigError('usage', 'rebuild the queue found a selection of partitions', {
      hint: 'name sources or streams only: every partition of them is put back',
    })
  }
  const streams = Object.values(workspace.sources).flatMap((source) => Object.values(source.streams))
  const request: FromLedgerRequest = {
    only: asked.isEverything
      ? null
      : asked.streams.map(({ stream }) => ({ source: stream.source, stream: stream.name })),
    configured: streams.map(({ source, name }) => ({ source, stream: name })),
    workspace: workspace.directory,
    adopt: flags.adopt,
    signal: stop.signal,
  }
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, { command: 'seed', from_ledger: true })
    if (!flags['dry-run']) await keepWorkersOut(asked, opened)
    const isMissing = !existsSync(workspace.queueFile)
    const queue =
      flags['dry-run'] && isMissing
        ? null
        : opened.keep(await openWorkspaceQueue(workspace, flags['dry-run'] ? 'create' : 'create-hold'), (one) =>
            one.close(),
          )
    const destination = await connectUnbound(workspace, { opened, log, signal: stop.signal })
    opened.keep(destination, (one) => one.close())
    const store = queue === null ? null : { queue, repair: queue.repair, budget: queue.budget }
    const deps = { store, destination, ledger: destination.ledger, log }
    const report =
      store === null || flags['dry-run']
        ? await judgeLedger(request, deps)
        : await seedFromLedger(request, { ...deps, store })
    if (flags.json === true) sayJson(document(report, flags['dry-run']))
    else for (const line of lines(report, flags['dry-run'])) say(line)
    return report.contradictionCount > 0 ? exitCodes.attention : exitCodes.done
  })
}

/** A worker must not claim from half a queue. */
async function keepWorkersOut({ workspace }: Asked<SeedFlags>, opened: Opened): Promise<void> {
  const lock = await openWorkspaceLock(workspace)
  const held = await lock.acquire('seed')
  if (held === null) {
    throw new TemporaryFailure('worker_at_work', 'rebuild the queue found a worker at work', {
      hint: 'wait until it ends, or end it; then run the command again',
    })
  }
  opened.keep(held, (one) => one.release())
}

function document(report: FromLedgerReport, isDryRun: boolean): unknown {
  const sum = (key: 'done' | 'ready' | 'past' | 'known') => report.streams.reduce((total, one) => total + one[key], 0)
  return {
    dry_run: isDryRun,
    done: sum('done'),
    ready: sum('ready'),
    past: sum('past'),
    known: sum('known'),
    streams: report.streams.map(({ source, stream, isConfigured, done, ready, past, known }) => ({
      source,
      stream,
      is_configured: isConfigured,
      done,
      ready,
      past,
      known,
    })),
    contradiction_count: report.contradictionCount,
    contradictions: report.contradictions.map(({ kind, ledger, queued }) => ({
      kind: kind.replace(' ', '_'),
      ledger: { id: ledger.id, source: ledger.source, stream: ledger.stream, partition: ledger.partition },
      queued: taskDocument(queued),
    })),
    adopted_from: report.adoptedFrom,
  }
}

function lines(report: FromLedgerReport, isDryRun: boolean): readonly string[] {
  const { streams, adoptedFrom } = report
  const unnamed = streams.filter(({ isConfigured }) => !isConfigured)
  const isNew = streams.some(({ done, ready, past }) => done + ready + past > 0)
  return [
    ...(streams.length === 0 ? ['The ledger holds no task of it'] : streams.map(streamLine)),
    ...unnamed.map(
      ({ source, stream }) => `No definition names ${source}.${stream}: its tasks are kept, and none is claimed`,
    ),
    ...contradictionLines(report),
    ...(adoptedFrom === null
      ? []
      : [
          `The database ${isDryRun ? 'would be' : 'is'} bound to this queue from now on; it was bound to that of "${adoptedFrom.workspace}"`,
        ]),
    ...(isDryRun ? ['Changed nothing: this was a dry run'] : []),
    ...(isNew && !isDryRun ? afterwards : []),
  ]
}

const afterwards = [
  'Of every budget, windows shorter than a day count as used up from now: what was sent before is not known',
  'Not in the ledger, and so not put back: tasks that were never begun, and that a task was dead or dismissed',
  'Next: run "backfill seed" for what was never begun, then "backfill worker"',
]

function streamLine({ source, stream, done, ready, past, known }: FromLedgerReport['streams'][number]): string {
  const parts = [
    `${count(done)} done`,
    `${count(ready)} to go on with`,
    ...(past > 0 ? [`${plural(past, 'earlier one')} kept as history`] : []),
    ...(known > 0 ? [`${count(known)} in the queue already`] : []),
  ]
  return `${source}.${stream}: ${parts.join(', ')}`
}

function contradictionLines({ contradictions, contradictionCount }: FromLedgerReport): readonly string[] {
  const shown = contradictions.slice(0, contradictionsShown)
  const more = contradictionCount - shown.length
  return [
    ...shown.map(
      ({ ledger, queued }) =>
        `Contradiction: ${ledger.source}.${ledger.stream} ${clean(partitionLabel(ledger.partition))} is open in the ledger, and as task ${queued.number} of the queue`,
    ),
    ...(more > 0 ? [`and ${plural(more, 'more contradiction')}`] : []),
  ]
}
