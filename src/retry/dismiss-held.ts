/**
 * Gives held rows up: they stay where they are, with their raw text, and are no alarm any more. What is held now is noted for `status` at once. The caller holds
 * the workspace's lock.
 */
import type { HeldCount, HeldDismissal, HeldDismissed } from '../domain/held.js'
import type { Destination, Queue } from '../domain/ports.js'

export interface DismissHeldReport {
  /** Streams that had a selected row. */
  readonly dismissed: readonly HeldDismissed[]
  /** What is held now, of all streams. */
  readonly held: readonly HeldCount[]
}

interface DismissHeldDeps {
  readonly destination: Pick<Destination, 'dismissHeld' | 'heldCounts'>
  readonly queue: Pick<Queue, 'noteHeld'>
}

/** @throws DestinationUnavailable. */
export async function dismissHeld(request: HeldDismissal, deps: DismissHeldDeps): Promise<DismissHeldReport> {
  const dismissed = await deps.destination.dismissHeld(request)
  const held = await deps.destination.heldCounts()
  await deps.queue.noteHeld(held)
  return { dismissed, held }
}
