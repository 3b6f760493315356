/**
 * `filter`, `range`, `sort`, `page` and `per_page` as School 42 reads them (wire/school42.md §2.6, §2.7), with its errors: unknown fields are refused, empty values
 * ignored, page sizes cut without a word. It knows no HTTP.
 */
import { createHash } from 'node:crypto'
import type { Moment, Resource } from './resources.js'
import type { School42Switches } from './switches.js'
import { compareBy, fieldOf, type Order } from './table.js'

/** Where and how a list is cut. */
export interface PageAsked {
  readonly page: number
  readonly size: number
  /** The names that the client used, for the links. */
  readonly names: { readonly page: string; readonly size: string }
}

export interface Selection {
  readonly rows: readonly object[]
  readonly total: number
}

/** A query that the service refuses; the answer is made from it. */
export class QueryRefused extends Error {
  readonly status: number
  readonly error: string
  constructor(status: number, error: string, message: string) {
    super(message)
    this.status = status
    this.error = error
  }
}

const defaultPageSize = 30

export function pageAsked(params: URLSearchParams, cut: number): PageAsked {
  const isBracketed = params.has('page[number]') || params.has('page[size]')
  const names = isBracketed ? { page: 'page[number]', size: 'page[size]' } : { page: 'page', size: 'per_page' }
  const asked = positive(params.get(names.size)) ?? defaultPageSize
  return { page: positive(params.get(names.page)) ?? 1, size: Math.min(asked, cut), names }
}

/** The rows of one page. @throws QueryRefused */
export function select(
  params: URLSearchParams,
  from: { readonly resource: Resource; readonly isIn: ((row: object) => boolean) | null; readonly moment: Moment },
  how: { readonly page: PageAsked; readonly switches: School42Switches; readonly salt: string },
): Selection {
  const { resource, isIn, moment } = from
  const tests = [...filterTests(params, resource, { moment, most: how.switches.mostFilterValues })]
  if (isIn !== null) tests.unshift(isIn)
  const order = orderOf(params, resource)
  let found: readonly object[] = moment.school.table(resource.table).ordered(order)
  for (const range of rangesOf(params, resource)) {
    // Rows sorted by the field of the range: its part is one piece of them.
    if (range.field === order[0]?.field) found = pieceOf(found, range, order[0].descending)
    else tests.push((row) => range.side(row) === 'in')
  }
  if (tests.length > 0) found = found.filter((row) => tests.every((test) => test(row)))
  const hasTies = how.switches.ties === 'any' && !order.some(({ field }) => field === 'id')
  const rows = hasTies ? shuffledTies(found, order, how.salt) : found
  const start = (how.page.page - 1) * how.page.size
  return { rows: rows.slice(start, start + how.page.size), total: rows.length }
}

type Test = (row: object) => boolean

function* filterTests(
  params: URLSearchParams,
  resource: Resource,
  rules: { readonly moment: Moment; readonly most: number },
): Generator<Test> {
  for (const [field, text] of bracketed(params, 'filter')) {
    const value = resource.filters.get(field)
    if (value === undefined) throw unknownFilter(field, resource)
    // An empty value is no filter at all: the whole table comes back.
    if (value === null || text === '') continue
    const values = text.split(',')
    if (values.length > rules.most) throw new QueryRefused(502, 'Bad Gateway', 'too many values')
    if (field.endsWith('_at') && values.some((one) => Number.isNaN(Date.parse(one)))) throw badValue(field)
    const wanted = new Set(field.endsWith('_at') ? values.map(instant) : values)
    yield (row) => wanted.has(String(value(row, rules.moment)))
  }
}

/** Inclusive at both ends; null is in no range. */
interface Range {
  readonly field: string
  readonly side: (row: object) => 'below' | 'in' | 'above' | 'null'
}

function* rangesOf(params: URLSearchParams, resource: Resource): Generator<Range> {
  for (const [field, text] of bracketed(params, 'range')) {
    if (!resource.sortable.includes(field)) throw unknownFilter(field, resource)
    if (text === '') continue
    const [low = '', high, ...more] = text.split(',')
    if (low === '' || high === undefined || high === '' || more.length > 0) {
      throw new QueryRefused(400, 'Range Error', `The range of ${field} needs two values`)
    }
    const isTime = field.endsWith('_at')
    if (isTime && [low, high].some((bound) => Number.isNaN(Date.parse(bound)))) throw badValue(field)
    yield rangeOf(field, isTime ? instant(low) : low, isTime ? instant(high) : high)
  }
}

function rangeOf(field: string, low: string, high: string): Range {
  const [least, most] = [Number(low), Number(high)]
  return {
    field,
    side: (row) => {
      const value = fieldOf(row, field)
      if (typeof value === 'number') return value < least ? 'below' : value > most ? 'above' : 'in'
      if (typeof value !== 'string') return 'null'
      return value < low ? 'below' : value > high ? 'above' : 'in'
    },
  }
}

/** The part of rows sorted by the range's field that is in it; null is last where ascending, first where descending. */
function pieceOf(rows: readonly object[], range: Range, isDescending: boolean): readonly object[] {
  const before = isDescending ? ['null', 'above'] : ['below']
  const start = firstWithout(rows, (row) => before.includes(range.side(row)))
  const end = firstWithout(rows, (row) => [...before, 'in'].includes(range.side(row)))
  return rows.slice(start, end)
}

/** The first place whose row fails a test that all rows before it pass. */
function firstWithout(rows: readonly object[], test: Test): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const row = rows[middle]
    if (row !== undefined && test(row)) low = middle + 1
    else high = middle
  }
  return low
}

function orderOf(params: URLSearchParams, resource: Resource): Order {
  const text = params.get('sort') ?? ''
  if (text === '') return resource.order
  return text.split(',').map((word) => {
    const field = word.replace(/^-/, '')
    if (!resource.sortable.includes(field)) {
      throw new QueryRefused(400, 'Sort Error', `The ${field} field is not sortable`)
    }
    return { field, descending: word.startsWith('-') }
  })
}

function unknownFilter(field: string, resource: Resource): QueryRefused {
  const known = [...resource.filters.keys()].map((name) => `"${name}"`).join(', ')
  const message = `Attributes ${field} doesn't exists. You can only filter on: [${known}]`
  return new QueryRefused(400, 'Filter Error', message)
}

function badValue(field: string): QueryRefused {
  return new QueryRefused(422, 'Graph Error', `The value of ${field} is not a date`)
}

/** Postgres promises no order among equals: each request may see another. */
function shuffledTies(rows: readonly object[], order: Order, salt: string): readonly object[] {
  const places = new Map(rows.map((row) => [row, place(row, salt)]))
  return [...rows].sort(
    (one, other) => compareBy(order, one, other) || (places.get(one) ?? 0) - (places.get(other) ?? 0),
  )
}

function place(row: object, salt: string): number {
  return Math.imul(Number(fieldOf(row, 'id')) ^ salted(salt), 0x9e3779b1) >>> 0
}

const salts = new Map<string, number>()
function salted(salt: string): number {
  const known = salts.get(salt)
  if (known !== undefined) return known
  salts.clear()
  const value = createHash('sha256').update(salt).digest().readInt32LE(0)
  salts.set(salt, value)
  return value
}

function* bracketed(params: URLSearchParams, word: string): Generator<[string, string]> {
  for (const [name, value] of params) {
    const field = new RegExp(`^${word}\\[(.+)\\]$`).exec(name)?.[1]
    if (field !== undefined) yield [field, value]
  }
}

/** An instant as the rows write it: milliseconds and Z. */
function instant(text: string): string {
  return new Date(Date.parse(text)).toISOString()
}

function positive(text: string | null): number | null {
  const number = Number(text ?? '')
  return Number.isInteger(number) && number > 0 ? number : null
}
