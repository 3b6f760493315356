import { describe, expect, it } from 'vitest'
import { partitionsFromLines } from '../../src/seed/from-file.js'
import { makeSource, makeStream } from '../support/stream.js'

const options = { filter: {}, today: '2024-03-05', order: 'oldest' } as const
const list = (values: string[], exclude: string[] = []) =>
  ({ kind: 'list', values, fromConfig: null, exclude, aliases: { first: 'a' } }) as const

function selection(dimensions: Record<string, ReturnType<typeof list>>) {
  const stream = makeStream({ dimensions: Object.keys(dimensions) })
  return [{ source: makeSource([stream], { dimensions }), stream }]
}
async function read(lines: string[], dimensions: Record<string, ReturnType<typeof list>>) {
  const [found] = await partitionsFromLines(lines, selection(dimensions), options)
  return found?.partitions
}

describe('partitionsFromLines', () => {
  it('takes one value a line, with aliases, comments, blanks and repeats', async () => {
    expect(await read(['a', '', '# none', 'first', ' b '], { site: list(['a', 'b']) })).toEqual([
      { site: 'a' },
      { site: 'b' },
    ])
  })
  it('takes JSON lines, and every value of a dimension that a line leaves open', async () => {
    const dimensions = { site: list(['a', 'b']), kind: list(['x', 'y']) }
    expect(await read(['{"site": "b"}', '{"site":"a","kind":"y"}'], dimensions)).toEqual([
      { site: 'b', kind: 'x' },
      { site: 'b', kind: 'y' },
      { site: 'a', kind: 'y' },
    ])
  })
  it('takes any value of an open dimension, numbers too', async () => {
    expect(await read(['17', '{"user": 18}'], { user: list([]) })).toEqual([{ user: '17' }, { user: '18' }])
  })
  it.each([
    [['a', 'nowhere'], /line 2 names "nowhere", which is no value of site/],
    [['{"place": "a"}'], /line 1 names "place", which is no dimension of test.thing/],
    [['{"site": ["a"]}'], /line 1 gives "site" neither a text nor a number/],
    [['a', '{"site":'], /line 2 is no valid JSON/],
    [['c'], /line 1 names "c", which "exclude" of site leaves out/],
  ])('refuses %j and names the line', async (lines, message) => {
    await expect(read(lines, { site: list(['a', 'b', 'c'], ['c']) })).rejects.toThrow(message)
  })
  it('refuses a plain value where two dimensions are open', async () => {
    await expect(read(['a'], { site: list(['a']), kind: list(['a']) })).rejects.toThrow(
      /has 2 open dimensions \(site, kind\)/,
    )
  })
})
