// Owns the shape of a source definition, for YAML and TypeScript alike. Only the shape: what names what is checked in `compile-source.ts`, so that
// all mistakes are found at once. Keys are camelCase here; `canonical-keys.ts` brings YAML's snake_case to it.
import { z } from 'zod'
import type { ColumnType } from '../domain/source-model.js'
import { auth } from './auth-schema.js'
import {
  aliases,
  count,
  day,
  extract,
  fate,
  json,
  lastDay,
  listOf,
  missingParent,
  oneOf,
  path,
  scalar,
  share,
  templates,
  valueList,
  words,
} from './schema-parts.js'
import { settingBounds } from './settings.js'
import { budget, optionalSettings, sourceSettingsShape } from './settings-schema.js'
import {
  filter,
  filters,
  forEach,
  fullWalk,
  incremental,
  many,
  match,
  overlap,
  rowsShape,
  windows,
} from './walk-schema.js'

/** Types as people write them, and what each is in Postgres. */
const columnTypes = {
  text: 'text',
  string: 'text',
  varchar: 'text',
  smallint: 'smallint',
  int2: 'smallint',
  integer: 'integer',
  int: 'integer',
  int4: 'integer',
  bigint: 'bigint',
  int8: 'bigint',
  numeric: 'numeric',
  decimal: 'numeric',
  real: 'real',
  float4: 'real',
  'double precision': 'double precision',
  double: 'double precision',
  float: 'double precision',
  float8: 'double precision',
  boolean: 'boolean',
  bool: 'boolean',
  date: 'date',
  time: 'time',
  timestamp: 'timestamp',
  timestamptz: 'timestamptz',
  'timestamp with time zone': 'timestamptz',
  datetime: 'timestamptz',
  uuid: 'uuid',
  jsonb: 'jsonb',
  json: 'jsonb',
} as const satisfies Record<string, ColumnType>

const typeNames = Object.keys(columnTypes) as [keyof typeof columnTypes, ...(keyof typeof columnTypes)[]]
const columnType = z
  .enum(typeNames, {
    error: 'a column type: text, int, bigint, numeric, float, bool, date, time, timestamp, timestamptz, uuid or jsonb',
  })
  .transform((name): ColumnType => columnTypes[name])

const columnExpected = 'a type, like int, or { type: int, from: path }'
const column = z.union(
  [
    columnType.transform((type) => ({ type })),
    z.strictObject(
      {
        type: columnType,
        from: path.optional(),
        dimension: words('the name of a dimension').optional(),
        required: z.boolean({ error: 'true or false' }).optional(),
        parse: oneOf(['json', 'seconds', 'milliseconds']).optional(),
      },
      { error: columnExpected },
    ),
  ],
  { error: columnExpected },
)

const method = oneOf(['GET', 'POST'])
const requestPath = words('a path that begins with /')
const request = z.strictObject(
  {
    method: method.optional(),
    path: requestPath.optional(),
    query: templates.optional(),
    headers: templates.optional(),
    body: json.optional(),
    form: templates.optional(),
    plain: listOf(
      words('the name of a parameter'),
      'names of texts in the query, form or body that are no templates',
    ).optional(),
    paramsIn: oneOf(['query', 'body']).optional(),
    weight: count(...settingBounds.weight).optional(),
  },
  { error: 'a request like { path: /users, query: { active: true } }' },
)

const answerError = z.union(
  [
    path.transform((place) => ({ path: place })),
    z.strictObject({ path, equals: json.optional(), message: path.optional(), fate: fate.optional() }),
  ],
  { error: 'a path whose presence is an error, or { path: ok, equals: false, message: error, fate: retry }' },
)

const isExpected = 'what it must say, a list of these, or { is: …, otherwise: empty }'
const oneOrMore = z.union(
  [scalar.transform((one) => [one]), listOf(scalar, isExpected).min(1, { error: isExpected })],
  {
    error: isExpected,
  },
)
const expectation = z.union(
  [
    oneOrMore.transform((is) => ({ is })),
    z.strictObject(
      { is: oneOrMore, otherwise: z.literal('empty', { error: '"empty"' }).optional() },
      { error: isExpected },
    ),
  ],
  { error: isExpected },
)

const endExpected = 'a status like 404 (or 204, no content), or { status: 400, path: code, equals: past_end }'
const endStatus = z.union([z.literal(204, { error: endExpected }), count(400, 599)], { error: endExpected })
const endError = z.union(
  [
    endStatus.transform((status) => ({ status })),
    z.strictObject({ status: endStatus, path: path.optional(), equals: json.optional() }),
  ],
  { error: endExpected },
)
const emptyExpected = 'a status like 404, or { status: 404, path: error, equals: not_found }'
const emptyStatus = count(400, 499)
const emptyOn = listOf(
  z.union(
    [
      emptyStatus.transform((status) => ({ status })),
      z.strictObject({ status: emptyStatus, path: path.optional(), equals: json.optional() }),
    ],
    { error: emptyExpected },
  ),
  'a list of errors that mean "there is nothing"',
)

const delimiter = 'one character, no quote and no line end'
const answer = z.strictObject(
  {
    format: oneOf(['json', 'ndjson', 'csv']).optional(),
    rows: path.optional(),
    unfold: path.optional(),
    shape: oneOf(['auto', 'objects', 'arrays', 'values', 'entries', 'one']).optional(),
    emptyWithoutRows: z.boolean({ error: 'true or false' }).optional(),
    emptyOn: emptyOn.optional(),
    parse: path.optional(),
    header: path.optional(),
    contentTypes: listOf(words('a media type like application/json'), 'a list of media types').optional(),
    errors: listOf(answerError, 'a list of what is an error inside a 200').optional(),
    expect: z
      .record(z.string(), expectation, {
        error: 'places of an answer with what each must say, like { meta.site: "{site}", header X-Page: "{cursor}" }',
      })
      .optional(),
    csv: z
      .strictObject(
        {
          delimiter: z
            .string({ error: delimiter })
            .regex(/^[^"\r\n]$/u, { error: delimiter })
            .optional(),
          header: z.boolean({ error: 'true or false' }).optional(),
          columns: listOf(words('a column name'), 'a list of column names').optional(),
          footer: count(1, 100).optional(),
          nulls: listOf(
            z.string({ error: 'text, also an empty one' }),
            'a list of texts that stand for nothing',
          ).optional(),
        },
        { error: '{ delimiter: ";", header: true, columns: […], footer: 1, nulls: [""] }' },
      )
      .optional(),
  },
  { error: 'what an answer looks like: { format: json, rows: data }' },
)

const parameter = words('the name of a parameter')
const sized = {
  size: parameter.optional(),
  max: count(1, 1_000_000).optional(),
  more: extract.optional(),
  done: extract.optional(),
}
const endErrors = listOf(endError, 'a list of errors that mean "past the end"').optional()
const expiredExpected =
  'a status like 410, or { status: 404, path: error.type, equals: context_missing }; for 200 with a path'
const expiredStatus = z.union([z.literal(200, { error: expiredExpected }), count(400, 599)], { error: expiredExpected })
const expired = listOf(
  z.union(
    [
      count(400, 599).transform((status) => ({ status })),
      z.strictObject({ status: expiredStatus, path, equals: json.optional() }),
    ],
    { error: expiredExpected },
  ),
  'a list of answers that mean "this position is forgotten"',
).optional()
const followedEnd = { emptyPage: z.boolean({ error: 'true or false' }).optional(), errors: endErrors }
const followed = {
  ...sized,
  expired,
  end: z.strictObject(followedEnd, { error: '{ empty_page: true, errors: [404] }' }).optional(),
}
const cursorEnd = z
  .strictObject(
    { ...followedEnd, cursors: listOf(scalar, 'a list of cursors that stand for the end, like ["0"]').optional() },
    { error: '{ empty_page: true, errors: [404], cursors: ["0"] }' },
  )
  .optional()
const numberedEnd = z
  .strictObject(
    {
      shortPage: z.boolean({ error: 'true or false' }).optional(),
      errors: endErrors,
    },
    { error: '{ short_page: false, errors: [404] }' },
  )
  .optional()
const numbered = {
  ...sized,
  total: extract.optional(),
  pages: extract.optional(),
  usedSize: extract.optional(),
  backwards: path.optional(),
  end: numberedEnd,
}
const placeExpected = 'the name of a parameter, or true where {cursor} stands in the request'
const place = z.union([words(placeExpected), z.literal(true, { error: placeExpected })], { error: placeExpected })
const relation = 'one link relation like next, or true'
const paginateExpected =
  'none, or one of { page: … }, { offset: … }, { cursor: …, param: … }, { last_row: …, param: … }, { continue: … }, { link: next }, { next_url: … }'
const paginate = z.union(
  [
    z.literal('none', { error: paginateExpected }),
    z.strictObject({ page: place, first: count(0, 1_000_000).optional(), ...numbered }),
    z.strictObject({ offset: place, ...numbered }),
    z.strictObject({
      cursor: extract,
      param: parameter.optional(),
      next: request.optional(),
      ...sized,
      expired,
      end: cursorEnd,
    }),
    z.strictObject({
      lastRow: path,
      param: parameter.optional(),
      ...sized,
      end: numberedEnd,
    }),
    z.strictObject({ continue: path, ...followed }),
    z.strictObject({
      link: z.union([words(relation).regex(/^\S+$/, { error: relation }), z.literal(true, { error: relation })], {
        error: relation,
      }),
      ...followed,
    }),
    z.strictObject({ nextUrl: extract, ...followed }),
  ],
  { error: paginateExpected },
)

const countRule = z.union(
  [
    extract.transform((from) => ({ from })),
    z.strictObject({
      from: extract,
      exactBelow: count(1, Number.MAX_SAFE_INTEGER).optional(),
      request: request.optional(),
    }),
  ],
  { error: 'where the count is: a path, "header X-Total", or { from: count, exact_below: 10001, request: … }' },
)
const counts = z.union([countRule.transform((rule) => [rule]), listOf(countRule, 'a list of where the count is')], {
  error: 'where the count is: a path, "header X-Total", { from: count }, or a list of these',
})

const pruneExpected = '{ confirm: again, most: 5%, cascades: false }'
const prune = z.strictObject(
  {
    confirm: z
      .union(
        [
          oneOf(['again', 'later']),
          request.extend({
            gone: listOf(count(400, 499), 'a list of statuses that say "gone"').optional(),
            many: many.optional(),
          }),
        ],
        {
          error: 'again, later, or a request like { path: "/users/{id}", gone: [404] }',
        },
      )
      .optional(),
    most: z
      .union([share.transform((of) => ({ share: of })), z.strictObject({ rows: count(0, 1_000_000_000) })], {
        error: 'a share like 5%, or { rows: 100 }',
      })
      .optional(),
    cascades: z.boolean({ error: 'true or false' }).optional(),
  },
  { error: pruneExpected },
)

const columnName = words('a column name')
const keyExpected = 'a column name, or a list of them'
/** Stream keys that backfill.yaml may override, beside the settings. */
export const streamOverrides = {
  table: words('a table like users or archive.users').optional(),
  disposition: oneOf(['append', 'merge', 'mirror', 'replace']).optional(),
  extras: columnName.optional(),
  unstorableText: oneOf(['hold', 'strip']).optional(),
}
/** Stream keys that only backfill.yaml has. */
export const streamChangesShape = {
  filter: filter.optional(),
  overlap: overlap.optional(),
  fullWalk: fullWalk.optional(),
}
const referenceExpected = 'stream.column, like users.id, or { to: users.id, missing_parent: reject }'
const reference = z.union(
  [
    words(referenceExpected).transform((to) => ({ to })),
    z.strictObject(
      { to: words('stream.column, like users.id'), missingParent: missingParent.optional() },
      { error: referenceExpected },
    ),
  ],
  { error: referenceExpected },
)
const stream = z.strictObject(
  {
    path: requestPath.optional(),
    request: request.optional(),
    answer: answer.optional(),
    paginate: paginate.optional(),
    count: counts.optional(),
    key: z
      .union([columnName.transform((name) => [name]), listOf(columnName, keyExpected)], { error: keyExpected })
      .optional(),
    version: columnName.optional(),
    prune: prune.optional(),
    columns: z.record(z.string(), column, { error: 'column names with their types, like { id: int }' }).optional(),
    references: z
      .record(z.string(), reference, { error: 'columns with what they reference, like { user_id: users.id }' })
      .optional(),
    ...streamOverrides,
    forEach: forEach.optional(),
    match: match.optional(),
    incremental: incremental.optional(),
    windows: windows.optional(),
    filters: filters.optional(),
    dimensions: listOf(words('the name of a dimension'), 'a list of dimension names').optional(),
    ...optionalSettings,
  },
  { error: 'a stream: { path: /users, key: id, columns: { id: int } }' },
)

const bounds = z.strictObject({ from: day, to: lastDay.optional() }, { error: '{ from: 2024-01-01, to: yesterday }' })
const rules = { exclude: valueList.optional(), aliases: aliases.optional() }
const dimensionExpected =
  'a list of values, or one of { values: … }, { config: … }, { rows: … }, { days: … }, { weeks: … }, { months: … }, { years: … }'
const dimension = z.union(
  [
    valueList.transform((values) => ({ values })),
    z.strictObject({ values: valueList, ...rules }),
    z.strictObject({ config: words('the name of a list in backfill.yaml'), ...rules }),
    z.strictObject({ ...rowsShape, ...rules }),
    z.strictObject({ days: bounds, ...rules }),
    z.strictObject({ weeks: bounds, ...rules }),
    z.strictObject({ months: bounds, ...rules }),
    z.strictObject({ years: bounds, ...rules }),
  ],
  { error: dimensionExpected },
)

/** The whole definition. `source`, `baseUrl` and `streams` are asked for by the compiler, beside everything else that is wrong. */
export const sourceSchema = z.strictObject(
  {
    source: words('the name of the source').optional(),
    baseUrl: words('an address like https://api.example.com/v1').optional(),
    headers: templates.optional(),
    auth: auth.optional(),
    budget: budget.optional(),
    dimensions: z.record(z.string(), dimension, { error: 'dimension names with their values' }).optional(),
    paginate: paginate.optional(),
    answer: answer.optional(),
    streams: z.record(z.string(), stream, { error: 'stream names with their definitions' }).optional(),
    ...sourceSettingsShape,
    ...optionalSettings,
  },
  { error: 'a source definition: { source: …, base_url: …, streams: … }' },
)

export type SourceDraft = z.output<typeof sourceSchema>
export type StreamDraft = z.output<typeof stream>
export type DimensionDraft = z.output<typeof dimension>
export type PaginateDraft = z.output<typeof paginate>
export type RequestDraft = z.output<typeof request>
export type AnswerDraft = z.output<typeof answer>
export type PruneDraft = z.output<typeof prune>
export type CountDraft = z.output<typeof countRule>

/** What an author writes. */
export type SourceInput = z.input<typeof sourceSchema>
