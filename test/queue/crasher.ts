/**
 * A process that works on a queue until it is killed: it claims and settles (`work`), enqueues (`seed`), or creates the file (`create`). After each call that
 * resolved it writes a line with what is durable from then on.
 */
import { systemClock } from '../../src/clock/system-clock.js'
import { openQueue } from '../../src/queue/queue.js'
import { claimOf, done, userTasks } from './queue-conformance.js'

const [mode = '', file = '', name = '', count = '10000'] = process.argv.slice(2)
const say = (line: string): boolean => process.stdout.write(`${line}\n`)

const queue = openQueue({ file, mode: 'create', clock: systemClock, timezone: 'UTC' })
say('open')
if (mode === 'work') await work()
if (mode === 'seed') await sow()
queue.close()

async function work(): Promise<void> {
  await queue.beginRun({ id: name, command: 'worker', pid: process.pid })
  let held = await queue.settleAndClaim(claimOf(10, { runId: name }))
  while (held.length > 0) {
    const settled = held
    held = await queue.settleAndClaim(claimOf(10, { runId: name, settle: settled.map((lease) => done(lease)) }))
    say(settled.map(({ task }) => task.number).join(' '))
  }
  say('empty')
}

async function sow(): Promise<void> {
  const backfill = await queue.beginBackfill({ scope: 'all', fingerprint: 'crash', reason: 'seed', isForced: false })
  for (let from = 0; from < Number(count); from += 250) {
    const ids = Array.from({ length: 250 }, (_, index) => from + index)
    await queue.enqueue(backfill, userTasks(ids), { supersede: false, skipDone: false })
    say(String(from + 250))
  }
  await queue.finishPlanning(backfill)
  say('planned')
}
