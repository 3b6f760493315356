/**
 * Datasette's table parameters (`_size`, `_next`, `_sort`, filters) as one SQL query (wire/civicband.md §3.5). It knows the parameters' rules and
 * errors, not how an answer looks.
 */
import { tildeDecode, tildeEncode } from './tilde.js'

const tableColumns = ['id', 'meeting', 'date', 'page', 'text', 'page_image', 'entities_json', 'votes_json'] as const
const defaultSize = 100
const maximalSize = 1000

const operators: Readonly<Record<string, (column: string) => string>> = {
  exact: (column) => `${column} = ?`,
  not: (column) => `${column} != ?`,
  contains: (column) => `${column} like '%' || ? || '%'`,
  startswith: (column) => `${column} like ? || '%'`,
  endswith: (column) => `${column} like '%' || ?`,
  gt: (column) => `${column} > ?`,
  gte: (column) => `${column} >= ?`,
  lt: (column) => `${column} < ?`,
  lte: (column) => `${column} <= ?`,
}

/** A parameter that Datasette refuses with 400. */
export class ParameterError extends Error {
  readonly title: string | null
  constructor(message: string, title: string | null = null) {
    super(message)
    this.title = title
  }
}

export interface TableQuery {
  readonly size: number
  /** Selects one row more than the size, to see whether there is a next page. */
  readonly sql: string
  readonly countSql: (limit: number | null) => string
  readonly values: readonly string[]
  /** Values of the filters alone, for the count. */
  readonly countValues: readonly string[]
  readonly columns: readonly string[]
  /** The `_next` token after a row. */
  readonly tokenAfter: (row: Readonly<Record<string, string | number | null>>) => string
}

/** Reads the parameters. @throws ParameterError where Datasette answers 400. */
export function tableQuery(table: string, params: URLSearchParams, cursor: 'tilde' | 'opaque'): TableQuery {
  const size = sizeOf(params.get('_size'))
  const filters = filtersOf(params)
  const order = orderOf(params)
  const token = params.get('_next')
  const seek = token === null || token === '' ? { clauses: [], values: [] } : seekAfter(readToken(token, cursor), order)
  const columns = columnsOf(params)
  const where = (clauses: readonly string[]) => (clauses.length === 0 ? '' : ` where ${clauses.join(' and ')}`)
  const direction = order.isDescending ? ' desc' : ''
  const orderBy = order.column === 'id' ? 'id' : `${order.column}${direction}, id`
  const from = `from ${table}${where(filters.clauses)}`
  return {
    size,
    columns,
    sql: `select ${tableColumns.join(', ')} from ${table}${where([...filters.clauses, ...seek.clauses])} order by ${orderBy} limit ${size + 1}`,
    countSql: (limit) => `select count(*) as n from (select 1 ${from}${limit === null ? '' : ` limit ${limit}`})`,
    values: [...filters.values, ...seek.values],
    countValues: filters.values,
    tokenAfter: (row) => writeToken(order.column === 'id' ? [row.id] : [row[order.column], row.id], cursor),
  }
}

function sizeOf(text: string | null): number {
  if (text === null || text === '') return defaultSize
  if (text === 'max') return maximalSize
  if (!/^[+]?\d+$/.test(text)) throw new ParameterError('_size must be a positive integer')
  const size = Number(text)
  if (size > maximalSize) throw new ParameterError(`_size must be <= ${maximalSize}`)
  return size
}

interface Clauses {
  readonly clauses: string[]
  readonly values: string[]
}

function filtersOf(params: URLSearchParams): Clauses {
  const filters: Clauses = { clauses: [], values: [] }
  for (const [name, value] of params) {
    if (name.startsWith('_') || name === 'api_key') continue
    const [column = '', operator = 'exact'] = name.split('__')
    const write = operators[operator]
    if (!isColumn(column) || write === undefined) throw new ParameterError(`no such column: ${column}`, 'Invalid SQL')
    filters.clauses.push(write(column))
    filters.values.push(value)
  }
  return filters
}

interface Order {
  readonly column: string
  readonly isDescending: boolean
}

function orderOf(params: URLSearchParams): Order {
  const ascending = params.get('_sort')
  const descending = params.get('_sort_desc')
  if (ascending !== null && descending !== null)
    throw new ParameterError('Cannot use _sort and _sort_desc at the same time')
  const column = ascending ?? descending ?? 'id'
  if (!isColumn(column)) throw new ParameterError(`Cannot sort table by ${column}`)
  return { column, isDescending: descending !== null }
}

function seekAfter(parts: readonly string[], order: Order): Clauses {
  if (order.column === 'id') return { clauses: ['id > ?'], values: [parts[0] ?? ''] }
  const comparison = order.isDescending ? '<' : '>'
  const [value = '', id = ''] = parts
  return {
    clauses: [`(${order.column} ${comparison} ? or (${order.column} = ? and id > ?))`],
    values: [value, value, id],
  }
}

// The primary key is always among them.
function columnsOf(params: URLSearchParams): readonly string[] {
  const asked = params.getAll('_col')
  const dropped = params.getAll('_nocol')
  return tableColumns.filter((column) => {
    if (column === 'id') return true
    return (asked.length === 0 || asked.includes(column)) && !dropped.includes(column)
  })
}

function writeToken(parts: readonly (string | number | null | undefined)[], cursor: 'tilde' | 'opaque'): string {
  const token = parts
    .map((part) => (part === null || part === undefined ? '$null' : tildeEncode(String(part))))
    .join(',')
  return cursor === 'tilde' ? token : `+&${Buffer.from(token).toString('base64')}%=`
}

// An opaque token that lost a character on its way is refused, as a server may do with what it did not make.
function readToken(token: string, cursor: 'tilde' | 'opaque'): readonly string[] {
  if (cursor === 'tilde') return token.split(',').map(tildeDecode)
  if (!token.startsWith('+&') || !token.endsWith('%=')) throw new ParameterError(`_next is not a token: ${token}`)
  return Buffer.from(token.slice(2, -2), 'base64').toString('utf8').split(',').map(tildeDecode)
}

function isColumn(name: string): boolean {
  return (tableColumns as readonly string[]).includes(name)
}
