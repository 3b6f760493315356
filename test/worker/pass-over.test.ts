/** When a page is passed over, which task it becomes, and what a refused flush costs. */
import { describe, expect, it } from 'vitest'
import {
  AnswerInvalid,
  OverBudgetError,
  ParentMissing,
  SourceRejected,
  SourceUnavailable,
  StoppedError,
} from '../../src/domain/errors.js'
import { isSamePage, pageOfTask, pageTaskPartition, pageTaskRange, wholePartition } from '../../src/domain/page-task.js'
import { partitionKey, partitionLabel } from '../../src/domain/partition.js'
import type { Walk } from '../../src/domain/ports.js'
import { fateOf } from '../../src/worker/fate.js'
import { isPageFault, mayPassOver, passPage, splitTasksOf, walkBehind, walkNote } from '../../src/worker/pass-over.js'
import { makeStream, settings } from '../support/stream.js'

const walk: Walk = {
  ...{
    id: 'w',
    startedAt: 5_000,
    pageSize: 10,
    requestHash: '0123456789abcdef',
    since: null,
    until: null,
    cursor: 7,
    loop: null,
  },
  ...{ pages: 6, received: 60, distinct: 60, expected: null },
}
const failed = new SourceUnavailable('http_500', 'm')
const passing = (count: number) => {
  let all = passPage(null, { page: { number: 7, at: 7 }, next: 8 }, failed)
  for (let at = 1; at < count; at += 1)
    all = passPage(all, { page: { number: 7 + at, at: 7 + at }, next: 8 + at }, failed)
  return all
}

describe('passing a page over', () => {
  it('is done at most twice in a row, once before the first page, and five times a walk', () => {
    expect(mayPassOver(walk, null)).toBe(true)
    expect(mayPassOver(walk, passing(1))).toBe(true)
    expect(mayPassOver(walk, passing(2))).toBe(false)
    expect(mayPassOver({ ...walk, pages: 0 }, null)).toBe(true)
    expect(mayPassOver({ ...walk, pages: 0 }, passing(1))).toBe(false)
    const most = walkBehind(walkBehind(walk, passing(2)), passing(2))
    expect(mayPassOver(most, null)).toBe(true)
    expect(mayPassOver(most, passing(1))).toBe(false)
    expect(mayPassOver(walkBehind(most, passing(1)), null)).toBe(false)
  })

  it.each<[Error, boolean]>([
    [failed, true],
    [new AnswerInvalid('unparsable', 'm'), true],
    [new SourceRejected('http_404', 'm'), true],
    [new SourceRejected('http_401', 'm'), false],
    [new SourceRejected('redirect', 'm'), false],
    [new AnswerInvalid('loop', 'm'), false],
    [new AnswerInvalid('page_repeats', 'm'), false],
    [new OverBudgetError('m', 1), false],
    [new StoppedError(), false],
  ])('%s: a page may be at fault: %s', (error, expected) => {
    expect(isPageFault(error)).toBe(expected)
  })

  it('keeps the first error, and names each page once its neighbour answered', () => {
    const two = passPage(passing(1), { page: { number: 8, at: 8 }, next: null }, new AnswerInvalid('unparsable', 'n'))
    expect(two).toMatchObject({ error: failed, next: null })
    expect(walkBehind(walk, two).split).toEqual([
      { number: 7, at: 7, code: 'http_500', message: 'm' },
      { number: 8, at: 8, code: 'unparsable', message: 'n' },
    ])
  })

  it('says what becomes of the walk of a dead task', () => {
    const numbered = makeStream()
    const cursor = makeStream({ pagination: { kind: 'link', rel: 'next', sizeParam: null } })
    expect(walkNote(failed, walk, numbered)).toContain('before its page 7 and goes on there: no page behind')
    expect(walkNote(failed, walk, cursor)).toContain('none can be passed over')
    expect(walkNote(failed, { ...walkBehind(walk, passing(5)) }, numbered)).toContain('it passed 5 pages over already')
    expect(walkNote(new AnswerInvalid('loop', 'm'), walk, numbered)).toBeUndefined()
    expect(walkNote(failed, null, numbered)).toBeUndefined()
  })
})

describe('the task of a page', () => {
  const partition = { site: 'a', '0': 'digits come first in an object' }
  const own = pageTaskPartition(partition, { number: 7, at: 60 }, walk)

  it('has a partition of its own, which is read back', () => {
    expect(splitTasksOf(walkBehind(walk, passing(1)), { site: 'a' })).toEqual({
      partitions: [{ site: 'a', '#page': '7', '#walk': 'at 7 size 10 request 0123456789ab' }],
      since: 5_000,
    })
    expect(splitTasksOf(walk, { site: 'a' })).toBeUndefined()
    expect(pageOfTask(own)).toEqual({ number: 7, at: 60, pageSize: 10, request: '0123456789ab' })
    expect(pageOfTask(pageTaskPartition({}, { number: 1, at: 0 }, { ...walk, pageSize: null }))).toMatchObject({
      pageSize: null,
    })
    expect(wholePartition(own)).toEqual(partition)
    expect(pageOfTask(partition)).toBeNull()
  })

  it('is found in a range of keys that no other partition is in', () => {
    const inRange = (key: string) => key >= pageTaskRange.from && key < pageTaskRange.before
    expect(inRange(partitionKey(pageTaskPartition({ site: 'a' }, { number: 7, at: 7 }, walk)))).toBe(true)
    for (const other of [{}, { site: '#page' }, { a: '1' }]) expect(inRange(partitionKey(other))).toBe(false)
  })

  it('is named by its page, and is another page under another size or request', () => {
    expect(partitionLabel(pageTaskPartition({ site: 'a' }, { number: 7, at: 7 }, walk), ['site'])).toBe('a page 7')
    expect(partitionLabel(pageTaskPartition({}, { number: 7, at: 7 }, walk))).toBe('page 7')
    const page = pageOfTask(own)
    if (page === null) throw new Error('no page')
    expect(isSamePage(page, walk)).toBe(true)
    expect(isSamePage(page, { ...walk, pageSize: 20 })).toBe(false)
    expect(isSamePage(page, { ...walk, requestHash: 'other' })).toBe(false)
  })
})

describe('a flush refused for a missing parent', () => {
  const input = { error: new ParentMissing('parent_missing', 'm'), hasSpent: true, settings, now: 1_000, jitter: 0 }

  it('costs nothing while the parent is to come, else an attempt, and the last one is death', () => {
    expect(fateOf({ ...input, attemptsBefore: 2, hasOpenParent: true })).toEqual({
      kind: 'later',
      readyAt: 81_000,
      attempts: 2,
    })
    expect(fateOf({ ...input, attemptsBefore: 0 })).toEqual({ kind: 'later', readyAt: 41_000, attempts: 1 })
    expect(fateOf({ ...input, attemptsBefore: 2 })).toEqual({ kind: 'dead', attempts: 3 })
  })
})
