// Owns what an answer's bytes are: media type, character set, first bytes, then JSON, NDJSON or CSV. Knows nothing of rows' meaning.
import { parse as parseCsv } from 'csv-parse/sync'
import { AnswerInvalid, SourceUnavailable } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { blankerOf } from '../domain/nulls.js'
import type { AnswerShape } from '../domain/source-model.js'
import { decodeText } from './character-set.js'
import { isCutJson, parseExactJson } from './exact-json.js'
import { excerptOf, isHtml } from './excerpt.js'
import type { WireAnswer } from './transport.js'

/** A decoded answer. `root` is what paths are looked up in: the JSON, the array of an NDJSON answer's lines; of a CSV its footer, if it has one. */
export interface Decoded {
  readonly root: Json | undefined
  /** Rows of a format that is nothing but rows. */
  readonly lines: readonly Json[] | null
}
export interface DecodeOptions {
  readonly shape: Pick<AnswerShape, 'format' | 'contentTypes' | 'csv' | 'expect'>
  /** Method and address without secrets. */
  readonly address: string
  /** Takes secrets out of what the source sent back. */
  readonly clean: (text: string) => string
}

const ownTypes: Record<AnswerShape['format'], RegExp> = {
  json: /^(application|text)\/(json|[^;]*\+json)$/,
  ndjson:
    /^(application\/(x-)?(ndjson|jsonl|json-?lines|stream\+json)|application\/json|text\/plain|application\/octet-stream)$/,
  csv: /^(text\/(csv|plain|tab-separated-values|comma-separated-values|x-csv)|application\/(csv|x-csv|vnd\.ms-excel|octet-stream))$/,
}

/**
 * @throws SourceUnavailable: `not_json`, `not_csv` (something else answered: a challenge, a proxy, maintenance), `cut_body`; AnswerInvalid:
 * `content_type`, `bad_text`, `unparsable`.
 */
export function decode(answer: WireAnswer, options: DecodeOptions): Decoded {
  checkType(answer, options)
  const text = readText(answer, options)
  switch (options.shape.format) {
    case 'json':
      return { root: readJson(text, options), lines: null }
    case 'ndjson':
      return readNdjson(text, options)
    case 'csv':
      return readCsv(text, options)
  }
}

/** JSON of an error answer, where it is any; undefined where not. Never throws. */
export function tryJson(body: Buffer): Json | undefined {
  try {
    return parseExactJson(body.toString('utf8'))
  } catch {
    return undefined
  }
}

/** Checked before anything is parsed: what stands in front of a source answers 200 with a page of its own. */
function checkType(answer: WireAnswer, options: DecodeOptions): void {
  const type = mediaType(answer)
  const start = answer.body.subarray(0, 256).toString('latin1')
  const isDeclared = options.shape.contentTypes.some((declared) => declared.toLowerCase() === type)
  if (isHtml(start.replace(/^\xef\xbb\xbf/, ''))) throw disguised(answer, options)
  if (isDeclared || ownTypes[options.shape.format].test(type)) return
  if (type === 'text/html') throw disguised(answer, options)
  if (!looksRight(start, options)) throw disguised(answer, options)
  if (type === '') return
  throw new AnswerInvalid(
    'content_type',
    `fetch ${options.address} found content type "${type}", expected ${options.shape.format}`,
    {
      hint: `add "${type}" to the answer's "content_types" where that is how this source labels it`,
      context: { content_type: type },
    },
  )
}

function looksRight(start: string, { shape }: DecodeOptions): boolean {
  const text = start.replace(/^\xef\xbb\xbf/, '').trimStart()
  if (shape.format === 'csv') return !/^[[{]/.test(text)
  return /^([[{"]|-?\d|true|false|null)/.test(text)
}

function mediaType(answer: WireAnswer): string {
  return (answer.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function disguised(answer: WireAnswer, { shape, address, clean }: DecodeOptions): SourceUnavailable {
  const code = shape.format === 'csv' ? 'not_csv' : 'not_json'
  const type = mediaType(answer) || 'no content type'
  const found = ownTypes[shape.format].test(type)
    ? `HTML that calls itself ${type}`
    : `${type} where ${shape.format} was expected`
  const fact = `status ${answer.status} with ${found}: "${excerptOf(answer.body, clean)}"`
  return new SourceUnavailable(code, `fetch ${address} found ${fact}`, {
    hint: 'something stands in front of the source (a challenge, a proxy, maintenance): open the address, check the user agent',
    context: { status: answer.status, content_type: type },
  })
}

function readText(answer: WireAnswer, options: DecodeOptions): string {
  const named = /;\s*charset\s*=\s*["']?([^\s;"']+)/i.exec(answer.headers['content-type'] ?? '')?.[1]
  const label = named?.toLowerCase() ?? 'utf-8'
  const text = decodeText(answer.body, label)
  if (text === null) throw badText(label, options)
  return text
}

function badText(label: string, options: DecodeOptions): AnswerInvalid {
  return new AnswerInvalid('bad_text', `decode ${options.address} found bytes that are no ${label} text`)
}

function readJson(text: string, options: DecodeOptions): Json {
  try {
    return parseExactJson(text)
  } catch (error) {
    if (text.trim() === '') throw cut(options, 'an empty body')
    if (isCutJson(text)) throw cut(options, 'JSON that stops in the middle')
    throw unparsable(options, 'JSON', error)
  }
}

function cut(options: DecodeOptions, fact: string, hint?: string): SourceUnavailable {
  const details = hint === undefined ? {} : { hint }
  return new SourceUnavailable('cut_body', `fetch ${options.address} found ${fact}`, details)
}

function unparsable(options: DecodeOptions, what: string, error: unknown): AnswerInvalid {
  const reason = error instanceof Error ? options.clean(error.message.split('\n', 1)[0] ?? '') : ''
  return new AnswerInvalid('unparsable', `parse ${options.address} found no ${what}: ${reason.slice(0, 200)}`)
}

function readNdjson(text: string, options: DecodeOptions): Decoded {
  const lines: Json[] = []
  const texts = text.split('\n')
  for (const [index, line] of texts.entries()) {
    if (line.trim() === '') continue
    try {
      lines.push(parseExactJson(line))
    } catch (error) {
      if (index === texts.length - 1 && isCutJson(line)) throw cut(options, 'a last line that stops in the middle')
      throw unparsable(options, `JSON in line ${index + 1}`, error)
    }
  }
  return { root: lines, lines }
}

function readCsv(text: string, options: DecodeOptions): Decoded {
  const all = csvRecords(text, options)
  const { csv } = options.shape
  // Empty lines before the header are none: one of them taken for it would make a file of rows one without any.
  const records = csv.header
    ? all.slice(
        Math.max(
          0,
          all.findIndex((values) => !isEmptyLine(values)),
        ),
      )
    : all
  const header = csv.header ? records.shift() : undefined
  if (csv.header && (header === undefined || isEmptyLine(header))) {
    throw new AnswerInvalid('no_header', `parse ${options.address} found no header line, which even an empty CSV has`)
  }
  const names = csv.columns.length > 0 ? csv.columns : (header ?? [])
  checkNames(names, header, options)
  const root = csv.footer === undefined ? undefined : { footer: takeFooter(records, names, options) }
  // An empty line is a row only where a row is one value.
  const rows = names.length === 1 ? records : records.filter((values) => !isEmptyLine(values))
  const blank = blankerOf(options.shape)
  const lines = rows.map((values, index) => {
    if (values.length !== names.length) {
      const isLast = index === rows.length - 1
      throw wrongWidth(options, { line: index + 1, found: values.length, expected: names.length, isLast })
    }
    const row = Object.fromEntries(names.map((name, at) => [name, values[at] ?? '']))
    return blank === null ? row : blank(row)
  })
  return { root, lines }
}

/** Takes the lines behind the rows away. One that could be a row is one, unless the definition knows it by what it says: a file that was cut has lost its footer. */
function takeFooter(records: string[][], names: readonly string[], options: DecodeOptions): string[] {
  const { csv, expect } = options.shape
  while (records.length > 0 && isEmptyLine(records.at(-1) ?? [])) records.pop()
  const footer = records.splice(Math.max(0, records.length - (csv.footer ?? 0)))
  const isKnown = expect.some(({ from }) => 'path' in from && from.path[0] === 'footer')
  const row = footer.find((values) => values.length === names.length && names.length > 1)
  if (footer.length < (csv.footer ?? 0)) throw cut(options, 'a CSV that stops before its footer')
  if (row !== undefined && !isKnown) throw cut(options, 'a row where the footer should be', footerHint)
  return footer.map((values) => values.join(csv.delimiter))
}

const footerHint = 'where the footer has as many values as a row, name what it says in "expect", at footer[0]'

function isEmptyLine(values: readonly string[]): boolean {
  return values.length === 1 && values[0] === ''
}

function csvRecords(text: string, options: DecodeOptions): string[][] {
  try {
    return parseCsv(text, {
      delimiter: options.shape.csv.delimiter,
      relax_column_count: true,
      // Left to itself the parser takes the first line's end for that of all, and hands over the rest of another one as part of the last value.
      record_delimiter: text.includes('\n') ? ['\r\n', '\n'] : ['\r'],
    })
  } catch (error) {
    throw unparsable(options, 'CSV', error)
  }
}

function checkNames(names: readonly string[], header: readonly string[] | undefined, options: DecodeOptions): void {
  if (names.length === 0)
    throw new AnswerInvalid('no_header', `parse ${options.address} found CSV without column names`)
  if (header !== undefined && header.length !== names.length) {
    throw wrongWidth(options, { line: 0, found: header.length, expected: names.length })
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return
  throw new AnswerInvalid('bad_header', `parse ${options.address} found column "${twice}" twice in the header`, {
    hint: 'give the columns names of your own, in their order: "csv: { columns: […] }" of the answer',
  })
}

interface Width {
  /** 0 for the header. */
  readonly line: number
  readonly found: number
  readonly expected: number
  /** True: it is the last row of the file. */
  readonly isLast?: boolean
}

function wrongWidth(options: DecodeOptions, width: Width): AnswerInvalid {
  const where = width.line === 0 ? 'the header' : `row ${width.line}`
  const fact = `${width.found} values in ${where}, expected ${width.expected}`
  const { line, found, expected, isLast = false } = width
  const hint = isLast
    ? 'where the file ends with a line that is no row, say so: "csv: { footer: 1 }" of the answer'
    : null
  return new AnswerInvalid('bad_row', `parse ${options.address} found ${fact}`, {
    ...(hint === null ? {} : { hint }),
    context: { line, found, expected },
  })
}
