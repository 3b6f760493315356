/**
 * Owns the question whether the path still leads to the file that is open. SQLite goes on writing into a file that was deleted or replaced, and says nothing:
 * everything written from then on would be gone with the last process that has it open.
 */
import { statSync } from 'node:fs'
import { ConfigError } from '../domain/errors.js'
import type { Clock } from '../domain/ports.js'

const lookAgainMs = 500

/** A check for before every transaction; it looks twice a second at most. @throws ConfigError `queue_gone` from the returned function */
export function watchFile(file: string, clock: Pick<Clock, 'monotonic'>): () => void {
  const opened = identityOf(file)
  let looksAt = 0
  return () => {
    if (opened === null || clock.monotonic() < looksAt) return
    if (identityOf(file) === opened) {
      looksAt = clock.monotonic() + lookAgainMs
      return
    }
    throw new ConfigError('queue_gone', `use "${file}" found it deleted or replaced while it was open`, {
      hint: 'what was promoted is safe in the database; put the file back, or rebuild it with "backfill seed --from-ledger"',
    })
  }
}

function identityOf(file: string): string | null {
  const stats = statSync(file, { throwIfNoEntry: false, bigint: true })
  return stats === undefined ? null : `${stats.dev} ${stats.ino}`
}
