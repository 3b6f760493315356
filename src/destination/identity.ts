/**
 * Owns `backfill.meta`: which database this is, which workspace's queue fills it, and which run wrote last. Both stores hold the same, so that another
 * database or a restored one is recognised.
 */
import { ConfigError, InvariantError } from '../domain/errors.js'
import type { Connection } from './connections.js'

interface MetaRow {
  readonly database: string
  readonly queue: string | null
  readonly workspace: string | null
  readonly last_run: string | null
}

export async function readIdentity(connection: Connection): Promise<MetaRow> {
  const answer = await connection.query<MetaRow & Record<string, unknown>>({
    text: 'select database, queue, workspace, last_run from backfill.meta',
  })
  const row = answer.rows[0]
  if (row === undefined) throw new InvariantError('read backfill.meta found no row')
  return row
}

/** Binds the database to a queue. Writes nothing where it is bound to it already. */
export async function bindIdentity(
  connection: Connection,
  queueId: string,
  options: { readonly workspace: string; readonly adopt: boolean },
): Promise<void> {
  const text = `update backfill.meta set queue = $1, workspace = $2
    where (queue is null or queue = $1 or $3) and (queue, workspace) is distinct from ($1, $2)`
  await connection.query({ text }, [queueId, options.workspace, options.adopt])
  const bound = await readIdentity(connection)
  if (bound.queue === queueId) return
  throw new ConfigError(
    'second_workspace',
    bound.workspace === options.workspace
      ? `bind the database to "${options.workspace}" found it bound to another queue of that folder: queue.db was lost, or replaced`
      : `bind the database to "${options.workspace}" found it bound to "${bound.workspace ?? ''}"`,
    {
      hint:
        bound.workspace === options.workspace
          ? 'run "backfill seed --from-ledger": it puts back what is done and where each walk stands'
          : 'run the command there, use another database, or take this one over with "backfill seed --from-ledger --adopt" or "backfill init --adopt"',
      context: { workspace: bound.workspace },
    },
  )
}

export async function writeLastRun(connection: Connection, runId: string): Promise<void> {
  await connection.query({ text: 'update backfill.meta set last_run = $1 where last_run is distinct from $1' }, [runId])
}
