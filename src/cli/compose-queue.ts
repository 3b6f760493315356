/** Opens queue.db of a workspace. Apart from the rest of the composition, so that `status` loads neither the HTTP client nor the Postgres driver. */

import { systemClock } from '../clock/system-clock.js'
import type { Workspace } from '../domain/workspace-model.js'
import type { QueueMode } from '../queue/open-file.js'
import type { OpenQueue } from '../queue/queue.js'

export type { OpenQueue }

/**
 * `create` makes it where it is missing (seed, init); `write` does not (worker, retry, verify); `read` writes nothing (status); `migrate` is `write` for the
 * holder of the workspace's lock.
 */
export async function openWorkspaceQueue(
  workspace: Pick<Workspace, 'queueFile' | 'timezone'>,
  mode: QueueMode | 'migrate',
): Promise<OpenQueue> {
  const { openQueue } = await import('../queue/queue.js')
  return openQueue({
    file: workspace.queueFile,
    mode: mode === 'migrate' ? 'write' : mode,
    migrate: mode === 'migrate',
    clock: systemClock,
    timezone: workspace.timezone,
  })
}
