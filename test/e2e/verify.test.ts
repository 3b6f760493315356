/** What `verify` says of tables that somebody changed by hand, of partitions that were not walked, and of those that are none; that it makes and changes nothing. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type RowsApi, startRowsApi } from '../support/rows-api.js'

let api: RowsApi
let workspace: CliWorkspace

const ids = (count: number, rest: object = {}) => Array.from({ length: count }, (_, i) => ({ id: i + 1, ...rest }))

beforeAll(async () => {
  api = await startRowsApi({
    a: ids(23),
    b: ids(5),
    users: ids(2),
    'of-1': ids(3, { user_id: 1 }),
    'of-2': ids(4, { user_id: 2 }),
    'of-3': ids(5, { user_id: 3 }),
  })
  api.before = (name, _page, response) => {
    if (name !== 'many') return
    const asked = new URL(response.req.url ?? '/', 'http://localhost').searchParams.get('user') ?? ''
    // One row of the first user lacks what its column wants.
    const rows = asked.split(',').flatMap((user) => [
      { id: Number(user) * 10, user_id: Number(user), name: user === '1' ? null : 'n' },
      { id: Number(user) * 10 + 1, user_id: Number(user), name: 'n' },
    ])
    response.writeHead(200, { 'content-type': 'application/json', 'x-total': rows.length }).end(JSON.stringify(rows))
  }
  workspace = await makeWorkspace({
    'acme.yaml': `source: acme
base_url: ${api.url}
budget: { limits: [1000/s] }
dimensions: { site: [a, b], open: [] }
paginate: { page: page, size: size, total: header X-Total }
page_size: 10
streams:
  counted:
    path: /{site}
    key: [site, id]
    columns: { site: { type: text, dimension: site }, id: bigint }
  uncounted:
    path: /{site}
    paginate: { page: page, size: size }
    key: [site, id]
    columns: { site: { type: text, dimension: site }, id: bigint }
  users: { path: /users, key: id, columns: { id: bigint } }
  child:
    path: /of-{user_id}
    for_each: { user_id: users.id }
    match: { user_id: user_id }
    every: 1d
    key: [user_id, id]
    columns: { user_id: bigint, id: bigint }
  many:
    path: /many
    for_each: { user_id: { from: users.id, many: { param: user, max: 2 } } }
    match: { user_id: user_id }
    every: 1d
    key: [user_id, id]
    columns: { user_id: bigint, id: bigint, name: { type: text, required: true } }
`,
  })
  expect(await workspace.run('seed')).toMatchObject({ code: 0 })
  expect(await workspace.run('worker')).toMatchObject({ code: 0 })
})

afterAll(async () => {
  await workspace.close()
  await api.close()
})

interface Verified {
  readonly exit_code: number
  readonly partitions: readonly { readonly partition: object; readonly verdict: string; readonly message: string }[]
}

/** Verdict and sentence of the only partition. */
async function verifyOne(...args: string[]): Promise<string> {
  const { partitions } = (await workspace.json('verify', ...args)) as Verified
  expect(partitions).toHaveLength(1)
  return partitions.map(({ verdict, message }) => `${verdict}: ${message}`).join()
}

test('without a count, rows that the last walk made and that are gone are a discrepancy, with the whole command against it', async () => {
  const uncounted = ['acme.uncounted', '--site', 'a']
  expect(await verifyOne(...uncounted)).toBe('unproven: the source gives no count; the table has 23 rows')
  await workspace.query(`delete from uncounted where site = 'a' and id <= 2`)
  expect(await verifyOne(...uncounted)).toBe(
    'discrepancy: the last walk left 23 rows or more, the table has 21: 2 are gone; run "backfill seed acme.uncounted --partition site=a --force"',
  )
  expect(await workspace.run('verify', ...uncounted)).toMatchObject({ code: 3 })
  const status = await workspace.run('status', '--check')
  expect(status).toMatchObject({ code: 3 })
  expect(status.stdout).toMatch(/verify found 1 discrepancy: acme\.uncounted a \(/)
  // A verify of something else does not end it.
  expect(await workspace.run('verify', 'acme.counted')).toMatchObject({ code: 0 })
  expect(await workspace.run('verify', 'acme.uncounted', '--site', 'b')).toMatchObject({ code: 0 })
  expect(await workspace.run('status', '--check')).toMatchObject({ code: 3 })
  await workspace.run('seed', 'acme.uncounted', '--partition', 'site=a', '--force')
  await workspace.run('worker')
  expect(await workspace.run('status', '--check')).toMatchObject({ code: 3 })
  expect(await verifyOne(...uncounted)).toBe('unproven: the source gives no count; the table has 23 rows')
  expect(await workspace.run('status', '--check')).toMatchObject({ code: 0 })
})

test('what a walk found there already it did not make: that may have come twice, so fewer rows prove nothing', async () => {
  await workspace.query(`delete from uncounted where site = 'b'`)
  await workspace.query(`insert into uncounted select 'b', g from generate_series(1, 5) g`)
  await workspace.run('seed', 'acme.uncounted', '--site', 'b', '--force')
  await workspace.run('worker')
  await workspace.query(`delete from uncounted where site = 'b' and id = 1`)
  expect(await verifyOne('acme.uncounted', '--site', 'b')).toMatch(/^unproven: .* 4 rows, 1 fewer than its last walk/)
})

test('a table that is not there is said to be missing, and is not made', async () => {
  await workspace.query('alter table counted rename to kept')
  await workspace.query('drop table delta_counted')
  expect(await verifyOne('acme.counted', '--site', 'a')).toBe(
    'discrepancy: the source has 23 rows, and there is no table "public.counted": run "backfill seed acme.counted --partition site=a --force"',
  )
  expect(await workspace.query(`select 1 from pg_class where relname in ('counted', 'delta_counted')`)).toEqual([])
  await workspace.query('alter table kept rename to counted')
  expect(await verifyOne('acme.counted', '--site', 'a')).toMatch(/^equal/)
})

test('a row of the other stream that no task was made for yet is owed, and one that is not there is refused', async () => {
  await workspace.query('insert into users values (3)')
  expect(await verifyOne('acme.child', '--user-id', '3')).toBe(
    'unproven: owed: it is not walked yet; the next worker asks by itself',
  )
  await workspace.query('delete from child where user_id = 1 and id = 1')
  expect(await verifyOne('acme.child', '--user-id', '1')).toMatch(/^discrepancy: .* 1 missing/)
  const asked = api.requests.length
  const unknown = await workspace.run('verify', 'acme.child', '--user-id', '1,99')
  expect(unknown).toMatchObject({ code: 2, stdout: '' })
  expect(unknown.stderr).toContain('verify user_id "99" found no such partition')
  expect(api.requests).toHaveLength(asked)
})

test('a row held of a request for several values is not taken for one that came to the source since', async () => {
  expect(await verifyOne('acme.many', '--user-id', '1,2')).toMatch(/^discrepancy: .* the one missing is held/)
  expect(await verifyOne('acme.many', '--user-id', '1')).toMatch(
    /^discrepancy: the source has 2 rows, the table 1: 1 missing, some maybe among the 1 held/,
  )
  expect(await verifyOne('acme.many', '--user-id', '2')).toMatch(/^equal/)
})
