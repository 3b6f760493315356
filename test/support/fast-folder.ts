/**
 * Where tests put many small workspaces: in memory where the machine has room there, for each of their queues waits for the disk at every commit, and so for
 * every other test's. What a kill leaves is the same there; what a power cut leaves no test shows.
 */
import { accessSync, constants, mkdtempSync, realpathSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const memory = '/dev/shm'
/** A container's own is often 64 MB. */
const leastBytes = 48_000_000

/** A new folder, its real path. The caller removes it. */
export function fastFolder(prefix: string): string {
  return realpathSync(mkdtempSync(join(hasRoom() ? memory : tmpdir(), prefix)))
}

function hasRoom(): boolean {
  try {
    accessSync(memory, constants.W_OK | constants.X_OK)
    const { bavail, bsize } = statfsSync(memory)
    return bavail * bsize >= leastBytes
  } catch {
    return false
  }
}
