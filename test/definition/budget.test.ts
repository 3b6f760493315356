/** A budget in all its forms, and what is refused of it, with line and expectation. */
import { describe, expect, it } from 'vitest'
import { compileYaml } from './compile-yaml.js'

const yaml = (budget: string, stream = ''): string =>
  `source: acme\nbase_url: https://acme.example\nbudget: ${budget}\nstreams:\n  users: { path: /users, key: id${stream} }\n`
const budgetOf = (text: string) => {
  const { source, lines } = compileYaml(yaml(text))
  expect(lines).toEqual([])
  return source?.budget
}
const mistakesOf = (text: string, stream = ''): readonly string[] => compileYaml(yaml(text, stream)).lines

describe('a budget', () => {
  it('takes a limit with a reset time for a quota', () => {
    const quota = { requests: 7500, per: 'day', resetMinute: 0, zone: 'UTC' }
    expect(budgetOf('[2/s, 7500/day reset 00:00 UTC]')).toMatchObject({
      limits: [{ requests: 2, periodMs: 1000 }],
      quotas: [quota],
      concurrency: 2,
    })
    expect(budgetOf('7500 per day resets 00:00')).toMatchObject({ limits: [], quotas: [quota], delayMs: 0 })
    const monthly = '{ requests: 100, per: month, resets: "09:30 Europe/Berlin" }'
    expect(budgetOf(`{ limits: 2/s, quotas: [${monthly}, 50/month reset 24:00 UTC] }`)).toMatchObject({
      quotas: [
        { requests: 100, per: 'month', resetMinute: 570, zone: 'Europe/Berlin' },
        { requests: 50, per: 'month', resetMinute: 0, zone: 'UTC' },
      ],
    })
  })

  it('names windows by their period, and their headers by a pattern or one by one', () => {
    const headers =
      '{ second: X-Secondly-RateLimit-*, 30s: { limit: X-L, remaining: X-R }, hour: { limit: A, remaining: B, reset: C } }'
    expect(budgetOf(`{ headers: ${headers} }`)?.headers).toEqual([
      {
        periodMs: 1000,
        limit: 'x-secondly-ratelimit-limit',
        remaining: 'x-secondly-ratelimit-remaining',
        reset: 'x-secondly-ratelimit-reset',
      },
      { periodMs: 30_000, limit: 'x-l', remaining: 'x-r', reset: null },
      { periodMs: 3_600_000, limit: 'a', remaining: 'b', reset: 'c' },
    ])
  })

  it('says nothing of what it does not have', () => {
    expect(Object.keys(budgetOf('[2/s]') ?? {})).not.toContain('quotas')
    expect(Object.keys(budgetOf('[2/s]') ?? {})).not.toContain('headers')
    expect(budgetOf('{ limits: 2/s, file: ../shared.db }')).toMatchObject({ file: '../shared.db' })
  })

  it('is refused with line and expectation', () => {
    const at = (key: string): string => `sources/acme.yaml:3  budget.${key}`
    const first = (text: string): string | undefined => mistakesOf(text)[0]
    expect(first('{ quotas: [{ requests: 5, per: week, resets: "00:00 UTC" }] }')).toContain('one of day, month')
    expect(first('{ quotas: [{ requests: 5, per: day, resets: "25:00 UTC" }] }')).toContain(
      'a time of day and its zone',
    )
    expect(first('{ quotas: [{ requests: 5, per: day, resets: "00:00 Mars/Olympus" }] }')).toContain('a time of day')
    expect(first('{ quotas: [5/day reset 00:00 UTC, 6/day reset 00:00 UTC] }')).toBe(
      `${at('quotas')}  expected one quota for each reset, found two with the same`,
    )
    expect(first('{ headers: { fortnight: x-* } }')).toContain(
      'a window: second, minute, hour, day or a length like 30s',
    )
    expect(first('{ headers: { hour: x-limit } }')).toContain('x-hourly-ratelimit-*')
    expect(first('{ headers: { hour: { limit: A } } }')).toContain(at('headers.hour.remaining'))
    expect(first('{ headers: { hour: x-*, 1h: y-* } }')).toContain('each window once')
    expect(first('{ file: ~/budget.db }')).toBe(
      `${at('file')}  expected a path from the folder of backfill.yaml, or from the root; "~" is for shells, found "~/budget.db"`,
    )
    expect(first('{ limits: 1/s, reserve: 50% }')).toContain('a reserve that leaves a request in every limit')
  })
})

describe('a stream', () => {
  it('says how it shares the budget', () => {
    const settings =
      'weight: 5, priority: -2, hours: ["22:00-06:00", "12:00-13:00"], max_requests_per_run: 9, max_tasks_per_run: 8, max_parents_per_run: 7'
    const { source, lines } = compileYaml(yaml('[2/s]', `, ${settings}, request: { weight: 3 }`))
    expect(lines).toEqual([])
    expect(source?.streams.users?.settings).toMatchObject({
      weight: 5,
      priority: -2,
      hours: [
        { from: 1320, to: 360 },
        { from: 720, to: 780 },
      ],
      maxRequestsPerRun: 9,
      maxTasksPerRun: 8,
      maxParentsPerRun: 7,
    })
    expect(source?.streams.users?.request.weight).toBe(3)
  })

  it('goes on with its walks when only its weight changes', () => {
    const hashOf = (more: string) => compileYaml(yaml('[2/s]', more)).source?.streams.users?.requestHash
    expect(hashOf(', request: { weight: 3 }')).toBe(hashOf(''))
    expect(hashOf(', request: { query: { a: 1 } }')).not.toBe(hashOf(''))
  })

  it('is refused where that cannot be read', () => {
    expect(mistakesOf('[2/s]', ', hours: "22-06"')[0]).toContain('hours of the day like 22:00-06:00')
    expect(mistakesOf('[2/s]', ', hours: []')[0]).toContain('hours of the day like 22:00-06:00')
    expect(mistakesOf('[2/s]', ', weight: 0')[0]).toContain('a whole number from 1 to 1,000')
    expect(mistakesOf('[2/s]', ', max_tasks_per_run: 0')[0]).toContain('a whole number from 1')
  })
})
