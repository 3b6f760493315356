/**
 * Owns what the ledger tells of all tasks at once, for a queue that was lost or put back from a copy (DESIGN.md §4.1). Reads only; the rows of one reading are
 * those of one moment.
 */
import { pageTaskPartition, type SplitPage, wholePartition } from '../domain/page-task.js'
import { parsePartitionKey } from '../domain/partition.js'
import type { LedgerReader, LedgerTask } from '../domain/repair-ports.js'
import type { Proof, SplitTasks } from '../domain/task.js'
import { type Connection, commit } from './connections.js'
import { readIdentity } from './identity.js'
import { parseExact } from './json-text.js'

/** Rows fetched at a time. */
const fetchSize = 1000

interface LedgerTaskRow {
  readonly task: string
  readonly source: string
  readonly stream: string
  readonly partition: string
  readonly epoch: string
  readonly done: boolean
  readonly proof: Proof | null
  readonly claimed_at: Date
  readonly moved_at: Date | null
  readonly finished_at: Date | null
  readonly pages: string
  readonly received: string
  readonly created: string
  readonly updated: string
  readonly unchanged: string
  readonly held: string
  readonly duplicates: string
  readonly requests: string
  readonly expected: string | null
  readonly cursor: string | null
  readonly split: string | null
  readonly page_size: string | null
  readonly request_hash: string | null
  readonly walk_started_at: Date | null
  readonly is_newest: boolean
}

// A partition has one open task at a time, so the order of the last claims is that in which its tasks were made, by one clock: the server's.
const ledgerCursor = `
declare ledger_tasks no scroll cursor for
select task, source, stream, partition, epoch, done, proof, claimed_at, moved_at, finished_at, pages, received, created, updated, unchanged, held, duplicates,
  requests, case when expected_trust = 'exact' then expected end as expected, cursor::text as cursor, split::text as split, page_size,
  request_hash, walk_started_at,
  lead(task) over (partition by source, stream, partition order by claimed_at, task) is null as is_newest
from backfill.ledger order by claimed_at, task`

/** @param run one piece of work on one connection, its failures as errors of ours */
export function createLedgerReader(
  run: <T>(doing: string, work: (connection: Connection) => Promise<T>) => Promise<T>,
): LedgerReader {
  return {
    eachLedgerTask: (take) => run('read the ledger', (connection) => readAll(connection, take)),
    doneTasks: (ids) =>
      run('look for done tasks in the ledger', async (connection) => {
        const text = 'select task from backfill.ledger where done and task = any($1::uuid[])'
        const answer = await connection.query<{ task: string }>({ text }, [ids])
        return new Set(answer.rows.map(({ task }) => task))
      }),
    boundQueue: () =>
      run('read what the database is bound to', async (connection) => {
        const { queue, workspace } = await readIdentity(connection)
        return queue === null ? null : { queue, workspace: workspace ?? '' }
      }),
  }
}

async function readAll(connection: Connection, take: (tasks: readonly LedgerTask[]) => Promise<void>): Promise<void> {
  await connection.query({ text: 'begin read only' })
  await connection.query({ text: ledgerCursor })
  for (;;) {
    const { rows } = await connection.query<LedgerTaskRow & Record<string, unknown>>({
      text: `fetch ${fetchSize} from ledger_tasks`,
    })
    if (rows.length === 0) break
    await take(rows.map(toLedgerTask))
  }
  await commit(connection)
}

function toLedgerTask(row: LedgerTaskRow): LedgerTask {
  const totals = {
    pages: Number(row.pages),
    received: Number(row.received),
    created: Number(row.created),
    updated: Number(row.updated),
    unchanged: Number(row.unchanged),
    held: Number(row.held),
    duplicates: Number(row.duplicates),
  }
  return {
    id: row.task,
    source: row.source,
    stream: row.stream,
    partition: parsePartitionKey(row.partition),
    epoch: Number(row.epoch),
    done: row.done,
    proof: row.proof,
    claimedAt: row.claimed_at.getTime(),
    movedAt: row.moved_at?.getTime() ?? null,
    finishedAt: row.finished_at?.getTime() ?? null,
    totals,
    requests: Number(row.requests),
    expected: row.expected === null ? null : Number(row.expected),
    cursor: row.cursor === null ? null : parseExact(row.cursor),
    split: splitOf(row),
    isNewest: row.is_newest,
  }
}

function splitOf(row: LedgerTaskRow): SplitTasks | null {
  if (row.split === null) return null
  const walk = { pageSize: row.page_size === null ? null : Number(row.page_size), requestHash: row.request_hash ?? '' }
  // As the worker names them: of the partition, however it is walked.
  const partition = wholePartition(parsePartitionKey(row.partition))
  const pages = JSON.parse(row.split) as readonly SplitPage[]
  return {
    partitions: pages.map((page) => pageTaskPartition(partition, page, walk)),
    since: row.walk_started_at?.getTime() ?? 0,
  }
}
