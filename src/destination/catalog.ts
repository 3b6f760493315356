/**
 * Owns what Postgres says about a table: columns, keys, foreign keys, privileges. Reads only. Must not know streams.
 */
import type { TableName } from '../domain/source-model.js'
import type { Connection } from './connections.js'
import type { ForeignKey } from './layout.js'

export interface CatalogColumn {
  readonly name: string
  /** As SQL writes it, with modifier and, where it is not the type's own, collation: `character varying(20)`. */
  readonly sqlType: string
  /** Name of the type itself, below any domain: `int8`, `varchar`, `timestamptz`. */
  readonly baseType: string
  /** pg_type.typcategory of that: `S` string, `N` number, `D` date and time, `E` enum, … */
  readonly category: string
  readonly maxLength: number | null
  readonly isNullable: boolean
  /** The default's expression; null where there is none. */
  readonly defaultSql: string | null
  /** Filled by Postgres alone: `generated always`, as expression or identity. */
  readonly isGenerated: boolean
  readonly comment: string | null
}

export interface CatalogTable {
  readonly oid: number
  /** pg_class.relkind: `r` table, `p` partitioned, `v` view, … */
  readonly kind: string
  readonly comment: string | null
  readonly columns: readonly CatalogColumn[]
  /** Column sets of the unique indexes that `on conflict` can name: valid, whole, plain columns, not deferrable. */
  readonly uniqueKeys: readonly (readonly string[])[]
  readonly foreignKeys: readonly ForeignKey[]
  /** Privileges that are missing of select, insert and update. */
  readonly missingPrivileges: readonly string[]
}

const tableRead = `
select c.oid::int8 as oid, c.relkind as kind, obj_description(c.oid, 'pg_class') as comment,
  array(select p from unnest(array['select', 'insert', 'update']) p where not has_table_privilege(c.oid, p)) as missing
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2`

const columnsRead = `
with recursive base (attnum, oid, typmod) as (
  select a.attnum, a.atttypid, a.atttypmod from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
  union all
  select b.attnum, t.typbasetype, t.typtypmod from base b join pg_type t on t.oid = b.oid where t.typtype = 'd'
)
select a.attname as name,
  format_type(a.atttypid, a.atttypmod) || case when a.attcollation in (0, at.typcollation) then ''
    else format(' collate %I.%I', cn.nspname, co.collname) end as sql_type,
  t.typname as base_type, t.typcategory as category,
  case when t.typname in ('varchar', 'bpchar') and b.typmod > 4 then b.typmod - 4 end as max_length,
  not (a.attnotnull or at.typnotnull) as is_nullable,
  case when a.attgenerated = '' then coalesce(pg_get_expr(d.adbin, d.adrelid), at.typdefault) end as default_sql,
  a.attgenerated <> '' or a.attidentity = 'a' as is_generated, a.attidentity <> '' as is_identity,
  col_description(a.attrelid, a.attnum) as comment
from pg_attribute a
join base b on b.attnum = a.attnum
join pg_type t on t.oid = b.oid and t.typtype <> 'd'
join pg_type at on at.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation co on co.oid = a.attcollation
left join pg_namespace cn on cn.oid = co.collnamespace
where a.attrelid = $1::oid order by a.attnum`

const keysRead = `
select array(select a.attname::text from unnest(i.indkey[0:i.indnkeyatts - 1]) k join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k) as names
from pg_index i
where i.indrelid = $1::oid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null`

const foreignKeysRead = `
select n.nspname as schema, p.relname as name,
  array(select a.attname::text from unnest(c.conkey) with ordinality k(n, at) join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by at) as columns,
  array(select a.attname::text from unnest(c.confkey) with ordinality k(n, at) join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by at) as parent_columns
from pg_constraint c join pg_class p on p.oid = c.confrelid join pg_namespace n on n.oid = p.relnamespace
where c.conrelid = $1::oid and c.contype = 'f' and c.conparentid = 0`

interface TableRow {
  readonly oid: string
  readonly kind: string
  readonly comment: string | null
  readonly missing: readonly string[]
}
interface ColumnRow {
  readonly name: string
  readonly sql_type: string
  readonly base_type: string
  readonly category: string
  readonly max_length: number | null
  readonly is_nullable: boolean
  readonly default_sql: string | null
  readonly is_generated: boolean
  readonly is_identity: boolean
  readonly comment: string | null
}
interface ForeignKeyRow {
  readonly schema: string
  readonly name: string
  readonly columns: readonly string[]
  readonly parent_columns: readonly string[]
}

/** The table as it is now; null where there is none of that name. */
export async function readTable(connection: Connection, table: TableName): Promise<CatalogTable | null> {
  const found = await connection.query<TableRow>({ text: tableRead }, [table.schema, table.name])
  const row = found.rows[0]
  if (row === undefined) return null
  const columns = await connection.query<ColumnRow>({ text: columnsRead }, [row.oid])
  const keys = await connection.query<{ names: readonly string[] }>({ text: keysRead }, [row.oid])
  const foreignKeys = await connection.query<ForeignKeyRow>({ text: foreignKeysRead }, [row.oid])
  return {
    oid: Number(row.oid),
    kind: row.kind,
    comment: row.comment,
    columns: columns.rows.map(toColumn),
    uniqueKeys: keys.rows.map(({ names }) => names),
    foreignKeys: foreignKeys.rows.map(toForeignKey),
    missingPrivileges: row.missing,
  }
}

function toColumn(row: ColumnRow): CatalogColumn {
  return {
    name: row.name,
    sqlType: row.sql_type,
    baseType: row.base_type,
    category: row.category,
    maxLength: row.max_length,
    isNullable: row.is_nullable,
    defaultSql: row.default_sql ?? (row.is_identity ? 'identity' : null),
    isGenerated: row.is_generated,
    comment: row.comment,
  }
}

function toForeignKey(row: ForeignKeyRow): ForeignKey {
  return { columns: row.columns, parent: { schema: row.schema, name: row.name }, parentColumns: row.parent_columns }
}
