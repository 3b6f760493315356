/**
 * Locks that the kernel keeps and that die with their holder: SQLite's file locks on an empty file. One exclusive holder, or many shared ones.
 *
 * Knows nothing of what is locked. A SIGKILL of the holder frees the lock at once; nothing is left on disk but the empty file.
 */
import Database from 'better-sqlite3'
import { ConfigError, TemporaryFailure } from '../domain/errors.js'
import { codeOf } from './error-code.js'

type SqliteError = InstanceType<typeof Database.SqliteError>

export interface KernelLock {
  /** Frees the lock; a second call does nothing. */
  release(): void
}

// A handle that nobody references is collected, and the lock with it.
const held = new Set<Database.Database>()

/** The lock for this caller alone, or undefined where anybody else holds it, shared or not. Never waits. */
export function tryExclusive(file: string): KernelLock | undefined {
  return tryLock(file, (database) => database.exec('begin exclusive'))
}

/** The lock together with other shared holders, or undefined while somebody holds it exclusively. Never waits. */
export function tryShared(file: string): KernelLock | undefined {
  return tryLock(file, (database) => database.exec('begin').prepare('select count(*) from sqlite_master').get())
}

function tryLock(file: string, take: (database: Database.Database) => unknown): KernelLock | undefined {
  let database: Database.Database | undefined
  try {
    database = new Database(file, { timeout: 0 })
    take(database)
  } catch (error) {
    database?.close()
    if (codeOf(error).startsWith('SQLITE_BUSY')) return undefined
    throw error instanceof Database.SqliteError ? lockFailure(file, error) : error
  }
  held.add(database)
  return { release: () => release(database) }
}

function release(database: Database.Database): void {
  held.delete(database)
  if (database.open) database.close()
}

function lockFailure(file: string, cause: SqliteError): Error {
  const { code } = cause
  if (/^SQLITE_(CANTOPEN|READONLY|PERM|NOTADB)/.test(code)) {
    return new ConfigError('folder_unwritable', `lock "${file}" found a file or folder that it may not write`, {
      hint: 'make its folder writable for the user who runs backfill, on a local disk',
      cause,
    })
  }
  return new TemporaryFailure('lock_failed', `lock "${file}" failed with ${code}`, {
    hint: 'check the disk that holds it',
    cause,
  })
}
