/**
 * Owns `backfill.meta`: which database this is, which workspace's queue fills it, and which run wrote last. Both stores hold the same, so that another
 * database or a restored one is recognised.
 */
import { ConfigError, InvariantError } from '../domain/errors.js'
import type { Binding } from '../domain/ports.js'
import type { Connection } from './connections.js'

interface MetaRow {
  readonly database: string
  readonly queue: string | null
  readonly workspace: string | null
  readonly last_run: string | null
  readonly last_run_place: string | null
}

export async function readIdentity(connection: Connection): Promise<MetaRow> {
  const answer = await connection.query<MetaRow & Record<string, unknown>>({
    text: 'select database, queue, workspace, last_run, last_run_place from backfill.meta',
  })
  const row = answer.rows[0]
  if (row === undefined) throw new InvariantError('read backfill.meta found no row')
  return row
}

/** Binds the database to a queue. Writes nothing where it is bound to it already. @throws ConfigError `second_workspace`, `copied_queue` */
export async function bindIdentity(connection: Connection, queueId: string, options: Binding): Promise<void> {
  if (!options.adopt) await refuseCopy(connection, queueId, options)
  const text = `update backfill.meta set queue = $1, workspace = $2, last_run_place = case when $3 then null else last_run_place end
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

/**
 * A queue that was moved knows the last run, for it was along. One that does not is a copy or an older state of the one that made that run; at the same place it
 * was put back from a backup, which takes no word. Nobody is asked whether the other still lives: it would have to be reached.
 */
async function refuseCopy(connection: Connection, queueId: string, { workspace, origin }: Binding): Promise<void> {
  if (origin === undefined) return
  const { queue, last_run, last_run_place } = await readIdentity(connection)
  if (queue !== queueId || last_run === null || last_run_place === null) return
  if (last_run_place === placeName(origin.machine, workspace) || (await origin.knowsRun(last_run))) return
  throw new ConfigError(
    'copied_queue',
    `bind the database to "${workspace}" found rows of a run at ${last_run_place}, which its queue of the same id does not know: one is a copy of the other`,
    {
      hint: 'go on there; where this one is to go on (the other is gone, or this is its backup), run "backfill init --adopt" here, and the database refuses the other from then on',
      context: { place: last_run_place },
    },
  )
}

/** `host:/folder`, for people and to compare. */
export function placeName(machine: string, workspace: string): string {
  return `${machine}:${workspace}`
}

/** @param place null: not known, and not compared with the next one's */
export async function writeLastRun(connection: Connection, runId: string, place: string | null): Promise<void> {
  const text =
    'update backfill.meta set last_run = $1, last_run_place = $2 where (last_run, last_run_place) is distinct from ($1, $2)'
  await connection.query({ text }, [runId, place])
}
