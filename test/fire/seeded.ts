/** Random choices that can be made again: everything a fire test leaves to chance comes from one printed number. */

export interface Seeded {
  readonly seed: number
  /** 0 to below 1. */
  next(): number
  /** A whole number from 0 to below `end`. */
  below(end: number): number
  pick<T>(choices: readonly T[]): T
}

/** @param name of the environment variable that gives the seed; without it one is drawn. Printed, so that a failure can be replayed. */
export function seededBy(name: string, what: string): Seeded {
  const given = process.env[name]
  const seed = given === undefined || given === '' ? Math.trunc(Math.random() * 2 ** 31) : Number(given)
  if (!Number.isSafeInteger(seed)) throw new Error(`${name} is "${String(given)}", expected a whole number`)
  console.log(`${what}: seed ${seed} (again with ${name}=${seed})`)
  return seeded(seed)
}

/** mulberry32: small, even, the same on every machine. */
export function seeded(seed: number): Seeded {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number): number => Math.floor(next() * end)
  return {
    seed,
    next,
    below,
    pick: (choices) => {
      const chosen = choices[below(choices.length)]
      if (chosen === undefined) throw new Error('pick found nothing to choose from')
      return chosen
    },
  }
}

/** The number in an environment variable, or the default. */
export function numberFrom(name: string, otherwise: number): number {
  const given = process.env[name]
  if (given === undefined || given === '') return otherwise
  const value = Number(given)
  if (Number.isFinite(value) && value >= 0) return value
  throw new Error(`${name} is "${given}", expected a number`)
}
