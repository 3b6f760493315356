/** What an error's own words say of it: which limit is used up, for how long, and whether it is about who asks. */
import { afterEach, describe, expect, it } from 'vitest'
import { CredentialsRefused, OverBudgetError, SourceRejected } from '../../src/domain/errors.js'
import type { WalkStart } from '../../src/domain/ports.js'
import type { StatusFate } from '../../src/domain/source-model.js'
import { bench, closeAll, errorOf, json, pagesOf, serve, sourceOf, startOf, streamOf } from './support.js'

afterEach(closeAll)

const quota = (id: string) => ({ error: { code: 429, details: [{ quotaId: id }] } })
const path = ['error', 'details', 0, 'quotaId']
const rules: StatusFate = [
  { body: { path, equals: null, contains: 'perday' }, fate: 'budget', waitMs: 3_600_000 },
  { body: { path: ['error', 'code'], equals: 400, contains: null }, fate: 'credentials' },
  { body: { path: ['why'], equals: null, contains: null }, fate: 'retry' },
  { fate: 'dead' },
]

async function meet(status: number, said: unknown, parts: { readonly auth?: boolean; readonly wait?: string } = {}) {
  const server = await serve((_, response) => {
    const wait = parts.wait === undefined ? {} : { 'retry-after': parts.wait }
    response.writeHead(status, { 'content-type': 'application/json', ...wait })
    response.end(typeof said === 'string' ? said : JSON.stringify(said))
  })
  const on = bench({ KEY: 'k-0123456789' })
  on.budget.closes = true
  const stream = streamOf({ settings: { retries: 1, statuses: { [status]: rules } } })
  const auth = { kind: 'apiKey', key: '$KEY', place: { header: 'x-key' } } as const
  const source = sourceOf(server.origin, parts.auth === true ? { auth } : {})
  const error = await errorOf(pagesOf(on.client, startOf(source, stream)))
  return { error, asked: server.seen.length, answers: on.budget.answers }
}

describe('an error with words of its own', () => {
  it('closes the budget for as long as the definition knows, or the answer says', async () => {
    const { error, answers } = await meet(429, quota('RequestsPerDay'))
    expect(error).toBeInstanceOf(OverBudgetError)
    expect(answers).toEqual([{ isRefusal: true, retryAfterMs: 3_600_000 }])
    expect((await meet(429, quota('RequestsPerDay'), { wait: '7' })).answers[0]?.retryAfterMs).toBe(7000)
  })

  it('is told by text, by value, or by a place alone', async () => {
    expect((await meet(429, quota('PerMinute'))).error).toBeInstanceOf(SourceRejected)
    expect((await meet(400, { why: 'busy' })).asked).toBe(2)
    for (const said of [{ why: null }, 'why', '', { error: { code: '400' } }]) {
      expect((await meet(400, said)).error).toBeInstanceOf(SourceRejected)
    }
  })

  it('about who asks is a refusal of the credentials, whatever its status', async () => {
    const said = { error: { code: 400, message: 'API key not valid' } }
    const { error, asked } = await meet(400, said, { auth: true })
    expect(error).toBeInstanceOf(CredentialsRefused)
    expect(error.message).toContain('status 400')
    expect(asked).toBe(1)
    expect((await meet(400, said)).error).toBeInstanceOf(SourceRejected)
  })
})

describe('a question that alone is refused', () => {
  const refusing = async (limits: Partial<WalkStart>, refusals: number) => {
    let left = refusals
    const server = await serve((_, response) => {
      left -= 1
      if (left >= 0) return void response.writeHead(429).end()
      json(response, [])
    })
    const on = bench()
    // The answers to others opened the gate.
    on.budget.gate = on.clock.now()
    return { on, server, pages: pagesOf(on.client, startOf(sourceOf(server.origin), streamOf(), limits)) }
  }

  it('waits longer each time, though the gate is open', async () => {
    const { on, pages } = await refusing({}, 12)
    await pages
    expect(on.clock.slept.slice(0, 3)).toEqual([2000, 4000, 8000])
    expect(on.clock.slept.at(-1)).toBe(300_000)
  })

  it('is given back where that would be past the end of the run', async () => {
    const { on, server, pages } = await refusing({ deadlineAt: bench().clock.now() + 5000 }, 12)
    expect(await errorOf(pages)).toBeInstanceOf(OverBudgetError)
    expect(on.clock.slept).toEqual([2000, 4000])
    expect(server.seen).toHaveLength(4)
  })

  it('is given back where the next wait is longer than the caller waits for a budget', async () => {
    const { on, pages } = await refusing({ maxWaitMs: 5000 }, 12)
    expect(await errorOf(pages)).toBeInstanceOf(OverBudgetError)
    expect(on.clock.slept).toEqual([2000, 4000])
  })
})
