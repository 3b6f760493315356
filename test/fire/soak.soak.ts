/**
 * The soak: 50,000 rows in 60 partitions of a source that fails, and at least 200 kills. `SOAK_KILLS` and `SOAK_SECONDS` say how long, `SOAK_SEED` plays the
 * same chances again.
 */
import { describe, expect, it } from 'vitest'
import { numberFrom, seededBy } from './seeded.js'
import { soak, soakSummary } from './soak.js'

describe('a worker that is killed again and again, over a source that fails', () => {
  it('ends with every one of 50,000 rows once', { timeout: 2 ** 31 - 1 }, async () => {
    const seconds = numberFrom('SOAK_SECONDS', Number.POSITIVE_INFINITY)
    const kills = numberFrom('SOAK_KILLS', Number.isFinite(seconds) ? Number.POSITIVE_INFINITY : 200)
    const chance = seededBy('SOAK_SEED', 'soak')
    const say = (line: string) => console.log(line)
    const soaked = await soak({ chance, rows: 50_000, partitions: 60, pageSize: 50, kills, seconds, say })
    console.log(soakSummary(soaked))
    // Told a time, it may have ended before its kills.
    if (!Number.isFinite(seconds)) expect(soaked.kills).toBeGreaterThanOrEqual(kills)
  })
})
