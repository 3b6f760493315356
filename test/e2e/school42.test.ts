// School 42 as cron runs it, small: limits that hold and are used, an hour of changes, every trap at once, a worker that is killed. `npm run bench school` is the same in full.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomFrom } from '../../src/simulators/synthetic.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { type ChurnFigures, playChurn } from '../support/school-churn.js'
import { playLimits } from '../support/school-limits.js'
import { unexplained } from '../support/school-repeats.js'

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(async () => {
  await database.drop()
})

const small = { users: 80, cycles: 1, cycleMs: 2500, changes: 30, allTraps: false, kills: 0 }

/** Whatever happened on the way: the tables are the truth, nothing is left over, nothing is dead. */
function expectTruth(found: ChurnFigures): void {
  expect(found).toMatchObject({ differences: [], died: [], deltaRows: 0, openTasks: 0, ahead: 0 })
  expect(found.churn.changes).toBeGreaterThan(20)
  expect(found.repeats.filter(({ why }) => why === unexplained)).toEqual([])
}

describe('School 42 under cron', { timeout: 180_000 }, () => {
  it('keeps two sliding limits beside verify and a second workspace, uses them, and asks nothing twice without a reason', async () => {
    const second = await createDatabase()
    try {
      const found = await playLimits({
        ...{ database, second, users: 250, secondly: 20, long: 40, longMs: 8000 },
        ...{ runMs: 12_000, tokenLifeS: 7200, spuriousEvery: 29, atMostMs: 60_000 },
      })
      expect(found.busiestSecond).toBeLessThanOrEqual(20)
      expect(found.busiestLong).toBeLessThanOrEqual(40)
      expect(found).toMatchObject({ overLimit: 0, attemptsByRefusal: 0 })
      expect(found.refusals).toBeGreaterThan(0)
      // Of a short run on a busy machine; the benchmark asks for 97 %.
      expect(found.used).toBeGreaterThan(0.6)
      expect(found.verifies).toBeGreaterThan(0)
      expect(found.bySecond).toBeGreaterThan(0)
      expect(found.tokens).toHaveLength(1)
      expect(found.repeats.filter(({ why }) => why === unexplained)).toEqual([])
    } finally {
      await second.drop()
    }
  })

  it('is level after a load, changes in cycles and full walks, deletions included', async () => {
    const found = await playChurn({ ...small, database, random: randomFrom('churn') })
    expectTruth(found)
    expect(found.prunedRows).toBeGreaterThan(0)
    expect(found.load.requests).toBeLessThan(2 * found.load.least.least)
    expect(found.statuses.at(-1)).toContain('FRESHNESS')
  })

  it('is level with every trap at once', async () => {
    expectTruth(await playChurn({ ...small, database, allTraps: true, random: randomFrom('traps') }))
  })

  it('loses and doubles nothing where the worker is killed at random moments of load and changes', async () => {
    const found = await playChurn({ ...small, database, kills: 4, random: randomFrom('kills') })
    expectTruth(found)
    // One that had ended by itself was not killed at work.
    expect(found.kills.atWork).toBeGreaterThanOrEqual(2)
  })
})
