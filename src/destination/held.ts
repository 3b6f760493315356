/**
 * Owns `backfill.held`: records set aside, in the transaction of their flush. The same record (by key, or by raw text where the key cannot be read) is held
 * once a partition, however often it comes; a row that is merged takes its held predecessor out, in whatever partition, unless that one is newer. A record that an
 * operator gave up stays given up for as long as it comes with the same text; with another text it is held anew.
 */
import { createHash } from 'node:crypto'
import { partitionKey } from '../domain/partition.js'
import type { HeldRow, TableBatch } from './batch.js'
import type { Connection } from './connections.js'
import { isLater, isNewer } from './version-order.js'

/** The task and walk that a flush belongs to. */
interface HeldBy {
  readonly taskId: string
  readonly walkId: string
}

const heldKeep = {
  name: 'backfill_held_keep',
  text: `
with incoming as (
  select i.*, case when i.parent is not null then array(select json_array_elements_text(i.parent::json)) end as parent_key
  from unnest($6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
    as i (identity, page, row_number, key, version, code, reason, raw, reference, parent)
), again as (
  select from backfill.held h join incoming i using (identity)
  where h.source = $1 and h.stream = $2 and h.partition = $3 and h.task = $4 and h.walk = $5
), dismissed as (
  -- The same record may come in another partition, or in another group of values: it is no news there.
  select distinct on (i.identity) i.identity, h.dismissed_at, h.dismissal_note from backfill.held h join incoming i using (identity)
  where h.source = $1 and h.stream = $2 and h.dismissed_at is not null and h.raw = i.raw and (h.partition = $3 or h.key is not null)
  order by i.identity, h.partition = $3 desc, h.dismissed_at desc
), kept as (
  insert into backfill.held as h (source, stream, partition, task, walk, identity, page, row_number, key, version, code, reason, raw,
    reference, parent_key, dismissed_at, dismissal_note)
  select $1, $2, $3, $4, $5, identity, page, row_number, key, version, code, reason, raw, reference, parent_key, dismissed_at, dismissal_note
  from incoming left join dismissed using (identity)
  on conflict (source, stream, partition, identity) do update set task = excluded.task, walk = excluded.walk, page = excluded.page,
    row_number = excluded.row_number, key = excluded.key, version = excluded.version, code = excluded.code, reason = excluded.reason,
    raw = excluded.raw, reference = excluded.reference, parent_key = excluded.parent_key, retried_at = null, held_at = now(),
    -- An operator may have given it up since this statement began.
    dismissed_at = coalesce(excluded.dismissed_at, case when h.raw = excluded.raw then h.dismissed_at end),
    dismissal_note = case when excluded.dismissed_at is not null then excluded.dismissal_note when h.raw = excluded.raw then h.dismissal_note end
)
select count(*)::int as again from again`,
}

const heldFind = {
  name: 'backfill_held_find',
  text: `select partition, key, version, identity from backfill.held
where source = $1 and stream = $2 and identity = any($3::text[]) and key is not null`,
}

/** Of a stream with few held rows all are read: looking for every key of a flush would cost more. */
const fewHeld = 1000
const heldFew = {
  name: 'backfill_held_few',
  text: `select partition, key, version, identity from backfill.held where source = $1 and stream = $2 and key is not null limit ${fewHeld + 1}`,
}

const heldRelease = {
  name: 'backfill_held_release',
  text: `delete from backfill.held h using unnest($3::text[], $4::text[]) as r (partition, identity)
where h.source = $1 and h.stream = $2 and h.partition = r.partition and h.identity = r.identity`,
}

interface FoundRow {
  readonly [name: string]: unknown
  readonly partition: string
  readonly key: string
  readonly version: string | null
  readonly identity: string
}

/**
 * The rows of a flush that are to be held: of one record the newest, and none whose key the same flush merges in a row that is later. `removed` are rows that
 * were encoded and did not go into the merge.
 */
export function newestHeld(batch: TableBatch, removed: readonly HeldRow[]): readonly HeldRow[] {
  const rows = [...batch.heldRows, ...removed]
  if (rows.length === 0) return rows
  const merged = batch.newestOf(keysOf(batch.heldRows, (key) => batch.keys.has(key)))
  const notMerged = keysOf(removed)
  const newest = new Map<string, HeldRow>()
  for (const row of rows) {
    const winner = row.key === null || notMerged.has(row.key) ? undefined : merged.get(row.key)
    if (winner !== undefined && isLater(winner, row)) continue
    const known = newest.get(identityOf(row))
    if (known === undefined || isLater(row, known)) newest.set(identityOf(row), row)
  }
  return [...newest.values()]
}

function keysOf(rows: readonly HeldRow[], isWanted: (key: string) => boolean = () => true): ReadonlySet<string> {
  return new Set(rows.flatMap(({ key }) => (key !== null && isWanted(key) ? [key] : [])))
}

export interface HeldNow {
  readonly batch: TableBatch
  /** One a record. */
  readonly rows: readonly HeldRow[]
  readonly hasHeld: boolean
}

/** Keeps the rows. Answers how many are held now for the first time in this walk; the rest are duplicates, or older than what is held already. */
export async function keepHeld(connection: Connection, now: HeldNow, by: HeldBy): Promise<number> {
  const { batch } = now
  const list = now.hasHeld ? await withoutOlder(connection, batch, now.rows) : now.rows
  if (list.length === 0) return 0
  const answer = await connection.query<{ again: number }>(heldKeep, [
    ...scopeOf(batch),
    by.taskId,
    by.walkId,
    list.map(identityOf),
    list.map(({ page }) => page),
    list.map(({ position }) => position),
    list.map(({ key }) => key),
    list.map(({ version }) => version),
    list.map(({ code }) => code),
    list.map(({ reason }) => reason),
    list.map(({ raw }) => raw),
    list.map(({ waitsFor }) => waitsFor?.reference ?? null),
    list.map(({ waitsFor }) => (waitsFor === null ? null : JSON.stringify(waitsFor.key))),
  ])
  return list.length - (answer.rows[0]?.again ?? 0)
}

/** An older version never takes the place of a newer one that is held. */
async function withoutOlder(
  connection: Connection,
  batch: TableBatch,
  rows: readonly HeldRow[],
): Promise<readonly HeldRow[]> {
  const keyed = rows.filter(({ key, version }) => key !== null && version !== null)
  if (keyed.length === 0) return rows
  const found = await findHeld(connection, batch, keyed.map(identityOf))
  const partition = partitionKey(batch.partition)
  const known = new Map(found.filter((row) => row.partition === partition).map((row) => [row.identity, row.version]))
  return rows.filter((row) => !isNewer(known.get(identityOf(row)) ?? null, row.version))
}

/** Takes out held rows, of any partition, whose key is being merged now in a version that is not older. */
export async function releaseHeld(
  connection: Connection,
  batch: TableBatch,
  removed: readonly HeldRow[],
): Promise<void> {
  const notMerged = keysOf(removed)
  if (batch.keys.size === notMerged.size) return
  const found = (await heldAmong(connection, batch)).filter(({ key }) => !notMerged.has(key))
  if (found.length === 0) return
  const newest = batch.newestOf(new Set(found.map(({ key }) => key)))
  const released = found.filter(({ key, version }) => !isNewer(version, newest.get(key)?.version ?? null))
  if (released.length === 0) return
  const { source, name } = batch.layout.stream
  await connection.query(heldRelease, [
    source,
    name,
    released.map(({ partition }) => partition),
    released.map(({ identity }) => identity),
  ])
}

/** Held rows of the stream with a key of the batch. */
async function heldAmong(connection: Connection, batch: TableBatch): Promise<readonly FoundRow[]> {
  const { source, name } = batch.layout.stream
  const { rows } = await connection.query<FoundRow>(heldFew, [source, name])
  if (rows.length > fewHeld) return await findHeld(connection, batch, [...batch.keys].map(identityOfKey))
  return rows.filter(({ key }) => batch.keys.has(key))
}

async function findHeld(
  connection: Connection,
  batch: TableBatch,
  identities: readonly string[],
): Promise<readonly FoundRow[]> {
  const { source, name } = batch.layout.stream
  return (await connection.query<FoundRow>(heldFind, [source, name, identities])).rows
}

function scopeOf(batch: TableBatch): readonly string[] {
  const { source, name } = batch.layout.stream
  return [source, name, partitionKey(batch.partition)]
}

/** The same record has the same identity, however often it comes. */
export function identityOf(row: Pick<HeldRow, 'key' | 'raw'>): string {
  return row.key === null ? hash(`raw ${row.raw}`) : identityOfKey(row.key)
}

function identityOfKey(key: string): string {
  return hash(`key ${key}`)
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
