// The shipped School 42 definition and the real source client against the simulated service: traps 1 to 9, 11 and 12 of the wire, and what becomes of each.
import { afterEach, expect, it } from 'vitest'
import type { Json } from '../../src/domain/json.js'
import type { Page, WalkStart } from '../../src/domain/ports.js'
import type { Source } from '../../src/domain/source-model.js'
import {
  type School42,
  type School42Options,
  startSchool42,
  syntheticApplication,
} from '../../src/simulators/school-42/school-42.js'
import { type Bench, bench, closeAll, errorOf, pagesOf, startOf } from '../source/support.js'
import { compileSchool42 } from './compiled.js'

let running: School42 | null = null
afterEach(async () => {
  await closeAll()
  await running?.close()
  running = null
})

interface Scene extends Bench {
  readonly school: School42
  readonly source: Source
  readonly start: (stream: string, parts?: Partial<WalkStart>) => WalkStart
  /** Answers to data requests, in order. */
  readonly statuses: () => readonly number[]
}

async function scene(options: School42Options = {}, entry: object = {}): Promise<Scene> {
  const school = await startSchool42({
    ...options,
    size: { users: 120, tiedUsers: 10, ...options.size },
    switches: { secondly: null, hourly: null, ...options.switches },
  })
  running = school
  const source = compileSchool42({ baseUrl: school.url, ...entry })
  const environment = { FT_UID: syntheticApplication.clientId, FT_SECRET: syntheticApplication.clientSecret }
  const start = (name: string, parts: Partial<WalkStart> = {}): WalkStart => {
    const stream = source.streams[name]
    if (stream === undefined) throw new Error(`no stream ${name}`)
    return startOf(source, stream, parts)
  }
  const data = () => school.audit.entries().filter(({ path }) => !path.includes('/oauth/'))
  return { ...bench(environment), school, source, start, statuses: () => data().map(({ status }) => status) }
}

const rowsOf = (pages: readonly Page[]): Json[] => pages.flatMap((page) => page.records)
const idsOf = (pages: readonly Page[]): Set<number> =>
  new Set(rowsOf(pages).map((row) => (row as unknown as { readonly id: number }).id))
const users = (school: School42, count: number): string =>
  school
    .truth('users')
    .slice(0, count)
    .map(({ id }) => id)
    .join(',')
const verdictOf = (pages: readonly Page[]) => pages.at(-1)?.judged?.verdict

it('trap 1: takes a page of HTML with status 200 for a failure that time may heal, never for no rows', async () => {
  const { client, start, school } = await scene({ switches: { htmlEvery: 2 } })
  expect(await errorOf(pagesOf(client, start('project_sessions')))).toMatchObject({
    name: 'SourceUnavailable',
    code: 'not_json',
  })
  school.set({ htmlEvery: null })
  const pages = await pagesOf(client, start('project_sessions'))
  expect(idsOf(pages).size).toBe(school.truth('project_sessions').length)
})

it('trap 2: renews a token that was killed in the middle of a walk, and asks for the same page once more', async () => {
  const { client, start, school, statuses } = await scene({ switches: { killTokenAfter: 2 } })
  expect(idsOf(await pagesOf(client, start('project_sessions')))).toEqual(
    new Set(school.truth('project_sessions').map(({ id }) => id)),
  )
  const data = school.audit.entries().filter(({ path }) => !path.includes('/oauth/'))
  expect(statuses().slice(0, 4)).toEqual([200, 200, 401, 200])
  expect(data[3]?.path).toBe(data[2]?.path)
})

it('trap 2: does not go round in circles where the fresh token is refused, too', async () => {
  const { client, start, school } = await scene({ switches: { refusesTokens: true, reusesToken: false } })
  expect(await errorOf(pagesOf(client, start('cursus')))).toMatchObject({
    name: 'CredentialsRefused',
    code: 'token_refused',
  })
  expect(school.audit.totals().requests).toBeLessThanOrEqual(4)
})

it('trap 3: says that the secret has ended, and sends nothing else', async () => {
  const { client, start, school } = await scene({ switches: { secretValidUntil: 1_700_000_000 } })
  const error = await errorOf(pagesOf(client, start('cursus')))
  expect(error.message).not.toContain(syntheticApplication.clientSecret)
  expect(school.audit.entries().map(({ path, status }) => `${path} ${status}`)).toEqual(['/oauth/token 401'])
})

it.each(['always', 'never', 'sometimes'] as const)(
  'trap 4: tells the budget of a 429 with Retry-After %s, and asks for the same page again',
  async (retryAfter) => {
    const { client, start, school, budget, statuses } = await scene({
      switches: { retryAfter, spurious429: { every: 3, window: 'secondly' } },
    })
    const pages = await pagesOf(client, start('project_sessions'))
    expect(idsOf(pages)).toEqual(new Set(school.truth('project_sessions').map(({ id }) => id)))
    const refused = statuses().filter((status) => status === 429).length
    expect(refused).toBeGreaterThan(0)
    expect(budget.answers.filter(({ isRefusal }) => isRefusal)).toHaveLength(refused)
  },
)

it('trap 5: counts pages by the size that the source used, not by the one asked for', async () => {
  const { client, start, school } = await scene({ switches: { routeCuts: { '/v2/achievements': 7 } } })
  const pages = await pagesOf(client, start('achievements'))
  // The first page comes again at the end of a walk that begins with the last one.
  expect(rowsOf(pages)).toHaveLength(school.truth('achievements').length + 7)
  expect(idsOf(pages).size).toBe(school.truth('achievements').length)
  expect(verdictOf(pages)).toBe('proven')
})

it('traps 6 and 7: passes over no row that is there all the time while others come and go, and counts them all', async () => {
  const { client, start, school } = await scene({
    size: { users: 900, tiedUsers: 10 },
    switches: {
      churn: {
        everyRequests: 1,
        everyMs: null,
        seed: 'moving',
        changes: 8,
        only: true,
        weights: { userCreated: 1, userDeleted: 1 },
      },
    },
  })
  const campus = [...school.truth('campuses')].sort((a, b) => b.users_count - a.users_count)[0]?.id
  const membersOf = () =>
    new Set(
      school
        .truth('campus_users')
        .filter((row) => row.campus_id === campus)
        .map((row) => row.user_id),
    )
  const before = membersOf()
  const seen = idsOf(await pagesOf(client, start('users', { partition: { campus_id: String(campus) } })))
  const after = membersOf()
  const there = [...before].filter((id) => after.has(id))
  expect(before.size).toBeGreaterThan(200)
  expect([...before].some((id) => !after.has(id))).toBe(true)
  expect(there.filter((id) => !seen.has(id))).toEqual([])
})

it('trap 7: calls a walk without X-Total unproven, and brings every row', async () => {
  const { client, start, school } = await scene({ switches: { noTotalOn: ['/v2/project_sessions'] } })
  const pages = await pagesOf(client, start('project_sessions'))
  expect(idsOf(pages).size).toBe(school.truth('project_sessions').length)
  expect(verdictOf(pages)).toBe('unproven')
})

it('trap 8: halves a list of users that is answered with 502', async () => {
  const { client, start, school, statuses } = await scene({ switches: { mostFilterValues: 30 } })
  const pages = await pagesOf(client, start('cursus_users', { partition: { user_id: users(school, 100) } }))
  const asked = new Set(users(school, 100).split(',').map(Number))
  expect(idsOf(pages)).toEqual(
    new Set(
      school
        .truth('cursus_users')
        .filter((row) => asked.has(row.user_id))
        .map(({ id }) => id),
    ),
  )
  expect(statuses().filter((status) => status === 502).length).toBeGreaterThan(0)
  expect(statuses().filter((status) => status === 502).length).toBeLessThanOrEqual(3)
})

it('trap 8: sends no address of 8 KB, however many users', async () => {
  const { client, start, school } = await scene()
  await pagesOf(client, start('projects_users', { partition: { user_id: users(school, 100) } }))
  expect(Math.max(...school.audit.entries().map(({ path }) => path.length))).toBeLessThan(8192)
})

it('trap 9: brings marks, levels, dates and odd keys as they were sent', async () => {
  const { client, start, school } = await scene()
  const partition = { user_id: users(school, 100) }
  const projects = rowsOf(await pagesOf(client, start('projects_users', { partition })))
  expect(projects.some((row) => (row as { final_mark?: number }).final_mark === 125)).toBe(true)
  expect(projects.every((row) => 'validated?' in (row as object))).toBe(true)
  const levels = rowsOf(await pagesOf(client, start('cursus_users', { partition }))).map(
    (row) => (row as { level: unknown }).level,
  )
  expect(levels.some((level) => String(level).length > 12)).toBe(true)
})

it('trap 12: asks again behind a wall of HTML, and names itself', async () => {
  const { client, start, school, statuses } = await scene({ switches: { cloudflareEvery: 3 } })
  const pages = await pagesOf(client, start('project_sessions'))
  expect(idsOf(pages).size).toBe(school.truth('project_sessions').length)
  expect(statuses()).toContain(403)
  expect(school.audit.entries().some(({ labels }) => labels.trap === 'no user agent')).toBe(false)
})

it.each([
  ['a scope is missing', { neededScopes: { '/v2/cursus': 'forum' } }],
  ['the route is for staff', { staffOnly: ['/v2/cursus'] }],
] as const)('trap 12: takes 403 for the last word where %s', async (_, switches) => {
  const { client, start, statuses } = await scene({ switches })
  const error = await errorOf(pagesOf(client, start('cursus')))
  expect(error).toMatchObject({ name: 'SourceRejected', code: 'http_403' })
  expect(error.message).toMatch(/403/)
  expect(statuses().length).toBe(1)
})

it('trap 12: says so where it is asked without a name', async () => {
  const { client, start, school } = await scene({}, { headers: { 'User-Agent': '' } })
  const error = await errorOf(pagesOf(client, start('cursus')))
  expect(error.message).toMatch(/403/)
  expect(school.audit.totals().requests).toBe(1)
})
