/**
 * Owns the right to be the one worker of a workspace. The kernel decides: SQLite's exclusive lock on `lock.db` is held as long as the process
 * lives and is free the moment it is dead, however it died. proper-lockfile's folder comes second, for eyes and tools that look for it.
 * Must not know: queue, tasks. What survives a kill: an unlocked `lock.db`, and a stale folder and name that the next holder clears away.
 */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import lockfile from 'proper-lockfile'
import { ConfigError, TemporaryFailure } from '../domain/errors.js'
import type { Clock, LockHolder, WorkspaceLock } from '../domain/ports.js'

/** Two who ask at the same moment block each other for microseconds; this long is waited before the other counts as the holder. */
const contentionMs = 200
/** Only what a stranger's tool would call stale: a rival of our own asks the kernel first. */
const staleMs = 60_000
const renewMs = 5_000

/** Referenced from here as long as they are held: a collected handle would take the lock with it. */
const heldHandles = new Set<Database.Database>()

interface LockPaths {
  readonly kernel: string
  readonly folder: string
  /** Beside the folder: a file inside would keep proper-lockfile from ever removing it. */
  readonly name: string
}

/** The lock of the workspace whose state is kept in `directory` (`<workspace>/.backfill`), which is made where missing. */
export function createWorkspaceLock(options: { readonly directory: string; readonly clock: Clock }): WorkspaceLock {
  const paths: LockPaths = {
    kernel: join(options.directory, 'lock.db'),
    folder: join(options.directory, 'worker.lock'),
    name: join(options.directory, 'worker.json'),
  }
  return {
    acquire: (command) => acquire(paths, { directory: options.directory, command, since: options.clock.now() }),
    holder: async () => (isHeld(paths.kernel) ? readHolder(paths.name) : null),
  }
}

interface Claim {
  readonly directory: string
  readonly command: string
  readonly since: number
}

async function acquire(paths: LockPaths, claim: Claim): ReturnType<WorkspaceLock['acquire']> {
  makeDirectory(claim.directory)
  const handle = lockKernel(paths.kernel)
  if (handle === null) return null
  heldHandles.add(handle)
  const lost = new AbortController()
  try {
    // Whoever left a folder behind is dead: the kernel lock is ours.
    rmSync(paths.folder, { recursive: true, force: true })
    const unlock = await lockfile.lock(claim.directory, {
      lockfilePath: paths.folder,
      realpath: false,
      stale: staleMs,
      update: renewMs,
      retries: 0,
      onCompromised: (error) => lost.abort(error),
    })
    writeHolder(paths.name, { pid: process.pid, command: claim.command, since: claim.since })
    return { lost: lost.signal, release: once(() => release(paths, { handle, unlock })) }
  } catch (error) {
    dropKernel(handle)
    throw unusable(claim.directory, error)
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(directory, error)
  }
}

/** null where another process holds it. */
function lockKernel(file: string): Database.Database | null {
  let handle: Database.Database | null = null
  try {
    handle = new Database(file, { timeout: contentionMs })
    handle.exec('begin exclusive')
    return handle
  } catch (error) {
    handle?.close()
    if (isBusy(error)) return null
    throw unusable(file, error)
  }
}

/** A reader's lock is refused while the exclusive one is held, and is gone again before anybody could notice it. */
function isHeld(file: string): boolean {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return false
  let handle: Database.Database | null = null
  try {
    handle = new Database(file, { readonly: true, timeout: 0 })
    handle.prepare('select count(*) from sqlite_schema').get()
    return false
  } catch (error) {
    // Not ours to judge here: whoever may not look sees no holder.
    return isBusy(error)
  } finally {
    handle?.close()
  }
}

async function release(
  paths: LockPaths,
  held: { handle: Database.Database; unlock: () => Promise<void> },
): Promise<void> {
  rmSync(paths.name, { force: true })
  // A compromised folder is not ours to remove any more; the kernel lock still is. It goes last, so that no rival meets our remains.
  await held.unlock().catch(() => undefined)
  dropKernel(held.handle)
}

function dropKernel(handle: Database.Database): void {
  heldHandles.delete(handle)
  handle.close()
}

function once(action: () => Promise<void>): () => Promise<void> {
  let ended: Promise<void> | null = null
  return () => (ended ??= action())
}

function writeHolder(file: string, holder: LockHolder): void {
  writeFileSync(file, JSON.stringify(holder), { mode: 0o600 })
}

/** The holder's own word; without one (it is just taking the lock), an unnamed holder. */
function readHolder(file: string): LockHolder {
  try {
    const { pid, command, since } = JSON.parse(readFileSync(file, 'utf8')) as Partial<LockHolder>
    if (typeof pid === 'number' && typeof command === 'string' && typeof since === 'number')
      return { pid, command, since }
  } catch {
    // Half written or not there yet.
  }
  return { pid: 0, command: 'unknown', since: 0 }
}

function isBusy(error: unknown): boolean {
  return (
    error instanceof Database.SqliteError &&
    (error.code.startsWith('SQLITE_BUSY') || error.code.startsWith('SQLITE_LOCKED'))
  )
}

const fullDiskCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'SQLITE_FULL', 'SQLITE_IOERR_WRITE'])

function unusable(path: string, cause: unknown): ConfigError | TemporaryFailure {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown failure'
  if (cause instanceof ConfigError || cause instanceof TemporaryFailure) return cause
  if (fullDiskCodes.has(code)) {
    return new TemporaryFailure('disk_full', `lock the workspace in "${path}" found the disk full`, {
      hint: 'free space on its disk',
      cause,
    })
  }
  return new ConfigError('workspace_unwritable', `lock the workspace in "${path}" failed: ${code}`, {
    hint: 'run as the owner of the workspace, and let the owner write to its folder',
    cause,
  })
}
