// Owns walks over what changed since a moment, with an open upper end. Where rows come in ascending order of their change, the walk goes on from the last value
// seen and not by page number: a row that changes meanwhile goes to the end and is met there, and none moves into a page that was read. Where one moment has more
// rows than a page, its pages are read from the last to the first, for the same reason. Pure.
import { AnswerInvalid, InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Pagination, Stream } from '../domain/source-model.js'
import type { Proof } from '../domain/task.js'
import type { Incremental, IncrementalPass } from '../domain/walk-model.js'
import { backwardsPager, lastPage } from './backwards-pager.js'
import { compareMoments, momentOf, requireMoment, writeMoment } from './moments.js'
import { totalOf, usedSizeOf } from './numbered-pager.js'
import type { PageReply, Pager, PagerOptions } from './pager.js'
import type { Step } from './request.js'
import { wholeNumber } from './rows.js'
import { readVerdict, weaker } from './verdict.js'

/** Where such a walk stands. */
interface Place {
  readonly pass: number
  /** Lower bound of the next request, as it is written there. */
  readonly from: string
  /** Position behind the first page of this bound; null: at its first page. */
  readonly inner: Json
  /** The source's clock at the walk's first answer: what changed later is the next walk's. */
  readonly until: number | null
  readonly verdict: Proof
}

/** A pager over changes; `inner` walks the pages of one request. */
export function changesPager(
  { passes }: Incremental,
  inner: Pager,
  options: PagerOptions & { readonly since: number },
): Pager {
  const passAt = (index: number): IncrementalPass => {
    const pass = passes[index]
    if (pass === undefined) throw new InvariantError(`walk changes found no pass ${index}`)
    return pass
  }
  const { pagination } = options.stream
  const ties = isNumbered(pagination) ? backwardsPager(pagination, null, options) : inner
  const innerAt = (position: Json): Pager => (isBackwards(position) ? ties : inner)
  const begin = (index: number, over: Pick<Place, 'until' | 'verdict'>): Place => ({
    pass: index,
    from: writeMoment(options.since, passAt(index).format),
    inner: null,
    ...over,
  })
  const placeAt = (cursor: Cursor | null): Place =>
    cursor === null ? begin(0, { until: null, verdict: 'proven' }) : readPlace(cursor)
  return {
    judges: true,
    isPartial: true,
    stepAt: (cursor): Step => {
      const place = placeAt(cursor)
      const pass = passAt(place.pass)
      const step = innerAt(place.inner).stepAt(place.inner)
      if (step.url !== null) return step
      const params = { ...step.params, [pass.param]: pass.form.replaceAll('{from}', () => place.from) }
      return { ...step, query: { ...step.query, ...pass.query }, params }
    },
    after: (cursor, reply) => {
      const place = placeAt(cursor)
      const pass = passAt(place.pass)
      const next = pass.isAscending
        ? afterAscending({ ...place, until: place.until ?? reply.servedAt }, reply, {
            pass,
            options,
            inner: innerAt(place.inner),
          })
        : afterPlain({ ...place, until: place.until ?? reply.servedAt }, reply, inner)
      if (next.cursor !== null) return { cursor: writePlace(next.cursor), fingerprint: next.fingerprint }
      const { until, verdict } = next
      if (place.pass + 1 >= passes.length) return { cursor: null, fingerprint: null, verdict }
      return { cursor: writePlace(begin(place.pass + 1, { until, verdict })), fingerprint: null }
    },
    guessAfter: () => null,
  }
}

type Next =
  | { readonly cursor: Place; readonly fingerprint: string | null }
  | ({ readonly cursor: null } & Pick<Place, 'until' | 'verdict'>)

function afterPlain(place: Place, reply: PageReply, inner: Pager): Next {
  const { cursor, fingerprint, verdict = 'unproven' } = inner.after(place.inner, reply)
  if (cursor !== null) return { cursor: { ...place, inner: cursor }, fingerprint }
  return { cursor: null, until: place.until, verdict: weaker(place.verdict, verdict) }
}

interface Ascending {
  readonly pass: IncrementalPass
  readonly options: PagerOptions
  readonly inner: Pager
}

function afterAscending(place: Place, reply: PageReply, { pass, options, inner }: Ascending): Next {
  const { stream } = options
  if (isBackwards(place.inner)) return afterPlain(place, reply, inner)
  const last = lastOf(reply, pass, { stream, from: place.from })
  const { total, size } = countsOf(reply, stream)
  const verdict = weaker(
    place.verdict,
    place.inner === null ? judgePage(reply.rows.length, { total, size }) : 'unproven',
  )
  const end = { cursor: null, until: place.until, verdict } as const
  const next = inner.after(place.inner, reply)
  if (next.cursor === null || last === null) return end
  const at = momentOf(last, pass.format)
  if (compareMoments(last, place.from, pass.format) > 0) {
    // Everything that had changed when the walk began was met before this.
    if (at !== null && place.until !== null && at > place.until) return end
    return { cursor: { ...place, from: last, inner: null, verdict }, fingerprint: `${place.pass} ${last}` }
  }
  const position = total === null || size === null ? next.cursor : lastPage({ total, size })
  return { cursor: { ...place, inner: position, verdict }, fingerprint: next.fingerprint }
}

function countsOf(reply: PageReply, stream: Stream): { readonly total: number | null; readonly size: number | null } {
  const { pagination } = stream
  if (!isNumbered(pagination)) return { total: null, size: null }
  return { total: totalOf(reply, { pagination, stream }), size: usedSizeOf(reply, { pagination, stream }) }
}

function isBackwards(position: Json): boolean {
  return valueAt(position, ['back']) !== undefined
}

/** The greatest value of a page; null for an empty one. @throws AnswerInvalid `not_ascending`: a walk that goes on from it would lose rows. */
function lastOf(
  reply: PageReply,
  pass: IncrementalPass,
  { stream, from }: { readonly stream: Stream; readonly from: string },
): string | null {
  let last: string | null = null
  for (const row of reply.rows) {
    const value = requireMoment(valueAt(row, pass.field), { address: reply.address, field: pass.field.join('.') })
    const before = last ?? from
    if (compareMoments(value, before, pass.format) < 0 && !isWithinPrecision(value, before, pass)) {
      const name = `${stream.source}.${stream.name}`
      throw new AnswerInvalid('not_ascending', `read ${reply.address} found "${value}" after "${before}"`, {
        hint: `"${pass.field.join('.')}" of ${name} does not come in ascending order: give its sort under "query" of incremental, or set "ascending: false"`,
      })
    }
    if (last === null || compareMoments(value, last, pass.format) > 0) last = value
  }
  return last
}

/** A bound of whole seconds may bring rows of the second that it begins in. */
function isWithinPrecision(value: string, before: string, { format }: IncrementalPass): boolean {
  const [a, b] = [momentOf(value, format), momentOf(before, format)]
  return a !== null && b !== null && b - a < 1000 && Math.floor(a / 1000) === Math.floor(b / 1000) && b % 1000 === 0
}

/** The first page under a bound is full, or holds all that its total counts. */
function judgePage(
  rows: number,
  { total, size }: { readonly total: number | null; readonly size: number | null },
): Proof {
  if (size !== null && rows >= size) return 'proven'
  if (total === null) return 'unproven'
  return rows >= total ? 'proven' : 'differs'
}

function isNumbered(pagination: Pagination): pagination is Pagination & { readonly kind: 'page' | 'offset' } {
  return pagination.kind === 'page' || pagination.kind === 'offset'
}

function writePlace(place: Place): Cursor {
  const { pass, from, inner, until, verdict } = place
  return { pass, from, inner, until, verdict }
}

function readPlace(cursor: Json): Place {
  const [pass, until] = ['pass', 'until'].map((name) => wholeNumber(valueAt(cursor, [name])))
  const from = valueAt(cursor, ['from'])
  if (typeof pass !== 'number' || typeof from !== 'string')
    throw new InvariantError('read cursor found no place of a walk over changes')
  const inner = valueAt(cursor, ['inner']) ?? null
  return { pass, from, inner, until: until ?? null, verdict: readVerdict(valueAt(cursor, ['verdict'])) }
}
