import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noLoop, stepLoop } from '../../src/domain/loop.js'

function stepsUntilLoop(sequence: (step: number) => string, most: number): number | null {
  let state = noLoop
  for (let step = 0; step < most; step += 1) {
    const next = stepLoop(state, sequence(step))
    if (next.isLoop) return step
    state = next.state
  }
  return null
}

describe('stepLoop', () => {
  it('finds every cycle, after at most three times its length and its lead-in', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 50 }), (leadIn, length) => {
        const sequence = (step: number) => (step < leadIn ? `lead ${step}` : `cycle ${(step - leadIn) % length}`)
        const found = stepsUntilLoop(sequence, 1000)
        expect(found).not.toBeNull()
        expect(found).toBeLessThanOrEqual(3 * (leadIn + length) + 1)
      }),
    )
  })
  it('takes different steps for no cycle', () => {
    expect(stepsUntilLoop((step) => `step ${step}`, 5000)).toBeNull()
  })
})
