import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/domain/errors.js'
import { didYouMean, nearest } from '../../src/domain/nearest.js'
import { matchesFilter } from '../../src/domain/partition.js'
import { partitionCount, partitionsOf } from '../../src/domain/plan.js'
import { dimensionFlags, flagName, resolveFilter, selectStreams } from '../../src/domain/selection.js'
import type { Source } from '../../src/domain/source-model.js'
import { compileYaml } from '../definition/compile-yaml.js'

function source(name: string, rest: string): Source {
  const compiled = compileYaml(
    `source: ${name}\nbase_url: https://${name}.example\n${rest}`,
    `sources: { ${name}: {} }`,
  )
  if (compiled.source === null || compiled.lines.length > 0) throw new Error(compiled.lines.join('\n'))
  return compiled.source
}

const acme = source(
  'acme',
  `dimensions:
  site: { values: [oakland.ca, alameda.ca, x.ca, 'Paris, FR'], exclude: [x.ca], aliases: { oak: oakland.ca } }
  kind: [a, b]
  day: { days: { from: 2024-01-30, to: 2024-02-02 } }
streams:
  pages: { path: '/{kind}', key: id, request: { query: { site: '{site}', day: '{day}' } } }
  sites: { path: '/{site}', key: id }
  all_sites: { path: /sites, key: id }
`,
)
const other = source(
  'other',
  `dimensions:
  kind: { values: [c], aliases: { a: c } }
  month: { months: { from: 2023-11-01, to: today } }
  week: { weeks: { from: 2024-01-01, to: 2024-02-01 } }
streams:
  months: { path: '/{month}', key: id }
  weeks: { path: '/{week}/{kind}', key: id }
`,
)
const workspace = { sources: { acme, other } }
const today = '2024-03-15'
const filter = (names: string[], raw: Record<string, string[]>) =>
  resolveFilter(selectStreams(workspace, names), raw, today)
const refusal = (run: () => unknown): Pick<ConfigError, 'code' | 'message' | 'hint'> => {
  try {
    run()
  } catch (error) {
    if (error instanceof ConfigError) return { code: error.code, message: error.message, hint: error.hint }
  }
  throw new Error('nothing was refused')
}

describe('SOURCE[.STREAM]', () => {
  const names = (args: string[]) =>
    selectStreams(workspace, args).map(({ source: { name }, stream }) => `${name}.${stream.name}`)

  it('selects sources and streams, each once, and everything where nothing is named', () => {
    expect(names([])).toEqual(['acme.pages', 'acme.sites', 'acme.all_sites', 'other.months', 'other.weeks'])
    expect(names(['other', 'acme.sites', 'other.weeks'])).toEqual(['acme.sites', 'other.months', 'other.weeks'])
  })

  it('that is unknown is refused with the names there are', () => {
    expect(refusal(() => names(['acmee']))).toEqual({
      code: 'unknown_source',
      message: 'select "acmee" found no such source (did you mean "acme")',
      hint: 'known sources: "acme", "other"',
    })
    expect(refusal(() => names(['acme.page']))).toMatchObject({
      code: 'unknown_stream',
      message: 'select "acme.page" found no such stream (did you mean "pages")',
      hint: 'streams of acme: "pages", "sites", "all_sites"',
    })
    expect(refusal(() => names(['weeks']))).toMatchObject({ code: 'unknown_source', hint: 'write "other.weeks"' })
    expect(refusal(() => names(['constructor']))).toMatchObject({ code: 'unknown_source' })
  })
})

describe('partition values', () => {
  it('come from comma lists and aliases, each once; a value with a comma stays whole', () => {
    expect(filter(['acme'], { site: ['oak,alameda.ca', 'oakland.ca'] })).toEqual({ site: ['oakland.ca', 'alameda.ca'] })
    expect(filter(['acme'], { site: ['Paris, FR'] })).toEqual({ site: ['Paris, FR'] })
  })

  it('mean in each source what that source calls them', () => {
    expect(filter([], { kind: ['a'] })).toEqual({ kind: ['a', 'c'] })
    expect(filter(['other'], { kind: ['a'] })).toEqual({ kind: ['c'] })
  })

  it('are not restricted by all', () => {
    expect(filter(['acme'], { site: ['all'], kind: ['b'] })).toEqual({ kind: ['b'] })
  })

  it.each<readonly [string, string[]]>([
    ['2024-01-31', ['2024-01-31']],
    ['2024-02', ['2024-02-01', '2024-02-02']],
    ['2024', ['2024-01-30', '2024-01-31', '2024-02-01', '2024-02-02']],
    ['2024-01-31..2024-02-01', ['2024-01-31', '2024-02-01']],
    ['..2024-01', ['2024-01-30', '2024-01-31']],
    ['2024-02-02..', ['2024-02-02']],
  ])('of days may be the span %s', (span, days) => {
    expect(filter(['acme'], { day: [span] })).toEqual({ day: days })
  })

  it('of months and weeks take the step that holds a day', () => {
    expect(filter(['other'], { month: ['2024-01-14..2024-03'] })).toEqual({ month: ['2024-01', '2024-02', '2024-03'] })
    expect(filter(['other'], { week: ['2024-01-10'] })).toEqual({ week: ['2024-01-08'] })
    expect(filter(['other'], { week: ['2024-01-03..2024-01-09'] })).toEqual({ week: ['2024-01-01', '2024-01-08'] })
  })

  it('that are unknown are refused with those that are allowed', () => {
    expect(refusal(() => filter(['acme'], { kind: ['aa'] }))).toEqual({
      code: 'unknown_value',
      message: 'select kind "aa" found no such value (did you mean "a")',
      hint: 'kind of acme: "a", "b"',
    })
    expect(refusal(() => filter(['acme'], { day: ['2024-02-03'] }))).toMatchObject({
      code: 'unknown_value',
      hint: 'day of acme: 2024-01-30 to 2024-02-02, one value a day',
    })
    expect(refusal(() => filter(['acme'], { day: ['2024-02-30x'] }))).toMatchObject({ code: 'unknown_value' })
    expect(refusal(() => filter(['other'], { month: ['2024-04'] }))).toMatchObject({
      hint: 'month of other: 2023-11 to 2024-03, one value a month',
    })
  })

  it('that are excluded, and dimensions that no selected stream has, are refused', () => {
    expect(refusal(() => filter(['acme'], { site: ['x.ca'] }))).toMatchObject({ code: 'excluded_value' })
    expect(refusal(() => filter(['acme.all_sites'], { site: ['oak'] }))).toMatchObject({ code: 'unknown_dimension' })
    expect(refusal(() => filter(['acme'], { kidn: ['a'] }))).toMatchObject({
      message: 'select by "kidn" found no such dimension (did you mean "kind")',
    })
    expect(refusal(() => filter(['acme'], { kind: [','] }))).toMatchObject({ code: 'empty_value' })
  })
})

describe('the partitions of a stream', () => {
  const pages = acme.streams.pages
  const sites = acme.streams.sites
  const all = acme.streams.all_sites
  if (pages === undefined || sites === undefined || all === undefined) throw new Error('no streams')
  const plan = (restrict: Record<string, string[]>, order: 'newest' | 'oldest' = 'oldest') => ({
    filter: restrict,
    today,
    order,
  })

  it('are the product of its dimensions, dates in the order asked for, excluded values left out', () => {
    const rows = [...partitionsOf(pages, acme, plan({ site: ['oakland.ca'] }, 'newest'))]
    expect(rows).toHaveLength(8)
    expect(rows.slice(0, 2)).toEqual([
      { site: 'oakland.ca', kind: 'a', day: '2024-02-02' },
      { site: 'oakland.ca', kind: 'a', day: '2024-02-01' },
    ])
    expect([...partitionsOf(sites, acme, plan({}))].map(({ site }) => site)).toEqual([
      'oakland.ca',
      'alameda.ca',
      'Paris, FR',
    ])
  })

  it('is the one of no values where it has no dimension, and none where the filter names one', () => {
    expect([...partitionsOf(all, acme, plan({}))]).toEqual([{}])
    expect([...partitionsOf(all, acme, plan({ site: ['oakland.ca'] }))]).toEqual([])
  })

  it('are made one by one', () => {
    const many: Source = {
      ...acme,
      dimensions: {
        ...acme.dimensions,
        kind: {
          kind: 'list',
          values: Array.from({ length: 1e5 }, (_, at) => String(at)),
          fromConfig: null,
          exclude: [],
          aliases: {},
        },
      },
    }
    const [first] = partitionsOf(pages, many, plan({}))
    expect(first).toEqual({ site: 'oakland.ca', kind: '0', day: '2024-01-30' })
    expect(partitionCount(pages, many, plan({}))).toBe(3 * 1e5 * 4)
  })

  it('are those that match the filter, each once, and as many as are counted', () => {
    const everything = [...partitionsOf(pages, acme, plan({}))]
    const pick = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined })
    const filters = fc.record({
      site: pick(['oakland.ca', 'alameda.ca', 'x.ca']),
      kind: pick(['a', 'b']),
      day: pick(['2024-01-30', '2024-02-02', '1999-01-01']),
    })
    fc.assert(
      fc.property(filters, (given) => {
        const restrict = Object.fromEntries(
          Object.entries(given).filter((entry): entry is [string, string[]] => entry[1] !== undefined),
        )
        const rows = [...partitionsOf(pages, acme, plan(restrict))]
        expect(rows).toEqual(everything.filter((partition) => matchesFilter(partition, restrict)))
        expect(partitionCount(pages, acme, plan(restrict))).toBe(rows.length)
      }),
    )
  })
})

it('gives each dimension one flag, with the sources and values behind it', () => {
  expect(dimensionFlags(workspace)).toEqual([
    { name: 'site', sources: ['acme'], values: ['oakland.ca', 'alameda.ca', 'Paris, FR'], aliases: ['oak'] },
    { name: 'kind', sources: ['acme', 'other'], values: ['a', 'b', 'c'], aliases: ['a'] },
    { name: 'day', sources: ['acme'], values: null, aliases: [] },
    { name: 'month', sources: ['other'], values: null, aliases: [] },
    { name: 'week', sources: ['other'], values: null, aliases: [] },
  ])
  expect(flagName('document_type')).toBe('document-type')
})

describe('did you mean', () => {
  it('guesses the closest word, and nothing far away', () => {
    expect(nearest('idd', ['name', 'id'])).toBe('id')
    expect(nearest('page-size', ['claim', 'page_size'])).toBe('page_size')
    expect(nearest('form', ['from', 'firm'])).toBe('from')
    expect(nearest('intt', ['int2', 'int'])).toBe('int')
    expect(nearest('apples', ['id', 'name'])).toBeNull()
    expect(didYouMean('x', [])).toBe('')
  })
})
