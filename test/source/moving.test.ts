// Walks over sets that move while they run: what a walk may claim, and that it never claims more. Churn is drawn at random, between any two answers.
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { Page, WalkStart } from '../../src/domain/ports.js'
import type { Pagination, Stream } from '../../src/domain/source-model.js'
import { type MovingApi, type MovingRow, startMovingApi } from '../support/moving-api.js'
import { bench, closeAll, pagesOf, sourceOf, startOf, streamOf } from './support.js'

let api: MovingApi
afterEach(async () => {
  await closeAll()
  await api.close()
})

const paged: Pagination = {
  ...{ kind: 'page', param: 'page', first: 1, sizeParam: 'per_page', pages: null },
  total: { header: 'x-total' },
  usedSize: { header: 'x-per-page' },
  end: { shortPage: false, errors: [] },
}
const pass = {
  ...{ field: ['updated_at'], param: 'range[updated_at]', form: '{from},2100-01-01T00:00:00Z', format: 'iso' as const },
  query: { sort: 'updated_at,id' },
  isAscending: true,
}
const incremental: Stream['incremental'] = { passes: [pass], overlapMs: 0, fullWalk: null }
// The clock of these tests stands at the beginning of 2024.
const start = Date.UTC(2023, 5, 1)
const now = Date.UTC(2024, 0, 1) - start
const at = (ms: number): string => new Date(start + ms).toISOString()
const row = (id: number, changed = id): MovingRow => ({
  id,
  owner_id: id % 7,
  name: `row ${id}`,
  updated_at: at(changed),
})
const table = (count: number): MovingRow[] => Array.from({ length: count }, (_, index) => row(index + 1))

async function walk(stream: Stream, start: Partial<WalkStart> = {}): Promise<Page[]> {
  const { client } = bench()
  return await pagesOf(client, startOf(sourceOf(api.url), stream, start))
}
const stream = (more: Partial<Stream>, pagination: Pagination = paged): Stream =>
  streamOf({
    request: { path: '/things' },
    pagination,
    settings: { pageSize: 10 },
    count: [{ request: null, from: { header: 'x-total' }, exactBelow: null }],
    more,
  })
const backwards: Pagination = { ...paged, backwards: { by: ['id'] } }
const idsIn = (pages: readonly Page[]): ReadonlySet<unknown> =>
  new Set(pages.flatMap(({ records }) => records.map((record) => (record as unknown as MovingRow).id)))
const verdictOf = (pages: readonly Page[]) => pages.at(-1)?.judged?.verdict ?? null

/** One change between two answers: a row goes, comes, or changes. */
type Change = { readonly kind: 'delete' | 'insert' | 'touch'; readonly pick: number }
const changes = fc.array(
  fc.array(fc.record({ kind: fc.constantFrom('delete', 'insert', 'touch'), pick: fc.nat(10_000) }), { maxLength: 4 }),
  { minLength: 30, maxLength: 30 },
) as fc.Arbitrary<Change[][]>

/** Springs the changes one group an answer; says which rows were there all the time. */
function churn(groups: readonly Change[][]): {
  readonly stayed: () => readonly number[]
  readonly touched: () => readonly number[]
} {
  const before = new Set(api.tables.things?.map(({ id }) => id))
  const changed = new Set<number>()
  let clock = now
  let next = 1_000_000
  let turn = 0
  api.before = () => {
    // The first answer shows the set as it was.
    if (turn > 0) {
      for (const { kind, pick } of groups[turn - 1] ?? []) {
        const rows = api.tables.things ?? []
        clock += 5
        if (kind === 'insert') {
          next += 1
          rows.push(row(next, clock))
          changed.add(next)
        }
        const index = rows.length === 0 ? -1 : pick % rows.length
        const found = rows[index]
        if (kind === 'delete' && found !== undefined) rows.splice(index, 1)
        if (kind === 'touch' && found !== undefined) {
          rows[index] = row(found.id, clock)
          changed.add(found.id)
        }
      }
    }
    turn += 1
  }
  const present = () => new Set(api.tables.things?.map(({ id }) => id))
  return {
    stayed: () => [...before].filter((id) => present().has(id)),
    touched: () => [...changed].filter((id) => present().has(id)),
  }
}

describe('a walk from the last page', () => {
  it('reads every page, and proves a set that stands still', async () => {
    api = await startMovingApi({ things: table(35) })
    const pages = await walk(stream({}, backwards))
    expect(idsIn(pages).size).toBe(35)
    expect(api.requests.map((path) => /[?&]page=(\d+)/.exec(path)?.[1])).toEqual(['1', '4', '3', '2', '1'])
    expect(verdictOf(pages)).toBe('proven')
  })
  it('takes one request where there is one page', async () => {
    api = await startMovingApi({ things: table(10) })
    const pages = await walk(stream({}, backwards))
    expect(api.requests).toHaveLength(1)
    expect(verdictOf(pages)).toBe('proven')
  })
  it('brings every row that is there all the time, whatever comes and goes, and says so', async () => {
    await fc.assert(
      fc.asyncProperty(changes, fc.integer({ min: 11, max: 90 }), async (groups, size) => {
        api = await startMovingApi({ things: table(size) })
        const { stayed } = churn(groups)
        const pages = await walk(stream({}, backwards))
        const seen = idsIn(pages)
        expect(stayed().filter((id) => !seen.has(id))).toEqual([])
        expect(verdictOf(pages)).toBe('proven')
        await api.close()
      }),
      { numRuns: 40 },
    )
    api = await startMovingApi({})
  })
  it('does not call a page whole that holds fewer rows than its total leaves for it', async () => {
    api = await startMovingApi({ things: table(35) })
    api.before = (url, response) => {
      if (url.searchParams.get('page') !== '2') return
      response.writeHead(200, { 'content-type': 'application/json', 'x-total': '35', 'x-per-page': '10' })
      response.end(JSON.stringify(table(19).slice(10)))
    }
    expect(verdictOf(await walk(stream({}, backwards)))).toBe('differs')
  })
  it('proves nothing where rows do not come in order', async () => {
    api = await startMovingApi({ things: table(35) })
    const sorted = stream({}, { ...paged, backwards: { by: ['name'] } })
    expect(verdictOf(await walk(sorted))).toBe('unproven')
  })
  it('goes forward where the source names no total, and proves nothing', async () => {
    api = await startMovingApi({ things: table(35) })
    api.isTotalHidden = true
    const pages = await walk(stream({}, backwards))
    expect(idsIn(pages).size).toBe(35)
    expect(verdictOf(pages)).toBe('unproven')
  })
  it('goes backwards once a total comes', async () => {
    api = await startMovingApi({ things: table(35) })
    api.isTotalHidden = true
    api.before = () => {
      api.isTotalHidden = api.requests.length < 2
    }
    const pages = await walk(stream({}, backwards))
    expect(idsIn(pages).size).toBe(35)
    expect(verdictOf(pages)).toBe('proven')
  })
})

describe('a walk over changes', () => {
  it('asks from the last change it saw on, and needs no page number', async () => {
    api = await startMovingApi({ things: table(35) })
    const pages = await walk(stream({ incremental }), { since: start + 11 })
    expect([...idsIn(pages)]).toEqual(Array.from({ length: 25 }, (_, index) => index + 11))
    expect(api.requests.map((path) => /range\[updated_at\]=([^,]*)/.exec(path)?.[1])).toEqual([at(11), at(20), at(29)])
    expect(verdictOf(pages)).toBe('proven')
  })
  it('brings every row that had changed, while rows change, come and go', async () => {
    await fc.assert(
      fc.asyncProperty(changes, async (groups) => {
        api = await startMovingApi({ things: table(60) })
        const { stayed, touched } = churn(groups)
        const seen = idsIn(await walk(stream({ incremental }), { since: start + 5 }))
        // What changed after the walk had begun is the next one's.
        const owed = stayed().filter((id) => id >= 5 && !touched().includes(id))
        expect(owed.filter((id) => !seen.has(id))).toEqual([])
        await api.close()
      }),
      { numRuns: 40 },
    )
    api = await startMovingApi({})
  })
  it('keeps ties: many rows of one change go over several pages', async () => {
    const things = Array.from({ length: 45 }, (_, index) => row(index + 1, index < 10 ? index : 50))
    api = await startMovingApi({ things })
    const pages = await walk(stream({ incremental }), { since: start })
    expect(idsIn(pages).size).toBe(45)
    expect(verdictOf(pages)).toBe('proven')
  })
  it('keeps ties by offset, too', async () => {
    api = await startMovingApi({ things: Array.from({ length: 45 }, (_, index) => row(index + 1, 50)) })
    const { first: _, ...rest } = paged
    const byOffset: Pagination = { ...rest, kind: 'offset', param: 'offset' }
    const pages = await walk(stream({ incremental }, byOffset), { since: start })
    expect(idsIn(pages).size).toBe(45)
    expect(verdictOf(pages)).toBe('proven')
  })
  it('passes over no tie, though rows of the same moment change while their pages are read', async () => {
    api = await startMovingApi({ things: Array.from({ length: 45 }, (_, index) => row(index + 1, 50)) })
    let turn = 0
    api.before = () => {
      const things = api.tables.things ?? []
      turn += 1
      if (turn > 2) things[turn - 3] = row(turn - 2, now + turn)
    }
    const pages = await walk(stream({ incremental }), { since: start })
    const seen = idsIn(pages)
    expect(Array.from({ length: 40 }, (_, index) => index + 6).filter((id) => !seen.has(id))).toEqual([])
    expect(verdictOf(pages)).toBe('proven')
  })
  it('refuses rows that do not come in order, before any is lost', async () => {
    api = await startMovingApi({ things: [row(1, 5), row(2, 3)] })
    const unsorted = { ...pass, query: { sort: 'id' } }
    const walked = walk(stream({ incremental: { passes: [unsorted], overlapMs: 0, fullWalk: null } }), { since: start })
    await expect(walked).rejects.toMatchObject({ code: 'not_ascending' })
  })
  it('ends where everything had changed before it began, though rows change for ever', async () => {
    api = await startMovingApi({ things: table(30) })
    let clock = now + 3_600_000
    api.before = () => {
      // Twenty rows change before each answer: more than a page.
      const things = api.tables.things ?? []
      for (let index = 0; index < 20; index += 1) {
        clock += 1
        things[index] = row(index + 1, clock)
      }
    }
    const pages = await walk(stream({ incremental }), { since: start })
    expect(api.requests.length).toBeLessThan(5)
    const seen = idsIn(pages)
    expect(Array.from({ length: 10 }, (_, index) => index + 21).filter((id) => !seen.has(id))).toEqual([])
  })
  it('asks one pass after the other', async () => {
    const things = table(20).map((one) => ({ ...one, begin_at: at(1000 + one.id) }))
    api = await startMovingApi({ things })
    const begun = { ...pass, field: ['begin_at'], param: 'range[begin_at]', query: {}, isAscending: false }
    const both = { passes: [pass, begun], overlapMs: 0, fullWalk: null }
    const pages = await walk(stream({ incremental: both }), { since: start + 15 })
    expect(idsIn(pages).size).toBe(20)
    expect(api.requests.map((path) => /range\[(\w+)\]/.exec(path)?.[1])).toEqual(['updated_at', 'begin_at', 'begin_at'])
    expect(pages[0]?.count).toBeNull()
  })
})

describe('a walk in windows', () => {
  const day = 86_400_000
  const windows: Stream['windows'] = {
    ...{ param: 'range[begin_at]', form: '{from},{to}', format: 'iso' as const },
    ...{ from: '2023-01-01', rows: 30, leastMs: day },
  }
  const located = (count: number, spread: number): MovingRow[] =>
    table(count).map((one) => ({ ...one, begin_at: at(one.id * spread) }))
  it('halves what holds too much, and brings everything', async () => {
    api = await startMovingApi({ things: located(150, day) })
    const pages = await walk(stream({ windows }, backwards))
    expect(idsIn(pages).size).toBe(150)
    expect(verdictOf(pages)).toBe('proven')
    const deepest = Math.max(...api.requests.map((path) => Number(/[?&]page=(\d+)/.exec(path)?.[1])))
    expect(deepest).toBeLessThanOrEqual(3)
  })
  it('is one window where that is enough', async () => {
    api = await startMovingApi({ things: located(25, day) })
    const pages = await walk(stream({ windows }))
    expect(new Set(api.requests.map((path) => /range\[begin_at\]=[^&]*/.exec(path)?.[0])).size).toBe(1)
    expect(verdictOf(pages)).toBe('proven')
  })
  it('goes no further down than the least window', async () => {
    api = await startMovingApi({ things: located(100, 1000) })
    const pages = await walk(stream({ windows }))
    expect(idsIn(pages).size).toBe(100)
  })
})

describe('many values in one request', () => {
  const owners = (most: number): Partial<Stream> => ({
    dimensions: ['owner'],
    fanOut: { dimension: 'owner', many: { param: 'filter[owner_id]', join: ',', max: most, shrinkOn: [502] } },
    match: { owner: 'owner_id' },
  })
  const partition = { owner: '0,1,2,3,4,5,6' }
  it('asks for as many as are allowed at a time', async () => {
    api = await startMovingApi({ things: table(35) })
    const pages = await walk(stream(owners(3)), { partition })
    expect(idsIn(pages).size).toBe(35)
    const asked = api.requests.map((path) => /filter\[owner_id\]=([^&]*)/.exec(path)?.[1])
    expect(new Set(asked)).toEqual(new Set(['0,1,2', '3,4,5', '6']))
    expect(verdictOf(pages)).toBe('proven')
  })
  it('halves them where the source says too many, once, and asks for the smaller number from then on', async () => {
    api = await startMovingApi({ things: table(35) })
    api.mostIds = 2
    const pages = await walk(stream(owners(7)), { partition })
    expect(idsIn(pages).size).toBe(35)
    const sizes = api.requests.map((path) => /filter\[owner_id\]=([^&]*)/.exec(path)?.[1]?.split(',').length)
    expect(sizes.filter((size) => Number(size) > 2)).toEqual([7, 3])
    expect(sizes.slice(2)).not.toContain(3)
  })
  it('fails where one alone is too many', async () => {
    api = await startMovingApi({ things: table(35) })
    api.mostIds = 0
    await expect(walk(stream(owners(4)), { partition })).rejects.toMatchObject({ code: 'http_502' })
  })
  it('records an empty answer as one', async () => {
    api = await startMovingApi({ things: [] })
    const pages = await walk(stream(owners(7)), { partition })
    expect(pages).toHaveLength(1)
    expect(verdictOf(pages)).toBe('proven')
  })
  it('refuses an answer with rows that were not asked for', async () => {
    api = await startMovingApi({ things: table(35) })
    api.ignoresOwner = true
    await expect(walk(stream(owners(7)), { partition: { owner: '1,2' } })).rejects.toMatchObject({
      code: 'foreign_rows',
    })
  })
  it('keeps addresses short', async () => {
    api = await startMovingApi({ things: [] })
    api.mostIds = 10_000
    const many = Array.from({ length: 900 }, (_, index) => String(1_000_000_000_000 + index)).join(',')
    await walk(stream(owners(1000)), { partition: { owner: many } })
    expect(Math.max(...api.requests.map((path) => encodeURIComponent(path).length))).toBeLessThan(8000)
    expect(api.requests.length).toBeGreaterThan(1)
  })
})
