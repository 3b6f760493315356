/**
 * Starts and stops the server of one home. Must be called under the workspace's start lock only, a start only when no process of an earlier
 * server is left.
 *
 * The server is detached: it has its own session, so that neither Ctrl-C nor the end of the command that started it reaches it.
 */
import { spawn } from 'node:child_process'
import { open, rename, stat } from 'node:fs/promises'
import { DestinationUnavailable } from '../domain/errors.js'
import { invoke } from './account.js'
import { programOf } from './binaries.js'
import { accessFiles, type ClusterTools, writeAccessFiles } from './cluster.js'
import { environmentFor } from './environment.js'
import type { Home } from './home.js'
import { findPostmaster, type Postmaster, removeStaleLockFile, servesFolder } from './postmaster.js'
import { accessSettings, settingArguments } from './settings.js'
import { makeSocketFolder } from './socket-folder.js'
import { patienceOf, waitFor } from './wait.js'

/** Code of the failure that the server itself gave a reason for. */
export const startFailed = 'embedded_start_failed'

const longestLogBytes = 8 * 1024 * 1024

export interface StartOptions extends ClusterTools {
  readonly logFile: string
  readonly settings: Readonly<Record<string, string>>
}

/**
 * Starts the server and resolves when it accepts connections.
 * @throws DestinationUnavailable `embedded_start_failed` with the server's own words.
 */
export async function startServer(home: Home, options: StartOptions): Promise<Postmaster> {
  await removeStaleLockFile(home.dataFolder)
  const socket = await makeSocketFolder(home, options.account)
  await writeAccessFiles(home, options.account)
  const log = await openLog(options.logFile)
  try {
    const settings = { ...options.settings, ...accessSettings({ socket, ...accessFiles(home) }) }
    const server = spawnServer(home, { ...options, settings }, log.handle.fd)
    return await waitUntilReady(home, server, options).catch(async (error: unknown) => {
      server.kill()
      throw error instanceof ServerEnded ? await startFailure(error, log.size, options.logFile) : error
    })
  } finally {
    await log.handle.close()
  }
}

/** The server process ended before it was ready. */
class ServerEnded extends Error {}

async function openLog(file: string) {
  const before = await stat(file).catch(() => undefined)
  if (before !== undefined && before.size > longestLogBytes) await rename(file, `${file}.1`)
  const handle = await open(file, 'a', 0o600)
  return { handle, size: (await handle.stat()).size }
}

interface ServerProcess {
  readonly pid: number | undefined
  /** What ended it; undefined while it runs. */
  ended(): string | undefined
  kill(): void
}

function spawnServer(home: Home, options: StartOptions, log: number): ServerProcess {
  const program = programOf(options.binaries, 'postgres')
  const settings = settingArguments(options.settings)
  const { file, args, ids } = invoke(options.account, program, ['-D', home.dataFolder, ...settings])
  const env = environmentFor(options.binaries)
  const child = spawn(file, args, { cwd: '/', env, detached: true, stdio: ['ignore', log, log], ...ids })
  let end: string | undefined
  child.once('error', (error) => (end = error.message))
  child.once('exit', (code, signal) => (end = `exit ${String(code ?? signal)}`))
  child.unref()
  return { pid: child.pid, ended: () => end, kill: () => void child.kill('SIGINT') }
}

async function waitUntilReady(home: Home, server: ServerProcess, options: StartOptions): Promise<Postmaster> {
  const ready = await waitFor(options.patience, async () => {
    const end = server.ended()
    if (end !== undefined) throw new ServerEnded(end)
    const postmaster = await findPostmaster(home.dataFolder)
    return postmaster?.pid === server.pid && postmaster?.status === 'ready' ? postmaster : undefined
  })
  if (ready !== undefined) return ready
  throw new DestinationUnavailable('embedded_start_slow', `start in "${home.dataFolder}" was not ready in time`, {
    hint: `read "${options.logFile}"; a recovery after a crash goes on at the next start`,
  })
}

async function startFailure(error: ServerEnded, logSize: number, logFile: string): Promise<DestinationUnavailable> {
  const lines = await readFrom(logFile, logSize)
  const reason = lines.findLast((line) => /FATAL|PANIC/.test(line)) ?? lines.at(-1) ?? error.message
  return new DestinationUnavailable(startFailed, `start the embedded Postgres failed: ${reason}`, {
    hint: `read the end of "${logFile}"`,
    cause: error,
  })
}

async function readFrom(file: string, start: number): Promise<readonly string[]> {
  const handle = await open(file)
  const { buffer, bytesRead } = await handle
    .read(Buffer.alloc(64 * 1024), 0, 64 * 1024, start)
    .finally(() => handle.close())
  return buffer.toString('utf8', 0, bytesRead).trim().split('\n')
}

/**
 * Stops the server: clients are cut off, everything is on disk when it resolves.
 * @returns false when the server was still busy stopping after two minutes; it goes on by itself.
 */
export async function stopServer(dataFolder: string, postmaster: Postmaster, signal?: AbortSignal): Promise<boolean> {
  // Another one may have told it already; SIGINT to a stopping server changes nothing.
  signalIfAlive(postmaster.pid, 'SIGINT')
  const isGone = async () => ((await servesFolder(postmaster.pid, dataFolder)) ? undefined : true)
  return (await waitFor(patienceOf(120_000, signal), isGone)) ?? false
}

function signalIfAlive(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone between the look and the signal.
  }
}
