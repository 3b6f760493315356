// The shipped definition of School 42, as a workspace loads it: what it compiles to, and what it refuses before a request is spent.
import { expect, it } from 'vitest'
import { compileSchool42 as compile, mistakesOfSchool42 as mistakesOf } from './compiled.js'

const { streams, budget } = compile()

it('fills the tables of the facts, parents before children', () => {
  const tables = Object.values(streams).map(({ name, table }) =>
    name === table.name ? name : `${name} into ${table.name}`,
  )
  expect(tables).toEqual([
    'campuses',
    'cursus',
    'projects',
    'coalitions',
    'achievements',
    'campus_projects',
    'campus_achievements',
    'campus_users',
    'users',
    'cursus_users',
    'projects_users into project_users',
    'achievements_users',
    'coalitions_users',
    'project_sessions',
    'locations',
  ])
})

it('holds two requests a second and 1,200 an hour until an answer names other limits', () => {
  expect(budget.limits).toEqual([
    { requests: 2, periodMs: 1000 },
    { requests: 1200, periodMs: 3_600_000 },
  ])
  expect(budget.headers?.map(({ periodMs, limit }) => `${periodMs} ${limit}`)).toEqual([
    '1000 x-secondly-ratelimit-limit',
    '3600000 x-hourly-ratelimit-limit',
  ])
})

it('asks for what belongs to users a hundred users at a time, and for users campus by campus', () => {
  const fans = Object.values(streams).flatMap(({ name, fanOut }) =>
    fanOut === null ? [] : [`${name} ${fanOut.dimension} ${fanOut.many?.max ?? 1}`],
  )
  expect(fans).toEqual([
    'campus_achievements campus_id 1',
    'campus_users campus_id 10',
    'users campus_id 1',
    'cursus_users user_id 100',
    'projects_users user_id 100',
    'achievements_users user_id 100',
    'coalitions_users user_id 100',
    'locations campus_id 10',
  ])
})

it('asks for changes with an open upper end, and for locations in two passes', () => {
  const passes = Object.values(streams).flatMap(({ name, incremental }) =>
    (incremental?.passes ?? []).map(({ param, form }) => `${name} ${param}=${form}`),
  )
  const open = '{from},2100-01-01T00:00:00.000Z'
  expect(passes).toEqual([
    `users range[updated_at]=${open}`,
    `project_sessions range[updated_at]=${open}`,
    `locations range[begin_at]=${open}`,
    `locations range[end_at]=${open}`,
  ])
})

it('reads names as they are, question marks included', () => {
  const from = (stream: string, column: string) => streams[stream]?.columns?.find(({ name }) => name === column)?.path
  expect(from('projects_users', 'validated')).toEqual(['validated?'])
  expect([from('users', 'staff'), from('users', 'alumni'), from('users', 'active')]).toEqual([
    ['staff?'],
    ['alumni?'],
    ['active?'],
  ])
})

it.each([
  ['a filter that is accepted and ignored', { projects_users: { filter: { cursus: 21 } } }, 'cursus'],
  [
    'an unknown filter, with the nearest known one',
    { cursus_users: { filter: { cursus: 21 } } },
    'did you mean \\"cursus_id\\"',
  ],
  ['the filter that only looks as if users had it', { users: { filter: { campus_id: 1 } } }, 'campus_id'],
  ['an empty value, which the source would take for no filter', { users: { filter: { kind: '' } } }, 'kind'],
  ['a filter of a stream that knows none', { coalitions: { filter: { score: 1 } } }, 'score'],
] as const)('refuses %s', (_, overrides, said) => {
  const problems = mistakesOf({ streams: overrides })
  expect(problems).toHaveLength(1)
  expect(problems[0]).toContain(said)
})

it('takes the filters that the source knows into every request of the stream', () => {
  const filtered = compile({ streams: { users: { filter: { kind: 'student', 'staff?': false } } } })
  expect(filtered.streams.users?.request.query).toMatchObject({ 'filter[kind]': 'student', 'filter[staff?]': 'false' })
  expect(filtered.streams.users?.requestHash).not.toBe(streams.users?.requestHash)
})
