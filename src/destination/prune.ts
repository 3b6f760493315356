/**
 * Owns what becomes of rows that a mirrored source no longer has: which are missing, what confirms it, who refers to them, and their deletion with a copy in
 * `backfill.pruned`. Decides nothing about whether a walk is proven. Every statement that reads times or keys runs in UTC.
 */
import { partitionKey } from '../domain/partition.js'
import type { KeyText, Missing } from '../domain/ports.js'
import type { TableName } from '../domain/source-model.js'
import { readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { quoteTable, tableLabel } from './identifiers.js'
import type { Layout } from './layout.js'
import { singlePartitions, wholeKey } from './partition-sql.js'
import { type Moments, readMoments, type Search } from './prune-moments.js'
import { type PruneStatements, pruneStatements, type Referrer, scopeColumns } from './prune-sql.js'
import { inUtc } from './row-values.js'

/** Writes down the keys of the delta table's own rows: in the flush's transaction, before any row is taken out of it. */
export async function recordSeen(
  connection: Connection,
  layout: Layout,
  by: { readonly taskId: string; readonly sequence: number; readonly walkId: string },
): Promise<void> {
  if (!mayDelete(layout)) return
  const text = pruneStatements(layout, []).record
  await connection.query({ text }, [by.taskId, by.sequence, by.walkId])
}

/** True for a stream whose walks end with a deletion. */
function mayDelete({ stream, keyAt }: Layout): boolean {
  return keyAt.length > 0 && (stream.disposition === 'mirror' || stream.disposition === 'replace')
}

export async function readWalked(
  connection: Connection,
  { layout, checkpoint, scope }: Search,
): Promise<{ readonly distinct: number; readonly hasUnreadable: boolean }> {
  const { source, name } = layout.stream
  const text = `with held as (select h.key, h.identity from backfill.held h
      where h.source = $1 and h.stream = $2 and h.partition = $3 and h.walk = $5 and h.code not in ('parent_missing', 'parent_rejected', 'rejected'))
    select (select count(*) from backfill.seen n where n.source = $1 and n.stream = $2 and n.partition = any($4::text[]) and n.walk = $5)
      + (select count(*) from held) as distinct, exists (select from held where key is null) as has_unreadable`
  const answer = await connection.query<{ distinct: string; has_unreadable: boolean }>({ text }, [
    source,
    name,
    wholeKey(scope.partition),
    [wholeKey(scope.partition), ...singlePartitions(layout.stream, scope.partition).map(partitionKey)],
    checkpoint.walk?.id ?? '',
  ])
  const row = answer.rows[0]
  return { distinct: Number(row?.distinct ?? 0), hasUnreadable: row?.has_unreadable === true }
}

// Looking and deleting -------------------------------------------------------------------------------------------------

/** What there is to delete; nothing is changed. */
export async function readMissing(connection: Connection, search: Search): Promise<Missing> {
  return await inUtc(connection, async () => {
    const moments = await readMoments(connection, search)
    const { agreed, waitsFor, mayConfirmAgain } = moments
    const cascades = await readCascades(connection, search.layout)
    if (moments.since === null || waitsFor.length > 0) {
      return { ...nothingMissing, agreed, waitsFor, cascades, mayConfirmAgain: false }
    }
    const text = pruneStatements(search.layout, []).count
    type Counted = { rows: string; missing: string; confirmed: string }
    const counted = (await connection.query<Counted>({ text }, scopeValues(search, moments))).rows[0]
    const [rows, missing, confirmed] = [counted?.rows, counted?.missing, counted?.confirmed].map(Number)
    const isSmallPart = isPartOfMany(search.layout)
    const isShared = scopeColumns(search.layout) === null
    const ofScope = { rows: rows ?? 0, recent: isShared ? await readRecent(connection, search.layout) : 0 }
    const whole = isSmallPart ? await readWhole(connection, search.layout) : ofScope
    return {
      ...whole,
      isSmallPart,
      isShared,
      missing: missing ?? 0,
      confirmed: confirmed ?? 0,
      agreed,
      waitsFor,
      cascades,
      mayConfirmAgain,
    }
  })
}

const nothingMissing = { rows: 0, recent: 0, isSmallPart: false, isShared: false, missing: 0, confirmed: 0 }

/** A stream that fans out over the rows of another: its walks are small, and a share of their rows is soon a row. */
function isPartOfMany(layout: Layout): boolean {
  const { fanOut, prune } = layout.stream
  return fanOut !== null && typeof prune.confirm !== 'string' && scopeColumns(layout) !== null
}

/** Beyond this a table's size is estimated. */
const countedUpTo = 100_000

/** Rows of the whole table, and those that went within a day and were not put back. */
async function readWhole(
  connection: Connection,
  layout: Layout,
): Promise<{ readonly rows: number; readonly recent: number }> {
  const text = `select case when c.reltuples > ${countedUpTo} then c.reltuples::float8 else (select count(*) from ${quoteTable(layout.table)}) end as rows
    from pg_class c where c.oid = $1::oid`
  const answer = await connection.query<{ rows: string }>({ text }, [layout.oid])
  return { rows: Number(answer.rows[0]?.rows ?? 0), recent: await readRecent(connection, layout) }
}

const recentRead = `select count(*) as recent from backfill.pruned p
  where p.source = $1 and p.stream = $2 and p.pruned_at > now() - interval '1 day' and p.restored_at is null`

async function readRecent(connection: Connection, { stream }: Layout): Promise<number> {
  const answer = await connection.query<{ recent: string }>({ text: recentRead }, [stream.source, stream.name])
  return Number(answer.rows[0]?.recent ?? 0)
}

export async function readUnconfirmed(
  connection: Connection,
  search: Search,
  limit: number,
): Promise<readonly KeyText[]> {
  return await inUtc(connection, async () => {
    const moments = await readMoments(connection, search)
    const { layout } = search
    const text = pruneStatements(layout, []).unconfirmed
    const answer = await connection.query<Record<string, string>>({ text }, [...scopeValues(search, moments), limit])
    return answer.rows.map((row) =>
      Object.fromEntries(layout.keyAt.map((at, i) => [layout.columns[at]?.name ?? '', row[`k${i + 1}`] ?? ''])),
    )
  })
}

/** Writes down what the source said about keys of their own. */
export async function writeAnswers(
  connection: Connection,
  layout: Layout,
  given: {
    readonly partition: string
    readonly answers: readonly { readonly key: KeyText; readonly isGone: boolean }[]
  },
): Promise<void> {
  await inUtc(connection, async () => {
    const { answers, partition } = given
    const columns = layout.keyAt.map((at) => answers.map(({ key }) => key[layout.columns[at]?.name ?? ''] ?? ''))
    const text = pruneStatements(layout, []).answer
    await connection.query({ text }, [partition, answers.map(({ isGone }) => isGone), ...columns])
  })
}

/** Deletes what is missing, confirmed and not referred to: inside the flush's transaction, under the table's lock. */
export async function removeMissing(
  connection: Connection,
  search: Search,
): Promise<{ readonly pruned: number; readonly kept: number }> {
  const { layout, checkpoint } = search
  const moments = await readMoments(connection, search)
  const cascades = await readCascades(connection, layout)
  if (moments.since === null || moments.waitsFor.length > 0) return { pruned: 0, kept: 0 }
  if (cascades.length > 0 && !layout.stream.prune.cascades) return { pruned: 0, kept: 0 }
  const statements: PruneStatements = pruneStatements(layout, await readReferrers(connection, search))
  const values = [...scopeValues(search, moments), checkpoint.taskId, checkpoint.walk?.id ?? '']
  const answer = await connection.query<{ pruned: string; kept: string }>({ text: statements.remove }, values)
  return { pruned: Number(answer.rows[0]?.pruned ?? 0), kept: Number(answer.rows[0]?.kept ?? 0) }
}

function scopeValues({ layout, scope }: Search, { since, before }: Moments): readonly unknown[] {
  const own = scopeColumns(layout) ?? []
  return [...own.map(({ dimension }) => scope.partition[dimension] ?? ''), since, before]
}

// Who refers to the table ----------------------------------------------------------------------------------------------

interface ReferringRow {
  readonly schema: string
  readonly name: string
  readonly action: string
  readonly own: readonly string[]
  readonly target: readonly string[]
}

const referring = `select n.nspname as schema, r.relname as name, c.confdeltype as action,
  array(select a.attname::text from unnest(c.conkey) with ordinality k(n, at) join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by at) as own,
  array(select a.attname::text from unnest(c.confkey) with ordinality k(n, at) join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by at) as target
from pg_constraint c join pg_class r on r.oid = c.conrelid join pg_namespace n on n.oid = r.relnamespace
where c.confrelid = $1::oid and c.contype = 'f' and c.conparentid = 0 order by 1, 2`

/** `no action` and `restrict` keep a row that is referred to; with every other action rows elsewhere would go or change with it. */
const keeping: ReadonlySet<string> = new Set(['a', 'r'])

async function readCascades(connection: Connection, layout: Layout): Promise<readonly string[]> {
  const { rows } = await connection.query<ReferringRow & Record<string, unknown>>({ text: referring }, [layout.oid])
  return rows.filter(({ action }) => !keeping.has(action)).map(tableLabel)
}

async function readReferrers(connection: Connection, { layout, scope }: Search): Promise<readonly Referrer[]> {
  const { rows } = await connection.query<ReferringRow & Record<string, unknown>>({ text: referring }, [layout.oid])
  const own = rows
    .filter(({ action }) => keeping.has(action))
    .map(({ schema, name, own: columns, target }) => ({
      table: quoteTable({ schema, name }),
      columns: columns.map((column, i) => [column, target[i] ?? ''] as const),
    }))
  const declared: Referrer[] = []
  for (const { table, column, targetColumn } of scope.referrers) {
    if (await hasColumn(connection, table, column)) {
      declared.push({ table: quoteTable(table), columns: [[column, targetColumn]] })
    }
  }
  return [...own, ...declared]
}

async function hasColumn(connection: Connection, table: TableName, column: string): Promise<boolean> {
  const found = await readTable(connection, table)
  return found?.columns.some(({ name }) => name === column) === true
}
