/**
 * Owns the way to an open `budget.file`: bookings, gates, what headers told and the line of the sources that name it, for several workspaces. The tables are those
 * of queue.db; versions are its own, and any writer brings it to its own. A kill leaves no file, an empty one (made whole by the next) or a whole one.
 */
import { type Stats, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { ConfigError, InvariantError, QueueUnavailable } from '../../domain/errors.js'
import type { Clock } from '../../domain/ports.js'
import { createEmptyFile, refuseNetworkFileSystem } from '../open-file.js'
import { budgetSchema } from '../schema-budget.js'
import { budgetLineSchema } from '../schema-budget-line.js'
import { createStore, type Store } from '../store.js'

/** "bkfb" in SQLite's header: says that a file is a budget of ours, and no queue. */
const budgetApplicationId = 0x626b6662
const busyTimeoutMs = 5_000

const controlsOfBudget = `
-- Since when a budget's source has refused without one answer between.
create table budget_refused (
  key text primary key,
  since integer not null
) strict, without rowid;

-- What was sent before this moment is not known: every window shorter than a day counts as used up.
create table budget_spent (
  only_row integer primary key,
  boot text not null,
  spent_at integer not null,
  spent_at_wall integer not null,
  constraint budget_spent_is_one_row check (only_row = 1)
) strict;
`
/** Append only: step n makes version n of version n - 1. */
const steps: readonly string[] = [`${budgetSchema}${controlsOfBudget}${budgetLineSchema}`]

export interface BudgetFileOptions {
  readonly clock: Clock
  /** For `status`: nothing is made or written. */
  readonly isReader: boolean
}

/** null: there is none, and a reader makes none. @throws ConfigError where it may not be used; QueueUnavailable where it is busy. */
export function openBudgetFile(
  file: string,
  { clock, isReader }: BudgetFileOptions,
): { readonly store: Store; close(): void } | null {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (isReader && (stats === undefined || stats.size === 0)) return null
  if (stats !== undefined) refuseUnusable(file, stats, isReader)
  const db = named(file, () => {
    if (!isReader) refuseNetworkFileSystem(file)
    if (stats === undefined) createEmptyFile(file)
    return isReader ? openReader(file) : openWriter(file)
  })
  const store = naming(file, createStore(db, { file, clock, timezone: 'UTC', brokenRows: null }))
  return { store, close: () => db.close() }
}

function refuseUnusable(file: string, stats: Stats, isReader: boolean): void {
  if (!stats.isFile()) {
    throw new ConfigError('budget_file_unusable', `open budget.file "${file}" found something that is no file`, {
      hint: 'move it away, or name another file',
    })
  }
  const uid = process.getuid?.()
  if (isReader || uid === undefined || uid === stats.uid) return
  throw new ConfigError(
    'budget_file_owner',
    `open budget.file "${file}" as user ${uid} found it owned by user ${stats.uid}`,
    {
      hint: `run every workspace that names it as user ${stats.uid}; only "backfill status" may be run by others`,
      context: { uid, owner: stats.uid },
    },
  )
}

function openReader(file: string): Database.Database {
  const db = new Database(file, { readonly: true, timeout: busyTimeoutMs })
  refuseForeign(db, file)
  return db
}

function openWriter(file: string): Database.Database {
  const db = new Database(file, { timeout: busyTimeoutMs })
  try {
    refuseForeign(db, file)
    db.pragma('journal_mode = wal')
    db.pragma('synchronous = full')
    upgrade(db)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Two processes at once: the second waits and finds it done. */
function upgrade(db: Database.Database): void {
  if (versionOf(db) === steps.length) return
  const run = db.transaction(() => {
    db.pragma(`application_id = ${budgetApplicationId}`)
    for (const [index, step] of steps.entries()) {
      if (index < versionOf(db)) continue
      db.exec(step)
      db.pragma(`user_version = ${index + 1}`)
    }
  })
  run.immediate()
}

function refuseForeign(db: Database.Database, file: string): void {
  const isEmpty = versionOf(db) === 0 && db.prepare('select count(*) from sqlite_schema').pluck().get() === 0
  if (!isEmpty && db.pragma('application_id', { simple: true }) !== budgetApplicationId) {
    throw new ConfigError('budget_file_foreign', `open budget.file "${file}" found a database that is no budget`, {
      hint: 'name a file of its own for the budget; it is made where it is missing',
    })
  }
  if (versionOf(db) > steps.length) {
    throw new ConfigError(
      'budget_file_newer',
      `open budget.file "${file}" found version ${versionOf(db)}, this program knows up to ${steps.length}`,
      { hint: 'install the newer version of backfill that made it' },
    )
  }
}

function versionOf(db: Database.Database): number {
  return db.pragma('user_version', { simple: true }) as number
}

/** The same store, whose errors are about this file. */
function naming(file: string, store: Store): Store {
  return {
    ...store,
    write: (action) => named(file, () => store.write(action)),
    note: (action) => named(file, () => store.note(action)),
    read: (action) => named(file, () => store.read(action)),
  }
}

function named<T>(file: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof ConfigError && error.code.startsWith('queue_')) throw asBudgetFile(file, error)
    if (error instanceof Database.SqliteError) throw classified(file, error)
    throw error
  }
}

function classified(file: string, error: InstanceType<typeof Database.SqliteError>): Error {
  if (/^SQLITE_(BUSY|LOCKED|FULL|IOERR)/.test(error.code)) {
    return new QueueUnavailable('budget_file_busy', `use budget.file "${file}" found it unavailable (${error.code})`, {
      hint: 'the next run tries again; check its disk where this goes on',
      cause: error,
    })
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(error.code)) return damaged(file, error)
  if (/^SQLITE_(CANTOPEN|READONLY|PERM|AUTH)/.test(error.code)) {
    return new ConfigError('budget_file_unwritable', `open budget.file "${file}" failed (${error.code})`, {
      hint: 'let the user of the workspaces write to it and to its folder',
      cause: error,
    })
  }
  return new InvariantError(`run a statement on budget.file "${file}" was refused: ${error.message}`, { cause: error })
}

function damaged(file: string, cause: unknown): ConfigError {
  return new ConfigError('budget_file_corrupt', `read budget.file "${file}" found it damaged`, {
    hint: 'move it away with its -wal and -shm, and let the longest window pass before the next run',
    cause,
  })
}

const hints: Readonly<Record<string, string>> = {
  queue_on_network: 'keep it on a local disk: locks over the network lose bookings',
  queue_gone: 'put it back, or let the longest window pass before the next run',
}

/** What the queue's own checks say, said of this file. */
function asBudgetFile(file: string, error: ConfigError): Error {
  if (error.code === 'queue_corrupt' || error.code === 'queue_foreign') return damaged(file, error)
  const code = error.code.replace('queue_', 'budget_file_')
  const hint = hints[error.code] ?? 'let the user of the workspaces write to it and to its folder'
  return new ConfigError(code, error.message.replace(`"${file}"`, `budget.file "${file}"`), { hint, cause: error })
}
