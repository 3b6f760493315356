/**
 * How large a simulated school is and what is odd about its data: traps 9 to 11 of wire/traps.md live in the rows, so they are chosen when it starts.
 */

export interface SchoolSize {
  readonly users: number
  /** At least 3: the last is closed and empty, the one before it not public and nearly empty. */
  readonly campuses: number
  readonly projects: number
  readonly achievements: number
  /** On average, per user. */
  readonly projectsPerUser: number
  readonly achievementsPerUser: number
  readonly locationsPerUser: number
  /** Users whose rows all carry one and the same `updated_at`, as after a mass update. */
  readonly tiedUsers: number
  /** The latest stamp of the data, Unix ms. Must lie in the past of whoever asks for changes. */
  readonly until: number
  readonly oddities: Oddities
}

export interface Oddities {
  /** Trap 9: levels with long binary fractions, marks of 125, dates with a local offset, keys that are absent, nulls, estimate_time as a number. */
  readonly shapes: boolean
  /** Trap 10: the first two coalitions share a slug, and the first has no images and no color. */
  readonly sameSlug: boolean
  /** Trap 10: pairs of (coalition, user) that come twice. */
  readonly duplicateMemberships: number
  /** Trap 10: memberships of users that are in no list. */
  readonly unknownMembers: number
  /** Trap 11: locations that began long ago and never end. */
  readonly stuckLocations: number
}

export const defaultSize: SchoolSize = {
  users: 500,
  campuses: 8,
  projects: 40,
  achievements: 60,
  projectsPerUser: 5,
  achievementsPerUser: 3,
  locationsPerUser: 4,
  tiedUsers: 150,
  until: Date.UTC(2026, 0, 1),
  oddities: { shapes: true, sameSlug: true, duplicateMemberships: 3, unknownMembers: 4, stuckLocations: 5 },
}

/** Data without traps 9 to 11. */
export const noOddities: Oddities = {
  shapes: false,
  sameSlug: false,
  duplicateMemberships: 0,
  unknownMembers: 0,
  stuckLocations: 0,
}

export const dayMs = 86_400_000

const text = Buffer.from('0000-00-00T00:00:00.000Z', 'latin1')
const dates = new Map<number, Buffer>()

/**
 * `2025-09-01T08:00:00.000Z`. A school has hundreds of thousands of these: `toISOString`, or pieces put together (which stay pieces in memory), would take most of
 * its start.
 */
export function stamp(ms: number): string {
  const whole = Math.floor(ms)
  const day = Math.floor(whole / dayMs)
  const date = dates.get(day) ?? Buffer.from(new Date(day * dayMs).toISOString().slice(0, 10), 'latin1')
  dates.set(day, date)
  for (let place = 0; place < 10; place += 1) text[place] = date[place] ?? 0
  const inDay = whole - day * dayMs
  const seconds = Math.floor(inDay / 1000)
  writeDigits(Math.floor(seconds / 3600), 11, 2)
  writeDigits(Math.floor(seconds / 60) % 60, 14, 2)
  writeDigits(seconds % 60, 17, 2)
  writeDigits(inDay % 1000, 20, 3)
  return text.toString('latin1')
}

function writeDigits(number: number, start: number, count: number): void {
  let left = number
  for (let place = start + count - 1; place >= start; place -= 1) {
    text[place] = 48 + (left % 10)
    left = Math.floor(left / 10)
  }
}
