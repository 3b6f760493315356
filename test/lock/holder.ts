/**
 * A process that takes the lock of the folder given and says so on a line of its own: `held` or `refused`. With `block` it then keeps its event loop busy
 * for the milliseconds given; it holds the lock until its standard input ends.
 */

import { systemClock } from '../../src/clock/system-clock.js'
import { createWorkspaceLock } from '../../src/lock/workspace-lock.js'

const [directory = '', blockMs = '0'] = process.argv.slice(2)
const held = await createWorkspaceLock({ directory, clock: systemClock }).acquire('worker test')
process.stdout.write(held === null ? 'refused\n' : 'held\n')
if (held === null) process.exit(0)
held.lost.addEventListener('abort', () => process.stdout.write('lost\n'))
const until = Date.now() + Number(blockMs)
while (Date.now() < until);
process.stdin.resume()
process.stdin.on('end', () => void held.release().then(() => process.exit(0)))
