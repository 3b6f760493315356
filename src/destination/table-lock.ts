/**
 * Owns the lock under which tables are made, so that two commands may do it at once. Held by a transaction: a kill frees it.
 */
import type { TableName } from '../domain/source-model.js'
import { type Connection, commit } from './connections.js'
import { tableLabel } from './identifiers.js'

/** Serialises makers of one table; what they made is visible to the next. */
export async function underLock(connection: Connection, table: TableName, work: () => Promise<void>): Promise<void> {
  await connection.query({ text: 'begin' })
  await connection.query({ text: "set local lock_timeout = '30s'" })
  await connection.query({ text: 'select pg_advisory_xact_lock(hashtextextended($1, 0))' }, [
    `backfill ${tableLabel(table)}`,
  ])
  await work()
  await commit(connection)
}
