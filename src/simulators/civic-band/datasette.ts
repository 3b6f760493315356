/**
 * Datasette's JSON over one site: tables and custom SQL, in the bodies of 0.65, 1.0a28 and 1.0a36 and later (wire/civicband.md §3.4 and §3.5). It knows
 * nothing of keys and limits: the wrapper has seen to them.
 */
import { htmlAnswer, jsonAnswer, type SimulatorAnswer } from '../simulator.js'
import { type TableName, tables } from './pages.js'
import type { Site } from './site.js'
import type { CivicBandSwitches } from './switches.js'
import { ParameterError, type TableQuery, tableQuery } from './table-query.js'

/** Datasette 1.0 counts no further than this; the value above it means "at least". */
const countLimit = 10_000
const maximalRows = 1000
const knownExtras = ['count', 'columns', 'primary_keys', 'is_view', 'database', 'table', 'next_url']

export interface DatasetteRequest {
  readonly site: Site
  /** Path below the site: `/meetings/minutes.json`. */
  readonly path: string
  /** As the wrapper hands them on. */
  readonly params: URLSearchParams
  /** Address of the site as the client knows it, without a slash at the end. */
  readonly base: string
  readonly switches: CivicBandSwitches
  /** Whether this query is one that takes too long. */
  readonly isInterrupted: (target: 'table' | 'sql', size: number) => boolean
}
type Body = Readonly<Record<string, unknown>>
type Row = Readonly<Record<string, string | number | null>>

export function datasetteAnswer(request: DatasetteRequest): SimulatorAnswer {
  try {
    return route(request)
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error
    return errorAnswer(request.switches, { status: 400, message: error.message, title: error.title })
  }
}

function route(request: DatasetteRequest): SimulatorAnswer {
  const { path, switches } = request
  const isOld = switches.version === '0.65'
  const name = /^\/meetings\/([^/]+)\.json$/.exec(path)?.[1]
  const table = tables.find((known) => known === name)
  if (table !== undefined) return tableAnswer(request, table)
  if (path === '/meetings.json' && request.params.has('sql')) return isOld ? sqlAnswer(request) : toQueryPage(request)
  if (path === '/meetings/-/query.json' && !isOld) return sqlAnswer(request)
  if (name === undefined || switches.missingTable === 'html') return notFound()
  return errorAnswer(switches, { status: 404, message: 'Table not found', title: null })
}

// ---------------------------------------------------------------------------------------------------------------- tables

function tableAnswer(request: DatasetteRequest, table: TableName): SimulatorAnswer {
  const { site, params, switches } = request
  const query = tableQuery(table, params, switches.cursor)
  if (request.isInterrupted('table', query.size)) return interrupted(switches, query.sql)
  // One row more than asked for is read: a full last page has no next one.
  const found = site.database.prepare(query.sql).all(...query.values) as Row[]
  const rows = found.slice(0, query.size)
  const last = rows.at(-1)
  const next = found.length > query.size && last !== undefined ? query.tokenAfter(last) : null
  const extras = extrasOf(params, switches)
  const page: TablePage = { request, table, query, rows, next, extras, count: countOf(request, query, extras) }
  site.servedPages += 1
  return shaped(page, switches.version === '0.65' ? oldBody(page) : newBody(page))
}

interface TablePage {
  readonly request: DatasetteRequest
  readonly table: TableName
  readonly query: TableQuery
  readonly rows: readonly Row[]
  readonly next: string | null
  readonly extras: readonly string[]
  /** undefined: the key is left out. */
  readonly count: number | null | undefined
}

function extrasOf(params: URLSearchParams, switches: CivicBandSwitches): readonly string[] {
  if (switches.version === '0.65') return []
  const asked = params
    .getAll('_extra')
    .flatMap((list) => list.split(','))
    .filter((extra) => extra !== '')
  const known = switches.version === '1.0a36' ? knownExtras.filter((extra) => extra !== 'next_url') : knownExtras
  const unknown = asked.find((extra) => !known.includes(extra))
  if (unknown !== undefined && switches.version === '1.0a36') throw new ParameterError(`Unknown _extra: ${unknown}`)
  return asked
}

function countOf(request: DatasetteRequest, query: TableQuery, extras: readonly string[]): number | null | undefined {
  const { switches, params, site } = request
  const isOld = switches.version === '0.65'
  if (switches.count === 'absent' || (!isOld && !extras.includes('count'))) return undefined
  if (switches.count === 'timed out' || params.get('_nocount') === '1') return null
  const statement = site.database.prepare(query.countSql(isOld ? null : countLimit + 1))
  return (statement.get(...query.countValues) as { readonly n: number }).n
}

function newBody(page: TablePage): Body {
  const { request, table, extras, count, next, query } = page
  const isLate = request.switches.version === '1.0a36'
  const extraValues: Body = {
    columns: query.columns,
    primary_keys: ['id'],
    is_view: false,
    database: 'meetings',
    table,
    next_url: nextUrl(page),
  }
  const values = Object.fromEntries(Object.entries(extraValues).filter(([name]) => extras.includes(name)))
  const isCounted = count !== undefined
  return {
    ok: true,
    next,
    ...(isLate ? { next_url: nextUrl(page) } : {}),
    ...values,
    ...(isCounted ? { count } : {}),
    ...(isLate && isCounted ? { count_truncated: (count ?? 0) > countLimit } : {}),
    rows: rowsIn(page, request.params.get('_shape') ?? 'objects'),
    truncated: false,
  }
}

// The keys of datasette/views/table.py at 0.65; `rows` are arrays unless `_shape` says otherwise.
function oldBody(page: TablePage): Body {
  const { table, query, count, next, request } = page
  return {
    database: 'meetings',
    table,
    is_view: false,
    human_description_en: '',
    rows: rowsIn(page, request.params.get('_shape') ?? 'arrays'),
    truncated: false,
    ...(count === undefined ? {} : { filtered_table_rows_count: count }),
    expanded_columns: [],
    expandable_columns: [],
    columns: query.columns,
    primary_keys: ['id'],
    units: {},
    query: { sql: query.sql, params: {} },
    facet_results: {},
    suggested_facets: [],
    next,
    next_url: nextUrl(page),
    private: false,
    allow_execute_sql: request.switches.executesSql,
    query_ms: 1.5,
  }
}

function rowsIn(page: TablePage, shape: string): unknown {
  const { columns } = page.query
  const objects = page.rows.map((row) => Object.fromEntries(columns.map((column) => [column, row[column]])))
  if (shape === 'arrays') return objects.map((row) => Object.values(row))
  if (shape === 'arrayfirst') return objects.map((row) => row[columns[0] ?? 'id'])
  if (shape === 'object') return Object.fromEntries(objects.map((row) => [String(row.id), row]))
  if (shape === 'objects' || shape === 'array') return objects
  throw new ParameterError(`Invalid _shape: ${shape}`)
}

// `array` and `object` leave the envelope away: what is left of the cursor is the Link header.
function shaped(page: TablePage, body: Body): SimulatorAnswer {
  const shape = page.request.params.get('_shape')
  const link = nextUrl(page)
  const isBare = shape === 'array' || shape === 'arrayfirst' || shape === 'object'
  const answer = jsonAnswer(200, isBare ? body.rows : body, page.rows.length)
  const headers = { ...answer.headers, ...(link === null ? {} : { link: `<${link}>; rel="next"` }) }
  if (shape !== 'array' || page.request.params.get('_nl') !== 'on') return { ...answer, headers }
  const lines = (body.rows as readonly unknown[]).map((row) => JSON.stringify(row)).join('\n')
  return { ...answer, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8' }, body: lines }
}

function nextUrl(page: TablePage): string | null {
  if (page.next === null) return null
  const params = new URLSearchParams(page.request.params)
  params.set('_next', page.next)
  return `${page.request.base}${page.request.path}?${params.toString()}`
}

// ------------------------------------------------------------------------------------------------------------ custom SQL

function sqlAnswer(request: DatasetteRequest): SimulatorAnswer {
  const { switches, params, site } = request
  const sql = params.get('sql') ?? ''
  if (!switches.executesSql)
    return errorAnswer(switches, { status: 403, message: 'Permission denied: execute-sql', title: 'Forbidden' })
  if (sql === '') return errorAnswer(switches, { status: 400, message: '?sql= is required', title: null })
  if (request.isInterrupted('sql', 0)) return interrupted(switches, sql)
  const found = selectRows(site, sql)
  const rows = found.slice(0, maximalRows)
  const isTruncated = found.length > maximalRows
  const isOld = switches.version === '0.65'
  const isBare = params.get('_shape') === 'array'
  const columns = Object.keys(rows[0] ?? {})
  const old = {
    database: 'meetings',
    query_name: null,
    columns,
    query: { sql, params: {} },
    private: false,
    query_ms: 1.5,
  }
  const body = isOld
    ? { ...old, rows: rows.map((row) => Object.values(row)), truncated: isTruncated }
    : { ok: true, rows, truncated: isTruncated }
  // Rows of SQL are no rows of a table: the audit counts what a walk would fetch.
  return jsonAnswer(200, isBare ? rows : body)
}

function selectRows(site: Site, sql: string): readonly Row[] {
  if (!/^\s*(select|with|explain)\b/i.test(sql)) throw new ParameterError('Statement must be a SELECT', 'Invalid SQL')
  try {
    return site.database.prepare(sql).all() as Row[]
  } catch (error) {
    throw new ParameterError(error instanceof Error ? error.message : String(error), 'Invalid SQL')
  }
}

// 1.0 moved custom SQL; the old address redirects (changelog of 1.0a28).
function toQueryPage(request: DatasetteRequest): SimulatorAnswer {
  const location = `${request.base}/meetings/-/query.json?${request.params.toString()}`
  return { status: 302, headers: { location }, body: '', rows: 0 }
}

// ---------------------------------------------------------------------------------------------------------------- errors

interface ErrorBody {
  readonly status: number
  readonly message: string
  readonly title: string | null
}

function errorAnswer(switches: CivicBandSwitches, { status, message, title }: ErrorBody): SimulatorAnswer {
  if (switches.version === '1.0a36') return jsonAnswer(status, { ok: false, error: message, errors: [message], status })
  return jsonAnswer(status, { ok: false, error: message, status, title })
}

// tests/test_api.py test_sql_time_limit: a timeout is a 400, and until 1.0a36 its text is HTML.
function interrupted(switches: CivicBandSwitches, sql: string): SimulatorAnswer {
  const plain = 'SQL query took too long. The time limit is controlled by the sql_time_limit_ms setting.'
  const html = [
    '<p>SQL query took too long. The time limit is controlled by the',
    '<a href="https://docs.datasette.io/en/stable/settings.html#sql-time-limit-ms">sql_time_limit_ms</a>',
    'configuration option.</p>',
    `<textarea style="width: 90%">${escapeHtml(sql)}</textarea>`,
    '<script>',
    'let ta = document.querySelector("textarea");',
    'ta.style.height = ta.scrollHeight + "px";',
    '</script>',
  ].join('\n')
  const message = switches.version === '1.0a36' ? plain : html
  return errorAnswer(switches, { status: 400, message, title: 'SQL Interrupted' })
}

function notFound(): SimulatorAnswer {
  return htmlAnswer(
    404,
    '<!DOCTYPE html>\n<html>\n<head><title>404</title></head>\n<body>\n<h1>Page not found</h1>\n</body>\n</html>',
  )
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
