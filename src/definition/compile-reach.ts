// Owns whether what a definition reads of an answer can stand in an answer of that form. A cursor, a next address or a total that is never there reads as the
// end, so it is refused before a walk loses its other pages.
import type { JsonPath } from '../domain/json.js'
import type { AnswerShape, CountRule, Extract, Pagination } from '../domain/source-model.js'
import { isGiven, refuse, type SourceScope, type Spot, spotAt } from './compilation.js'

interface Reading {
  readonly answer: AnswerShape
  readonly pagination: Pagination
  readonly count: readonly CountRule[]
}

/** Reports every place that no answer of the stream at `spot` can have. */
export function checkReach(scope: SourceScope, spot: Spot, { answer, pagination, count }: Reading): void {
  const why = whyUnnamed(answer)
  if (why === null) return
  const check = (at: Spot, from: Extract): void => {
    if ('header' in from || isInList(answer, from.path) || isInFooter(answer, from.path)) return
    const place =
      answer.format === 'csv' || answer.shape === 'entries' ? 'a header' : 'a header, or a place like [0].next'
    // What a stream takes from its source is reported where the stream says what does not go with it.
    refuse(scope.mistakes, isGiven(at) ? at : spot, {
      expected: `${place}, because ${why}`,
      found: pathText(from.path),
    })
  }
  for (const [key, from] of extractsOf(pagination)) check(spotAt(spot, 'paginate', key), from)
  if (isGiven(spotAt(spot, 'count'))) {
    for (const { request, from } of count) if (request === null) check(spotAt(spot, 'count'), from)
  }
  for (const { from } of answer.expect) check(spotAt(spot, 'answer', 'expect'), from)
}

/** Why an answer has nothing by name beside its rows; null where it may. */
function whyUnnamed({ format, rows, shape }: AnswerShape): string | null {
  if (format === 'csv') return 'CSV is nothing but rows'
  if (format === 'ndjson') return 'NDJSON is a list of lines'
  if (rows.length === 0 && shape === 'entries') return 'without "rows" the whole answer is rows by name'
  return rows.length === 0 && shape !== 'one' ? 'without "rows" the whole answer is the list of rows' : null
}

function isInFooter({ format, csv }: AnswerShape, [first, line]: JsonPath): boolean {
  return format === 'csv' && first === 'footer' && typeof line === 'number' && line < (csv.footer ?? 0)
}

function isInList({ format, shape }: AnswerShape, [first]: JsonPath): boolean {
  return format !== 'csv' && shape !== 'entries' && typeof first === 'number'
}

function extractsOf(pagination: Pagination): readonly (readonly [string, Extract])[] {
  if (pagination.kind === 'none') return []
  const { more = null, done = null } = pagination
  const all: Readonly<Record<string, Extract | null>> = { ...placesOf(pagination), more, done }
  return Object.entries(all).flatMap(([key, from]) => (from === null ? [] : [[key, from] as const]))
}

function placesOf(pagination: Exclude<Pagination, { kind: 'none' }>): Readonly<Record<string, Extract | null>> {
  switch (pagination.kind) {
    case 'link':
    case 'lastRow':
      return {}
    case 'cursor':
      return { cursor: pagination.from }
    case 'continue':
      return { continue: { path: pagination.from } }
    case 'nextUrl':
      return { nextUrl: pagination.from }
    case 'page':
    case 'offset': {
      const { total, pages, usedSize } = pagination
      return { total, pages, usedSize }
    }
  }
}

function pathText(path: JsonPath): string {
  return path.length === 0 ? '"$"' : `"${path.join('.')}"`
}
