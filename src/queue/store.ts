/**
 * Owns what the parts of the SQLite adapter share: the connection, statements prepared once, transactions, time.
 * Must not know: any table. A kill inside a transaction undoes it; what one returned from is on the disk.
 */
import type { Database, Statement } from 'better-sqlite3'
import type { Clock } from '../domain/ports.js'
import { guardSqlite } from './sqlite-errors.js'

export interface Store {
  readonly clock: Clock
  /** IANA zone in which a day begins and ends. */
  readonly timezone: string
  /** The statement for this text, prepared at its first use. */
  sql(text: string): Statement
  /** One BEGIN IMMEDIATE … COMMIT; failures come out as errors of the domain. */
  write<T>(action: () => T): T
  /** One consistent view over several statements. */
  read<T>(action: () => T): T
}

export function createStore(
  db: Database,
  options: { readonly file: string; readonly clock: Clock; readonly timezone: string },
): Store {
  const statements = new Map<string, Statement>()
  const transact = db.transaction((action: () => unknown) => action())

  function sql(text: string): Statement {
    let statement = statements.get(text)
    if (statement === undefined) {
      statement = db.prepare(text)
      statements.set(text, statement)
    }
    return statement
  }

  return {
    clock: options.clock,
    timezone: options.timezone,
    sql,
    write: <T>(action: () => T) => guardSqlite(options.file, () => transact.immediate(action) as T),
    read: <T>(action: () => T) => guardSqlite(options.file, () => transact.deferred(action) as T),
  }
}
