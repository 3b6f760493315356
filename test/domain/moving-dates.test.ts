/** Which partitions the calendar brings between two days. */
import { expect, test } from 'vitest'
import { hasMovingDates, newPartitions } from '../../src/domain/moving-dates.js'
import type { Dimension, Source } from '../../src/domain/source-model.js'
import { makeStream } from '../support/stream.js'

const list: Dimension = { kind: 'list', values: ['a', 'b'], fromConfig: null, aliases: {}, exclude: [] }
const dates = (step: 'day' | 'week' | 'month', to: string): Dimension => ({
  ...{ kind: 'dates', from: '2025-12-01', to, step, aliases: {}, exclude: ['2026-01-06'] },
})
const brought = (dimensions: Record<string, Dimension>, before: string, today: string): string[] => {
  const source = { dimensions } as Pick<Source, 'dimensions'> as Source
  const stream = makeStream({ dimensions: Object.keys(dimensions) })
  return [...newPartitions(stream, source, { before, today })].map((one) => Object.values(one).join(' '))
}

test('each new day, for each value of the other dimensions, but for what is excluded', () => {
  const dimensions = { site: list, day: dates('day', 'today') }
  expect(brought(dimensions, '2026-01-04', '2026-01-07')).toEqual([
    ...['a 2026-01-05', 'a 2026-01-07'],
    ...['b 2026-01-05', 'b 2026-01-07'],
  ])
})

test('none on the same day, and none when the clock was set back', () => {
  const dimensions = { day: dates('day', 'today') }
  expect(brought(dimensions, '2026-01-07', '2026-01-07')).toEqual([])
  expect(brought(dimensions, '2026-01-07', '2026-01-01')).toEqual([])
})

test('a week and a month once, when they begin; a day later where they end yesterday', () => {
  expect(brought({ week: dates('week', 'today') }, '2026-01-11', '2026-01-12')).toEqual(['2026-01-12'])
  expect(brought({ week: dates('week', 'today') }, '2026-01-12', '2026-01-18')).toEqual([])
  expect(brought({ month: dates('month', 'yesterday') }, '2026-01-31', '2026-02-01')).toEqual([])
  expect(brought({ month: dates('month', 'yesterday') }, '2026-02-01', '2026-02-02')).toEqual(['2026-02'])
})

test('dates that end on a day, and lists, bring nothing', () => {
  const fixed = { site: list, day: dates('day', '2026-12-31') }
  expect(brought(fixed, '2026-01-04', '2026-01-07')).toEqual([])
  const source = (dimensions: Record<string, Dimension>) => ({ dimensions }) as Pick<Source, 'dimensions'>
  expect(hasMovingDates({ dimensions: ['site', 'day'] }, source(fixed))).toBe(false)
  expect(hasMovingDates({ dimensions: ['site'] }, source({ ...fixed, day: dates('day', 'today') }))).toBe(false)
})
