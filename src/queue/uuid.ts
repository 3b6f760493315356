/** Owns the ids of tasks: UUIDs of version 7, which begin with the time, so that a million of them enter an index in order. */
import { randomBytes } from 'node:crypto'

/** A UUID that sorts by `now` (Unix ms); 74 bits of it are random. */
export function timeOrderedUuid(now: number): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(now, 0, 6)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
