/**
 * Owns `backfill.held`: records set aside, in the transaction of their flush. The same record (by key, or by raw text where the key cannot be read) is held
 * once a partition, however often it comes; a row that is merged takes its held predecessor out, unless that one is newer.
 */
import { createHash } from 'node:crypto'
import { partitionKey } from '../domain/partition.js'
import type { HeldRow, TableBatch } from './batch.js'
import type { Connection } from './connections.js'

/** The task and walk that a flush belongs to. */
interface HeldBy {
  readonly taskId: string
  readonly walkId: string
}

const heldKeep = {
  name: 'backfill_held_keep',
  text: `
with incoming as (
  select * from unnest($6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
    as i (identity, page, row_number, key, version, code, reason, raw)
), again as (
  select from backfill.held h join incoming i using (identity)
  where h.source = $1 and h.stream = $2 and h.partition = $3 and h.task = $4 and h.walk = $5
), kept as (
  insert into backfill.held as h (source, stream, partition, task, walk, identity, page, row_number, key, version, code, reason, raw)
  select $1, $2, $3, $4, $5, identity, page, row_number, key, version, code, reason, raw from incoming
  on conflict (source, stream, partition, identity) do update set task = excluded.task, walk = excluded.walk, page = excluded.page,
    row_number = excluded.row_number, key = excluded.key, version = excluded.version, code = excluded.code, reason = excluded.reason,
    raw = excluded.raw, held_at = now()
)
select count(*)::int as again from again`,
}

const heldFind = {
  name: 'backfill_held_find',
  text: `select key, version, identity from backfill.held
where source = $1 and stream = $2 and partition = $3 and identity = any($4::text[]) and key is not null`,
}

const heldRelease = {
  name: 'backfill_held_release',
  text: 'delete from backfill.held where source = $1 and stream = $2 and partition = $3 and identity = any($4::text[])',
}

/** Keeps the rows. Answers how many are held now for the first time in this walk; the rest are duplicates. */
export async function keepHeld(
  connection: Connection,
  { batch, rows }: { readonly batch: TableBatch; readonly rows: readonly HeldRow[] },
  by: HeldBy,
): Promise<number> {
  if (rows.length === 0) return 0
  // One statement cannot touch a row twice: of equal records the later one is kept.
  const distinct = new Map(rows.map((row) => [identityOf(row), row]))
  const list = [...distinct.values()]
  const answer = await connection.query<{ again: number }>(heldKeep, [
    ...scopeOf(batch),
    by.taskId,
    by.walkId,
    [...distinct.keys()],
    list.map(({ page }) => page),
    list.map(({ position }) => position),
    list.map(({ key }) => key),
    list.map(({ version }) => version),
    list.map(({ code }) => code),
    list.map(({ reason }) => reason),
    list.map(({ raw }) => raw),
  ])
  return distinct.size - (answer.rows[0]?.again ?? 0)
}

/** Takes out held rows whose key is being merged now in a version that is not older. */
export async function releaseHeld(connection: Connection, batch: TableBatch): Promise<void> {
  const identities = [...batch.keys].map(identityOfKey)
  const found = await connection.query<{ key: string; version: string | null; identity: string }>(heldFind, [
    ...scopeOf(batch),
    identities,
  ])
  if (found.rows.length === 0) return
  const versions = batch.versionsOf(new Set(found.rows.map(({ key }) => key)))
  const released = found.rows.filter(({ key, version }) => !isNewer(version, versions.get(key) ?? null))
  if (released.length === 0) return
  await connection.query(heldRelease, [...scopeOf(batch), released.map(({ identity }) => identity)])
}

function scopeOf(batch: TableBatch): readonly string[] {
  const { source, name } = batch.layout.stream
  return [source, name, partitionKey(batch.partition)]
}

function identityOf(row: HeldRow): string {
  return row.key === null ? hash(`raw ${row.raw}`) : identityOfKey(row.key)
}

function identityOfKey(key: string): string {
  return hash(`key ${key}`)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Compares two versions as numbers, instants or text, whichever both are. A missing version is the oldest. */
function isNewer(version: string | null, than: string | null): boolean {
  if (version === null) return false
  if (than === null) return true
  const numbers = [Number(version), Number(than)]
  const instants = [Date.parse(version), Date.parse(than)]
  const [a, b] = numbers.some(Number.isNaN) ? instants : numbers
  if (a === undefined || b === undefined || Number.isNaN(a) || Number.isNaN(b)) return version > than
  return a > b
}
