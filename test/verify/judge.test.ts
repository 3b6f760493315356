import { describe, expect, it } from 'vitest'
import type { PartitionActual, SourceCount } from '../../src/domain/ports.js'
import { type Evidence, explainChanges, judge } from '../../src/verify/judge.js'
import { finishedTask } from '../support/finished-task.js'
import { makeSource, makeStream } from '../support/stream.js'

const stream = makeStream()
const selected = { source: makeSource([stream]), stream }
/** Its key says to which partition a row belongs. */
const whole = { ...selected, stream: makeStream({ key: ['site', 'id'] }) }
const exactly = (value: number): SourceCount => ({ value, trust: 'exact' })
const lastWalk = { finishedAt: 0, received: 100, distinct: 100, expected: exactly(100), proof: 'proven' } as const
const actual = (rows: number | null, rest: Partial<PartitionActual> = {}): PartitionActual => ({
  rows,
  held: 0,
  lastWalk,
  ...rest,
})
const task = finishedTask
const of = (evidence: Partial<Evidence>) =>
  judge({
    selected,
    partition: { site: 'a' },
    task,
    expected: exactly(100),
    actual: actual(100),
    hasTable: true,
    ...evidence,
  })

describe('judge', () => {
  const cases: [string, Partial<Evidence>, string, RegExp][] = [
    ['equal counts', {}, 'equal', /^100 rows on both sides$/],
    [
      'a row missing',
      { actual: actual(99) },
      'discrepancy',
      /1 missing; run "backfill seed test.thing --partition site=a --force"/,
    ],
    [
      'a missing row that is held',
      { actual: actual(99, { held: 1 }) },
      'discrepancy',
      /the one missing is held with a reason/,
    ],
    [
      'a missing row that was given up',
      { actual: actual(99, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'equal',
      /^the source has 100 rows: 99 in the table, 1 given up by hand$/,
    ],
    [
      'two missing, of which one was given up',
      { actual: actual(98, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'discrepancy',
      /the table 98, and 1 is given up: 1 missing; run "backfill seed/,
    ],
    [
      'a row given up and another one held',
      { actual: actual(98, { held: 2, dismissed: { rows: 1, met: 1 } }) },
      'discrepancy',
      /and 1 is given up: the one missing is held with a reason/,
    ],
    [
      'a row given up that the last walk did not bring any more',
      { actual: actual(99, { held: 1, dismissed: { rows: 1, met: 0 } }) },
      'discrepancy',
      /1 missing; run .* \(1 row given up explains none of it: the last walk did not bring it any more\)$/,
    ],
    [
      'a row missing, beside a change of another that was given up',
      { actual: actual(99, { held: 1, dismissed: { rows: 1, met: 0, inTable: 1 } }) },
      'discrepancy',
      /the table 99: 1 missing; run "backfill seed[^(]*$/,
    ],
    [
      'a source that moved, beside a change that was given up',
      { expected: exactly(103), actual: actual(100, { held: 1, dismissed: { rows: 1, met: 0, inTable: 1 } }) },
      'moved',
      /with 100 rows; the source has 103 now/,
    ],
    [
      'more given up than the source lacks',
      { actual: actual(99, { held: 2, dismissed: { rows: 2, met: 2 } }) },
      'discrepancy',
      /and 2 are given up: 1 more than the source; what was given up may be gone there, which a walk tells: run/,
    ],
    [
      'a source that moved, beside a row that was given up',
      { expected: exactly(103), actual: actual(99, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'moved',
      /with 100 rows \(1 of them given up\); the source has 103 now/,
    ],
    [
      'a source that moved, beside a row given up that it no longer has',
      { expected: exactly(103), actual: actual(100, { held: 1, dismissed: { rows: 1, met: 0 } }) },
      'moved',
      /with 100 rows; the source has 103 now/,
    ],
    [
      'no count, and a row that was given up',
      { expected: null, actual: actual(99, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'unproven',
      /the table has 99 rows, and 1 is given up$/,
    ],
    [
      'no count, and an emptied table beside a row given up that is gone',
      { selected: whole, expected: null, actual: actual(0, { held: 1, dismissed: { rows: 1, met: 0 } }) },
      'discrepancy',
      /the table has none of them/,
    ],
    [
      'a count that says at least, and a row that was given up',
      { expected: { value: 100, trust: 'at least' }, actual: actual(99, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'unproven',
      /"at least 100"; the table has 99 rows, and 1 is given up$/,
    ],
    [
      'fewer than such a count all the same',
      { expected: { value: 100, trust: 'at least' }, actual: actual(98, { held: 1, dismissed: { rows: 1, met: 1 } }) },
      'discrepancy',
      /at least 100 rows, the table 98, and 1 is given up: run/,
    ],
    ['rows beyond the source', { actual: actual(101) }, 'discrepancy', /1 more than the source/],
    [
      'a source that moved after a proven walk',
      { expected: exactly(103) },
      'moved',
      /equal at the last walk .*; the source has 103 now/,
    ],
    [
      'a source that moved, and a row that went from the table',
      { expected: exactly(103), actual: actual(99) },
      'discrepancy',
      /4 missing/,
    ],
    ['no count', { expected: null }, 'unproven', /gives no count; the table has 100 rows$/],
    [
      'no count, and fewer rows',
      { expected: null, actual: actual(99) },
      'unproven',
      /99 rows, 1 fewer than its last walk brought, where some may have come twice$/,
    ],
    [
      'no count, and an emptied table',
      { selected: whole, expected: null, actual: actual(0) },
      'discrepancy',
      /the last walk brought 100 rows, the table has none of them: run "backfill seed test.thing --partition site=a --force"/,
    ],
    [
      'no count, and all rows held',
      { selected: whole, expected: null, actual: actual(0, { held: 100 }) },
      'unproven',
      /no count/,
    ],
    [
      'no count, and fewer rows than the last walk made',
      { selected: whole, expected: null, actual: actual(95, { lastWalk: { ...lastWalk, leastStored: 97 } }) },
      'discrepancy',
      /left 97 rows or more, the table has 95: 2 are gone; run "backfill seed/,
    ],
    [
      'a capped count, and fewer rows than the last walk made',
      {
        selected: whole,
        expected: { value: 10, trust: 'at least' },
        actual: actual(95, { lastWalk: { ...lastWalk, leastStored: 96 } }),
      },
      'discrepancy',
      /1 is gone/,
    ],
    [
      'no count, and fewer rows than the last walk made, which may be elsewhere',
      { expected: null, actual: actual(95, { lastWalk: { ...lastWalk, leastStored: 97 } }) },
      'unproven',
      /95 rows, 5 fewer/,
    ],
    [
      'no count, and never walked',
      { task: null, expected: null, actual: actual(0, { lastWalk: null }) },
      'unproven',
      /never walked, and the source gives no count: run "backfill seed test.thing --partition site=a"$/,
    ],
    [
      'missing rows that may be held of requests for others, too',
      { actual: actual(98, { heldBeside: 4, lastWalk: { ...lastWalk, received: 98, distinct: 98, expected: null } }) },
      'discrepancy',
      /2 missing, some maybe among the 4 held of requests for these and other values; run/,
    ],
    [
      'rows of walks before, of a stream without a key',
      { selected: { ...selected, stream: makeStream({ key: [], disposition: 'append' }) }, actual: actual(200) },
      'discrepancy',
      /100 more than the source; without a key, each walk adds its rows again/,
    ],
    [
      'no table',
      { hasTable: false, actual: actual(0) },
      'discrepancy',
      /the source has 100 rows, and there is no table "public.thing"/,
    ],
    [
      'rows beyond the source of a stream that deletes',
      { selected: { ...selected, stream: makeStream({ disposition: 'mirror' }) }, actual: actual(101) },
      'discrepancy',
      /goes with the next proven walk: run "backfill seed/,
    ],
    [
      'a source that moved under a stream that comes round',
      { selected: { ...selected, stream: makeStream({ everyMs: 1000 }) }, expected: exactly(103) },
      'moved',
      /has 103 now: the worker comes round to it$/,
    ],
    ['no count, and rows that may be elsewhere', { expected: null, actual: actual(0) }, 'unproven', /no count/],
    [
      'a capped count, and an emptied table',
      { selected: whole, expected: { value: 0, trust: 'at least' }, actual: actual(0) },
      'discrepancy',
      /none of them/,
    ],
    ['a capped count', { expected: { value: 100, trust: 'at least' } }, 'unproven', /at least 100/],
    [
      'a capped count above the table',
      { expected: { value: 101, trust: 'at least' } },
      'discrepancy',
      /at least 101 rows/,
    ],
    ['no column for the partition', { actual: actual(null) }, 'unproven', /no column for a dimension/],
    [
      'a running task',
      { task: { ...task, state: 'leased' }, actual: actual(40) },
      'unproven',
      /owed: task 17 is running; the table has 40 of 100 rows/,
    ],
    ['a dead task', { task: { ...task, state: 'dead', code: 'http_404' } }, 'unproven', /task 17 is dead \(http_404\)/],
    [
      'nothing ever seeded',
      { task: null, actual: actual(0, { lastWalk: null }) },
      'discrepancy',
      /never walked; the source has 100 rows/,
    ],
    [
      'an empty partition that was never seeded',
      { task: null, expected: exactly(0), actual: actual(0, { lastWalk: null }) },
      'equal',
      /0 rows/,
    ],
  ]
  const named = cases.map(([name, evidence, verdict, sentence]) => ({ name, evidence, verdict, sentence }))
  it.each(named)('$name', ({ evidence, verdict, sentence }) => {
    const judged = of(evidence)
    expect(judged.verdict).toBe(verdict)
    expect(judged.sentence).toMatch(sentence)
  })
})

describe('explainChanges', () => {
  const fullWalk = { everyMs: 1, hours: null, priority: 0 }
  const incremental = { passes: [], overlapMs: 0, fullWalk }
  const of = (rest: Partial<Parameters<typeof explainChanges>[0]>) =>
    explainChanges({
      stream: { disposition: 'mirror', incremental },
      expected: 100,
      stored: 90,
      changed: 10,
      freshTo: 0,
      ...rest,
    })
  it('never takes what changed for proof that it is what is missing', () => {
    expect(of({})?.verdict).toBe('unproven')
    expect(of({})?.sentence).toMatch(/10 rows changed .* may be/)
    expect(of({ changed: 9 })).toBeNull()
    expect(of({ changed: null })).toBeNull()
  })
  it('takes what was given up for no row that is missing', () => {
    expect(of({ givenUp: 1, changed: 9 })?.sentence).toMatch(/the table 90, and 1 is given up; 9 rows changed/)
    expect(of({ givenUp: 1, changed: 8 })).toBeNull()
    const more = of({ stored: 99, givenUp: 2 })
    expect(more?.verdict).toBe('moved')
    expect(more?.sentence).toMatch(/^1 more/)
  })
  it('calls rows too many moved only where a walk will take them away', () => {
    expect(of({ stored: 101 })).toMatchObject({ verdict: 'moved' })
    expect(of({ stored: 101, stream: { disposition: 'merge', incremental } })).toBeNull()
    const byHand = { disposition: 'mirror', incremental: { ...incremental, fullWalk: null } } as const
    expect(of({ stored: 101, stream: byHand })).toBeNull()
  })
})
