/** Owns the restriction of a statement to partitions: only a filtered call pays for looking into the partition's JSON. */
import type { PartitionFilter } from '../domain/partition.js'

export interface SqlRestriction {
  /** Empty, or a condition that begins with `and`. The same filter shape gives the same text, so that it is prepared once. */
  readonly condition: string
  readonly values: readonly string[]
}

/** A partition without a dimension that the filter names does not match, as in `matchesFilter`. */
export function restrictPartitions(filter: PartitionFilter): SqlRestriction {
  const names = Object.keys(filter)
  return {
    // Of a task for many values each is one.
    condition: names
      .map(
        () =>
          ` and exists (select 1 from json_each(?) wanted where instr(',' || json_extract(task.partition, ?) || ',', ',' || wanted.value || ',') > 0)`,
      )
      .join(''),
    values: names.flatMap((name) => [JSON.stringify(filter[name]), `$.${JSON.stringify(name)}`]),
  }
}
