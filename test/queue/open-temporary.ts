/** A queue of its own in a temporary folder, with a fake clock; several connections to it stand for several processes. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type OpenQueue, openQueue, type QueueOptions } from '../../src/queue/queue.js'
import { createFakeClock, type FakeClock } from '../support/fake-clock.js'
import { fastFolder } from '../support/fast-folder.js'

export interface TemporaryQueue {
  readonly folder: string
  readonly file: string
  readonly clock: FakeClock
  readonly queue: OpenQueue
  /** One more connection; closed with the rest. */
  reopen(options?: Partial<QueueOptions>): OpenQueue
  remove(): void
}

export function openTemporaryQueue(clock: FakeClock = createFakeClock()): TemporaryQueue {
  const folder = fastFolder('backfill-queue-')
  const file = join(folder, 'queue.db')
  const open: OpenQueue[] = []
  function reopen(options: Partial<QueueOptions> = {}): OpenQueue {
    const queue = openQueue({ file, mode: 'create', clock, timezone: 'UTC', random: () => 0, ...options })
    open.push(queue)
    return queue
  }
  function remove(): void {
    for (const queue of open) queue.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { folder, file, clock, queue: reopen(), reopen, remove }
}
