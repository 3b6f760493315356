// Owns the shape of what a stream says about its walks: rows of another stream as partitions, windows of change and of time, filters. Only the shape; meaning
// is checked in `compile-rows.ts`, `compile-changes.ts` and `compile-filters.ts`.
import { z } from 'zod'
import { count, day, duration, listOf, oneOf, path, scalar, templates, valueList, words } from './schema-parts.js'
import { hours } from './settings-schema.js'

const parameter = words('the name of a parameter')
const format = oneOf(['iso', 'seconds', 'milliseconds'])
const where = z.record(z.string(), scalar, {
  error: 'columns with the value that each must hold, like { active: true }',
})

/** Values from the rows of another stream. */
export const rowsShape = {
  rows: words('stream.column, like users.id'),
  where: where.optional(),
}

/** Many values in one request. */
export const many = z.strictObject(
  {
    param: parameter,
    join: words('what stands between two values').optional(),
    form: words('text with {value}, like "isbn:{value}"').optional(),
    list: z.boolean({ error: 'true or false' }).optional(),
    max: count(1, 10_000),
    shrinkOn: listOf(count(400, 599), 'a list of statuses that say "too many values"').optional(),
  },
  { error: '{ param: "filter[user_id]", max: 100, shrink_on: [502] }' },
)
const forEachExpected = 'stream.column, like users.id, or { from: users.id, many: { param: ids, max: 100 } }'
/** `{ user_id: users.id }`: one partition for each row of another stream. */
export const forEach = z.record(
  z.string(),
  z.union(
    [
      words(forEachExpected).transform((from) => ({ from })),
      z.strictObject({ from: words('stream.column, like users.id'), where: where.optional(), many: many.optional() }),
    ],
    { error: forEachExpected },
  ),
  { error: 'a dimension with what it is for each of, like { user_id: users.id }' },
)

const pass = {
  field: path,
  param: parameter,
  form: words('text with {from}, like "{from},2100-01-01T00:00:00Z"').optional(),
  format: format.optional(),
  query: templates.optional(),
  ascending: z.boolean({ error: 'true or false' }).optional(),
}
const fullWalkExpected = 'a duration like 1d, never, or { every: 1d, hours: 22:00-06:00, priority: -10 }'
/** How often everything is walked again. */
export const fullWalk = z.union(
  [
    z.literal('never', { error: fullWalkExpected }),
    duration(1000, 31_536_000_000).transform((every) => ({ every })),
    z.strictObject({
      every: duration(1000, 31_536_000_000),
      hours: hours.optional(),
      priority: z.int({ error: 'a whole number' }).optional(),
    }),
  ],
  { error: fullWalkExpected },
)
export const overlap = duration(0, 31_536_000_000)
const rules = { overlap: overlap.optional(), fullWalk: fullWalk.optional() }
const incrementalExpected = '{ field: updated_at, param: updated_since, overlap: 5m, full_walk: 1d }'
/** How changes are asked for. */
export const incremental = z.union(
  [
    z.strictObject({ ...pass, ...rules }),
    z.strictObject({ passes: listOf(z.strictObject(pass), 'a list of passes'), ...rules }),
  ],
  { error: incrementalExpected },
)

/** A full walk in windows of time. */
export const windows = z.strictObject(
  {
    param: parameter,
    form: words('text with {from} and {to}').optional(),
    format: format.optional(),
    from: day,
    rows: count(1, 100_000_000).optional(),
    least: duration(1000, 31_536_000_000).optional(),
  },
  { error: '{ param: "range[begin_at]", from: 2013-01-01, rows: 5000 }' },
)

/** Names of the filters that a source knows. */
export const filters = z.strictObject(
  {
    param: words('text with {name}, like "filter[{name}]"').optional(),
    names: valueList,
    ignored: valueList.optional(),
    rows: z
      .record(z.string(), words('stream.column, like users.id'), {
        error: 'filters whose values are rows, like { user_id: users.id }',
      })
      .optional(),
  },
  { error: '{ param: "filter[{name}]", names: [id, status], rows: { user_id: users.id } }' },
)
/** Filters with their values, in backfill.yaml. */
export const filter = z.record(z.string(), scalar, { error: 'filters with their values, like { status: active }' })

/** Which columns say to which partition a row belongs. */
export const match = z.record(z.string(), words('a column name'), {
  error: 'dimensions with the column that holds each, like { user_id: user_id }',
})

export type ManyDraft = z.output<typeof many>
export type IncrementalDraft = z.output<typeof incremental>
export type FullWalkDraft = z.output<typeof fullWalk>
export type FilterNames = z.output<typeof filters>
