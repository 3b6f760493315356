// Owns which streams delete, who has a say in it, and how much one walk may delete. Pure.

import type { Partition } from './partition.js'
import { restPartitions, rowsOf } from './plan.js'
import type { Missing, PruneScope } from './ports.js'
import type { PruneRules, Source, Stream, TableName } from './source-model.js'

/** True where the end of a proven walk deletes what the source no longer has. */
export function mayPrune({ disposition }: Pick<Stream, 'disposition'>): boolean {
  return disposition === 'mirror' || disposition === 'replace'
}

/** What a task dies of that asks an operator whether rows may go. */
export const pruneCodes: ReadonlySet<string> = new Set(['prune_empty', 'prune_too_many'])

/** What the walk of one partition may delete from, and which partitions must agree. `today`: `YYYY-MM-DD` in the workspace's zone. */
export function pruneScope(
  { source, stream }: { readonly source: Source; readonly stream: Stream },
  partition: Partition,
  today: string,
): PruneScope {
  const partitions = () => [...restPartitions(stream, source, { filter: {}, today, order: 'oldest' })]
  const referrers = Object.values(source.streams).flatMap(({ table, references }) =>
    references
      .filter((reference) => isSameTable(reference.table, stream.table))
      .map(({ column, targetColumn }) => ({ table, column, targetColumn })),
  )
  return { partition, partitions, rows: rowsOf(stream, source), referrers }
}

/** True where so many missing rows need an operator: more than the rules let go (with those of the last day), and more than was agreed to. */
export function isTooMany(
  { most }: Pick<PruneRules, 'most'>,
  { rows, recent, missing, agreed }: Pick<Missing, 'rows' | 'recent' | 'missing' | 'agreed'>,
): boolean {
  const allowed = 'rows' in most ? most.rows : most.share * (rows + recent)
  return missing + recent > allowed && missing > agreed
}

function isSameTable(a: TableName, b: TableName): boolean {
  return a.schema === b.schema && a.name === b.name
}
