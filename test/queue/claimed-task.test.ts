/** What a claim hands over is what the queue holds, whatever stands in a partition: the claim reads its tasks in a shorter way than lists of tasks do. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partitionKey } from '../../src/domain/partition.js'
import { openTemporaryQueue } from './open-temporary.js'
import { claimOf, everything, later, released, seed } from './queue-conformance.js'

const users = { source: 'school', stream: 'users' }
const awkward = [
  '',
  '"',
  '\\',
  '\\u0041',
  '\u0000',
  '\n',
  '\u2028',
  '\ud800',
  '\udc00\ud800',
  '😀',
  `'; drop`,
  '[1]',
  '12',
]

test('a claimed task has the partition that it was made with, and is the task that a list shows', async () => {
  const value = fc.oneof(fc.constantFrom(...awkward), fc.string({ unit: 'binary' }))
  const partition = fc.dictionary(fc.constantFrom('user_id', 'month', 'größe', 'a"b'), value)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(partition, { selector: partitionKey, maxLength: 5 }), async (made) => {
      const temporary = openTemporaryQueue()
      const { queue, clock } = temporary
      try {
        await seed(
          queue,
          made.map((one, index) => ({ ...users, partition: one, priority: index })),
        )
        // The second claim is of tasks that were held before, which have more to read.
        for (const epoch of [1, 2]) {
          const leases = await queue.settleAndClaim(claimOf(10))
          const held = await queue.tasks({ states: ['leased'], filter: everything, limit: 10 })
          expect(leases.map((lease) => lease.epoch)).toEqual(held.map(() => epoch))
          expect([...leases].map(({ task }) => task).sort((a, b) => a.number - b.number)).toEqual(held)
          const settle = leases.map((lease, index) => (index % 2 === 0 ? released(lease) : later(lease, clock.now())))
          await queue.settleAndClaim(claimOf(0, { settle }))
        }
        const shown = await queue.tasks({ states: ['ready'], filter: everything, limit: 10 })
        expect(shown.map((task) => partitionKey(task.partition)).sort()).toEqual(made.map(partitionKey).sort())
      } finally {
        temporary.remove()
      }
    }),
    { numRuns: 25 },
  )
})
