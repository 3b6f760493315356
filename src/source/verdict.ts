// Owns how what the parts of a walk prove becomes what the whole proves. Pure.
import type { Json } from '../domain/json.js'
import type { Proof } from '../domain/task.js'

const order: readonly Proof[] = ['proven', 'unproven', 'differs']

/** The weaker of two. */
export function weaker(a: Proof, b: Proof): Proof {
  return order.indexOf(a) >= order.indexOf(b) ? a : b
}

/** Reads what a cursor keeps; anything else proves nothing. */
export function readVerdict(value: Json | undefined): Proof {
  return order.find((proof) => proof === value) ?? 'unproven'
}
