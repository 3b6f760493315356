/** Opens queue.db of a workspace. Apart from the rest of the composition, so that `status` loads neither the HTTP client nor the Postgres driver. */

import { systemClock } from '../clock/system-clock.js'
import { ConfigError, TemporaryFailure } from '../domain/errors.js'
import type { Workspace } from '../domain/workspace-model.js'
import type { QueueMode } from '../queue/open-file.js'
import type { OpenQueue } from '../queue/queue.js'

export type { OpenQueue }

/**
 * `create` makes it where it is missing (seed, init); `write` does not (verify, retry); `read` writes nothing (status). `hold` and `create-hold` are `write` and
 * `create` for who holds the workspace's lock already.
 */
export type WorkspaceQueueMode = QueueMode | 'hold' | 'create-hold'

type QueuePlace = Pick<Workspace, 'queueFile' | 'timezone' | 'stateDirectory'>

/** The queue, brought to this version where an older one made it. @throws what `openQueue` does; TemporaryFailure `queue_older` where an older worker is at it. */
export async function openWorkspaceQueue(workspace: QueuePlace, mode: WorkspaceQueueMode): Promise<OpenQueue> {
  if (mode === 'hold' || mode === 'create-hold') return openFile(workspace, mode === 'hold' ? 'write' : 'create', true)
  try {
    return await openFile(workspace, mode, false)
  } catch (error) {
    if (!(error instanceof ConfigError && error.code === 'queue_older')) throw error
    await bringUpToDate(workspace, error)
    return openFile(workspace, mode, false)
  }
}

/** Only nobody at work makes it safe to change the tables. */
async function bringUpToDate(workspace: QueuePlace, older: ConfigError): Promise<void> {
  const { createWorkspaceLock } = await import('../lock/workspace-lock.js')
  const lock = createWorkspaceLock({ directory: workspace.stateDirectory, clock: systemClock })
  const held = await lock.acquire('migration')
  if (held === null) {
    const holder = await lock.holder()
    const who = (holder?.pid ?? 0) === 0 ? 'another command' : `${holder?.command} ${holder?.pid}`
    throw new TemporaryFailure('queue_older', `${older.message}, and ${who} is at work on it`, {
      hint: 'wait until it ends, or end it; then run the command again',
    })
  }
  try {
    const queue = await openFile(workspace, 'write', true)
    queue.close()
  } finally {
    await held.release()
  }
}

async function openFile(workspace: QueuePlace, mode: QueueMode, migrate: boolean): Promise<OpenQueue> {
  const { openQueue } = await import('../queue/queue.js')
  const { queueFile, timezone } = workspace
  return openQueue({ file: queueFile, mode, migrate, clock: systemClock, timezone })
}
