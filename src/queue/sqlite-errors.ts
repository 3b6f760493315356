/**
 * Owns the classification of SQLite's failures: what time may heal, what a person must change, what is our bug. By code, never by message.
 */
import Database from 'better-sqlite3'
import { BackfillError, ConfigError, InvariantError, QueueUnavailable } from '../domain/errors.js'

/** Runs `action` and throws what SQLite threw as an error of the domain. @throws QueueUnavailable, ConfigError, InvariantError */
export function guardSqlite<T>(file: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw classifySqliteError(file, error)
  }
}

/** The domain's error for what a statement on `file` threw; anything that is not SQLite's comes back as it is. */
function classifySqliteError(file: string, error: unknown): unknown {
  if (error instanceof BackfillError || !(error instanceof Database.SqliteError)) return error
  const context = { file, sqlite: error.code }
  const primary = error.code.split('_').slice(0, 2).join('_')
  switch (primary) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
      return new QueueUnavailable('queue_busy', `write "${file}" found it locked by another process`, {
        hint: 'wait until the other command ends; the next run tries again',
        context,
        cause: error,
      })
    case 'SQLITE_FULL':
      return new QueueUnavailable('queue_full', `write "${file}" found the disk full`, {
        hint: 'free space on its disk; nothing was written',
        context,
        cause: error,
      })
    case 'SQLITE_IOERR':
      return new QueueUnavailable('queue_io', `access "${file}" met a disk failure (${error.code})`, {
        hint: 'check the disk and its free space',
        context,
        cause: error,
      })
    case 'SQLITE_READONLY':
    case 'SQLITE_PERM':
    case 'SQLITE_AUTH':
    case 'SQLITE_CANTOPEN':
      return new ConfigError('queue_unwritable', `open "${file}" found it or its folder not writable`, {
        hint: 'run as the owner of the workspace, and let the owner write to its folder',
        context,
        cause: error,
      })
    case 'SQLITE_NOTADB':
      return new ConfigError('queue_foreign', `open "${file}" found something that is not a queue`, {
        hint: 'move the file away, or set another workspace; where it was a queue, run "backfill seed --from-ledger" then',
        context,
        cause: error,
      })
    case 'SQLITE_CORRUPT':
      return damagedQueue(file, error)
    default:
      return new InvariantError(`run a statement on "${file}" was refused: ${error.message}`, { context, cause: error })
  }
}

/** Nothing in it can be trusted any more, and nothing of it is needed: the ledger knows what is loaded. */
export function damagedQueue(file: string, cause: unknown): ConfigError {
  return new ConfigError('queue_corrupt', `read "${file}" found it damaged`, {
    hint: 'move it away with its -wal and -shm and run "backfill seed --from-ledger": what Postgres holds stays',
    context: { file },
    cause,
  })
}
