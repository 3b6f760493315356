/** The soak in short: `npm run test:soak` for the whole of it. `SOAK_SEED` plays the same chances again. */
import { describe, expect, it } from 'vitest'
import { numberFrom, seededBy } from './seeded.js'
import { soak, soakSummary } from './soak.js'

describe('a worker that is killed again and again, over a source that fails', () => {
  it('ends with every row once', { timeout: 150_000 }, async () => {
    const kills = numberFrom('SOAK_KILLS', 10)
    const chance = seededBy('SOAK_SEED', 'short soak')
    const soaked = await soak({ chance, rows: 3_000, partitions: 12, pageSize: 50, kills, seconds: 25, say: () => {} })
    console.log(soakSummary(soaked))
    expect(soaked.kills).toBeGreaterThan(0)
  })
})
