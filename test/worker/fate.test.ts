import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AnswerInvalid,
  ConfigError,
  DestinationUnavailable,
  FencedError,
  OverBudgetError,
  PromotionConflict,
  QueueUnavailable,
  SourceRejected,
  SourceUnavailable,
  StoppedError,
} from '../../src/domain/errors.js'
import { backoffMs, fateOf, describe as say } from '../../src/worker/fate.js'
import { settings } from '../support/stream.js'

const input = { attemptsBefore: 0, hasSpent: true, settings, now: 1_000, jitter: 0 }

describe('fateOf', () => {
  it('puts a transient failure off with one attempt spent', () => {
    expect(fateOf({ ...input, error: new SourceUnavailable('timeout', 'm') })).toEqual({
      kind: 'later',
      readyAt: 6_000,
      attempts: 1,
    })
  })
  it('lets a task die at its last attempt, not before', () => {
    const error = new SourceUnavailable('timeout', 'm')
    expect(fateOf({ ...input, error, attemptsBefore: 1 })).toMatchObject({ kind: 'later', attempts: 2 })
    expect(fateOf({ ...input, error, attemptsBefore: 2 })).toEqual({ kind: 'dead', attempts: 3 })
  })
  it('spends no attempt and lets nobody die where the source is parked by it, and comes after the others', () => {
    const error = new SourceUnavailable('timeout', 'm')
    const parked = fateOf({ ...input, error, attemptsBefore: 2, parkedUntil: 300_000 })
    expect(parked).toEqual({ kind: 'later', readyAt: 305_000, attempts: 2 })
  })
  it('spends no attempt where no request was sent', () => {
    expect(fateOf({ ...input, error: new SourceUnavailable('dns', 'm'), hasSpent: false })).toMatchObject({
      kind: 'later',
      attempts: 0,
    })
  })
  it.each([
    [new SourceRejected('http_404', 'm'), 'dead'],
    [new AnswerInvalid('answer_invalid', 'm'), 'dead'],
    [new PromotionConflict('no_column', 'm'), 'dead'],
    [new OverBudgetError('m', 9_000), 'over budget'],
    [new StoppedError(), 'released'],
    [new FencedError('m'), 'released'],
    [new ConfigError('missing_variable', 'm'), 'refused'],
    [new DestinationUnavailable('gone', 'm'), 'database'],
    [new QueueUnavailable('busy', 'm'), 'database'],
    [new TypeError('undefined is not a function'), 'bug'],
    ['a thrown text', 'bug'],
  ])('%s is %s', (error, kind) => {
    expect(fateOf({ ...input, error }).kind).toBe(kind)
  })
})

describe('a failure of one table or row', () => {
  const context = (sqlstate: string) => ({ context: { sqlstate } })
  it.each(['40P01', '55P03', '57014', 'XX000'])(
    '%s is put off, and dies at its last attempt even if no request was sent',
    (sqlstate) => {
      const error = new DestinationUnavailable('database_contention', 'm', context(sqlstate))
      expect(fateOf({ ...input, error, hasSpent: false })).toMatchObject({ kind: 'later', attempts: 1 })
      expect(fateOf({ ...input, error, hasSpent: false, attemptsBefore: 2 })).toMatchObject({
        kind: 'dead',
        attempts: 3,
      })
    },
  )
  it.each(['08006', '57P01', '53100'])('%s concerns every task', (sqlstate) => {
    expect(fateOf({ ...input, error: new DestinationUnavailable('gone', 'm', context(sqlstate)) }).kind).toBe(
      'database',
    )
  })
})

describe('backoffMs', () => {
  it('never shrinks with attempts, and never passes an hour and a fifth', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempts, jitter) => {
          const wait = backoffMs(settings, attempts, jitter)
          expect(wait).toBeGreaterThanOrEqual(backoffMs(settings, attempts, 0))
          expect(backoffMs(settings, attempts + 1, 0)).toBeGreaterThanOrEqual(backoffMs(settings, attempts, 0))
          expect(wait).toBeLessThanOrEqual(3_600_000 * 1.2)
        },
      ),
    )
  })
})

describe('describe', () => {
  it('keeps code, sentence and hint of our own errors, and names an unexpected one a bug', () => {
    expect(say(new SourceRejected('http_403', 'fetch was refused', { hint: 'ask' }))).toEqual({
      code: 'http_403',
      message: 'fetch was refused',
      hint: 'ask',
    })
    expect(say(new TypeError('x'))).toMatchObject({ code: 'bug' })
  })
})
