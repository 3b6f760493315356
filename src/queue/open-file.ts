/**
 * Owns the way to an open queue.db: which file may be opened by whom, created, or brought to this version. Every refusal is a
 * ConfigError that says what to do. Must not know: tasks, budgets. A kill leaves no file, an empty one (taken for none) or a whole one.
 */
import { closeSync, openSync, readFileSync, type Stats, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { ConfigError } from '../domain/errors.js'
import { applicationId, currentVersion, fileVersion, migrate } from './migrations.js'
import { guardSqlite } from './sqlite-errors.js'

/**
 * `create`: made where missing (seed, init). `write`: must exist (worker, retry, verify).
 * `read`: for `status`: nothing is written, anybody who may read it, older versions too.
 */
export type QueueMode = 'create' | 'write' | 'read'

export interface QueueFile {
  readonly file: string
  readonly mode: QueueMode
  /** Brings an older file to this version; without it such a file is refused (`queue_older`). Only for the holder of the workspace's lock. */
  readonly migrate?: boolean
}

const busyTimeoutMs = 5_000

/** Opens the file with every check. @throws ConfigError where it may not be used; QueueUnavailable where it is busy. */
export function openQueueFile(request: QueueFile): Database.Database {
  const stats = statFile(request)
  if (stats?.isDirectory() === true) {
    throw new ConfigError('queue_unusable', `open "${request.file}" found a folder in its place`, {
      hint: 'move the folder away',
    })
  }
  if ((stats === null || stats.size === 0) && request.mode !== 'create') throw noQueue(request.file)
  if (stats !== null && request.mode !== 'read') refuseStranger(request.file, stats)
  if (request.mode === 'read') return openReader(request.file)
  refuseNetworkFileSystem(request.file)
  if (stats === null) createEmptyFile(request.file)
  return openWriter(request)
}

function statFile({ file }: QueueFile): Stats | null {
  try {
    return statSync(file)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null
    throw unwritable(file, error)
  }
}

function noQueue(file: string): ConfigError {
  return new ConfigError('no_queue', `open "${file}" found no queue`, {
    hint: 'run "backfill seed" to make one; where there was one, rebuild it with "backfill seed --from-ledger"',
  })
}

function refuseStranger(file: string, stats: Stats): void {
  const uid = process.getuid?.()
  if (uid === undefined || uid === stats.uid) return
  throw new ConfigError('wrong_user', `open "${file}" as user ${uid} found it owned by user ${stats.uid}`, {
    hint: `run as user ${stats.uid}; only "backfill status" may be run by others`,
    context: { uid, owner: stats.uid },
  })
}

/** statfs types whose locks SQLite cannot trust: NFS, SMB1 to 3, AFS, 9p, and FUSE, which sshfs is. */
const networkTypes: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x5346414f, 'AFS'],
  [0x01021997, '9p'],
])
const fuseType = 0x65735546

export function refuseNetworkFileSystem(file: string): void {
  const folder = dirname(file)
  const type = fileSystemType(folder)
  const name = type === fuseType ? networkFuse(folder) : networkTypes.get(type)
  if (name === undefined) return
  throw new ConfigError('queue_on_network', `open "${file}" found a network file system (${name})`, {
    hint: 'keep the workspace on a local disk: locks over the network lose tasks',
  })
}

function fileSystemType(folder: string): number {
  try {
    return statfsSync(folder).type >>> 0
  } catch {
    return 0
  }
}

/** FUSE is local for some (encrypted folders) and remote for sshfs: the mount table says which. */
function networkFuse(folder: string): string | undefined {
  try {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
    const covering = mounts
      .map((line) => line.split(' '))
      .filter(([, point]) => point !== undefined && `${folder}/`.startsWith(point.endsWith('/') ? point : `${point}/`))
      .sort((a, b) => (b[1]?.length ?? 0) - (a[1]?.length ?? 0))[0]
    return covering?.[2]?.startsWith('fuse.sshfs') === true ? 'sshfs' : undefined
  } catch {
    return undefined
  }
}

/** SQLite would create it for everybody to read; its -wal and -shm take over the mode given here. */
export function createEmptyFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return
    throw unwritable(file, error)
  }
}

function openWriter(request: QueueFile): Database.Database {
  return guardSqlite(request.file, () => {
    const db = new Database(request.file, { timeout: busyTimeoutMs })
    try {
      refuseForeign(db, request.file)
      db.pragma('journal_mode = wal')
      db.pragma('synchronous = full')
      db.pragma('foreign_keys = on')
      // 16 MB of page cache and a log of at most 16 MB: measured at a million tasks, see test/bench/queue.ts.
      db.pragma('cache_size = -16000')
      db.pragma('wal_autocheckpoint = 4000')
      upgrade(db, request)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  })
}

function upgrade(db: Database.Database, request: QueueFile): void {
  const version = fileVersion(db)
  if (version === currentVersion) return
  if (version === 0 && request.mode !== 'create') throw noQueue(request.file)
  if (version === 0 || request.migrate === true) return migrate(db)
  throw new ConfigError(
    'queue_older',
    `open "${request.file}" found version ${version}, this program needs ${currentVersion}`,
    {
      hint: 'run "backfill worker": it brings the queue to the new version',
      context: { found: version, needed: currentVersion },
    },
  )
}

function openReader(file: string): Database.Database {
  return guardSqlite(file, () => {
    const db = openReadOnly(file)
    try {
      refuseForeign(db, file)
      if (fileVersion(db) === 0) throw noQueue(file)
      return db
    } catch (error) {
      db.close()
      throw error
    }
  })
}

/**
 * A reader who may not write to the folder cannot make the -shm file that a WAL database needs. Where no -wal exists nobody is at work and the
 * file is whole: it is read into memory, its header's two journal bytes set to "no WAL".
 */
export function openReadOnly(file: string): Database.Database {
  let db: Database.Database | null = null
  try {
    db = new Database(file, { readonly: true, timeout: busyTimeoutMs })
    fileVersion(db)
    return db
  } catch (error) {
    db?.close()
    const isRefused = error instanceof Database.SqliteError && /^SQLITE_(CANTOPEN|READONLY|PERM)/.test(error.code)
    if (!isRefused || hasLog(file)) throw error
    const bytes = readWhole(file)
    bytes.fill(1, 18, 20)
    return new Database(bytes, { readonly: true })
  }
}

function readWhole(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ConfigError('queue_unreadable', `read "${file}" failed: ${errorCode(error)}`, {
      hint: 'run as the owner of the workspace, or let others read its queue',
      cause: error,
    })
  }
}

function hasLog(file: string): boolean {
  try {
    return statSync(`${file}-wal`).size > 0
  } catch {
    return false
  }
}

function refuseForeign(db: Database.Database, file: string): void {
  const id = db.pragma('application_id', { simple: true }) as number
  const version = fileVersion(db)
  const isEmpty = version === 0 && db.prepare('select count(*) from sqlite_schema').pluck().get() === 0
  if (id !== applicationId && !isEmpty) {
    throw new ConfigError('queue_foreign', `open "${file}" found a database of another program`, {
      hint: 'move the file away, or set another workspace; where it was a queue, run "backfill seed --from-ledger" then',
    })
  }
  if (version > currentVersion) {
    throw new ConfigError(
      'queue_newer',
      `open "${file}" found version ${version}, this program knows up to ${currentVersion}`,
      {
        hint: 'install the newer version of backfill that made it',
        context: { found: version, known: currentVersion },
      },
    )
  }
}

function unwritable(file: string, cause: unknown): ConfigError {
  return new ConfigError('queue_unwritable', `open "${file}" failed: ${errorCode(cause)}`, {
    hint: 'let the owner of the workspace write to its folder',
    cause,
  })
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown failure'
}
