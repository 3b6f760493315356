/**
 * Owns the quoting of names and literals; every other file here builds SQL from what this one quotes. Knows nothing of what the names mean.
 */
import { createHash } from 'node:crypto'
import type { TableName } from '../domain/source-model.js'

/** Longest name in bytes that Postgres keeps; it cuts longer ones off silently. */
export const longestName = 63

/** A column or index name, safe in SQL whatever it contains. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A table with its schema, safe in SQL. */
export function quoteTable(table: TableName): string {
  return `${quoteName(table.schema)}.${quoteName(table.name)}`
}

/** A text literal for statements that take no parameters (`set`, `comment`); safe with any `standard_conforming_strings`. */
export function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''")
  return doubled.includes('\\') ? ` E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`
}

/** Column names, quoted and with a comma between, each after `prefix` (`t.`, `excluded.`). */
export function quoteList(names: readonly string[], prefix = ''): string {
  return names.map((name) => prefix + quoteName(name)).join(', ')
}

/** A table as people read it: `public.users`. */
export function tableLabel(table: TableName): string {
  return `${table.schema}.${table.name}`
}

/** A short stable name for what has no room for its full one: prepared statements, indexes. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
