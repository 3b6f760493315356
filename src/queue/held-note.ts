/** Owns what the queue knows of held rows: a copy of the last count, for `status`, which asks no database. Never decided upon. */
import type { HeldCount, HeldNote } from '../domain/held.js'
import { readMeta, writeMeta } from './meta.js'
import type { Store } from './store.js'

export function writeHeldNote(store: Store, counts: readonly HeldCount[]): void {
  const note: HeldNote = { countedAt: store.clock.now(), counts }
  writeMeta(store, 'held', JSON.stringify(note))
}

/** null where nobody counted yet. */
export function readHeldNote(store: Store): HeldNote | null {
  const text = readMeta(store, 'held')
  return text === null ? null : (JSON.parse(text) as HeldNote)
}
