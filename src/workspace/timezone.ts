// Owns the question whether a zone exists, and what the system's is.

/** True for an IANA zone that this Node knows. */
export function isTimezone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

/** The system's zone; UTC where it has none. */
export function systemTimezone(): string {
  return new Intl.DateTimeFormat('en').resolvedOptions().timeZone || 'UTC'
}
