import { expect, test } from 'vitest'
import { isTooMany, mayPrune, pruneScope } from '../../src/domain/prune.js'
import { makeSource, makeStream } from '../support/stream.js'

test.each([
  [{ share: 0.05 }, { rows: 100, missing: 5, agreed: 0 }, false],
  [{ share: 0.05 }, { rows: 100, missing: 6, agreed: 0 }, true],
  [{ share: 0.05 }, { rows: 100, missing: 6, agreed: 6 }, false],
  [{ share: 0.05 }, { rows: 100, missing: 7, agreed: 6 }, true],
  [{ share: 0 }, { rows: 100, missing: 1, agreed: 0 }, true],
  [{ share: 1 }, { rows: 100, missing: 100, agreed: 0 }, false],
  [{ share: 0.05 }, { rows: 95, recent: 5, missing: 1, agreed: 0 }, true],
  [{ share: 0.05 }, { rows: 96, recent: 4, missing: 1, agreed: 0 }, false],
  [{ rows: 10 }, { rows: 12, missing: 10, agreed: 0 }, false],
  [{ rows: 10 }, { rows: 1_000_000, missing: 11, agreed: 0 }, true],
])('%j with %j needs an operator: %s', (most, found, needsWord) => {
  expect(isTooMany({ most }, { recent: 0, ...found })).toBe(needsWord)
})

test('only mirror and replace delete', () => {
  const may = (['append', 'merge', 'mirror', 'replace'] as const).filter((disposition) => mayPrune({ disposition }))
  expect(may).toEqual(['mirror', 'replace'])
})

test("a scope names every partition of the definition, and the columns of other streams that name this one's rows", () => {
  const users = makeStream({ name: 'users', table: { schema: 'public', name: 'users' } })
  const marks = makeStream({
    name: 'marks',
    table: { schema: 'public', name: 'marks' },
    references: [{ column: 'user_id', table: users.table, targetColumn: 'id' }],
  })
  const source = makeSource([users, marks])
  const scope = pruneScope({ source, stream: users }, { site: 'a' }, '2026-01-01')
  expect(scope.partition).toEqual({ site: 'a' })
  expect(scope.partitions()).toEqual([{ site: 'a' }, { site: 'b' }])
  expect(scope.referrers).toEqual([{ table: marks.table, column: 'user_id', targetColumn: 'id' }])
})
