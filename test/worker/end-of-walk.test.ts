/** What the end of a walk proves, what it asks for that, and in which order. Source and destination are the ports, played by hand. */
import { describe, expect, it } from 'vitest'
import { type BackfillError, OverBudgetError, SourceRejected, SourceUnavailable } from '../../src/domain/errors.js'
import type {
  Checkpoint,
  Destination,
  Missing,
  SourceClient,
  SourceCount,
  Walk,
  WalkStart,
} from '../../src/domain/ports.js'
import type { CountRule, Stream } from '../../src/domain/source-model.js'
import { noTotals } from '../../src/domain/task.js'
import { type EndOfWalkDeps, endOfWalk } from '../../src/worker/end-of-walk.js'
import { createFakeClock } from '../support/fake-clock.js'
import { makeSource, makeStream } from '../support/stream.js'

const exact = (value: number): SourceCount => ({ value, trust: 'exact' })
const inAnswer: CountRule = { request: null, from: { header: 'x-total' }, exactBelow: null }
const ownRequest: CountRule = {
  request: { method: 'GET', path: '/count', query: {}, headers: {}, body: null, bodyParams: false },
  from: { path: ['n'] },
  exactBelow: null,
}
const walkOf = (fields: Partial<Walk>): Walk => ({
  ...{ id: 'w', startedAt: 5_000, pageSize: 10, requestHash: 'hash-1', since: null, until: null, cursor: null },
  ...{ loop: null, pages: 3, received: 30, distinct: 30, expected: exact(30) },
  ...fields,
})
const nothingMissing: Missing = {
  ...{
    rows: 30,
    recent: 0,
    isSmallPart: false,
    isShared: false,
    missing: 0,
    confirmed: 0,
    agreed: 0,
    mayConfirmAgain: true,
  },
  ...{ waitsFor: [], cascades: [] },
}

interface Scene {
  readonly stream?: Partial<Stream>
  readonly walk?: Partial<Walk>
  readonly lastCount?: SourceCount | null
  readonly lastProven?: number
  readonly isOld?: boolean
  readonly isPage?: boolean
  /** What the source says when it is asked for the count. */
  readonly count?: SourceCount | null | BackfillError
  /** Rows of the table, and those of them that are held. */
  readonly table?: { readonly rows: number | null; readonly held: number }
  readonly walked?: { readonly distinct: number; readonly hasUnreadable: boolean }
  readonly missing?: Partial<Missing>
}

/** Plays one end; `asked` says what was asked, in order. */
async function play(scene: Scene) {
  const asked: string[] = []
  const stream = makeStream({ count: [inAnswer], ...scene.stream })
  const walk = walkOf(scene.walk ?? {})
  const checkpoint: Checkpoint = {
    ...{ taskId: 't', epoch: 1, sequence: 3, done: false, proof: null, walk, totals: noTotals, requests: 3 },
  }
  const say = async <T>(what: string, answer: T): Promise<T> => {
    asked.push(what)
    return await Promise.resolve(answer)
  }
  const destination = {
    actual: () => say('table', scene.table ?? { rows: walk.received, held: 0 }),
    walked: () => say('keys', scene.walked ?? { distinct: walk.received, hasUnreadable: false }),
    missing: () => say('missing', { ...nothingMissing, ...scene.missing }),
    askOperator: () => say('operator', undefined),
  } as unknown as Destination
  const count = async () => {
    asked.push('count')
    const { count: value = null } = scene
    if (value instanceof Error) throw value
    return await Promise.resolve({ count: value, requests: 1 })
  }
  const deps: EndOfWalkDeps = {
    ...{ source: makeSource([stream]), stream, partition: { site: 'a' }, today: '2026-01-01', destination },
    page: scene.isPage === true ? { number: 2, at: 2, pageSize: 10, request: 'hash-1' } : null,
    table: { stream, newBatch: () => expect.unreachable() },
    client: { count } as unknown as SourceClient,
    clock: createFakeClock(),
    log: () => undefined,
  }
  const { lastCount = null, lastProven = null, isOld = false } = scene
  const start = {} as WalkStart
  const drain = () => say('drain', checkpoint)
  const ending = await endOfWalk({ walk, lastCount, lastProven, start, isOld, drain }, deps)
  return { ending, asked }
}
const proofOf = async (scene: Scene) => {
  const { ending } = await play(scene)
  return ending.kind === 'ended' ? ending.proof : ending.kind
}

describe('the end of a walk', () => {
  it('is proven by the count of its own answers, held against the table', async () => {
    const { ending, asked } = await play({ lastCount: exact(30) })
    expect(ending).toEqual({ kind: 'ended', proof: 'proven', atEnd: exact(30), beside: {} })
    expect(asked).toEqual(['drain', 'table'])
  })

  it('is asked for no count where the source has none: the last rows and the end are one flush', async () => {
    const { ending, asked } = await play({ stream: { count: [] } })
    expect(ending).toMatchObject({ proof: 'unproven', atEnd: null })
    expect(asked).toEqual([])
  })

  it('promotes the rows before it asks for a count, which may wait for the budget', async () => {
    const { asked } = await play({ stream: { count: [ownRequest] }, count: exact(30) })
    expect(asked).toEqual(['drain', 'count', 'table'])
  })

  it('asks again for a count that was named before a kill', async () => {
    expect((await play({ lastCount: null, count: exact(30) })).asked).toContain('count')
    expect((await play({ lastCount: null, walk: { expected: null } })).asked).not.toContain('count')
  })

  it('differs where rows are missing, came twice, or the table has fewer', async () => {
    expect(await proofOf({ lastCount: exact(31), walk: { expected: exact(31) } })).toBe('differs')
    expect(await proofOf({ lastCount: exact(30), walk: { distinct: 29 } })).toBe('differs')
    expect(await proofOf({ lastCount: exact(30), table: { rows: 28, held: 1 } })).toBe('differs')
    expect(await proofOf({ lastCount: exact(30), table: { rows: 28, held: 2 } })).toBe('proven')
    expect(await proofOf({ lastCount: exact(30), table: { rows: null, held: 0 } })).toBe('unproven')
  })

  it('is not held against the table where a row cannot come twice unseen', async () => {
    const few = { lastCount: exact(30), table: { rows: 1, held: 0 } }
    expect(await proofOf({ ...few, walk: { pages: 1 } })).toBe('proven')
    expect(await proofOf({ ...few, stream: { count: [inAnswer], key: [] } })).toBe('proven')
  })

  it('is unproven where it brought far less than the last proven walk, whatever the source counts', async () => {
    expect(await proofOf({ lastCount: exact(30), lastProven: 61 })).toBe('unproven')
    expect(await proofOf({ lastCount: exact(30), lastProven: 60 })).toBe('proven')
    expect(await proofOf({ lastCount: exact(30), lastProven: 61, walk: { since: 1 } })).toBe('proven')
    const judged = { loop: { source: null, verdict: 'proven' } }
    expect(await proofOf({ walk: judged })).toBe('proven')
    expect(await proofOf({ walk: judged, lastProven: 61 })).toBe('unproven')
  })

  it('is unproven where the source refuses to count, and waits where the budget is closed', async () => {
    const counted = { stream: { count: [ownRequest] } }
    expect(await proofOf({ ...counted, count: new SourceUnavailable('http_500', 'm') })).toBe('unproven')
    expect(await proofOf({ ...counted, count: new SourceRejected('http_403', 'm') })).toBe('unproven')
    const closed = new OverBudgetError('closed', 1)
    await expect(play({ ...counted, count: closed })).rejects.toBe(closed)
  })

  it('of one page alone, or of a walk that passed pages over, proves nothing and asks nothing', async () => {
    const page = { number: 2, at: 2, code: 'http_500', message: 'm' }
    for (const part of [{ isPage: true }, { walk: { split: [page] } }]) {
      const { ending, asked } = await play({ ...part, lastCount: exact(30) })
      expect(ending).toMatchObject({ proof: 'unproven', beside: {} })
      expect(asked).toEqual([])
    }
  })
})

describe('the end of a walk of changes', () => {
  const incremental = { passes: [], overlapMs: 0, fullWalk: null }
  const follows = { stream: { count: [inAnswer], incremental }, lastCount: exact(30), walk: { until: 9_000 } }

  it('says up to when its partition was walked, unless it is contradicted', async () => {
    const mark = { partitions: [{ site: 'a' }], since: null, until: 9_000, proof: 'proven' }
    expect((await play(follows)).ending).toMatchObject({ beside: { mark } })
    const differing = await play({ ...follows, lastCount: exact(31), walk: { until: 9_000, expected: exact(31) } })
    expect(differing.ending).toMatchObject({ proof: 'differs' })
    expect(differing.ending).not.toHaveProperty('beside.mark')
  })

  it('says nothing of its partition for one page alone, or with pages passed over', async () => {
    const page = { number: 2, at: 2, code: 'http_500', message: 'm' }
    expect((await play({ ...follows, isPage: true })).ending).not.toHaveProperty('beside.mark')
    const split = await play({ ...follows, walk: { until: 9_000, split: [page] } })
    expect(split.ending).not.toHaveProperty('beside.mark')
  })
})

describe('the end of a walk that may delete', () => {
  const mirror = { stream: { count: [inAnswer], disposition: 'mirror' as const }, lastCount: exact(30) }

  it('asks what is missing only where the walk is proven and whole', async () => {
    expect((await play(mirror)).asked).toEqual(['drain', 'keys', 'missing'])
    const changes = await play({ ...mirror, walk: { since: 1 } })
    expect(changes.asked).toEqual(['drain', 'keys'])
    expect(changes.ending).toMatchObject({ proof: 'proven', beside: { end: { kind: 'keep' } } })
    expect((await play({ ...mirror, lastCount: exact(29) })).asked).not.toContain('missing')
    expect((await play({ ...mirror, isPage: true })).asked).not.toContain('missing')
  })

  it('trusts the keys that came, not the flushes: a repeat or a row without a key proves nothing', async () => {
    expect(await proofOf({ ...mirror, walked: { distinct: 29, hasUnreadable: false } })).toBe('differs')
    expect(await proofOf({ ...mirror, walked: { distinct: 30, hasUnreadable: true } })).toBe('unproven')
  })

  it('asks for a second walk, or deletes what is confirmed', async () => {
    expect(await proofOf({ ...mirror, missing: { missing: 1 } })).toBe('again')
    const { ending } = await play({ ...mirror, missing: { missing: 1, confirmed: 1 } })
    expect(ending).toMatchObject({ proof: 'proven', beside: { end: { kind: 'prune' } } })
  })

  it('counts what went within a day where an empty walk is one of many that have a say, and only there', async () => {
    const most = { share: 0.05 }
    const stream = { ...mirror.stream, prune: { confirm: 'later' as const, most, cascades: false } }
    const empty = { stream, lastCount: exact(0), walk: { received: 0, distinct: 0, expected: exact(0) } }
    const few = { isShared: true, rows: 96, missing: 1, confirmed: 1 }
    expect(await proofOf({ ...empty, missing: { ...few, recent: 4 } })).toBe('proven')
    await expect(play({ ...empty, missing: { ...few, recent: 5 } })).rejects.toMatchObject({
      code: 'prune_too_many',
      message: expect.stringContaining('1 of 96 rows missing at the source and 5 deleted since yesterday') as string,
    })
    expect(await proofOf({ ...mirror, stream, missing: { ...few, recent: 5 } })).toBe('proven')
    const all = { isShared: true, rows: 3, missing: 3, confirmed: 3 }
    const anyRows = { ...stream, prune: { ...stream.prune, most: { rows: 100 } } }
    await expect(play({ ...empty, stream: anyRows, missing: all })).rejects.toMatchObject({ code: 'prune_empty' })
  })

  it('leaves the table as it is where the count contradicts a replacement', async () => {
    const replace = { ...mirror, stream: { count: [inAnswer], disposition: 'replace' as const } }
    const { ending } = await play({ ...replace, lastCount: exact(31), walk: { expected: exact(31) } })
    expect(ending).toMatchObject({ kind: 'contradicted', error: { code: 'replace_differs' } })
  })

  it('takes the count of a later day for no set that moved under a replacement', async () => {
    const moved = { stream: { count: [inAnswer], disposition: 'replace' as const }, walk: { expected: exact(35) } }
    expect(await proofOf({ ...moved, lastCount: exact(29) })).toBe('unproven')
    expect(await proofOf({ ...moved, isOld: true, count: exact(29) })).toBe('contradicted')
    expect(await proofOf({ ...moved, isOld: true, count: exact(30) })).toBe('unproven')
    expect(
      await proofOf({ ...moved, isOld: true, stream: { ...moved.stream, disposition: 'mirror' }, count: exact(29) }),
    ).toBe('unproven')
  })
})
