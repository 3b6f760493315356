/**
 * A process that sends requests under one budget: `<queue> <budget file> <count> <limits>`. It writes `sent <ms> <ms>` for each: when it left and
 * when it was answered, a few ms later.
 */
import { systemClock } from '../../src/clock/system-clock.js'
import { openQueue } from '../../src/queue/queue.js'
import { requestOf, rulesOf } from './budget-conformance.js'

const [queueFile = '', file = '', count = '1', limits = '[]'] = process.argv.slice(2)
const queue = openQueue({ file: queueFile, mode: 'create', clock: systemClock, timezone: 'UTC' })
const rules = rulesOf({ limits: JSON.parse(limits) as never, file })

process.stdout.write('open\n')
for (let index = 0; index < Number(count); index += 1) {
  const booking = await queue.budget.book(requestOf(rules))
  const sentAt = systemClock.monotonic()
  await systemClock.sleep((index * 3) % 8)
  // The server judged it in between.
  const answeredAt = systemClock.monotonic()
  await queue.budget.answered(booking, rules, { isRefusal: false, retryAfterMs: null })
  process.stdout.write(`sent ${sentAt} ${answeredAt}\n`)
}
queue.close()
