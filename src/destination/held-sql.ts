/** Owns the statements that read held rows, take them out and put them back. Text only. */
import type { HeldSelection } from '../domain/held.js'
import type { PartitionFilter } from '../domain/partition.js'
import type { Statement } from './connections.js'

/** A held row on its way through the mapping. */
export interface ChunkRow {
  readonly partition: string
  readonly task: string
  readonly walk: string
  readonly identity: string
  readonly page: string
  readonly row_number: string
  readonly key: string | null
  readonly version: string | null
  readonly raw: string
  /** As text: the driver's dates have no microseconds. */
  readonly held_at: string
  /** The same; null: nobody gave it up. */
  readonly dismissed_at: string | null
  readonly dismissal_note: string | null
}

/** A statement made for one question, with its parameters. */
export interface Question extends Statement {
  readonly values: readonly unknown[]
}

interface PlanOrder {
  readonly stream: { readonly source: string; readonly name: string }
  readonly selection: HeldSelection
  readonly since: string
  /** Condition on a held row `h`. */
  readonly mayHaveParent: string
  readonly limit: number
}

/** A held row that is to be tried. */
export interface PlannedRow {
  readonly [name: string]: unknown
  readonly partition: string
  readonly task: string
  readonly identity: string
}

/** The next rows to try, by partition and task, each in the order in which it was held. One look at all of a stream's rows, so that it is made for many. */
export function heldPlan({ stream, selection, since, mayHaveParent, limit }: PlanOrder): Question {
  const values: unknown[] = [stream.source, stream.name, since, limit]
  const conditions = ['h.source = $1', 'h.stream = $2', isUntried]
  if (selection.codes !== null) {
    values.push(selection.codes)
    conditions.push(`h.code = any($${values.length}::text[])`)
  }
  conditions.push(...partitionConditions(selection.partitions, values))
  if (selection.isWaiting) conditions.push("h.code = 'parent_missing'", `(${mayHaveParent})`)
  const text = `
select h.partition, h.task, h.identity from backfill.held h where ${conditions.join(' and ')}
order by h.partition, h.task, h.held_at, h.page, h.row_number, h.identity limit $4`
  return { text, values }
}

const isUntried = '(h.retried_at is null or h.retried_at < $3::timestamptz)'

/** Planned rows as they are now, which may be fewer: a merge may have taken some out. */
export const heldChunk: Statement = {
  name: 'backfill_held_chunk',
  text: `
select h.partition, h.task, h.walk, h.identity, h.page, h.row_number, h.key, h.version, h.raw, h.held_at::text as held_at,
  h.dismissed_at::text as dismissed_at, h.dismissal_note
from backfill.held h
where h.source = $1 and h.stream = $2 and ${isUntried} and h.partition = $4 and h.task = $5 and h.identity = any($6::text[])
order by h.held_at, h.page, h.row_number, h.identity`,
}

/** Conditions on the JSON text of `h.partition`; their parameters are added to `values`. */
export function partitionConditions(filter: PartitionFilter, values: unknown[]): readonly string[] {
  return Object.entries(filter).map(([name, wanted]) => {
    values.push(name, wanted)
    return `h.partition::json ->> $${values.length - 1}::text = any($${values.length}::text[])`
  })
}

export const heldDrop: Statement = {
  name: 'backfill_held_drop',
  text: 'delete from backfill.held where source = $1 and stream = $2 and partition = $3 and identity = any($4::text[])',
}

/** Rows that other partitions held of the same keys, before: what was promoted is later. A version would say so itself. */
export const heldOvertaken: Statement = {
  name: 'backfill_held_overtaken',
  text: `
delete from backfill.held h using unnest($4::text[], $5::timestamptz[]) as i (identity, held_at)
where h.source = $1 and h.stream = $2 and h.partition <> $3 and h.identity = i.identity and h.held_at < i.held_at and h.key is not null and h.version is null`,
}

/** Rows that could not be promoted, as they were, given up or not, but for what today's mapping says of them. Of two that read as one record now, the later one stays. */
export const heldPutBack: Statement = {
  name: 'backfill_held_put_back',
  text: `
insert into backfill.held as h (source, stream, partition, task, identity, walk, page, row_number, key, version, code, reason, raw, held_at, reference,
  parent_key, retried_at, dismissed_at, dismissal_note)
select distinct on (identity) $1, $2, $3, $4, identity, walk, page, row_number, key, version, code, reason, raw, held_at, reference,
  case when parent is not null then array(select json_array_elements_text(parent::json)) end, clock_timestamp(),
  dismissed_at, note
from unnest($5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::text[],
  $16::text[], $17::timestamptz[], $18::text[]) as i (identity, walk, page, row_number, key, version, code, reason, raw, held_at, reference, parent,
  dismissed_at, note)
order by identity, held_at desc, page desc, row_number desc
on conflict (source, stream, partition, identity) do update set task = excluded.task, walk = excluded.walk, page = excluded.page,
  row_number = excluded.row_number, key = excluded.key, version = excluded.version, code = excluded.code, reason = excluded.reason, raw = excluded.raw,
  held_at = excluded.held_at, reference = excluded.reference, parent_key = excluded.parent_key, retried_at = excluded.retried_at,
  dismissed_at = excluded.dismissed_at, dismissal_note = excluded.dismissal_note
where h.held_at < excluded.held_at
returning 1`,
}

/** Rows that are not held any more count as what they became. */
export const heldMoved: Statement = {
  name: 'backfill_held_moved',
  text: `
update backfill.ledger set held = held - ($2::bigint + $3::bigint + $4::bigint + $5::bigint), created = created + $2::bigint,
  updated = updated + $3::bigint, unchanged = unchanged + $4::bigint, duplicates = duplicates + $5::bigint where task = $1`,
}
