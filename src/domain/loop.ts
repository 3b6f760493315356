/**
 * Finds cycles of any length in a sequence with constant memory (Brent): one anchor is remembered, and moves further away each time as many steps
 * have passed as a power of two. The state lives with the cursor in the ledger, so that a loop longer than a run is found too.
 */
export interface LoopState {
  readonly anchor: string | null
  readonly power: number
  readonly length: number
}
export const noLoop: LoopState = { anchor: null, power: 1, length: 0 }

/** The state after one more step, and whether the step repeats the anchor. */
export function stepLoop(
  state: LoopState,
  fingerprint: string,
): { readonly state: LoopState; readonly isLoop: boolean } {
  if (state.anchor === fingerprint) return { state, isLoop: true }
  if (state.anchor === null) return { state: { anchor: fingerprint, power: 1, length: 1 }, isLoop: false }
  if (state.length === state.power)
    return { state: { anchor: fingerprint, power: state.power * 2, length: 1 }, isLoop: false }
  return { state: { ...state, length: state.length + 1 }, isLoop: false }
}
