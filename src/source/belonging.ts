// Owns the question whether a row belongs to the partition that was asked for, where the stream says by which column that shows. A source that ignores a filter
// answers with everybody's rows. Pure.
import { AnswerInvalid } from '../domain/errors.js'
import { manyOf, manyValues } from '../domain/fan-out.js'
import type { Json, JsonPath } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { Partition } from '../domain/partition.js'
import type { Source, Stream } from '../domain/source-model.js'
import { cleanLine } from './excerpt.js'
import { textOf } from './rows.js'

/** The values that a row may hold at a place. */
export interface Belonging {
  readonly dimension: string
  readonly path: JsonPath
  readonly values: ReadonlySet<string>
  /** The column is filled from the partition: a row need not say it, and one that does must say the same. */
  readonly mayLack: boolean
}

/** What rows of this partition must hold. Dates are left out: a window's ends may bring its neighbour's first row. */
export function belongingOf(start: {
  readonly source: Source
  readonly stream: Stream
  readonly partition: Partition
}): readonly Belonging[] {
  const { source, stream, partition } = start
  return Object.entries(stream.match).flatMap(([dimension, column]) => {
    const value = partition[dimension]
    if (value === undefined || source.dimensions[dimension]?.kind === 'dates') return []
    const values = new Set(manyOf(stream)?.dimension === dimension ? manyValues(stream, partition) : [value])
    return [{ dimension, path: pathOfColumn(stream, column), values, mayLack: isFilled(stream, dimension, column) }]
  })
}

/** Without `columns` a column named like a dimension is filled from it; of many values that share a request each row has its own. */
function isFilled({ columns, fanOut }: Stream, dimension: string, name: string): boolean {
  if (manyOf({ fanOut })?.dimension === dimension) return false
  return columns === null ? name === dimension : columns.some((one) => one.name === name && one.dimension === dimension)
}

/** Where a column's value is in a record. */
export function pathOfColumn({ columns }: Pick<Stream, 'columns'>, name: string): JsonPath {
  return columns?.find((column) => column.name === name)?.path ?? [name]
}

/** @throws AnswerInvalid `foreign_rows`: nothing of such an answer may be promoted. */
export function refuseStrangers(
  records: readonly Json[],
  {
    stream,
    address,
    belonging,
  }: { readonly stream: Stream; readonly address: string; readonly belonging: readonly Belonging[] },
): void {
  for (const { dimension, path, values, mayLack } of belonging) {
    const stranger = records.find((record) => {
      const value = valueAt(record, path)
      return !(mayLack && (value === undefined || value === null)) && !values.has(textOf(value))
    })
    if (stranger === undefined) continue
    const found = cleanLine(textOf(valueAt(stranger, path)))
    throw new AnswerInvalid(
      'foreign_rows',
      `read ${address} found a row of ${dimension} "${found}", which was not asked for`,
      {
        hint: `${stream.source} seems to ignore the filter: compare "match" and the request of "${stream.name}" with what it takes`,
      },
    )
  }
}
