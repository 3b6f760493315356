/**
 * Owns how SQL writes the text of a partition that `partitionKey` would write, and which columns of a table hold a stream's partition. Text only. Postgres and
 * JavaScript escape a JSON string alike, so `to_json(value)::text` stands for `JSON.stringify(value)`.
 */
import { wholePartition } from '../domain/page-task.js'
import { type Partition, partitionKey } from '../domain/partition.js'
import type { Stream } from '../domain/source-model.js'
import { quoteLiteral, quoteName } from './identifiers.js'

/** The text of a partition without names that only say how it is walked. */
export function wholeKey(partition: Partition): string {
  return partitionKey(wholePartition(partition))
}

/** What stands before and after the JSON text of a dimension's value in the text of a partition with these other values. */
export function keyAround(rest: Partition, name: string): { readonly before: string; readonly after: string } {
  const others = Object.entries(wholePartition(rest)).filter(([other]) => other !== name)
  const first = partitionKey(Object.fromEntries(others.filter(([other]) => other < name)))
  const last = partitionKey(Object.fromEntries(others.filter(([other]) => other > name)))
  const before = `${first.slice(0, -1)}${first === '{}' ? '' : ','}${JSON.stringify(name)}:`
  return { before, after: `${last === '{}' ? '' : ','}${last.slice(1)}` }
}

/** SQL for the text of a partition whose dimension has the value `value` (an expression of type text), from that of another one, `whole`. */
export function withValue(whole: string, name: string, value: string): string {
  const pair = quoteLiteral(`${JSON.stringify(name)}:`)
  const own = `(${whole}::json -> ${quoteLiteral(name)})::text`
  return `coalesce(replace(${whole}, ${pair} || ${own}, ${pair} || to_json(${value})::text), ${whole})`
}

/** The values that a partition has of a dimension: several where many are asked for at a time. */
function valuesOf(stream: Pick<Stream, 'fanOut'>, partition: Partition, name: string): readonly string[] {
  const value = partition[name]
  if (value === undefined) return []
  return isMany(stream, name) ? value.split(',') : [value]
}

/** The partitions of single values that a task's partition stands for. */
export function singlePartitions(stream: Pick<Stream, 'fanOut'>, partition: Partition): readonly Partition[] {
  const whole = wholePartition(partition)
  const name = stream.fanOut?.dimension
  if (name === undefined || whole[name] === undefined) return [whole]
  return valuesOf(stream, whole, name).map((value) => ({ ...whole, [name]: value }))
}

/** True for the dimension of which many values are asked for at a time, with commas between in a task's partition. */
export function isMany({ fanOut }: Pick<Stream, 'fanOut'>, name: string): boolean {
  return fanOut !== null && fanOut.many !== null && fanOut.dimension === name
}

/** A type without its length, which would cut what is cast to it, and without its collation. */
export function bareType(sqlType: string): string {
  const bare = sqlType.replace(/ collate .*$/, '').replace(/\([^)]*\)/, '')
  return bare === 'character' ? 'bpchar' : bare
}

/** A column that says to which partition a row belongs. */
export interface PartitionColumn {
  readonly dimension: string
  readonly column: string
  readonly sqlType: string
  readonly isMany: boolean
}

/** Condition on a row: the column holds the parameter, or one of its values. The parameter is cast, not the column, so that an index serves it. */
export function holdsPartition(
  { column, sqlType, isMany: isList }: PartitionColumn,
  alias: string,
  at: number,
): string {
  const name = `${alias}.${quoteName(column)}`
  return isList ? `${name} = any(string_to_array($${at}, ',')::${bareType(sqlType)}[])` : `${name} = $${at}`
}

/**
 * The column by which a dimension's rows are told from others: by its value alone, which is not so of a date's, whose value may be a month. null: none.
 */
export function matchColumn(
  stream: Pick<Stream, 'fanOut' | 'match'>,
  dimension: string,
  columns: readonly { readonly name: string; readonly sqlType: string }[],
): PartitionColumn | null {
  const name = Object.hasOwn(stream.match, dimension) ? stream.match[dimension] : undefined
  const column = columns.find((found) => found.name === name)
  if (column === undefined) return null
  const isTime = /^(?:date|timestamp)\b/.test(column.sqlType)
  if (isTime && stream.fanOut?.dimension !== dimension) return null
  return { dimension, column: column.name, sqlType: column.sqlType, isMany: isMany(stream, dimension) }
}
