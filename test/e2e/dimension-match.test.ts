/** A column that holds the value of a dimension, and says to which partition a row belongs. */
import { afterEach, describe, expect, it } from 'vitest'
import { compileYaml } from '../definition/compile-yaml.js'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type MovingApi, type MovingRow, startMovingApi } from '../support/moving-api.js'

const row = (id: number, owner: number): MovingRow => ({
  ...{ id, owner_id: owner, name: `row ${id}`, updated_at: '2026-01-01T00:00:00.000Z' },
})
const yaml = (url: string, ...things: readonly string[]): string =>
  [
    'source: acme',
    `base_url: ${url}`,
    'budget: { delay: 0s }',
    'paginate: { page: page, size: per_page, max: 10, total: header X-Total, used_size: header X-Per-Page, backwards: id }',
    'streams:',
    '  owners: { path: /owners, key: id, columns: { id: bigint } }',
    '  things:',
    '    key: id',
    ...things.map((line) => `    ${line}`),
  ].join('\n')
/** The rows have no field `boss`; where it is called `owner_id`, they have. */
const oneByOne = (name: string): readonly string[] => [
  `request: { path: /things, query: { 'filter[owner_id]': '{${name}}' } }`,
  `for_each: { ${name}: owners.id }`,
  `match: { ${name}: ${name} }`,
]
const many = (name: string): readonly string[] => [
  'path: /things',
  `for_each: { ${name}: { from: owners.id, many: { param: "filter[owner_id]", max: 10 } } }`,
  `match: { ${name}: owner_id }`,
]

describe('a column that is both a dimension and its match', { timeout: 90_000 }, () => {
  let api: MovingApi
  let workspace: CliWorkspace
  afterEach(async () => {
    await workspace.close()
    await api.close()
  })

  async function load(...things: readonly string[]): Promise<number | null> {
    api = await startMovingApi({ owners: [row(1, 0), row(2, 0)], things: [row(10, 1), row(20, 2), row(21, 2)] })
    workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url, ...things) })
    expect(await workspace.run('seed')).toMatchObject({ code: 0, stderr: '' })
    return (await workspace.run('worker')).code
  }
  const pairs = async (column: string) =>
    (
      await workspace.query<{ pair: string }>(`select id || ' ' || ${column} as pair from public.things order by 1`)
    ).map(({ pair }) => pair)

  it.each(['boss', 'owner_id'])('is filled from the partition, whether or not the rows have it: %s', async (name) => {
    expect(
      await load(...oneByOne(name), `columns: { id: bigint, ${name}: { type: bigint, dimension: ${name} } }`),
    ).toBe(0)
    expect(await pairs(name)).toEqual(['10 1', '20 2', '21 2'])
  })

  it('is so in a stream without columns, too', async () => {
    expect(await load(...oneByOne('boss'))).toBe(0)
    expect(await pairs('boss')).toEqual(['10 1', '20 2', '21 2'])
  })

  it('refuses the answer where a row has it and says another', async () => {
    api = await startMovingApi({ owners: [row(1, 0), row(2, 0)], things: [row(10, 1), row(20, 2)] })
    api.ignoresOwner = true
    const columns = 'columns: { id: bigint, owner_id: { type: bigint, dimension: owner_id } }'
    workspace = await makeWorkspace({ 'acme.yaml': yaml(api.url, ...oneByOne('owner_id'), columns) })
    await workspace.run('seed')
    expect((await workspace.run('worker')).code).toBe(3)
    const { dead } = (await workspace.json('status', '--dead')) as { dead: { code: string }[] }
    expect(dead.map(({ code }) => code)).toEqual(['foreign_rows', 'foreign_rows'])
  })

  it.each(['boss', 'owner_id'])("is each row's own where many values share a request: %s", async (name) => {
    expect(await load(...many(name))).toBe(0)
    expect(api.requests.filter((path) => path.startsWith('/things'))).toHaveLength(1)
    expect(await pairs(name)).toEqual(['10 1', '20 2', '21 2'])
  })
})

it('a column that holds a dimension is refused where many values of it share a request', () => {
  const columns = 'columns: { id: bigint, owner_id: { type: bigint, dimension: owner_id } }'
  expect(compileYaml(yaml('https://acme.example', ...many('owner_id'), columns)).lines).toEqual([
    expect.stringMatching(
      /^sources\/acme\.yaml:12 {2}streams\.things\.columns\.owner_id\.dimension {2}expected a column that is read from each row, because many values of "owner_id" share a request, found dimension: owner_id$/,
    ),
  ])
})
