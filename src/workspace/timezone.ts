// Owns the question whether a zone exists, and what the system's is.
import { readlinkSync } from 'node:fs'

/** True for an IANA zone that this Node knows. */
export function isTimezone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

/**
 * The system's zone; UTC where it has none. Looks where Node itself looks, because asking Intl for the first time costs more than all the rest of a
 * warm start (12 ms against 2 on an idle machine).
 */
export function systemTimezone(): string {
  return plainZone(process.env.TZ) ?? plainZone(linkedZone()) ?? askIntl()
}

function askIntl(): string {
  const zone = new Intl.DateTimeFormat('en').resolvedOptions().timeZone
  // `Etc/Unknown` is what Intl calls a system without a zone, and no zone that it would take back.
  return isTimezone(zone) ? zone : 'UTC'
}

function linkedZone(): string | undefined {
  try {
    return readlinkSync('/etc/localtime').split('/zoneinfo/')[1]
  } catch {
    return undefined
  }
}

/** A zone by name; rules like `CET-1CEST` and files are left to Intl. */
function plainZone(name: string | undefined): string | undefined {
  if (name === undefined) return undefined
  const zone = /^:?((?:[A-Z][A-Za-z_]+\/)+[A-Za-z0-9_+-]+|UTC)$/.exec(name)?.[1]
  return zone === 'Etc/UTC' ? 'UTC' : zone
}
