import { describe, expect, it } from 'vitest'
import { AnswerInvalid } from '../../src/domain/errors.js'
import type { Checkpoint, Page, SourceCount, Walk } from '../../src/domain/ports.js'
import { noTotals } from '../../src/domain/task.js'
import { hasShrunk, proofOf, sourceLoop, walkAfter, walkToGoOn } from '../../src/worker/walk.js'
import { makeStream } from '../support/stream.js'

const now = 1_000_000
const walk: Walk = {
  id: 'old',
  startedAt: 900_000,
  pageSize: 100,
  requestHash: 'hash-1',
  since: null,
  until: null,
  cursor: { page: 3 },
  loop: null,
  pages: 2,
  received: 200,
  distinct: 200,
  expected: { value: 300, trust: 'exact' },
}
const checkpoint = (of: Walk | null): Checkpoint => ({
  taskId: 't',
  epoch: 1,
  sequence: 2,
  done: false,
  proof: null,
  walk: of,
  totals: noTotals,
  requests: 2,
})
const page = (number: number, records: number, count: SourceCount | null = null): Page => ({
  number,
  records: Array.from({ length: records }, (_, id) => ({ id })),
  reread: () => [],
  bytes: 0,
  next: { page: number + 1 },
  loop: 'state of the source',
  count,
  servedAt: 950_000,
  requests: 1,
  address: 'GET /things',
})
const exactly = (value: number): SourceCount => ({ value, trust: 'exact' })

describe('walkToGoOn', () => {
  const stream = makeStream()
  it('goes on with the walk that the ledger holds', () => {
    expect(walkToGoOn(checkpoint(walk), stream, now)).toBe(walk)
  })
  it.each([
    ['no walk', null, stream],
    ['a changed request', walk, makeStream({ requestHash: 'hash-2' })],
    ['a changed page size in a numbered walk', walk, makeStream({ settings: { ...stream.settings, pageSize: 50 } })],
    ['a walk older than allowed', walk, makeStream({ settings: { ...stream.settings, maxWalkAgeMs: 99_999 } })],
    ['a walk that began in a far future', { ...walk, startedAt: now + stream.settings.maxWalkAgeMs + 1 }, stream],
  ])('begins anew after %s', (_, of, changed) => {
    expect(walkToGoOn(checkpoint(of), changed, now)).toBeNull()
  })
  it('goes on with a walk that began a little in the future: the clock was set back', () => {
    const ahead = { ...walk, startedAt: now + 60_000 }
    expect(walkToGoOn(checkpoint(ahead), stream, now)).toBe(ahead)
  })
  it('keeps a cursor walk although the page size changed', () => {
    const pagination = { kind: 'cursor', from: { path: ['next'] }, param: '_next', sizeParam: null } as const
    const changed = makeStream({ pagination, settings: { ...stream.settings, pageSize: 50 } })
    expect(walkToGoOn(checkpoint(walk), changed, now)).toBe(walk)
  })
})

describe('walkAfter', () => {
  it('counts raw rows and keeps the first count and the loop of the source', () => {
    const first = walkAfter({ ...walk, expected: null, pages: 0, received: 0 }, page(1, 100, exactly(250)), {
      fingerprint: 'a',
      unknownFields: [],
    })
    const second = walkAfter(first, page(2, 50, exactly(251)), { fingerprint: 'b', unknownFields: [] })
    expect(second).toMatchObject({ pages: 2, received: 150, expected: exactly(250), cursor: { page: 3 } })
    expect(sourceLoop(second)).toBe('state of the source')
  })
  it('refuses a page whose keys came before, in a cycle of any length', () => {
    for (const length of [1, 2, 7, 60]) {
      const run = () => {
        let at: Walk = { ...walk, loop: null, pages: 0 }
        for (let number = 1; number <= length * 4 + 4; number += 1) {
          at = walkAfter(at, page(number, 1), { fingerprint: `page ${number % length}`, unknownFields: [] })
          // As a run of its own would read it back from the ledger.
          at = JSON.parse(JSON.stringify(at)) as Walk
        }
      }
      expect(run).toThrow(AnswerInvalid)
    }
  })
  it('takes a thousand different pages, and empty ones, for no loop', () => {
    let at: Walk = { ...walk, loop: null, pages: 0 }
    for (let number = 1; number <= 1000; number += 1) {
      at = walkAfter(at, page(number, 1), {
        fingerprint: number % 3 === 0 ? null : `page ${number}`,
        unknownFields: [],
      })
    }
    expect(at.pages).toBe(1000)
  })
})

describe('proofOf', () => {
  const ended = { ...walk, received: 300, distinct: 300 }
  it.each([
    ['equal counts at start and end', ended, exactly(300), 'proven'],
    ['no count', ended, null, 'unproven'],
    [
      'a capped count that was reached',
      { ...ended, expected: null },
      { value: 300, trust: 'at least' } as const,
      'unproven',
    ],
    [
      'a capped count that was not reached',
      { ...ended, expected: null },
      { value: 301, trust: 'at least' } as const,
      'differs',
    ],
    ['fewer rows than the count', { ...ended, expected: exactly(301) }, exactly(301), 'differs'],
    ['more rows than the count', { ...ended, expected: exactly(299) }, exactly(299), 'differs'],
    ['no count at the beginning, fewer rows', { ...ended, expected: null }, exactly(301), 'differs'],
    ['a set that moved, between its two sizes', { ...ended, expected: exactly(298) }, exactly(301), 'unproven'],
    ['a set that moved, below both sizes', { ...ended, expected: exactly(305) }, exactly(301), 'differs'],
    ['a key that came twice', { ...ended, distinct: 299 }, exactly(300), 'differs'],
  ] as const)('%s', (...[, of, atEnd, proof]) => {
    expect(proofOf(of, atEnd)).toBe(proof)
  })
})

describe('hasShrunk', () => {
  it.each([
    [300, 600, 0.5, false],
    [299, 600, 0.5, true],
    [0, 600, 0.5, true],
    [0, 600, 1, false],
    [599, 600, 0, true],
    [0, null, 0, false],
    [0, undefined, 0, false],
  ])('%s rows after %s, of which %s may be gone: %s', (...[received, lastProven, maxShrink, expected]) => {
    expect(hasShrunk({ ...walk, received }, lastProven, maxShrink)).toBe(expected)
  })
})
