/** Pauses and parkings as every command's `--json` prints them. Pure. */
import type { Parking, Pause } from '../../domain/controls.js'
import { utc } from '../zone.js'

export function pauseDocument({ source, stream, since, until, note }: Pause): unknown {
  return { source, stream, since: utc(since), until: utc(until), note }
}

export function parkingDocument(parking: Parking): unknown {
  const { source, reason, since, until, times, failures, code, message, hint } = parking
  return { source, reason, since: utc(since), until: utc(until), times, failures, code, message, hint }
}
