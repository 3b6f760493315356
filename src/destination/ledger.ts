/**
 * Owns `backfill.ledger`: the truth about what is loaded and where each walk stands. Opening raises the epoch (and waits out a flush in doubt, by the row's
 * lock); moving is a compare-and-set on epoch and sequence, in the transaction that promotes the rows. Must not know tables.
 */
import type { Json } from '../domain/json.js'
import type { SplitPage } from '../domain/page-task.js'
import { partitionKey } from '../domain/partition.js'
import type { Advance, Checkpoint, Walk } from '../domain/ports.js'
import type { Lease, Proof, Totals } from '../domain/task.js'
import { type Connection, commit } from './connections.js'
import { jsonText, parseExact } from './json-text.js'

interface LedgerRow {
  readonly task: string
  readonly epoch: string
  readonly sequence: string
  readonly walk: string | null
  readonly walk_started_at: Date | null
  readonly page_size: string | null
  readonly request_hash: string | null
  readonly cursor: string | null
  readonly loop: string | null
  readonly split: string | null
  readonly since: Date | null
  readonly until: Date | null
  readonly walk_pages: string
  readonly walk_received: string
  readonly walk_distinct: string
  readonly expected: string | null
  readonly expected_trust: 'exact' | 'at least' | null
  readonly pages: string
  readonly received: string
  readonly created: string
  readonly updated: string
  readonly unchanged: string
  readonly held: string
  readonly duplicates: string
  readonly requests: string
  readonly done: boolean
  readonly proof: Proof | null
}
interface OpenedRow extends LedgerRow {
  readonly source: string
  readonly stream: string
  readonly has_held: boolean
  readonly last_proven: string | null
}

// cursor and loop as text: the driver's own parser would round what is beyond 2^53.
const ledgerColumns = `l.task, l.epoch, l.sequence, l.walk, l.walk_started_at, l.page_size, l.request_hash, l.cursor::text as cursor, l.loop::text as loop, l.split::text as split,
  l.walk_pages, l.walk_received, l.walk_distinct, l.expected, l.expected_trust, l.pages, l.received, l.created, l.updated, l.unchanged, l.held,
  l.duplicates, l.requests, l.done, l.proof, l.since, l.until`

/** Condition on a row of the ledger: its walk asked for everything of its partition. Others say nothing of what is not there. */
export function isFullWalk(alias: string): string {
  return `${alias}.since is null and not ${alias}.is_page`
}

const taskOpen = {
  name: 'backfill_task_open',
  text: `
insert into backfill.ledger as l (task, source, stream, partition, epoch)
select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) as o (task, source, stream, partition, epoch) order by o.task
on conflict (task) do update set epoch = greatest(l.epoch + 1, excluded.epoch), claimed_at = now()
where l.source = excluded.source and l.stream = excluded.stream and l.partition = excluded.partition
returning ${ledgerColumns}, l.source, l.stream, exists (select from backfill.held h where h.source = l.source and h.stream = l.stream) as has_held,
  (select p.walk_received from backfill.ledger p
  where p.source = l.source and p.stream = l.stream and p.whole = l.whole and not l.is_page and ${isFullWalk('p')}
    and p.done and p.proof = 'proven' and p.task <> l.task
  order by p.finished_at desc limit 1) as last_proven`,
}

const ledgerRead = {
  name: 'backfill_ledger_read',
  text: `select ${ledgerColumns} from backfill.ledger l where l.task = $1`,
}

/** A task as the ledger has it, and whether its stream has held rows. */
interface OpenedTask {
  readonly checkpoint: Checkpoint
  readonly source: string
  readonly stream: string
  readonly hasHeld: boolean
}

/**
 * Raises the epoch of each lease's row, or makes the row. A row that names another source, stream or partition is left alone and out. Waits for a flush in doubt
 * no longer than `lockMs`: a claim that outlived its caller would fence the caller's next one.
 */
export async function openLedger(
  connection: Connection,
  leases: readonly Lease[],
  { lockMs }: { readonly lockMs: number },
): Promise<readonly OpenedTask[]> {
  await connection.query({
    text: `begin; set local lock_timeout = '${lockMs}ms'; set local statement_timeout = '${2 * lockMs}ms'`,
  })
  const answer = await connection.query<OpenedRow & Record<string, unknown>>(taskOpen, [
    leases.map(({ task }) => task.id),
    leases.map(({ task }) => task.source),
    leases.map(({ task }) => task.stream),
    leases.map(({ task }) => partitionKey(task.partition)),
    leases.map(({ epoch }) => epoch),
  ])
  await commit(connection)
  return answer.rows.map((row) => {
    const lastProven = row.last_proven === null ? null : Number(row.last_proven)
    return {
      checkpoint: { ...toCheckpoint(row), lastProven },
      source: row.source,
      stream: row.stream,
      hasHeld: row.has_held,
    }
  })
}

/** The row of a task as committed last; null where there is none. */
export async function readLedger(connection: Connection, taskId: string): Promise<Checkpoint | null> {
  const answer = await connection.query<LedgerRow & Record<string, unknown>>(ledgerRead, [taskId])
  const row = answer.rows[0]
  return row === undefined ? null : toCheckpoint(row)
}

function toCheckpoint(row: LedgerRow): Checkpoint {
  return {
    taskId: row.task,
    epoch: Number(row.epoch),
    sequence: Number(row.sequence),
    done: row.done,
    proof: row.proof,
    walk: toWalk(row),
    totals: toTotals(row),
    requests: Number(row.requests),
  }
}

function toWalk(row: LedgerRow): Walk | null {
  if (row.walk === null) return null
  return {
    id: row.walk,
    startedAt: row.walk_started_at?.getTime() ?? 0,
    pageSize: row.page_size === null ? null : Number(row.page_size),
    requestHash: row.request_hash ?? '',
    since: row.since?.getTime() ?? null,
    until: row.until?.getTime() ?? null,
    cursor: fromJson(row.cursor),
    loop: fromJson(row.loop),
    pages: Number(row.walk_pages),
    received: Number(row.walk_received),
    distinct: Number(row.walk_distinct),
    expected: row.expected === null ? null : { value: Number(row.expected), trust: row.expected_trust ?? 'exact' },
    ...(row.split === null ? {} : { split: JSON.parse(row.split) as readonly SplitPage[] }),
  }
}

function toTotals(row: LedgerRow): Totals {
  return {
    pages: Number(row.pages),
    received: Number(row.received),
    created: Number(row.created),
    updated: Number(row.updated),
    unchanged: Number(row.unchanged),
    held: Number(row.held),
    duplicates: Number(row.duplicates),
  }
}

function fromJson(text: string | null): Json {
  return text === null ? null : parseExact(text)
}

/** What a flush adds to the ledger, known before the merge. */
export interface FlushCounts {
  readonly pages: number
  readonly received: number
  /** Rows that go into the merge. */
  readonly merged: number
  readonly held: number
  readonly duplicates: number
}

/**
 * The compare-and-set, as the end of a statement with a `counted (created, updated)` before it: counts what the merge did, raises the sequence, answers one
 * row, or none where another flush or claim was first. A walk's end is on the disk before it counts, whatever the database does with other commits: what
 * queue.db calls done is not asked for again.
 */
export const ledgerMoved = `
moved as (
  update backfill.ledger l set sequence = l.sequence + 1, walk = $4, walk_started_at = $5, page_size = $6, request_hash = $7, cursor = $8, loop = $9, split = $23,
    since = $24, until = $25, walk_pages = $10, walk_received = $11, walk_distinct = $12, expected = $13, expected_trust = $14, pages = l.pages + $15, received = l.received + $16,
    created = l.created + c.created, updated = l.updated + c.updated, unchanged = l.unchanged + $17 - c.created - c.updated, held = l.held + $18,
    duplicates = l.duplicates + $19, requests = greatest(l.requests, $20), done = $21, proof = $22, moved_at = now(),
    finished_at = case when $21 then now() end, walk_since = case when l.walk is distinct from $4 then l.claimed_at else l.walk_since end
  from counted c where l.task = $1 and l.epoch = $2 and l.sequence = $3
  returning c.created, c.updated
)
select created, updated, case when $21 and current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'local', true) end as durable
from moved`

/** Moves the ledger by itself; the counts of the merge come as $26 and $27. */
export const ledgerMove = {
  name: 'backfill_ledger_move',
  text: `with counted as (select $26::bigint as created, $27::bigint as updated), ${ledgerMoved}`,
}

/** What {@link ledgerMoved} answers. */
export interface MovedRow {
  readonly created: string
  readonly updated: string
}

/** The first 25 parameters of a move. */
export function moveValues(checkpoint: Checkpoint, advance: Advance, counts: FlushCounts): readonly unknown[] {
  const walk = walkAfter(checkpoint, advance, counts)
  return [
    checkpoint.taskId,
    checkpoint.epoch,
    checkpoint.sequence,
    walk.id,
    new Date(walk.startedAt).toISOString(),
    walk.pageSize,
    walk.requestHash,
    walk.cursor === null ? null : jsonText(walk.cursor),
    walk.loop === null ? null : jsonText(walk.loop),
    walk.pages,
    walk.received,
    walk.distinct,
    walk.expected?.value ?? null,
    walk.expected?.trust ?? null,
    counts.pages,
    counts.received,
    counts.merged,
    counts.held,
    counts.duplicates,
    advance.requests,
    advance.done,
    advance.done ? (advance.proof ?? 'unproven') : null,
    walk.split === undefined || walk.split.length === 0 ? null : JSON.stringify(walk.split),
    toTimestamp(walk.since),
    toTimestamp(walk.until),
  ]
}

/** Unix ms as Postgres takes a timestamptz, to the millisecond. */
export function toTimestamp(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

/**
 * The walk once the flush is promoted. `distinct` counts rows stored or held; duplicates are known inside a flush only, so a key that comes again in a
 * later flush of the walk counts again.
 */
export function walkAfter(checkpoint: Checkpoint, advance: Advance, counts: FlushCounts): Walk {
  const known = checkpoint.walk?.id === advance.walk.id ? checkpoint.walk.distinct : 0
  return { ...advance.walk, distinct: known + counts.merged + counts.held }
}
