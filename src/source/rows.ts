// Owns what a decoded answer says: its rows as objects, errors inside a 200, values taken from a header or a path, counts. Pure.
import type { IncomingHttpHeaders } from 'node:http'
import { AnswerInvalid } from '../domain/errors.js'
import type { Json, JsonObject, JsonPath } from '../domain/json.js'
import { ExactDecimal, isJsonObject, valueAt } from '../domain/json.js'
import type { SourceCount } from '../domain/ports.js'
import type { AnswerError, AnswerShape, CountRule, Extract } from '../domain/source-model.js'
import type { Decoded } from './decode.js'
import { headerText } from './header-text.js'

/** Where values of an answer are looked up. */
export interface Reply {
  readonly headers: IncomingHttpHeaders
  readonly root: Json | undefined
}
export interface RowOptions {
  readonly shape: AnswerShape
  /** Method and address without secrets. */
  readonly address: string
}

/** Rows as objects. @throws AnswerInvalid: `rows_missing`, `bad_row`, `bad_header`. Missing rows are an error, never "no rows". */
export function rowsOf(decoded: Decoded, options: RowOptions): Json[] {
  if (decoded.lines !== null && options.shape.format === 'csv') return [...decoded.lines]
  if (decoded.lines !== null)
    return shapeRows(
      decoded.lines.map((line) => rowOfLine(line, options)),
      null,
      options,
    )
  const rows = valueAt(decoded.root, options.shape.rows)
  if (isLeftOut(rows, decoded.root, options.shape)) return []
  if (options.shape.shape === 'one') return [oneRow(rows, decoded.root, options)]
  if (options.shape.shape === 'entries') return rowsByName(rows, decoded.root, options)
  if (!Array.isArray(rows)) throw rowsMissing(decoded.root, options)
  return shapeRows(rows as readonly Json[], headerOf(decoded.root, options), options)
}

/** True where the list that may be left out is: what is around it must be there, and name no error. */
function isLeftOut(rows: Json | undefined, root: Json | undefined, { emptyWithoutRows, rows: path }: AnswerShape) {
  if (emptyWithoutRows !== true || (rows !== undefined && rows !== null)) return false
  const around = path.map((_, depth) => valueAt(root, path.slice(0, depth)))
  if (!isJsonObject(around.at(-1)) || (isJsonObject(root) && saysOnlyWhy(root))) return false
  return !around.some((level) => isJsonObject(level) && saysFailed(level))
}

const whyNames = /^(message|msg|detail|details|reason|title|description)$/i
const besideWhy =
  /^((status|error|response)_?(code|text)?|code|type|instance|path|timestamp|time|date|documentation_?url|help|link|request_?id|trace_?id|correlation_?id)$/i

/** `{ "message": "Forbidden" }`, also with null in the list's place: who has nothing to list still says something of it, not only why. */
function saysOnlyWhy(root: JsonObject): boolean {
  const all = Object.keys(root)
  const names = all.filter((name) => root[name] === 0 || isFilled(root[name]))
  if (!names.some((name) => whyNames.test(name))) return false
  if (!names.every((name) => whyNames.test(name) || besideWhy.test(name))) return false
  return names.length === all.length || !saysGood(root)
}

const codeNames = /^((status|response)_?)?(code|status)$/i
const goodCode = /^(0+|200|ok|success)$/i
const goodWord = /^(ok|okay|success|successful|succeeded)[.!]?$/i

/** `{ "code": 0, "msg": "success", "data": null }`. */
function saysGood(root: JsonObject): boolean {
  const codes = Object.keys(root).filter((name) => codeNames.test(name) && isFilled(root[name]))
  if (codes.length > 0) return codes.every((name) => goodCode.test(textOf(root[name])))
  return Object.keys(root).some((name) => whyNames.test(name) && goodWord.test(textOf(root[name]).trim()))
}

/** An error that no definition foresaw looks like an answer whose list was left out. */
function saysFailed(level: JsonObject): boolean {
  return Object.entries(level).some(([name, value]) => {
    if (/^(error|fault|exception)/i.test(name)) return value !== 0 && isFilled(value)
    const word = textOf(value).toLowerCase()
    if (/^(ok|success)$/i.test(name)) return word === 'false' || word === '0'
    return /^status$/i.test(name) && /^(error|fail|failed|failure)$/.test(word)
  })
}

/** Names that are nobody's column. */
const errorNames = /^(errors?|error_?(message|code|description|type)|faults?|fault_?(string|code)|exceptions?)$/i

function namesError(row: JsonObject): boolean {
  return Object.entries(row).some(([name, value]) => errorNames.test(name) && value !== 0 && isFilled(value))
}

/** The record itself. Where the answer is nothing but the record, an error would be taken for one. */
function oneRow(row: Json | undefined, root: Json | undefined, options: RowOptions): Json {
  if (!isJsonObject(row) || (options.shape.rows.length === 0 && namesError(row))) throw rowsMissing(root, options)
  return row
}

/** The values of an object, each with its name; an empty list is an empty object to some languages. */
function rowsByName(rows: Json | undefined, root: Json | undefined, options: RowOptions): Json[] {
  if (Array.isArray(rows) && rows.length === 0) return []
  if (!isJsonObject(rows) || (options.shape.rows.length === 0 && namesError(rows))) throw rowsMissing(root, options)
  return Object.entries(rows).map(
    ([name, row]): Json => (isJsonObject(row) ? { ...row, _key: name } : { value: row, _key: name }),
  )
}

/** The records that rows unfold into: elements of an array in each, with the row around them as `_parent`. Rows that are records stay. */
export function recordsOf(rows: readonly Json[], { shape, address }: RowOptions): readonly Json[] {
  const { unfold } = shape
  if (unfold === undefined) return rows
  return rows.flatMap((row, index) => {
    const elements = valueAt(row, unfold)
    if (elements === undefined || elements === null) return []
    if (!Array.isArray(elements)) {
      throw new AnswerInvalid('bad_row', `read ${address} found no list at "${pathText(unfold)}" of row ${index + 1}`)
    }
    const parent = isJsonObject(row) ? without(row, unfold) : row
    return elements.map(
      (element: Json): Json =>
        isJsonObject(element) ? { ...element, _parent: parent } : { value: element, _parent: parent },
    )
  })
}

/** The row without the unfolded list, which would be kept once for each of its elements. */
function without(row: JsonObject, path: JsonPath): JsonObject {
  const [name, ...rest] = path
  if (typeof name !== 'string' || rest.length > 0) return row
  return Object.fromEntries(Object.entries(row).filter(([key]) => key !== name))
}

/** The first declared error that an answer with a good status holds, in the source's own words; null where there is none. */
export function errorInside(
  root: Json | undefined,
  errors: readonly AnswerError[],
): { rule: AnswerError; message: string } | null {
  for (const rule of errors) {
    const value = valueAt(root, rule.path)
    const isError = rule.equals === null ? isFilled(value) : value !== undefined && isSameJson(value, rule.equals)
    if (!isError) continue
    const message = rule.message === null ? value : valueAt(root, rule.message)
    return { rule, message: textOf(message) }
  }
  return null
}

/** A header (in lower case or not) or a place of the JSON; undefined where it is absent. */
export function extract(reply: Reply, from: Extract): Json | undefined {
  if ('path' in from) return valueAt(reply.root, from.path)
  return headerText(reply.headers[from.header.toLowerCase()])
}

/** A key with dots in it that stands where a path leads to nothing: `@odata.nextLink` was meant as one key, not as two. null: there is none. */
export function dottedKey(root: Json | undefined, path: JsonPath): string | null {
  for (const at of path.keys()) {
    const object = valueAt(root, path.slice(0, at))
    if (!isJsonObject(object)) return null
    const keys = path.slice(at).flatMap((_, more) => (more === 0 ? [] : [path.slice(at, at + more + 1).join('.')]))
    const found = keys.find((key) => Object.hasOwn(object, key))
    if (found !== undefined) return found
  }
  return null
}

/** A count, a size, a number of pages; null where the value is absent, null, negative or no whole number. */
export function wholeNumber(value: Json | undefined): number | null {
  const number = typeof value === 'string' && /^\s*\d{1,16}\s*$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null
}

/** The best count that these rules find in one answer: the first exact one, else the first "at least". */
export function countIn(reply: Reply, rules: readonly CountRule[]): SourceCount | null {
  let best: SourceCount | null = null
  for (const rule of rules) {
    const count = countBy(reply, rule)
    if (count?.trust === 'exact') return count
    best ??= count
  }
  return best
}

/** What one rule finds in an answer; null where the value is missing. */
export function countBy(reply: Reply, rule: CountRule): SourceCount | null {
  const found = extract(reply, rule.from)
  if (found === undefined) refuseDotted(reply, rule.from)
  const value = wholeNumber(found)
  if (value === null) return null
  return { value, trust: rule.exactBelow === null || value < rule.exactBelow ? 'exact' : 'at least' }
}

/** A count that the definition only misspells must not pass for one that the source does not give. */
function refuseDotted({ root }: Reply, from: Extract): void {
  const dotted = 'path' in from ? dottedKey(root, from.path) : null
  if (dotted === null || 'header' in from) return
  throw new AnswerInvalid(
    'bad_count',
    `read the count found nothing at "${pathText(from.path)}", and a key of that very name`,
    {
      hint: dottedHint(dotted),
    },
  )
}

/** Present, not null, not false and not empty. */
function isFilled(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  if (Array.isArray(value)) return value.length > 0
  return !isJsonObject(value) || Object.keys(value).length > 0
}

/** Equal as JSON; the order of an object's names counts. */
export function isSameJson(a: Json, b: Json): boolean {
  return typeof a === typeof b && textOf(a) === textOf(b) && (a === null) === (b === null)
}

/** As it would stand in a sentence: text as it is, everything else as JSON; nothing for what is absent or null. */
export function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'object') return String(value)
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' || part instanceof ExactDecimal ? String(part) : part,
  )
}

function rowOfLine(line: Json, { shape, address }: RowOptions): Json {
  const row = valueAt(line, shape.rows)
  if (row !== undefined) return row
  throw new AnswerInvalid('rows_missing', `read ${address} found a line without "${pathText(shape.rows)}"`)
}

function rowsMissing(root: Json | undefined, { shape, address }: RowOptions): AnswerInvalid {
  const found = valueAt(root, shape.rows)
  const fact =
    found === undefined
      ? 'nothing'
      : found === null
        ? 'null'
        : isJsonObject(found)
          ? namesError(found)
            ? 'an object that names an error'
            : 'an object'
          : Array.isArray(found)
            ? 'a list'
            : 'a plain value'
  const expected = wanted[shape.shape] ?? 'a list of rows'
  const place = shape.rows.length === 0 ? 'the answer' : `"${pathText(shape.rows)}"`
  const dotted = found === undefined ? dottedKey(root, shape.rows) : null
  return new AnswerInvalid('rows_missing', `read ${address} found ${fact} at ${place}, expected ${expected}`, {
    hint: dotted === null ? hintFor(found, shape) : dottedHint(dotted),
    context: { rows: pathText(shape.rows) },
  })
}

const wanted: Readonly<Record<string, string>> = { entries: 'an object of rows', one: 'one record' }

/** What to write where the rows are there in another form. */
function hintFor(found: Json | undefined, { shape, format, rows }: AnswerShape): string {
  if (format === 'json' && typeof found === 'string' && /^\s*[[{]/.test(found))
    return `this is text that holds JSON: say so with "parse: ${pathText(rows)}" of the answer`
  if (shape !== 'one' && shape !== 'entries' && isJsonObject(found) && !namesError(found))
    return 'where this is one record, say "shape: one"; where it is rows by name, "shape: entries"'
  return 'compare the answer with "rows" of the definition'
}

/** What to write where a key has dots. */
export function dottedHint(key: string): string {
  return `"${key}" is one key of the answer: write the path as a list of keys, with ['${key}'] for this one`
}

function headerOf(root: Json | undefined, options: RowOptions): readonly string[] | null {
  const { shape, address } = options
  if (shape.header === null) return null
  const names = valueAt(root, shape.header)
  if (names === undefined) return null
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string')
  if (isList && new Set(names).size === names.length) return names
  throw new AnswerInvalid(
    'bad_header',
    `read ${address} found no list of distinct names at "${pathText(shape.header)}"`,
  )
}

function shapeRows(rows: readonly Json[], header: readonly string[] | null, options: RowOptions): Json[] {
  const { shape } = options.shape
  return rows.map((row, index) => {
    if (shape === 'values') return { value: row }
    if (isJsonObject(row) && shape !== 'arrays') return row
    if (Array.isArray(row) && shape !== 'objects') return rowOfArray(row, header, { ...options, index })
    if (shape === 'auto') return { value: row }
    throw badRow(
      { ...options, index },
      `${Array.isArray(row) ? 'a list' : isJsonObject(row) ? 'an object' : 'a plain value'}, expected ${shape}`,
    )
  })
}

function rowOfArray(
  row: readonly Json[],
  header: readonly string[] | null,
  options: RowOptions & { index: number },
): Json {
  if (header === null) throw badRow(options, 'a list, and no header that names its values')
  if (row.length !== header.length) throw badRow(options, `${row.length} values, expected ${header.length}`)
  // fromEntries makes own properties, `__proto__` too.
  return Object.fromEntries(header.map((name, at) => [name, row[at] ?? null]))
}

function badRow(options: RowOptions & { index: number }, fact: string): AnswerInvalid {
  return new AnswerInvalid('bad_row', `read ${options.address} found ${fact} in row ${options.index + 1}`, {
    context: { row: options.index + 1 },
  })
}

/** A path as a definition writes it. */
export function pathText(path: JsonPath): string {
  return path.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('')
}
