/** The plans of every statement that runs once a task, a claim or a request, on a queue of two streams: an index each, no scan, no sort. */
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bookingStatements } from '../../src/queue/budget/bookings.js'
import { gateStatements } from '../../src/queue/budget/gate.js'
import { placeStatements } from '../../src/queue/budget/places.js'
import { quotaStatements } from '../../src/queue/budget/quotas.js'
import { toldStatements } from '../../src/queue/budget/told.js'
import { usageStatements } from '../../src/queue/budget/usage.js'
import { claimStatements } from '../../src/queue/claim.js'
import { countStatements } from '../../src/queue/counts.js'
import { enqueueStatements } from '../../src/queue/enqueue.js'
import { findingStatements } from '../../src/queue/findings.js'
import { followStatements } from '../../src/queue/follow.js'
import { settleStatements } from '../../src/queue/settle.js'
import { splitStatements } from '../../src/queue/split.js'
import { openTemporaryQueue, type TemporaryQueue } from './open-temporary.js'
import { claimOf, later, seed, userTasks } from './queue-conformance.js'

const expected: Readonly<Record<string, string>> = {
  taskDue: 'task_waiting_by_ready_at',
  taskMakeDue: 'task_waiting_by_ready_at',
  taskClaimable: 'task_claimable_by_priority',
  taskSuspect: 'task_suspect_by_priority',
  taskCurrent: 'task_current_by_partition',
  pageTaskCurrent: 'task_current_by_partition',
  pageTasks: 'task_current_by_partition',
  roundDue: 'task_done_by_finish',
  doneLast: 'task_done_by_finish',
  oldestDone: 'task_done_by_finish',
  waitingFirst: 'task_waiting_by_ready_at',
  waitingDue: 'task_waiting_by_ready_at',
  backfillUnplanned: 'backfill_unplanned_by_fingerprint',
  ownUsed: 'budget_booking_by_end',
  ownLeaving: 'budget_booking_by_end',
  ownPossible: 'budget_booking_by_end',
  strangersUsed: 'budget_stranger_by_notice',
  strangersLeaving: 'budget_stranger_by_notice',
  strangerPrune: 'budget_stranger_by_notice',
  placesOf: 'budget_place_by_key',
  bookingByWorker: 'budget_booking_by_sending',
  bookingPrune: 'budget_booking_by_end',
  bookingUnderWay: 'budget_booking_by_end',
  bookingLastSent: 'budget_booking_by_sending',
}

/** `scan json_each` walks the list that is given; `order by finished_at` of doneLast sorts two hundred rows. */
const allowed = [/SCAN json_each/, /SCAN \((subquery|MERGE)/i, /LIST SUBQUERY/]

describe('query plans', () => {
  let temporary: TemporaryQueue
  let db: Database.Database
  beforeAll(async () => {
    temporary = openTemporaryQueue()
    const { queue, clock } = temporary
    await seed(queue, userTasks(Array.from({ length: 2_000 }, (_, index) => index)))
    const leases = await queue.settleAndClaim(claimOf(1_000))
    await queue.settleAndClaim(claimOf(0, { settle: leases.map((lease) => later(lease, clock.now() + 86_400_000)) }))
    db = new Database(temporary.file, { readonly: true })
  })
  afterAll(() => {
    db.close()
    temporary.remove()
  })

  const statements = Object.entries({
    ...claimStatements,
    ...settleStatements,
    ...enqueueStatements,
    ...splitStatements,
    ...countStatements,
    ...bookingStatements,
    ...gateStatements,
    ...usageStatements,
    ...toldStatements,
    ...placeStatements,
    ...quotaStatements,
    ...followStatements,
    ...findingStatements,
  })

  test.each(statements)('%s goes through its index', (name, statement) => {
    const parameters = [...statement.matchAll(/\?/g)].map(() => 1)
    const plan = db.prepare(`explain query plan ${statement}`).all(...parameters) as { detail: string }[]
    const details = plan.map(({ detail }) => detail)
    const scans = details.filter(
      (detail) => detail.startsWith('SCAN') && !allowed.some((pattern) => pattern.test(detail)),
    )
    const isLast = name === 'bookingLastBoot' || name === 'doneLast' || name === 'waitingDue'
    expect(isLast ? [] : scans, details.join('; ')).toEqual([])
    if (name !== 'doneLast')
      expect(
        details.filter((detail) => detail.includes('TEMP B-TREE')),
        details.join('; '),
      ).toEqual([])
    const index = expected[name]
    if (index !== undefined) expect(details.join('; ')).toContain(index)
  })

  test('lets no statement be planned anew at every call', () => {
    // SQLite looks at the number behind a bare `limit ?` when it plans, and plans again for each number that is bound later.
    expect(statements.filter(([, statement]) => /limit\s+\?/.test(statement)).map(([name]) => name)).toEqual([])
  })

  test('keeps tasks whose time has not come out of the index that claims read', () => {
    const entries = db.prepare('select sum(ncell) from dbstat where name = ?').pluck()
    expect(entries.get('task_claimable_by_priority')).toBe(1_000)
    expect(entries.get('task_waiting_by_ready_at')).toBe(1_000)
    expect(entries.get('task_suspect_by_priority')).toBe(0)
  })

  test('names an index for every choice among many rows', () => {
    const names = statements.map(([name]) => name)
    expect(Object.keys(expected).filter((name) => !names.includes(name))).toEqual([])
  })
})
