/**
 * Owns which walks have a say in a deletion, and since when a key must not have been seen: only walks that asked for everything and ended proven, of the
 * partition alone or, where a row may be in several, of all of them. Times are the server's, as text.
 */
import { partitionKey } from '../domain/partition.js'
import type { Checkpoint, PruneScope } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import type { Connection } from './connections.js'
import { quoteLiteral, quoteName, quoteTable, tableLabel } from './identifiers.js'
import type { Layout } from './layout.js'
import { isFullWalk } from './ledger.js'
import { isMany, singlePartitions, withValue } from './partition-sql.js'
import { isOfKey, scopeColumns } from './prune-sql.js'
import { readValues } from './row-values.js'

/** Everything that one look for missing rows needs to know. */
export interface Search {
  readonly layout: Layout
  readonly checkpoint: Checkpoint
  readonly scope: PruneScope
}

/** Since when a key must not have been seen: to be missing (null: not all walks are there), and to be confirmed by a walk before (null: none). */
export interface Moments {
  readonly since: string | null
  readonly before: string | null
  readonly waitsFor: readonly string[]
  readonly agreed: number
  readonly mayConfirmAgain: boolean
}

interface Own {
  readonly [name: string]: unknown
  readonly since: string | null
  readonly proven_since: string | null
  readonly before: string | null
  readonly agreed: string
}

const ownMoments = (
  before: string,
) => `select case when ${isFullWalk('l')} then l.walk_since end::text as since, l.proven_since::text as proven_since,
  coalesce(l.agreed, 0) as agreed, greatest(l.proven_since, (${before}))::text as before
from backfill.ledger l where l.task = $1`

const provenBefore = `p.source = l.source and p.stream = l.stream and ${isFullWalk('p')} and p.task <> l.task and p.done and p.proof = 'proven'
    and p.request_hash = l.request_hash`

/**
 * The walk before. Of many values it is the one that asked for the same values; where there is none, the oldest of each value's own, for other values may have shared
 * its request then. That takes the whole ledger of the stream apart, so the first value is looked for as text before: in a first load nothing is known of any.
 */
function ownBefore(stream: Stream): string {
  const same = `select max(p.walk_since) from backfill.ledger p where ${provenBefore} and p.whole = l.whole`
  const name = manyDimension(stream)
  const singles = singlesOf(stream, 'p')
  if (name === undefined || singles === null) return same
  const first = `',' || split_part(l.whole::json ->> ${quoteLiteral(name)}, ',', 1) || ','`
  // A value that JSON writes with a backslash is another text there.
  const isKnown = `strpos(l.whole, '\\') > 0 or exists (select from backfill.ledger p where ${provenBefore} and strpos(translate(p.whole, '"', ','), ${first}) > 0)`
  const each = `select case when bool_and(w.last is not null) then min(w.last) end from (select v.partition from (select l.whole) p ${singles}) o
    left join (select v.partition, max(p.walk_since) as last from backfill.ledger p ${singles} where ${provenBefore} group by 1) w using (partition)`
  return `select coalesce((${same}), case when ${isKnown} then (${each}) end)`
}

/** Inside a transaction in UTC: what is read of other tables is of its moment. */
export async function readMoments(connection: Connection, search: Search): Promise<Moments> {
  const own = (
    await connection.query<Own>({ text: ownMoments(ownBefore(search.layout.stream)) }, [search.checkpoint.taskId])
  ).rows[0]
  const { since = null, before = null } = own ?? {}
  const agreed = Number(own?.agreed ?? 0)
  const scope = scopeColumns(search.layout)
  if (scope === null)
    return { ...(await readOthers(connection, search, { since, before })), agreed, mayConfirmAgain: false }
  const isOwn = isOfKey(search.layout, scope)
  // A row that two walks of one partition did not bring may be in another one by now: only its own request says.
  return {
    since,
    before: isOwn ? before : null,
    waitsFor: [],
    agreed,
    mayConfirmAgain: isOwn && own?.proven_since === null,
  }
}

/** The others must have been walked to a proven end as well; of each its last such walk counts, and the one before for confirming. */
async function readOthers(
  connection: Connection,
  { layout, scope }: Search,
  { since, before }: Pick<Moments, 'since' | 'before'>,
): Promise<Pick<Moments, 'since' | 'before' | 'waitsFor'>> {
  const { stream } = layout
  const required = await requiredPartitions(connection, scope)
  if (required === null) return { since: null, before: null, waitsFor: [rowsLabel(scope)] }
  type Others = { since: string | null; before: string | null; waits_for: readonly string[] }
  const answer = await connection.query<Others>({ text: otherMoments(stream, scope) }, [
    stream.source,
    stream.name,
    required.map(partitionKey),
    singlePartitions(stream, scope.partition).map(partitionKey),
    stream.requestHash,
    since,
    before,
  ])
  const others = answer.rows[0]
  return {
    // A walk that asked for changes only ends without a say, whatever the others saw.
    since: since === null ? null : (others?.since ?? null),
    before: before === null ? null : (others?.before ?? null),
    waitsFor: others?.waits_for ?? [],
  }
}

function otherMoments(stream: Stream, scope: PruneScope): string {
  const single = singlesOf(stream, 'l') ?? 'cross join lateral (select l.whole as partition) v'
  return `with required as (
    select unnest($3::text[]) as partition
    union select v.partition from backfill.ledger l ${single} where l.source = $1 and l.stream = $2 and ${isFullWalk('l')}${isStillRow(scope)}
  ), walks as (
    select v.partition, l.walk_since, row_number() over (partition by v.partition order by l.walk_since desc) as rank from backfill.ledger l ${single}
    where l.source = $1 and l.stream = $2 and ${isFullWalk('l')} and l.done and l.proof = 'proven' and l.walk_since is not null and l.request_hash = $5
  ), each as (
    select r.partition, max(w.walk_since) filter (where w.rank = 1) as last, max(w.walk_since) filter (where w.rank = 2) as before_last
    from required r left join walks w using (partition) where r.partition <> all($4::text[]) group by r.partition
  )
  select least($6::timestamptz, min(last))::text as since,
    case when bool_and(before_last is not null) is not false then least($7::timestamptz, min(before_last)) end::text as before,
    coalesce((array_agg(partition order by partition) filter (where last is null))[1:3], '{}') as waits_for from each`
}

function manyDimension(stream: Stream): string | undefined {
  return stream.dimensions.find((dimension) => isMany(stream, dimension))
}

/** The partitions of single values that a row of the ledger speaks of, as `v`; null where it speaks of one alone. */
function singlesOf(stream: Stream, row: string): string | null {
  const name = manyDimension(stream)
  if (name === undefined) return null
  const values = `string_to_array(${row}.whole::json ->> ${quoteLiteral(name)}, ',')`
  return `cross join lateral (select ${withValue(`${row}.whole`, name, 'u.value')} as partition from unnest(${values}) as u (value)) v`
}

/**
 * What was walked before has a say as well, whatever the definition selects today. But of rows of another stream only those that are there: the last walk of one
 * that is gone would hold the moment back for ever.
 */
function isStillRow({ rows }: PruneScope): string {
  if (rows === null) return ''
  const { name, dimension } = rows
  const values = `select p.${quoteName(dimension.column)}::text from ${quoteTable(dimension.table)} p where p.${quoteName(dimension.column)} is not null`
  return ` and v.partition::json ->> ${quoteLiteral(name)} in (${values})`
}

/** null: of rows of another stream there is none, so that nobody knows what must have been walked. */
async function requiredPartitions(
  connection: Connection,
  { partitions, rows }: PruneScope,
): Promise<readonly Readonly<Record<string, string>>[] | null> {
  if (rows === null) return partitions()
  const values = (await readValues(connection, rows.dimension)) ?? []
  if (values.length === 0) return null
  return partitions().flatMap((rest) => values.map((value) => ({ ...rest, [rows.name]: value })))
}

function rowsLabel({ rows }: PruneScope): string {
  return rows === null ? '' : `rows of ${tableLabel(rows.dimension.table)}`
}
