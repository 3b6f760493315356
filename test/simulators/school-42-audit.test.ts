// What the simulated School 42 says of a client and of itself: limits kept, repeats explained, tokens used up, least cost; churn, its kinds, and the truth.
import { afterEach, describe, expect, it } from 'vitest'
import type { AuditEntry } from '../../src/simulators/audit.js'
import {
  busiestWindow,
  leastRequests,
  repeats,
  requestsPerRoute,
  tokenUses,
  unexplainedRepeats,
  usedShare,
} from '../../src/simulators/school-42/audit.js'
import { changeKinds } from '../../src/simulators/school-42/changes.js'
import {
  type ChangeKind,
  type School42,
  type School42Switches,
  type SchoolTable,
  startSchool42,
} from '../../src/simulators/school-42/school-42.js'
import { askJson } from './ask.js'
import { grant, SchoolClient } from './school-client.js'

let running: School42 | null = null
afterEach(async () => {
  await running?.close()
  running = null
})

async function start(switches: Partial<School42Switches> = {}, users = 120): Promise<School42> {
  running = await startSchool42({ size: { users }, switches: { secondly: null, hourly: null, ...switches } })
  return running
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const entry = (number: number, answeredAt: number, more: Partial<AuditEntry> = {}): AuditEntry => {
  const request = { method: 'GET', host: '127.0.0.1', path: `/v2/users?page=${number}`, status: 200, rows: 1 }
  return { number, at: answeredAt, answeredAt, ...request, fault: null, labels: {}, ...more }
}

describe('the audit', () => {
  it('finds the busiest window wherever it lies, by the time of the answer', () => {
    const entries = [100, 150, 1050, 1090, 1100, 1149, 1150, 3000].map((at, place) => entry(place + 1, at))
    expect(busiestWindow(entries, 1000)).toEqual({ most: 5, endsAt: 1149 })
    expect(busiestWindow([...entries].reverse(), 100)).toEqual({ most: 4, endsAt: 1149 })
    expect(busiestWindow([], 1000).most).toBe(0)
    expect(usedShare(entries, { requests: 4, periodMs: 1000 }, { from: 100, to: 2100 })).toBe(6 / 8)
  })

  it('agrees with the limits: what a server lets through never exceeds them', async () => {
    const limits = { secondly: { requests: 5, periodMs: 200 }, hourly: { requests: 12, periodMs: 900 } }
    const school = await start({ ...limits, latencyMs: { least: 0, most: 30 } })
    const client = await SchoolClient.of(school)
    const ends = Date.now() + 1800
    while (Date.now() < ends) await Promise.all([1, 2, 3].map((page) => client.get(`/v2/campus?page=${page}`)))
    const admitted = school.audit.entries().filter((one) => one.status !== 429)
    expect(busiestWindow(admitted, 200).most).toBe(5)
    expect(busiestWindow(admitted, 900).most).toBe(12)
    expect(school.audit.totals().statuses[429]).toBeGreaterThan(0)
  })

  it('lists what was asked twice, with the answer that excuses it', async () => {
    const school = await start({ htmlEvery: 2 })
    const client = await SchoolClient.of(school)
    school.setFaults([
      { path: 'page=2', fault: { kind: 'status', status: 503 } },
      { path: 'page=3', fault: { kind: 'cut' } },
    ])
    for (const page of [2, 2, 2, 3, 3, 4, 4]) await client.get(`/v2/users?page=${page}`).catch(() => null)
    await grant(school)
    expect(repeats(school.audit.entries()).map(({ path, excuse }) => [path.slice(-6), excuse])).toEqual([
      ['page=2', '503'],
      ['page=2', null],
      ['page=3', 'cut'],
      ['page=4', null],
    ])
    expect(unexplainedRepeats(school.audit.entries())).toMatchObject([
      { method: 'GET', first: 3, again: 4 },
      { method: 'GET', first: 7, again: 8 },
    ])
  })

  it('says how long each token lived, how often it was handed out, and whether it was used up', async () => {
    const school = await start({ tokenLifeS: 1000 })
    const client = await SchoolClient.of(school)
    await client.get('/v2/campus')
    await client.renew()
    school.revokeTokens()
    await client.get('/v2/campus')
    await client.renew()
    await client.get('/v2/campus')
    school.set({ reusesToken: false })
    await client.renew()
    expect(tokenUses(school.audit.entries())).toMatchObject([
      { token: 1, granted: 2, lifeMs: 1_000_000, served: 1, refused: 1, isUsedUp: true },
      { token: 2, granted: 1, served: 1, refused: 0, isUsedUp: false },
      { token: 3, granted: 1, served: 0, refused: 0, isUsedUp: true },
    ])
    expect(tokenUses(school.audit.entries(), 1_000_000)[1]?.isUsedUp).toBe(true)
    expect(JSON.stringify(school.audit.entries())).not.toContain((await grant(school)).access_token)
  })

  it('counts requests by route, and what a full load costs at least', async () => {
    const school = await start()
    const client = await SchoolClient.of(school)
    const [first, second] = school.truth('users')
    await client.get(`/v2/users/${first?.id}/locations?page=2`)
    await client.get(`/v2/users/${second?.login}/locations`)
    expect(requestsPerRoute(school.audit.entries())).toEqual({
      'GET /v2/users/:id/locations': 2,
      'POST /oauth/token': 1,
    })
    const { least, perUser } = leastRequests(school.school)
    let pages = 1
    for (const path of Object.keys(lists)) {
      const total = Number((await client.get(`/v2/${path}`)).headers['x-total'])
      pages += Math.max(1, Math.ceil(total / 100))
    }
    expect(least).toBe(pages)
    expect(perUser).toBeGreaterThan(5 * 120)
  })
})

/** Route to table, where the rows of the truth can be made from those of the wire. */
const lists = {
  campus: 'campuses',
  cursus: 'cursus',
  projects: 'projects',
  project_sessions: 'project_sessions',
  achievements: 'achievements',
  coalitions: 'coalitions',
  users: 'users',
  campus_users: 'campus_users',
  cursus_users: 'cursus_users',
  projects_users: 'projects_users',
  achievements_users: 'achievements_users',
  coalitions_users: 'coalitions_users',
  locations: 'locations',
} as const

type Row = Record<string, unknown>
const idOf = (value: unknown) => (value as { id: number } | null)?.id ?? null

/** What a mapping of the wire's fields to columns gives; with the keys that the row of the truth has. */
function flattened(row: Row, truth: object): Row {
  const flat: Row = {
    ...row,
    ...('user' in row ? { user_id: idOf(row.user) } : {}),
    ...('cursus' in row && !Array.isArray(row.cursus) ? { cursus_id: idOf(row.cursus) } : {}),
    ...('project' in row ? { project_id: idOf(row.project) } : {}),
    ...('parent' in row || 'parent_id' in truth ? { parent_id: idOf(row.parent ?? null) } : {}),
  }
  return Object.fromEntries(Object.keys(truth).map((key) => [key, flat[key]]))
}

describe('the truth', () => {
  it('is what a whole walk gives, after a long churn', async () => {
    const school = await start()
    school.churn(2000)
    const client = await SchoolClient.of(school)
    for (const [path, table] of Object.entries(lists)) {
      const truth = school.truth(table)
      const wire = await client.walk(path === 'users' ? '/v2/users?sort=id' : `/v2/${path}?sort=id`)
      expect([table, wire.map((row, place) => flattened(row, truth[place] ?? {}))]).toEqual([table, [...truth]])
    }
    const projects = await client.walk<{ id: number; campus: { id: number }[]; cursus: { id: number }[] }>(
      '/v2/projects',
    )
    const pairs = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort()
    const campusLinks = projects.flatMap((row) => row.campus.map(({ id }) => ({ campus_id: id, project_id: row.id })))
    expect(pairs(campusLinks)).toEqual(pairs(school.truth('campus_projects')))
    const cursusLinks = projects.flatMap((row) => row.cursus.map(({ id }) => ({ cursus_id: id, project_id: row.id })))
    expect(pairs(cursusLinks)).toEqual(pairs(school.truth('cursus_projects')))
    for (const { id } of school.truth('campuses')) {
      const offered = await client.walk<{ id: number }>(`/v2/campus/${id}/achievements`)
      const links = school.truth('campus_achievements').filter((link) => link.campus_id === id)
      expect(offered.map((row) => row.id).sort()).toEqual(links.map((link) => link.achievement_id).sort())
    }
  })

  it('holds no row twice and no row of a deleted user, and every count of a campus is right', async () => {
    const school = await start()
    school.churn(3000)
    const users = new Set(school.truth('users').map((user) => user.id))
    const named = ['campus_users', 'cursus_users', 'projects_users', 'achievements_users', 'locations'] as const
    for (const table of named) expect(school.truth(table).filter((row) => !users.has(row.user_id))).toEqual([])
    const members = school.truth('campus_users')
    for (const campus of school.truth('campuses')) {
      expect(campus.users_count).toBe(members.filter((row) => row.campus_id === campus.id).length)
    }
    const primary = members.filter((row) => row.is_primary).map((row) => row.user_id)
    expect(new Set(primary)).toEqual(users)
    expect(primary).toHaveLength(users.size)
  })
})

describe('churn', () => {
  const changed: Record<ChangeKind, SchoolTable> = {
    userCreated: 'users',
    userUpdated: 'users',
    userChangedSilently: 'users',
    usersUpdatedTogether: 'users',
    userDeleted: 'users',
    userMoved: 'campus_users',
    levelGained: 'cursus_users',
    blackholeMoved: 'cursus_users',
    projectBegun: 'projects_users',
    projectMarked: 'projects_users',
    projectUnregistered: 'projects_users',
    projectGivenUp: 'projects_users',
    achievementWon: 'achievements_users',
    achievementLost: 'achievements_users',
    coalitionScored: 'coalitions_users',
    membershipJoined: 'coalitions_users',
    membershipLeft: 'coalitions_users',
    locationBegun: 'locations',
    locationEnded: 'locations',
    locationDeleted: 'locations',
    sessionChanged: 'project_sessions',
    offerChanged: 'campus_projects',
  }
  const silent: readonly ChangeKind[] = ['userChangedSilently', 'blackholeMoved', 'projectGivenUp', 'coalitionScored']

  it('changes what each kind says, with and without updated_at', async () => {
    const school = await start()
    expect(Object.keys(changed).sort()).toEqual(Object.keys(changeKinds).sort())
    for (const [kind, table] of Object.entries(changed)) {
      const startedAt = new Date().toISOString()
      const before: readonly object[] = school.truth(table)
      const old = new Set(before.map((row) => JSON.stringify(row)))
      school.mutate({ change: kind, times: 10 })
      const after: readonly object[] = school.truth(table)
      const fresh = after.filter((row) => !old.has(JSON.stringify(row)))
      expect([kind, fresh.length > 0 || after.length < before.length]).toEqual([kind, true])
      const stamps = fresh.flatMap((row) => ('updated_at' in row ? [row.updated_at as string] : []))
      const isStamped = stamps.length > 0 && stamps.every((stamp) => stamp >= startedAt)
      if (stamps.length > 0) expect([kind, isStamped]).toEqual([kind, !silent.includes(kind as ChangeKind)])
      const isTied = stamps.length > 1 && new Set(stamps).size < stamps.length
      if (kind === 'usersUpdatedTogether') expect(isTied).toBe(true)
    }
  })

  it('follows from the seed: the same steps make the same school', async () => {
    const after = async (seed: string) => {
      const school = await start({ churn: { everyRequests: null, everyMs: null, seed } })
      school.churn(500)
      const rows = school.truth('projects_users').map((row) => [row.id, row.status, row.user_id])
      await school.close()
      return rows
    }
    const first = await after('a')
    expect(await after('a')).toEqual(first)
    expect(await after('b')).not.toEqual(first)
  })

  it('goes on by time, stops when frozen, and does not make up for the pause', async () => {
    const school = await start({ churn: { everyRequests: null, everyMs: 20, seed: 't' } })
    const client = await SchoolClient.of(school)
    await client.get('/v2/campus')
    await pause(220)
    await client.get('/v2/campus')
    const steps = school.changes().length
    expect(steps).toBeGreaterThanOrEqual(10)
    school.freeze()
    const frozen = await askJson(`${school.url}/-/truth`)
    const count = school.changes().length
    await pause(400)
    await client.get('/v2/campus')
    expect(await askJson(`${school.url}/-/truth`)).toEqual(frozen)
    expect(school.changes()).toHaveLength(count)
    const thawedAt = performance.now()
    school.thaw()
    await client.get('/v2/campus')
    await pause(45)
    school.truth('users')
    const since = performance.now() - thawedAt
    expect(school.changes(count).length).toBeGreaterThanOrEqual(1)
    // Those of the pause would be twenty more.
    expect(school.changes(count).length).toBeLessThanOrEqual(since / 20 + 2)
  })

  it('does only what its weights allow, and may stamp changes late', async () => {
    const school = await start({
      churn: {
        everyRequests: 1,
        everyMs: null,
        seed: 'w',
        changes: 3,
        only: true,
        lateMs: 60_000,
        weights: { userUpdated: 1 },
      },
    })
    const client = await SchoolClient.of(school)
    const startedAt = Date.now()
    for (let asked = 0; asked < 10; asked += 1) await client.get('/v2/campus')
    expect(school.changes().map((change) => change.kind)).toEqual(Array.from({ length: 30 }, () => 'userUpdated'))
    const stamps = school.truth('users').map((user) => Date.parse(user.updated_at))
    const late = stamps.filter((stamp) => stamp > startedAt - 60_000 && stamp < startedAt)
    expect(late.length).toBeGreaterThan(5)
  })

  it('refuses rows and tables that are not there', async () => {
    const school = await start()
    expect(() => school.mutate({ table: 'users', delete: 1 })).toThrow('users has no row 1')
    expect(() => school.mutate({ table: 'nothing' as 'users', delete: 1 })).toThrow('the school has no table "nothing"')
    expect(() => school.mutate({ change: 'nothing' })).toThrow('churn has no kind "nothing"')
    const [campus] = school.truth('campuses')
    expect(() => school.mutate({ table: 'campuses', insert: { id: campus?.id ?? 0 } })).toThrow('has a row 1 already')
    school.mutate({
      table: 'cursus',
      insert: { id: 3, name: 'Late', slug: 'late', kind: 'main', created_at: '' } as never,
    })
    expect(school.truth('cursus').map((row) => row.id)).toEqual([3, 9, 21, 67])
  })
})
