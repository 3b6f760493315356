/** Which complaint of a verify stays until which other verify: what it looked at decides, not that it came last. */
import { describe, expect, it } from 'vitest'
import type { Finding, FindingKeeper } from '../../src/domain/finding.js'
import { partitionKey } from '../../src/domain/partition.js'
import type { Task } from '../../src/domain/task.js'
import { type Judged, openFindings } from '../../src/verify/findings.js'
import type { PartitionVerdict } from '../../src/verify/types.js'
import { finishedTask } from '../support/finished-task.js'
import { makeSource, makeStream } from '../support/stream.js'

const stream = makeStream()
const selected = { source: makeSource([stream]), stream }
const name = { source: 'test', stream: 'thing' }
const a = { site: 'a' }
const foundAt = 1000

function keeperOf(...found: readonly Pick<Finding, 'partition' | 'verdict'>[]) {
  const kept = new Map(found.map((one) => [partitionKey(one.partition), one.verdict]))
  const keeper: Omit<FindingKeeper, 'counts'> = {
    of: async () => found.map((one) => ({ ...name, ...one, foundAt })),
    keep: async ({ partition, verdict }) => {
      kept.set(partitionKey(partition), verdict)
    },
    takeBack: async (_, partitions) => {
      for (const partition of partitions) kept.delete(partitionKey(partition))
    },
  }
  return { keeper, kept }
}

const verdictOf = (verdict: PartitionVerdict['verdict'], owedBy: number | null): PartitionVerdict => ({
  ...name,
  partition: a,
  verdict,
  sentence: '',
  expected: null,
  actual: { rows: null, held: 0, lastWalk: null },
  owedBy,
})
const walkedAt = (finishedAt: number): Task => ({ ...finishedTask, finishedAt })

interface Then {
  readonly verdict: PartitionVerdict['verdict']
  readonly isStrict?: boolean
  readonly failure?: Judged['failure']
  readonly finishedAt?: number
  readonly owedBy?: number
}
/** What is known of the partition after a verify that says this of it. */
async function after(before: Finding['verdict'] | null, then: Then): Promise<Finding['verdict'] | null> {
  const { keeper, kept } = keeperOf(...(before === null ? [] : [{ partition: a, verdict: before }]))
  const { verdict, isStrict = false, failure = null, finishedAt = 0, owedBy = null } = then
  const findings = await openFindings(selected, { isStrict }, { findings: keeper })
  await findings.judged({ verdict: verdictOf(verdict, owedBy), task: walkedAt(finishedAt), failure })
  return kept.get(partitionKey(a)) ?? null
}

describe('a finding', () => {
  const cases: [string, Finding['verdict'] | null, Then, Finding['verdict'] | null][] = [
    ['is made by a discrepancy', null, { verdict: 'discrepancy' }, 'discrepancy'],
    ['is not made by unproven', null, { verdict: 'unproven' }, null],
    ['is made by unproven where that was asked for', null, { verdict: 'unproven', isStrict: true }, 'unproven'],
    ['is made by an answer that waiting does not heal', null, { verdict: 'unproven', failure: 'hopeless' }, 'unproven'],
    ['is not made by one that it does', null, { verdict: 'unproven', failure: 'temporary', isStrict: true }, null],
    ['is taken back by equal', 'discrepancy', { verdict: 'equal' }, null],
    ['is taken back by moved', 'discrepancy', { verdict: 'moved' }, null],
    [
      'stays where it cannot be compared and nothing was walked since',
      'discrepancy',
      { verdict: 'unproven', finishedAt: foundAt - 1 },
      'discrepancy',
    ],
    [
      'is taken back where it cannot be compared, but was walked since',
      'discrepancy',
      { verdict: 'unproven', finishedAt: foundAt + 1 },
      null,
    ],
    [
      'stays where the work is still owed',
      'discrepancy',
      { verdict: 'unproven', finishedAt: foundAt + 1, owedBy: 17 },
      'discrepancy',
    ],
    [
      'stays where it could not be asked',
      'discrepancy',
      { verdict: 'unproven', failure: 'temporary', finishedAt: foundAt + 1 },
      'discrepancy',
    ],
    [
      'stays a discrepancy, however strict the next one is',
      'discrepancy',
      { verdict: 'unproven', isStrict: true },
      'discrepancy',
    ],
    ['of a strict verify is taken back by one that is not', 'unproven', { verdict: 'unproven' }, null],
    ['becomes a discrepancy', 'unproven', { verdict: 'discrepancy' }, 'discrepancy'],
  ]
  it.each(cases)('%s', async (_, ...[before, then, expected]) => {
    expect(await after(before, then)).toBe(expected)
  })

  it('of what is no partition any more is taken back by a verify of all', async () => {
    const { keeper, kept } = keeperOf(
      { partition: a, verdict: 'discrepancy' },
      { partition: { site: 'gone' }, verdict: 'discrepancy' },
    )
    const findings = await openFindings(selected, { isStrict: false }, { findings: keeper })
    await findings.keepOnly([a, { site: 'b' }])
    expect([...kept.keys()]).toEqual([partitionKey(a)])
  })

  describe('of values that are asked about in other company now', () => {
    const many = { param: 'site', join: ',', max: 3, shrinkOn: [] }
    const grouped = makeStream({ fanOut: { dimension: 'site', many } })
    const ofSites = (site: string) => ({ partition: { site }, verdict: 'discrepancy' as const })
    /** The old complaints that are left once the groups were judged so; null: not reached. */
    async function left(before: readonly string[], then: Record<string, PartitionVerdict['verdict'] | null>) {
      const { keeper, kept } = keeperOf(...before.map(ofSites))
      const own = { source: makeSource([grouped]), stream: grouped }
      const findings = await openFindings(own, { isStrict: false }, { findings: keeper })
      await findings.keepOnly(Object.keys(then).map((site) => ({ site })))
      for (const [site, verdict] of Object.entries(then)) {
        if (verdict === null) continue
        const judged = { ...verdictOf(verdict, null), partition: { site } }
        await findings.judged({ verdict: judged, task: walkedAt(foundAt - 1), failure: null })
      }
      return [...kept.keys()].map((key) => (JSON.parse(key) as { site: string }).site).sort()
    }

    it('stays until each of its values was judged there', async () => {
      expect(await left(['a,b'], { 'a,c': 'equal', 'b,d': null })).toEqual(['a,b'])
      expect(await left(['a,b'], { 'a,c': 'equal', 'b,d': 'unproven' })).toEqual(['a,b'])
      expect(await left(['a,b'], { 'a,c': 'equal', 'b,d': 'equal' })).toEqual([])
    })

    it('makes way for a complaint of the new company', async () => {
      expect(await left(['a,b', 'a'], { 'a,b,c': 'discrepancy' })).toEqual(['a,b,c'])
    })

    it('is taken back at once where none of its values is asked about any more', async () => {
      expect(await left(['x,y', 'x,a'], { 'a,b': null })).toEqual(['x,a'])
    })
  })
})
