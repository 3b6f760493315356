/** Dates beside the one that is asked for: months around a day, and years that begin in another month than January. */
import { expect, it } from 'vitest'
import { expandTemplate } from '../../src/domain/template.js'

function fill(template: string, day: string, step: 'day' | 'week' | 'month' | 'year' = 'day') {
  const dimension = { kind: 'dates', from: '2000-01-01', to: 'today', step, exclude: [], aliases: {} } as const
  return expandTemplate(template, { partition: { day }, dimensions: { day: dimension }, config: {}, environment: {} })
}

it.each([
  ['{day.month_end:M/D/YYYY}', '2024-02-05', '2/29/2024'],
  ['{day.month_start}', '2024-02-29', '2024-02-01'],
  ['{day.month_end - 1 month:M/D/YYYY}', '2024-03-31', '2/29/2024'],
  ['{day.month_end + 1 month}', '2024-01-31', '2024-02-29'],
  ['{day - 1 month}', '2024-03-31', '2024-02-29'],
  ['{day - 1 day}', '2024-03-01', '2024-02-29'],
  ['{day + 2 weeks}', '2024-02-20', '2024-03-05'],
  ['{day - 1 year}', '2024-02-29', '2023-02-28'],
  ['{ day -1 day:D }', '2024-03-01', '29'],
])('%s of %s is %s', (template, day, text) => {
  expect(fill(template, day)).toBe(text)
})

it('writes years that begin in July', () => {
  const year = '{day - 6 months:YYYY}-{day + 6 months:YYYY}'
  expect(fill(year, '2025-06-30')).toBe('2024-2025')
  expect(fill(year, '2025-07-01')).toBe('2025-2026')
  expect(fill(year, '2025-12-31')).toBe('2025-2026')
  expect(fill(year, '2026-01-31')).toBe('2025-2026')
})

it('moves months and years as they are', () => {
  expect(fill('{day + 1 month}', '2024-12', 'month')).toBe('2025-01')
  expect(fill('{day.end - 1 month:YYYY-MM-DD}', '2024-03', 'month')).toBe('2024-02-29')
  expect(fill('{day + 1 year}', '2024', 'year')).toBe('2025')
})
