/**
 * The composition root: turns a workspace into the adapters that its use cases are given, and binds the two stores to each other. Owns which adapter is
 * behind which port; each is imported when it is opened, so that a command pays only for what it uses.
 */
import { statSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../clock/system-clock.js'
import { ConfigError } from '../domain/errors.js'
import type { HeldList, HeldQuery } from '../domain/held.js'
import type { Budget, Destination, Log, Queue, SourceClient, WorkspaceLock } from '../domain/ports.js'
import type { LedgerReader } from '../domain/repair-ports.js'
import type { Workspace } from '../domain/workspace-model.js'
import { type EventLog, openLog } from '../log/log.js'
import { redactor } from '../log/redact.js'
import type { Opened } from './opened.js'
import { dayOf } from './zone.js'

/** The event log in `.backfill/log/`; `base` is in every line. */
export function openWorkspaceLog(
  workspace: Workspace,
  opened: Opened,
  base: Readonly<Record<string, unknown>>,
): EventLog {
  const log = openLog({
    directory: join(workspace.stateDirectory, 'log'),
    level: workspace.logLevel,
    day: dayOf,
    clock: systemClock,
    base,
    redact: redactor(workspace.environment),
  })
  return opened.keep(log, (open) => open.close())
}

/**
 * Refuses, before anything is touched, a workspace without a queue or with another user's: the lock's file would be the first thing in the way otherwise, and
 * its error says nothing.
 */
export function checkQueueFile(workspace: Workspace): void {
  const found = statSync(workspace.queueFile, { throwIfNoEntry: false })
  if (found === undefined) {
    throw new ConfigError('no_queue', `open "${workspace.queueFile}" found no queue`, {
      hint: 'run "backfill seed SOURCE" to make one; where there was one, rebuild it with "backfill seed --from-ledger"',
    })
  }
  const uid = process.getuid?.()
  if (uid !== undefined && uid !== found.uid) {
    throw new ConfigError(
      'wrong_user',
      `open "${workspace.queueFile}" as user ${uid} found it owned by user ${found.uid}`,
      {
        hint: `run as user ${found.uid}; only "backfill status" may be run by others`,
      },
    )
  }
}

/** One worker per workspace. */
export async function openWorkspaceLock(workspace: Workspace): Promise<WorkspaceLock> {
  const { createWorkspaceLock } = await import('../lock/workspace-lock.js')
  const { acquireAfterMigration } = await import('./migration-lock.js')
  const lock = createWorkspaceLock({ directory: workspace.stateDirectory, clock: systemClock })
  return { ...lock, acquire: (command) => acquireAfterMigration(lock, command, systemClock) }
}

export interface ClientNeeds {
  readonly budget: Budget
  readonly log: Log
}

/** The HTTP client of all sources. The caller closes it. */
export async function openClient(workspace: Workspace, { budget, log }: ClientNeeds): Promise<SourceClient> {
  const { createSourceClient } = await import('../source/client.js')
  const tokenDirectory = join(workspace.stateDirectory, 'tokens')
  return createSourceClient({ budget, log, clock: systemClock, environment: workspace.environment, tokenDirectory })
}

export interface DestinationNeeds {
  readonly opened: Opened
  readonly queue: Queue
  readonly log: Log
  /** Ends every wait for the database at once: not the signal after which a flush still ends in peace. */
  readonly signal: AbortSignal
  /** The id that the queue is about to get, to take a database over that another queue was bound to: `init --adopt` only. */
  readonly adopt?: string
}

/** More would only wait for one another: a flush takes milliseconds, and two cores of the server. */
const mostConnections = 8

/**
 * The database of the workspace, bound to its queue and the queue to it. An embedded server is started where none runs, and left at the end of the command. The
 * caller closes the destination.
 * @throws ConfigError `no_database`, `wrong_database`, `second_workspace`, `copied_queue`; DestinationUnavailable
 */
export async function openDestination(
  workspace: Workspace,
  needs: DestinationNeeds,
): Promise<Destination & { readonly ledger: LedgerReader }> {
  const destination = await connectUnbound(workspace, needs)
  try {
    await needs.queue.bindDatabase(destination.databaseId)
    await destination.bindQueue(needs.adopt ?? needs.queue.id, {
      workspace: workspace.directory,
      adopt: needs.adopt !== undefined,
      origin: { machine: hostname(), knowsRun: (run) => needs.queue.knowsRun(run) },
    })
    return destination
  } catch (error) {
    await destination.close()
    throw error
  }
}

/** The database of the workspace, whichever queue it is bound to: only for who is about to bind it. The caller closes it. */
export async function connectUnbound(
  workspace: Workspace,
  needs: Pick<DestinationNeeds, 'opened' | 'log' | 'signal'>,
): Promise<Destination & { readonly ledger: LedgerReader }> {
  const { connectDestination } = await import('../destination/connect-destination.js')
  return connectDestination({
    config: await databaseConfig(workspace, needs),
    deltaPrefix: workspace.deltaPrefix,
    log: needs.log,
    clock: systemClock,
    signal: needs.signal,
    maxConnections: mostConnections,
  })
}

/**
 * What is held, read from the database of the workspace as it is: nothing is migrated, bound or written. @throws ConfigError `no_database`, `wrong_database`;
 * DestinationUnavailable
 */
export async function readHeldList(
  workspace: Workspace,
  query: HeldQuery,
  { opened, queue, signal }: Pick<DestinationNeeds, 'opened' | 'queue' | 'signal'>,
): Promise<HeldList> {
  const log: Log = () => undefined
  const { listHeld } = await import('../destination/held-list.js')
  const config = await databaseConfig(workspace, { opened, log, signal })
  return await listHeld(query, { config, log, signal, databaseId: await queue.boundDatabase() })
}

/** What the Postgres driver connects with; an embedded server is started where none runs. @throws ConfigError where backfill.yaml names no database. */
export async function databaseConfig(
  workspace: Workspace,
  { opened, log, signal }: Pick<DestinationNeeds, 'opened' | 'log' | 'signal'>,
) {
  const { requireDatabase } = await import('../workspace/database.js')
  const database = requireDatabase(workspace)
  if (database.kind === 'server') return { connectionString: database.url }
  const { openEmbedded } = await import('../embedded/open-embedded.js')
  const server = await openEmbedded({ directory: workspace.stateDirectory, log, signal })
  return opened.keep(server, (one) => one.close()).connection
}
