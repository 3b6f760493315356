/**
 * Owns the question how many rows of a partition are held, and which of those that an operator gave up still account for a row of the source. Reads only.
 *
 * A walk that meets a held record again says so in `held_at`. So what the last finished walk of everything did not bring is no longer there: such a row must not
 * stand in for one that was lost. Where many values are asked for at a time, the record itself says whose it is, for the groups change from walk to walk.
 */
import { manyOf, manyValues, singlePartitions } from '../domain/fan-out.js'
import { ExactDecimal, type Json, valueAt } from '../domain/json.js'
import { type Partition, parsePartitionKey } from '../domain/partition.js'
import type { PartitionActual } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Connection } from './connections.js'
import { parseExact } from './json-text.js'
import { isFullWalk } from './ledger.js'
import { wholeKey } from './partition-sql.js'
import { isPartOfHeld, wholeOfHeld } from './schema-held-whole.js'

export type HeldActual = Pick<PartitionActual, 'held' | 'dismissed' | 'heldBeside'>

/** With the keys of the rows that were met, as text with tabs between; those without a readable key left out. */
type HeldWithKeys = HeldActual & { readonly metKeys: readonly string[] }

/** A record that is held of a split page, or of a full walk, and of the partition, is one: as it was met last. */
const heldRead = {
  name: 'backfill_held_of_partition',
  text: `
with own as (
  -- Two looks by an index each: with "or" all that is held of the stream was read, 5 times as slow with 50,000 rows.
  select distinct on (h.identity) h.identity, h.key, h.walk, h.held_at, h.dismissed_at from (
    select * from backfill.held where source = $1 and stream = $2 and partition = $3
    union all select * from backfill.held where source = $1 and stream = $2 and ${isPartOfHeld} and ${wholeOfHeld} = $3
  ) h order by h.identity, h.held_at desc
), walk as (
  select l.task, l.walk, l.walk_since from backfill.ledger l
  where l.source = $1 and l.stream = $2 and l.whole = $3 and l.done and ${isFullWalk('l')} order by l.finished_at desc limit 1
)
select count(*) as held, count(o.dismissed_at) as dismissed,
  array_agg(o.key) filter (where o.dismissed_at is not null and (w.task is null or o.walk = w.walk or o.held_at >= w.walk_since)) as met
from own o left join walk w on true`,
}

/** What is held of a partition. */
export async function readHeldOf(connection: Connection, stream: Stream, partition: Partition): Promise<HeldWithKeys> {
  const scope = [stream.source, stream.name, wholeKey(partition)]
  type Counts = { held: string; dismissed: string; met: (string | null)[] | null }
  const answer = await connection.query<Counts>(heldRead, scope)
  const row = answer.rows[0]
  const own = { held: Number(row?.held ?? 0), rows: Number(row?.dismissed ?? 0) }
  if (manyOf(stream) !== null) return await readHeldOfMany(connection, { stream, partition, own })
  return { held: own.held, ...dismissedOf(own.rows, row?.met ?? []) }
}

/** `met`: keys of the rows that the last walk brought, or a later one; null for one that cannot be read. */
function dismissedOf(rows: number, met: readonly (string | null)[]): Pick<HeldWithKeys, 'dismissed' | 'metKeys'> {
  const metKeys = met.filter((key) => key !== null)
  return rows + met.length > 0 ? { dismissed: { rows, met: met.length }, metKeys } : { metKeys }
}

// Many values in a request -------------------------------------------------------------------------------------------

/** Records held of any request that asked for one of the values $4 of the dimension $3, each as it was met last. */
const heldOfValues = (columns: string): string => `
select distinct on (h.identity) h.dismissed_at, ${columns} from backfill.held h
where h.source = $1 and h.stream = $2 and string_to_array(h.partition::json ->> $3, ',') && $4::text[]
order by h.identity, h.held_at desc`
/** Each question reads all that is held of the stream: the second one is asked only where something was given up. */
const heldCounts = `select count(*) filter (where dismissed_at is null) as open, count(dismissed_at) as given from (${heldOfValues('h.identity')}) o`
const heldGivenUp = `select o.partition, o.key, o.raw, o.held_at from (${heldOfValues('h.partition, h.key, h.raw, h.held_at')}) o where o.dismissed_at is not null`

interface GivenUpRow {
  readonly [name: string]: unknown
  readonly partition: string
  readonly key: string | null
  readonly raw: string
  readonly held_at: Date
}

interface OfMany {
  readonly stream: Stream
  readonly partition: Partition
  /** Held of exactly these values. */
  readonly own: { readonly held: number; readonly rows: number }
}

async function readHeldOfMany(connection: Connection, { stream, partition, own }: OfMany): Promise<HeldWithKeys> {
  const name = manyOf(stream)?.dimension ?? ''
  const values = manyValues(stream, partition)
  const scope = [stream.source, stream.name, name, values]
  const counted = await connection.query<{ open: string; given: string }>({ text: heldCounts }, scope)
  const { open = '0', given: isGiven = '0' } = counted.rows[0] ?? {}
  const given = isGiven === '0' ? [] : (await connection.query<GivenUpRow>({ text: heldGivenUp }, scope)).rows
  const walkedAt = given.length === 0 ? new Map<string, number>() : await readWalks(connection, stream, partition)
  const ofWhom = given.map((row) => ({ row, own: ownValues(stream, { row, name, values }) }))
  const known = ofWhom.filter(({ own: found }) => found !== null)
  const met = known.filter(({ row, own: found }) => {
    const isMet = (value: string): boolean => row.held_at.getTime() >= (walkedAt.get(value) ?? 0)
    return found !== null && found.length > 0 && found.every(isMet)
  })
  const beside = Number(open) - (own.held - own.rows) + (ofWhom.length - known.length)
  return {
    held: own.held,
    ...dismissedOf(
      own.rows,
      met.map(({ row }) => row.key),
    ),
    ...(beside > 0 ? { heldBeside: beside } : {}),
  }
}

/**
 * To which of the values a record may belong: to the one that it names, and to none where it names another; else to those of its request, where that asked for
 * none beside them. null: nobody knows.
 */
function ownValues(
  stream: Stream,
  { row, name, values }: { readonly row: GivenUpRow; readonly name: string; readonly values: readonly string[] },
): readonly string[] | null {
  const named = nameIn(stream, { raw: row.raw, name })
  if (named !== null) return values.includes(named) ? [named] : []
  const asked = manyValues(stream, parsePartitionKey(row.partition))
  return asked.every((value) => values.includes(value)) ? asked : null
}

function nameIn(
  { match, columns }: Stream,
  { raw, name }: { readonly raw: string; readonly name: string },
): string | null {
  const column = Object.hasOwn(match, name) ? match[name] : undefined
  if (column === undefined) return null
  const path = columns?.find((one) => one.name === column)?.path ?? [column]
  try {
    return textOf(valueAt(parseExact(raw), path))
  } catch {
    return null
  }
}

function textOf(value: Json | undefined): string | null {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  return value instanceof ExactDecimal ? value.text : null
}

/** When the last walk of everything of each value began, Unix ms, by the server's clock. */
async function readWalks(
  connection: Connection,
  stream: Stream,
  partition: Partition,
): Promise<ReadonlyMap<string, number>> {
  const name = manyOf(stream)?.dimension ?? ''
  const singles = singlePartitions(stream, partition)
  const text =
    'select partition, full_at from backfill.watermark where source = $1 and stream = $2 and partition = any($3::text[]) and full_at is not null'
  const answer = await connection.query<{ partition: string; full_at: Date }>({ text }, [
    stream.source,
    stream.name,
    singles.map(wholeKey),
  ])
  return new Map(
    answer.rows.map(({ partition: key, full_at: at }) => [parsePartitionKey(key)[name] ?? '', at.getTime()]),
  )
}
