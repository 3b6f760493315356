/** Opens queue.db of a workspace. Apart from the rest of the composition, so that `status` loads neither the HTTP client nor the Postgres driver. */

import { systemClock } from '../clock/system-clock.js'
import type { Workspace } from '../domain/workspace-model.js'
import type { QueueMode } from '../queue/open-file.js'
import type { OpenQueue } from '../queue/queue.js'
import { withOpened } from './opened.js'

export type { OpenQueue }

/**
 * `create` makes it where it is missing (seed, init); `write` does not (worker, retry, verify); `read` writes nothing (status); `migrate` is `write` for the
 * holder of the workspace's lock; `adopt` is `create` for who makes it the queue from now on, wherever it was used before.
 */
export async function openWorkspaceQueue(
  workspace: Workspace | Pick<Workspace, 'queueFile' | 'timezone'>,
  mode: QueueMode | 'migrate' | 'adopt',
): Promise<OpenQueue> {
  const { openQueue } = await import('../queue/queue.js')
  const queue = openQueue({
    file: workspace.queueFile,
    mode: mode === 'migrate' ? 'write' : mode === 'adopt' ? 'create' : mode,
    migrate: mode === 'migrate',
    ignorePlace: mode === 'adopt',
    clock: systemClock,
    timezone: workspace.timezone,
  })
  if (queue.movedFrom !== null && 'stateDirectory' in workspace) await logMove(workspace, queue.movedFrom)
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
