/**
 * Owns a stream's opened table for the length of a run: its layout, its statements, and which fields were reported. Knows Postgres only to ask once more
 * whether a parent table exists that was not there before.
 */
import type { Partition } from '../domain/partition.js'
import type { StreamTable } from '../domain/ports.js'
import type { Stream } from '../domain/source-model.js'
import { TableBatch } from './batch.js'
import { readTable } from './catalog.js'
import type { Connection } from './connections.js'
import { FieldWatch } from './field-watch.js'
import type { ForeignKey, Layout } from './layout.js'
import { type MergeStatements, mergeStatements, type ParentState } from './merge-sql.js'

/** The `StreamTable` of this adapter. */
export class PostgresStreamTable implements StreamTable {
  readonly layout: Layout
  readonly #watch: FieldWatch
  #statements: MergeStatements | null = null
  #mayGrow = true

  constructor(layout: Layout) {
    this.layout = layout
    this.#watch = new FieldWatch(knownFields(layout), { keepsFields: layout.stream.extrasColumn !== null })
  }

  get stream(): Stream {
    return this.layout.stream
  }

  newBatch(partition: Partition): TableBatch {
    return new TableBatch(this, partition, this.#watch)
  }

  /** The table's statements. While a parent table is missing it is looked for again: another stream of this run may make it. */
  async statements(connection: Connection): Promise<MergeStatements> {
    if (this.#statements !== null && !this.#mayGrow) return this.#statements
    const parents: ParentState[] = []
    for (const key of this.layout.foreignKeys) parents.push(await parentState(connection, key))
    this.#mayGrow = parents.includes('absent')
    this.#statements = mergeStatements(this.layout, parents)
    return this.#statements
  }
}

async function parentState(connection: Connection, key: ForeignKey): Promise<ParentState> {
  const parent = await readTable(connection, key.parent)
  if (parent === null) return 'absent'
  const isIndexed = parent.uniqueKeys.some((names) => names.every((name) => key.parentColumns.includes(name)))
  return isIndexed ? 'indexed' : 'unindexed'
}

/** Top-level fields that a column takes; null where a column takes the whole record, so that none is lost. */
function knownFields({ columns }: Layout): ReadonlySet<string> | null {
  const known = new Set<string>()
  for (const { origin } of columns) {
    if (origin.kind !== 'path') continue
    const [first] = origin.path
    if (first === undefined) return null
    known.add(String(first))
  }
  return known
}
