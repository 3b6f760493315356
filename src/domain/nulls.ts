// Owns the texts of a CSV that stand for nothing. Asked by who reads an answer, and by who puts rows back that were held before the definition named them. Pure.
import type { Json, JsonObject } from './json.js'
import { isJsonObject } from './json.js'
import type { AnswerShape } from './source-model.js'

/** A record with null where a value stands for nothing; null where this format, or this definition, has no such values. */
export function blankerOf({ format, csv }: Pick<AnswerShape, 'format' | 'csv'>): ((record: Json) => Json) | null {
  if (format !== 'csv' || csv.nulls === undefined || csv.nulls.length === 0) return null
  const nulls: ReadonlySet<Json> = new Set(csv.nulls)
  const blank = (record: JsonObject): Json =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, nulls.has(value) ? null : value]))
  return (record) => (isJsonObject(record) ? blank(record) : record)
}
