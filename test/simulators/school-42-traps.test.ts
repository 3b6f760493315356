// Traps 1 to 12 of wire/traps.md, each sprung alone by its switch (or by its oddity of the data), and all of them at once.
import { afterEach, describe, expect, it } from 'vitest'
import { unexplainedRepeats } from '../../src/simulators/school-42/audit.js'
import {
  allTraps,
  type School42,
  type School42Options,
  type School42Switches,
  startSchool42,
} from '../../src/simulators/school-42/school-42.js'
import { type Answer, ask, post } from './ask.js'
import { agent, credentials, grant, SchoolClient } from './school-client.js'

let running: School42 | null = null
afterEach(async () => {
  await running?.close()
  running = null
})

const noLimits = { secondly: null, hourly: null }
async function start(
  switches: Partial<School42Switches> = {},
  options: School42Options = {},
): Promise<{ school: School42; client: SchoolClient }> {
  running = await startSchool42({ size: { users: 250 }, ...options, switches: { ...noLimits, ...switches } })
  return { school: running, client: await SchoolClient.of(running) }
}

const page = '/v2/users?per_page=100'
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const reason = (answer: Answer) => /error_description="([^"]*)"/.exec(String(answer.headers['www-authenticate']))?.[1]

it('1: gives HTML with status 200, every so many data requests', async () => {
  const { school, client } = await start({ htmlEvery: 3 })
  const types: unknown[] = []
  for (let asked = 0; asked < 6; asked += 1) {
    const { status, headers } = await client.get(page)
    types.push([status, headers['content-type']])
  }
  const [json, html] = [
    [200, 'application/json; charset=utf-8'],
    [200, 'text/html; charset=utf-8'],
  ]
  expect(types).toEqual([json, json, html, json, json, html])
  expect(school.audit.entries().map((entry) => entry.labels.trap)[3]).toBe('html')
})

describe('2: tokens', () => {
  it('end in the middle of a walk, and are answered by a new one', async () => {
    const { client } = await start({ killTokenAfter: 2 })
    expect((await client.get(`${page}&page=1`)).status).toBe(200)
    expect((await client.get(`${page}&page=2`)).status).toBe(200)
    const refused = await client.get(`${page}&page=3`)
    expect([refused.status, reason(refused)]).toEqual([401, 'The access token was revoked'])
    await client.renew()
    expect((await client.get(`${page}&page=3`)).status).toBe(200)
  })

  it('are judged when the request is answered, so a late answer is refused', async () => {
    const { school, client } = await start({ latencyMs: { least: 600, most: 600 } })
    const late = client.get(page)
    await pause(20)
    school.revokeTokens()
    expect((await late).status).toBe(401)
  })

  it('expire, and say so', async () => {
    const { client } = await start({ tokenLifeS: 1 })
    expect((await client.get(page)).status).toBe(200)
    await pause(1010)
    const expired = await client.get(page)
    expect([expired.status, reason(expired)]).toEqual([401, 'The access token expired'])
    expect(expired.headers['www-authenticate']).toBe(
      'Bearer realm="42 API", error="invalid_token", error_description="The access token expired"',
    )
  })

  it('come with less than their nominal life when they are handed out again', async () => {
    const { school } = await start({ tokenLifeS: 3 })
    await pause(1100)
    const again = await grant(school)
    expect(again.expires_in).toBe(1)
  })

  it('are refused even when fresh, and unknown or absent ones always', async () => {
    const { school, client } = await start()
    const { url } = school
    for (const headers of [{ authorization: 'Bearer nope' }, {}]) {
      const unknown = await ask(`${url}${page}`, { ...agent, ...headers })
      expect([unknown.status, reason(unknown)]).toEqual([401, 'The access token is invalid'])
      expect(JSON.parse(unknown.body)).toEqual({ status: 401, error: 'The access token is invalid' })
    }
    school.set({ refusesTokens: true, unauthorizedBody: 'empty' })
    await client.renew()
    const fresh = await client.get(page)
    expect([fresh.status, fresh.body, reason(fresh)]).toEqual([401, '', 'The access token is invalid'])
    expect((await client.get('/oauth/token/info')).status).toBe(401)
  })

  it('are taken from the query, too', async () => {
    const { school } = await start()
    const { access_token: token } = await grant(school)
    expect((await ask(`${school.url}${page}&access_token=${token}`, agent)).status).toBe(200)
  })
})

it('3: refuses an expired secret at the token endpoint alone, and says when it ends', async () => {
  const ends = Math.floor(Date.now() / 1000) + 500
  const { school, client } = await start({ secretValidUntil: ends })
  expect((await grant(school)).secret_valid_until).toBe(ends)
  school.set({ secretValidUntil: Math.floor(Date.now() / 1000) - 1 })
  const refused = await post(`${school.url}/oauth/token?${credentials}`, '', agent)
  expect([refused.status, JSON.parse(refused.body)]).toMatchObject([401, { error: 'invalid_client' }])
  expect((await client.get(page)).status).toBe(200)
})

describe('4: limits', () => {
  const limits = { secondly: { requests: 2, periodMs: 1000 }, hourly: { requests: 6, periodMs: 3000 } }

  it('slide, count token calls, and are told on every answer', async () => {
    const { client } = await start(limits)
    const first = await client.get(page)
    expect(first.headers).toMatchObject({
      'x-secondly-ratelimit-limit': '2',
      'x-secondly-ratelimit-remaining': '0',
      'x-hourly-ratelimit-limit': '6',
      'x-hourly-ratelimit-remaining': '4',
    })
    const refused = await client.get(page)
    expect(refused.status).toBe(429)
    expect(refused.headers['content-type']).toBe('text/plain')
    expect(refused.body).toBe('429 Too Many Requests (Spam Rate Limit Exceeded)')
    expect(refused.headers['retry-after']).toBe('1')
    await pause(1010)
    expect((await client.get(page)).status).toBe(200)
  })

  it('refuse by the hourly window when only that is spent, until its oldest answer leaves it', async () => {
    const { school, client } = await start({ hourly: { requests: 3, periodMs: 1500 } })
    await client.get(page)
    await client.get(page)
    const refused = await client.get(page)
    expect([refused.status, refused.headers['x-hourly-ratelimit-remaining']]).toEqual([429, '0'])
    expect(school.audit.entries().at(-1)?.labels.window).toBe('hourly')
    await pause(1510)
    expect((await client.get(page)).status).toBe(200)
  })

  it('judge when the server answers: two requests sent a window apart may be answered together', async () => {
    const { school, client } = await start({ secondly: { requests: 1, periodMs: 600 }, countsTokenRequests: false })
    school.setFaults([])
    school.set({ latencyMs: { least: 1000, most: 1000 } })
    const first = client.get(page)
    await pause(650)
    school.set({ latencyMs: { least: 350, most: 350 } })
    const second = client.get(page)
    expect([(await first).status, (await second).status].sort()).toEqual([200, 429])
  })

  it('do not count refusals, unless switched', async () => {
    const { school, client } = await start({ secondly: { requests: 1, periodMs: 1600 }, countsTokenRequests: false })
    await client.get(page)
    await pause(1000)
    expect((await client.get(page)).status).toBe(429)
    await pause(700)
    expect((await client.get(page)).status).toBe(200)
    school.set({ countsRefusals: true })
    await pause(1000)
    expect((await client.get(page)).status).toBe(429)
    await pause(700)
    expect((await client.get(page)).status).toBe(429)
  })

  it('say when to come back, or not, or with every second refusal', async () => {
    const { school, client } = await start({
      ...limits,
      secondly: { requests: 1, periodMs: 5000 },
      retryAfter: 'never',
    })
    await client.get(page)
    expect((await client.get(page)).headers['retry-after']).toBeUndefined()
    school.set({ retryAfter: 'sometimes' })
    const told = [await client.get(page), await client.get(page)].map((answer) => 'retry-after' in answer.headers)
    expect(told).toEqual([false, true])
  })

  it('refuse a client that keeps them, now and then', async () => {
    const { school, client } = await start({
      secondly: { requests: 50, periodMs: 1000 },
      hourly: { requests: 900, periodMs: 30_000 },
      spurious429: { every: 2, window: 'hourly' },
    })
    expect((await client.get(page)).status).toBe(200)
    const refused = await client.get(page)
    expect([refused.status, refused.headers['x-hourly-ratelimit-remaining']]).toEqual([429, '0'])
    expect(school.audit.entries().at(-1)?.labels.trap).toBe('spurious 429')
    expect((await client.get(page)).headers['x-hourly-ratelimit-remaining']).toBe('896')
  })

  it('are one for all tokens of an application, and another for another', async () => {
    const other = { clientId: 'u-other', clientSecret: 's-other', scopes: ['public'] }
    const own = { clientId: 'u-own', clientSecret: 's-own', scopes: ['public', 'projects'] }
    const school = await startSchool42({
      size: { users: 10 },
      applications: [own, other],
      switches: { ...limits, secondly: { requests: 4, periodMs: 500 } },
    })
    running = school
    const { url } = school
    const token = async (body: string) => (await grant(school, body)).access_token
    const ofOwn = 'grant_type=client_credentials&client_id=u-own&client_secret=s-own'
    const [one, two] = [await token(ofOwn), await token(`${ofOwn}&scope=projects`)]
    const three = await token('grant_type=client_credentials&client_id=u-other&client_secret=s-other')
    const status = async (value: string) =>
      (await ask(`${url}${page}`, { ...agent, authorization: `Bearer ${value}` })).status
    expect([await status(one), await status(two), await status(one), await status(three)]).toEqual([200, 200, 429, 200])
  })
})

it('5: cuts pages without a word, differently by route, and is late with large ones', async () => {
  const slowPages = { '/v2/projects': { aboveSize: 30, ms: 150 } }
  const { client } = await start({ routeCuts: { '/v2/campus/:id/users': 20 }, slowPages })
  expect((await client.get('/v2/campus/1/users?per_page=100')).headers['x-per-page']).toBe('20')
  expect((await client.get('/v2/users?per_page=500')).headers['x-per-page']).toBe('100')
  const timed = async (path: string) => {
    const startedAt = performance.now()
    await client.get(path)
    return performance.now() - startedAt
  }
  expect(await timed('/v2/projects?per_page=100')).toBeGreaterThanOrEqual(148)
  expect(await timed('/v2/projects?per_page=30')).toBeLessThan(140)
})

describe('6: a row that comes or goes between two pages', () => {
  it('is seen twice, or moves another out of sight', async () => {
    const { school, client } = await start()
    const ids = async (number: number) => {
      const rows = await client.rows<{ id: number }>(`${page}&page=${number}`)
      return rows.map((row) => row.id)
    }
    const first = await ids(1)
    school.mutate({ change: 'userCreated' })
    expect((await ids(2))[0]).toBe(first[99])
    const second = await ids(2)
    school.mutate({ table: 'users', delete: first[0] ?? 0 })
    const third = await ids(3)
    const all = new Set([...first, ...second, ...third])
    const missed = school.truth('users').filter((user) => !all.has(user.id))
    // The new one came before the first page; one more was skipped.
    expect(missed).toHaveLength(2)
  })

  it('comes by itself with the switch, the same for the same seed', async () => {
    const kinds = async () => {
      const { school, client } = await start({ churn: { everyRequests: 1, everyMs: null, seed: 's' } })
      for (let asked = 0; asked < 30; asked += 1) await client.get(page)
      const ids = school.truth('users').map((user) => user.id)
      const happened = school.changes().map((change) => change.kind)
      await school.close()
      return { happened, ids }
    }
    const first = await kinds()
    expect(first.happened).toHaveLength(30)
    expect(await kinds()).toEqual(first)
  })

  it('orders ties anew at every request where switched, but for sorts by id', async () => {
    const { client } = await start({ ties: 'any' })
    const ids = async (sort: string) => (await client.rows(`${page}&sort=${sort}`)).map((row) => row.id)
    expect(await ids('updated_at')).not.toEqual(await ids('updated_at'))
    expect(await ids('updated_at,id')).toEqual(await ids('updated_at,id'))
    // The mass update: more rows of one stamp than a page holds.
    const stamps = (await client.walk<{ updated_at: string }>('/v2/users?sort=updated_at,id')).map(
      (row) => row.updated_at,
    )
    const most = Math.max(...[...new Set(stamps)].map((stamp) => stamps.filter((one) => one === stamp).length))
    expect(most).toBeGreaterThan(100)
  })
})

it('7: changes X-Total during a walk, or leaves it out by route or now and then', async () => {
  const { school, client } = await start({ noTotalOn: ['/v2/locations'] })
  const total = async (path: string) => (await client.get(path)).headers['x-total']
  expect(await total(page)).toBe('250')
  school.mutate({ change: 'userCreated' }, { change: 'userCreated' })
  expect(await total(page)).toBe('252')
  const without = await client.get('/v2/locations')
  expect(without.headers['x-total']).toBeUndefined()
  expect(String(without.headers.link)).toMatch(/rel="next"$/)
  school.set({ noTotalEvery: 2 })
  expect([await total(page), await total(page), await total(page)]).toEqual(['252', undefined, '252'])
  expect(await client.rows(`${page}&page=4`)).toEqual([])
})

it('8: ignores empty filters and filter[cursus], and gives up on too many values and too long addresses', async () => {
  const { school, client } = await start()
  const total = async (path: string) => Number((await client.get(path)).headers['x-total'])
  const all = school.truth('projects_users').length
  expect(await total('/v2/projects_users?filter%5Buser_id%5D=')).toBe(all)
  expect(await total('/v2/projects_users?filter%5Bcursus%5D=9')).toBe(all)
  expect(await total('/v2/projects_users?filter%5Bcampus%5D=9')).toBeLessThan(all)
  expect((await client.get('/v2/projects_users?filter%5Bcampus_id%5D=')).status).toBe(400)
  // Of nobody, so that no Link repeats the long address.
  const ids = (count: number) => Array.from({ length: count }, (_, place) => 900_001 + place).join()
  expect((await client.get(`/v2/users?filter%5Bid%5D=${ids(100)}`)).status).toBe(200)
  const many = await client.get(`/v2/users?filter%5Bid%5D=${ids(101)}`)
  expect([many.status, many.headers['content-type']]).toEqual([502, 'text/html; charset=utf-8'])
  school.set({ mostFilterValues: 5000 })
  expect((await client.get(`/v2/users?filter%5Bid%5D=${ids(1160)}`)).status).toBe(200)
  expect((await client.get(`/v2/users?filter%5Bid%5D=${ids(1180)}`)).status).toBe(414)
})

it('9: has keys with a question mark, nulls, long fractions, marks of 125, local offsets and absent keys', async () => {
  const { school } = await start()
  const users = school.truth('users')
  expect(users.every((user) => typeof user['alumni?'] === 'boolean' && typeof user.pool_year === 'string')).toBe(true)
  expect(new Set(users.map((user) => user.anonymize_date.slice(23)))).toEqual(new Set(['+08:00', '-03:00', '+00:00']))
  expect(users.every((user) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(user.updated_at))).toBe(true)
  expect(users.some((user) => user.usual_first_name === null)).toBe(true)
  expect(users.some((user) => user.image.link === null)).toBe(true)
  const levels = school.truth('cursus_users').map((row) => String(row.level))
  expect(levels.some((level) => level.length > 15)).toBe(true)
  expect(school.truth('projects_users').some((row) => row.final_mark === 125)).toBe(true)
  const campuses = school.truth('campuses')
  expect(campuses.filter((campus) => !('website' in campus))).not.toHaveLength(0)
  expect(campuses.filter((campus) => 'website' in campus)).not.toHaveLength(0)
  const times = school.truth('project_sessions').map((row) => typeof row.estimate_time)
  expect(new Set(times)).toEqual(new Set(['string', 'number']))
})

it('10: has two coalitions of one slug, one without images, double memberships, and members nobody knows', async () => {
  const { school } = await start()
  const [ten, eleven] = school.truth('coalitions')
  expect([ten?.id, ten?.slug, ten?.image_url, ten?.color]).toEqual([10, 'analysts', null, null])
  expect([eleven?.id, eleven?.slug]).toEqual([11, 'analysts'])
  const members = school.truth('coalitions_users')
  expect(members.length - new Set(members.map((row) => `${row.coalition_id} ${row.user_id}`)).size).toBe(3)
  expect(members.length - school.truth('coalitions_users', 'of known users').length).toBe(4)
})

it('11: deletes without a tombstone, changes without updated_at, and never ends some locations', async () => {
  const { school, client } = await start()
  const stuck = school.truth('locations').filter((row) => row.end_at === null && row.begin_at < '2025-06-01')
  expect(stuck).toHaveLength(5)
  const before = new Map(school.truth('projects_users').map((row) => [row.id, row]))
  school.mutate({ change: 'projectGivenUp', times: 20 }, { change: 'projectUnregistered', times: 20 })
  const after = school.truth('projects_users')
  const silent = after.filter((row) => before.get(row.id) !== row)
  expect(silent.length).toBeGreaterThan(10)
  expect(silent.every((row) => row.updated_at === before.get(row.id)?.updated_at)).toBe(true)
  expect(before.size - after.length).toBe(20)
  const gone = [...before.keys()].find((id) => !after.some((row) => row.id === id))
  expect((await client.get(`/v2/projects_users/${gone}`)).status).toBe(404)
  const user = school.truth('users')[7]?.id ?? 0
  school.mutate({ table: 'users', delete: user })
  for (const table of ['campus_users', 'cursus_users', 'projects_users', 'locations'] as const) {
    expect(school.truth(table).some((row) => row.user_id === user)).toBe(false)
  }
})

it('12: refuses with 403 in four ways', async () => {
  const { school, client } = await start()
  const noAgent = await ask(`${school.url}${page}`)
  expect([noAgent.status, noAgent.body]).toEqual([403, ''])
  expect((await post(`${school.url}/oauth/token?${credentials}`, '')).status).toBe(403)
  school.set({ neededScopes: { '/v2/locations': 'forum' }, staffOnly: ['/v2/coalitions'] })
  const scope = await client.get('/v2/locations')
  const needed = 'The action need the following scopes: [forum]'
  expect([scope.status, JSON.parse(scope.body)]).toEqual([
    403,
    { error: 'Forbidden', message: `Insufficient scope. ${needed}` },
  ])
  expect(scope.headers['www-authenticate']).toBe(
    `Bearer realm="42 API", error="insufficient scope", error_description="${needed}"`,
  )
  const staff = await client.get('/v2/coalitions')
  expect([staff.status, staff.body]).toEqual([
    403,
    '{"error":"Access Denied","message":"You are not authorized to access this page."}',
  ])
  school.set({ cloudflareEvery: 1 })
  const cloudflare = await client.get(page)
  expect([cloudflare.status, cloudflare.headers['content-type']]).toEqual([403, 'text/html; charset=utf-8'])
  expect(cloudflare.body).toContain('Just a moment...')
})

it('all at once: a client that tries again gets every page, and asks for none twice without a reason', async () => {
  const { school, client } = await start({ ...allTraps, churn: null, slowPages: {} })
  const seen = new Set<number>()
  for (let number = 1; number <= 130; number += 1) {
    const path = `/v2/users?sort=id&per_page=2&page=${number}`
    for (let tries = 0; tries < 5; tries += 1) {
      const answer = await client.get(path)
      if (answer.status === 401) await client.renew()
      const isPage = answer.status === 200 && answer.headers['content-type'] === 'application/json; charset=utf-8'
      if (!isPage) continue
      for (const row of JSON.parse(answer.body) as { id: number }[]) seen.add(row.id)
      break
    }
  }
  expect([...seen].sort()).toEqual(
    school
      .truth('users')
      .map((user) => user.id)
      .sort(),
  )
  const { statuses } = school.audit.totals()
  expect(Object.keys(statuses)).toEqual(['200', '401', '403', '429'])
  expect(new Set(school.audit.entries().map((entry) => entry.labels.trap))).toEqual(
    new Set([undefined, 'html', 'cloudflare', 'spurious 429']),
  )
  expect(unexplainedRepeats(school.audit.entries())).toEqual([])
})
