/** Runs `backfill seed`: opens the queue (making it where it is missing), and for a dry run the source; prints what was made or would be. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { systemClock } from '../../clock/system-clock.js'
import { ConfigError } from '../../domain/errors.js'
import type { DryRunReport, SeedReport, SeedRequest } from '../../seed/types.js'
import type { Asked } from '../asked.js'
import { openClient, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import { withSettings } from '../settings.js'
import type { Stop } from '../signals.js'
import { dryRunDocument, seedDocument } from './document.js'
import { dryRunLines, seedLines } from './view.js'

export interface SeedFlags {
  readonly json: boolean | undefined
  readonly 'from-file': string | undefined
  readonly 'dry-run': boolean
  readonly order: string
  readonly priority: number | undefined
  readonly force: boolean
  readonly 'max-requests': number
  readonly 'page-size': number | undefined
  readonly 'from-ledger': boolean
  readonly adopt: boolean
}

/** Answers the exit code: 0; a partition that has a task already is no failure. */
export async function runSeed(asked: Asked<SeedFlags>, stop: Stop): Promise<number> {
  const { flags } = asked
  if (flags['from-ledger']) {
    const { runFromLedger } = await import('./run-from-ledger.js')
    return runFromLedger(asked, stop)
  }
  const file = flags['from-file']
  const request: SeedRequest = {
    streams: withSettings(asked.streams, { pageSize: flags['page-size'] }),
    filter: asked.filter,
    lines: file === undefined ? null : await linesOf(file),
    order: flags.order === 'oldest' ? 'oldest' : 'newest',
    priority: flags.priority ?? null,
    force: flags.force,
    today: asked.today,
    scope: file === undefined ? asked.scope : `${asked.scope} --from-file ${file}`,
    signal: stop.signal,
  }
  return flags['dry-run'] ? estimate(asked, request) : make(asked, request)
}

async function make(asked: Asked<SeedFlags>, request: SeedRequest): Promise<number> {
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'seed' })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'create'), (open) => open.close())
    const { seed } = await import('../../seed/seed.js')
    const report: SeedReport = await seed(request, { queue, follows: queue.follows, clock: systemClock, log })
    if (asked.flags.json === true) sayJson(seedDocument(report))
    else for (const line of seedLines(report, asked, systemClock.now())) say(line)
    return exitCodes.done
  })
}

/** Needs no queue: where there is none, nothing is done yet. */
async function estimate(asked: Asked<SeedFlags>, request: SeedRequest): Promise<number> {
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'seed', dry_run: true })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'create'), (open) => open.close())
    const client = opened.keep(await openClient(asked.workspace, { budget: queue.budget, log }), (one) => one.close())
    const { dryRun } = await import('../../seed/dry-run.js')
    const deps = {
      queue,
      budget: queue.budget,
      client,
      clock: systemClock,
      log,
      maxRequests: asked.flags['max-requests'],
    }
    const report: DryRunReport = await dryRun(request, deps)
    if (asked.flags.json === true) sayJson(dryRunDocument(report))
    else for (const line of dryRunLines(report)) say(line)
    return exitCodes.done
  })
}

async function linesOf(file: string): Promise<AsyncIterable<string>> {
  if (file === '-') return linesIn(() => process.stdin)
  const found = await stat(file).catch(() => null)
  if (found === null || found.isDirectory()) {
    throw new ConfigError(
      'from_file',
      `read --from-file "${file}" found ${found === null ? 'no such file' : 'a folder'}`,
    )
  }
  return linesIn(() => createReadStream(file))
}

/** Opened when the first line is asked for: readline forgets an end that comes before somebody listens, and the loop would wait for ever. */
async function* linesIn(open: () => Readable): AsyncGenerator<string> {
  yield* createInterface({ input: open(), crlfDelay: Infinity })
}
