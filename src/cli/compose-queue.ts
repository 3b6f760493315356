/** Opens queue.db of a workspace. Apart from the rest of the composition, so that `status` loads neither the HTTP client nor the Postgres driver. */

import { systemClock } from '../clock/system-clock.js'
import { ConfigError, TemporaryFailure } from '../domain/errors.js'
import type { Workspace } from '../domain/workspace-model.js'
import type { QueueMode } from '../queue/open-file.js'
import type { OpenQueue } from '../queue/queue.js'
import { withOpened } from './opened.js'

export type { OpenQueue }

/**
 * `create` makes it where it is missing (seed, init); `write` does not (verify, retry); `read` writes nothing (status). `hold` and `create-hold` are `write` and
 * `create` for who holds the workspace's lock already; `adopt` is `create` for who makes it the queue from now on, wherever it was used before.
 */
export type WorkspaceQueueMode = QueueMode | 'hold' | 'create-hold' | 'adopt'

/** `init` opens one before there is a workspace. */
type QueuePlace = Workspace | Pick<Workspace, 'queueFile' | 'timezone' | 'stateDirectory'>

interface Opening {
  readonly mode: QueueMode
  readonly migrate?: boolean
  readonly ignorePlace?: boolean
}

const openings: Readonly<Record<WorkspaceQueueMode, Opening>> = {
  read: { mode: 'read' },
  write: { mode: 'write' },
  create: { mode: 'create' },
  hold: { mode: 'write', migrate: true },
  'create-hold': { mode: 'create', migrate: true },
  adopt: { mode: 'create', ignorePlace: true },
}

/** The queue, brought to this version where an older one made it. @throws what `openQueue` does; TemporaryFailure `queue_older` where an older worker is at it. */
export async function openWorkspaceQueue(workspace: QueuePlace, mode: WorkspaceQueueMode): Promise<OpenQueue> {
  const opening = openings[mode]
  try {
    return await openFile(workspace, opening)
  } catch (error) {
    if (!(error instanceof ConfigError && error.code === 'queue_older')) throw error
    await bringUpToDate(workspace, { opening, older: error })
    return openFile(workspace, opening)
  }
}

/** Only nobody at work makes it safe to change the tables. Another command that is about to do the same is waited for. */
async function bringUpToDate(
  workspace: QueuePlace,
  { opening, older }: { readonly opening: Opening; readonly older: ConfigError },
): Promise<void> {
  const { createWorkspaceLock } = await import('../lock/workspace-lock.js')
  const { acquireToMigrate } = await import('./migration-lock.js')
  const lock = createWorkspaceLock({ directory: workspace.stateDirectory, clock: systemClock })
  const held = await acquireToMigrate(lock, systemClock, () => isUpToDate(workspace, opening))
  if (held === 'done') return
  if (held === null) {
    const holder = await lock.holder()
    const who = (holder?.pid ?? 0) === 0 ? 'another command' : `${holder?.command} ${holder?.pid}`
    throw new TemporaryFailure('queue_older', `${older.message}, and ${who} is at work on it`, {
      hint: 'wait until it ends, or end it; then run the command again',
    })
  }
  try {
    const queue = await openFile(workspace, { ...opening, migrate: true })
    queue.close()
  } finally {
    await held.release()
  }
}

async function isUpToDate(workspace: QueuePlace, opening: Opening): Promise<boolean> {
  try {
    const queue = await openFile(workspace, opening)
    queue.close()
    return true
  } catch (error) {
    if (error instanceof ConfigError && error.code === 'queue_older') return false
    throw error
  }
}

async function openFile(workspace: QueuePlace, opening: Opening): Promise<OpenQueue> {
  const { openQueue } = await import('../queue/queue.js')
  const { queueFile, timezone } = workspace
  const queue = openQueue({ file: queueFile, ...opening, clock: systemClock, timezone })
  if (queue.movedFrom !== null && 'directory' in workspace) await logMove(workspace, queue.movedFrom)
  return queue
}

/** Whichever command is the first at the new place. */
async function logMove(workspace: Workspace, from: string): Promise<void> {
  const { openWorkspaceLog } = await import('./compose.js')
  await withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, {})
    log('warn', 'workspace moved', { from, to: workspace.queueFile })
  })
}
