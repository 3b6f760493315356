/**
 * The workspace's lock, for commands that meet another one in the moment in which it brings queue.db up to date: after an upgrade all commands of a crontab find an
 * older file at once, and each of them can do it. Owns how long that is waited for.
 */
import type { Clock, WorkspaceLock } from '../domain/ports.js'

/** It takes some ten milliseconds; a machine that is busy with the whole crontab takes longer. */
const patienceMs = 5000
/** Until a holder has said its name. */
const namelessMs = 500
const lookAgainMs = 50

const migration = 'migration'

type Held = Awaited<ReturnType<WorkspaceLock['acquire']>>

/** The lock; null where somebody else is at work, who only brings the file up to date no longer than that takes. */
export async function acquireAfterMigration(lock: WorkspaceLock, command: string, clock: Clock): Promise<Held> {
  const until = clock.monotonic() + patienceMs
  let namedBy: number | null = null
  for (;;) {
    const held = await lock.acquire(command)
    const now = clock.monotonic()
    if (held !== null || now >= until) return held
    const holder = await lock.holder()
    const isNameless = holder?.pid === 0
    namedBy = isNameless ? (namedBy ?? now + namelessMs) : null
    if (namedBy !== null && now >= namedBy) return null
    if (holder !== null && !isNameless && holder.command !== migration) return null
    await clock.sleep(lookAgainMs)
  }
}

/**
 * The lock, to bring the file up to date; `done` where somebody else has done so meanwhile (a worker does as it starts); null where who holds it does not.
 */
export async function acquireToMigrate(
  lock: WorkspaceLock,
  clock: Clock,
  isDone: () => Promise<boolean>,
): Promise<Held | 'done'> {
  const since = clock.monotonic()
  for (;;) {
    const held = await lock.acquire(migration)
    if (held !== null) return held
    if (clock.monotonic() - since >= patienceMs) return null
    await clock.sleep(lookAgainMs)
    if (await isDone()) return 'done'
  }
}
