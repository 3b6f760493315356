// Owns full walks in windows of time: one that holds too many rows is halved before it is walked, so that no page lies deep and no empty window is asked for.
// The newest window comes first. Pure.
import { InvariantError } from '../domain/errors.js'
import type { Json } from '../domain/json.js'
import { valueAt } from '../domain/json.js'
import type { Cursor } from '../domain/ports.js'
import type { Proof } from '../domain/task.js'
import type { Windows } from '../domain/walk-model.js'
import { writeMoment } from './moments.js'
import type { NextStep, PageReply, Pager } from './pager.js'
import type { Step } from './request.js'
import { readVerdict, weaker } from './verdict.js'

/** Unix ms; null: open. */
type Span = readonly [from: number, to: number | null]
interface Place {
  /** Still to do; the last one is next. */
  readonly spans: readonly Span[]
  readonly inner: Json
  readonly verdict: Proof
}

/** Where an open end is written as a moment. */
const farMs = Date.UTC(2100, 0, 1)

/** A pager over windows; `inner` walks one of them. `totalOf`: the rows that an answer says its window has. */
export function windowsPager(rules: Windows, inner: Pager, totalOf: (reply: PageReply) => number | null): Pager {
  const placeAt = (cursor: Cursor | null): Place =>
    cursor === null
      ? { spans: [[Date.parse(`${rules.from}T00:00:00Z`), null]], inner: null, verdict: 'proven' }
      : readPlace(cursor)
  return {
    judges: true,
    isPartial: true,
    stepAt: (cursor): Step => {
      const place = placeAt(cursor)
      const step = inner.stepAt(place.inner)
      return step.url === null
        ? { ...step, params: { ...step.params, [rules.param]: formOf(rules, spanOf(place)) } }
        : step
    },
    after: (cursor, reply): NextStep => {
      const place = placeAt(cursor)
      const rest = place.spans.slice(0, -1)
      const halves =
        place.inner === null ? halve(spanOf(place), rules, { rows: totalOf(reply), now: reply.servedAt }) : null
      if (halves !== null) return { cursor: writePlace({ ...place, spans: [...rest, ...halves] }), fingerprint: null }
      const next = inner.after(place.inner, reply)
      if (next.cursor !== null) {
        return { cursor: writePlace({ ...place, inner: next.cursor }), fingerprint: next.fingerprint }
      }
      const verdict = weaker(place.verdict, next.verdict ?? 'unproven')
      if (rest.length === 0) return { cursor: null, fingerprint: null, verdict }
      return { cursor: writePlace({ spans: rest, inner: null, verdict }), fingerprint: null }
    },
    guessAfter: () => null,
  }
}

function spanOf({ spans }: Place): Span {
  const span = spans.at(-1)
  if (span === undefined) throw new InvariantError('walk windows found none left')
  return span
}

function formOf({ form, format }: Windows, [from, to]: Span): string {
  return form
    .replaceAll('{from}', () => writeMoment(from, format))
    .replaceAll('{to}', () => writeMoment(to ?? farMs, format))
}

/** Two halves, the newer one last; null where the window is walked as it is. */
function halve(
  [from, to]: Span,
  { rows: most, leastMs }: Windows,
  { rows, now }: { readonly rows: number | null; readonly now: number },
): readonly [Span, Span] | null {
  if (rows === null || rows <= most) return null
  const end = to ?? now
  if (to === null && now > from)
    return [
      [from, now],
      [now, null],
    ]
  const middle = Math.floor((from + end) / 2)
  return middle - from < leastMs
    ? null
    : [
        [from, middle],
        [middle, to],
      ]
}

function writePlace({ spans, inner, verdict }: Place): Cursor {
  return { spans: spans.map(([from, to]) => [from, to]), inner, verdict }
}

function readPlace(cursor: Json): Place {
  const spans = valueAt(cursor, ['spans'])
  if (!Array.isArray(spans)) throw new InvariantError('read cursor found no place of a walk in windows')
  return {
    spans: spans.map((span: Json): Span => [Number(valueAt(span, [0])), readTo(valueAt(span, [1]))]),
    inner: valueAt(cursor, ['inner']) ?? null,
    verdict: readVerdict(valueAt(cursor, ['verdict'])),
  }
}

function readTo(value: Json | undefined): number | null {
  return typeof value === 'number' ? value : null
}
