/**
 * Repeatable randomness and invented words for simulated rows: the same seed gives the same rows on every machine. No real person, place or text.
 */
import { createHash } from 'node:crypto'

/** Numbers from 0 to below 1, the same sequence for the same seed (mulberry32). */
export type Random = () => number

export function randomFrom(seed: string): Random {
  let state = createHash('sha256').update(seed).digest().readUInt32LE(0)
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** A whole number from `low` to `high`, both included. */
export function wholeBetween(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1))
}

const subjects = [
  'The board',
  'Staff',
  'The chair',
  'A resident',
  'The clerk',
  'The panel',
  'Public works',
  'The café owner',
]
const verbs = ['reviewed', 'moved', 'tabled', 'amended', 'received', 'discussed', 'continued', 'adopted']
const things = [
  'the culvert report',
  'item “7-B” of the calendar',
  'a fee of $1,250.00',
  'the tree inventory',
  'ordinance 14\\2',
  'the dock lease — phase 2',
  'the crossing at Pier 9',
  'the draft budget (50 %)',
]
// Line ends, tabs and backslashes are in real scans, and are what a COPY writer gets wrong.
const joints = ['. ', '.\n', '; ', '.\n\n', '.\t', '. ']

/** A page of invented minutes of about so many sentences, with the quotes, line ends and backslashes that scans have. */
export function syntheticText(random: Random, sentences: number): string {
  let text = ''
  for (let sentence = 0; sentence < sentences; sentence += 1) {
    text += `${pick(random, subjects)} ${pick(random, verbs)} ${pick(random, things)}${pick(random, joints)}`
  }
  return text
}

/** One of the values. @throws RangeError where there is none. */
export function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)]
  if (value === undefined) throw new RangeError('pick from an empty list')
  return value
}
