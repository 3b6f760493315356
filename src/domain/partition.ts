import { isFullWalk, pageOfTask, wholePartition } from './page-task.js'

/** One point on a stream's dimensions: dimension name to value. A stream without dimensions has the one partition `{}`. */
export type Partition = Readonly<Record<string, string>>

/** The canonical text of a partition: JSON with sorted keys. Equal partitions have equal texts, in queue.db and in the ledger. */
export function partitionKey(partition: Partition): string {
  const sorted: Record<string, string> = {}
  for (const name of Object.keys(partition).sort()) sorted[name] = partition[name] ?? ''
  return JSON.stringify(sorted)
}

/** Reads what {@link partitionKey} wrote. */
export function parsePartitionKey(key: string): Partition {
  return JSON.parse(key) as Partition
}

/**
 * A partition as people read it: its values in the stream's order, `oakland.ca minutes`; `(all)` where there are none. Of a task for a single page with that:
 * `oakland.ca minutes page 7`.
 */
export function partitionLabel(partition: Partition, order: readonly string[] = Object.keys(partition)): string {
  const page = pageOfTask(partition)
  const whole = wholePartition(partition)
  const values = order
    .map((name) => whole[name])
    .filter((value) => value !== undefined)
    .map(shortValue)
  if (page !== null) values.push(`page ${page.number}`)
  if (isFullWalk(partition)) values.push('(full walk)')
  return values.length === 0 ? '(all)' : values.join(' ')
}

/** Many values that share a request, as their ends. */
function shortValue(value: string): string {
  const values = value.split(',')
  return values.length < 4 ? value : `${values[0] ?? ''}..${values.at(-1) ?? ''} (${values.length})`
}

/** Selected values per dimension; a dimension that is absent is not restricted. */
export type PartitionFilter = Readonly<Record<string, readonly string[]>>

/** True where every dimension the filter names has one of the values it lists. */
export function matchesFilter(partition: Partition, filter: PartitionFilter): boolean {
  return Object.entries(filter).every(([name, values]) => {
    const value = partition[name]
    // Of a task for many values each is one.
    return value !== undefined && (values.includes(value) || value.split(',').some((one) => values.includes(one)))
  })
}
