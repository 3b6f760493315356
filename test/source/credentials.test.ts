// Credentials on the wire: tokens asked for, kept, renewed and refused, by a client over real sockets with a clock that the test moves.
import { spawn } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Auth, OAuth2Auth } from '../../src/domain/auth.js'
import { CredentialsRefused, SourceRejected, SourceUnavailable } from '../../src/domain/errors.js'
import type { LogLevel, SourceClient, WalkStart } from '../../src/domain/ports.js'
import type { Pagination, Source } from '../../src/domain/source-model.js'
import { createSourceClient } from '../../src/source/client.js'
import { createFakeClock, type FakeClock } from '../support/fake-clock.js'
import {
  closeAll,
  errorOf,
  idsOf,
  json,
  MemoryBudget,
  pagesOf,
  rows,
  serve,
  sourceOf,
  startOf,
  streamOf,
} from './support.js'
import { giveToken, refuseClient, refuseToken, startTokenApi, type TokenApi, tokenOf } from './token-api.js'

const environment = { ACME_ID: 'u-acme-0123456789', ACME_SECRET: 's-acme-/+secret&0123', ACME_KEY: 'key-zyxw+9876' }
const oauth2: OAuth2Auth = {
  kind: 'oauth2',
  tokenUrl: '/oauth/token',
  clientId: '$ACME_ID',
  clientSecret: '$ACME_SECRET',
  scope: null,
  send: 'form',
  marginMs: 60_000,
  aheadMs: 3_600_000,
}
const numbered: Pagination = {
  kind: 'page',
  param: 'page',
  first: 1,
  sizeParam: null,
  total: null,
  pages: null,
  usedSize: null,
  end: { shortPage: true, errors: [] },
}
const stream = streamOf({ pagination: numbered, settings: { pageSize: 10 } })

let directory: string
let clock: FakeClock
let api: TokenApi
let events: { level: LogLevel; event: string; fields: unknown }[]
let budget: MemoryBudget
const clients: SourceClient[] = []

beforeEach(async () => {
  directory = join(mkdtempSync(join(tmpdir(), 'backfill-tokens-')), 'tokens')
  clock = createFakeClock({ mode: 'automatic' })
  events = []
  budget = new MemoryBudget()
  api = await startTokenApi()
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  await closeAll()
  rmSync(join(directory, '..'), { recursive: true, force: true })
})

/** A client is a run. */
function run(more: Record<string, string> = {}): SourceClient {
  const log = (level: LogLevel, event: string, fields: unknown) => events.push({ level, event, fields })
  const options = { budget, clock, log, random: () => 1, tokenDirectory: directory }
  const client = createSourceClient({ ...options, environment: { ...environment, ...more } })
  clients.push(client)
  return client
}
const source = (auth: Auth = oauth2): Source => sourceOf(api.origin, { auth })
const start = (parts: Partial<WalkStart> = {}, auth: Auth = oauth2): WalkStart => startOf(source(auth), stream, parts)
const walk = async (client: SourceClient, parts: Partial<WalkStart> = {}) => await pagesOf(client, start(parts))
const tokenFile = (): string => join(directory, readdirSync(directory).find((name) => name.endsWith('.json')) ?? '')
const wait = async (seconds: number): Promise<void> => await clock.advance(seconds * 1000)

describe('a token', () => {
  it('is asked for once, sent with every request, and kept across runs in a file of its owner', async () => {
    api.lastPage = 3
    expect(idsOf(await walk(run()))).toHaveLength(25)
    expect(idsOf(await walk(run()))).toHaveLength(25)
    expect(api.asked).toEqual([
      'grant_type=client_credentials&client_id=u-acme-0123456789&client_secret=s-acme-%2F%2Bsecret%260123',
    ])
    expect(api.pages).toEqual(['1 200', '2 200', '3 200', '1 200', '2 200', '3 200'])
    expect(statSync(tokenFile()).mode & 0o777).toBe(0o600)
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    const text = readFileSync(tokenFile(), 'utf8')
    expect(text).toContain(tokenOf(1))
    for (const secret of Object.values(environment)) expect(`${tokenFile()} ${text}`).not.toContain(secret)
    expect(readdirSync(directory)).toHaveLength(1)
  })

  it.each([
    [
      'json',
      '{"grant_type":"client_credentials","scope":"public projects","client_id":"u-acme-0123456789","client_secret":"s-acme-/+secret&0123"}',
    ],
    [
      'form',
      'grant_type=client_credentials&scope=public+projects&client_id=u-acme-0123456789&client_secret=s-acme-%2F%2Bsecret%260123',
    ],
    ['basic', 'grant_type=client_credentials&scope=public+projects'],
  ] as const)('is asked for as %s', async (send, body) => {
    await pagesOf(run(), start({}, { ...oauth2, send, scope: 'public projects' }))
    expect(api.asked).toEqual([body])
    const { authorization, accept, 'user-agent': agent } = api.server.headers[0] ?? {}
    const pair = Buffer.from('u-acme-0123456789:s-acme-%2F%2Bsecret%260123').toString('base64')
    expect(authorization).toBe(send === 'basic' ? `Basic ${pair}` : undefined)
    expect(accept).toBe('application/json')
    expect(agent).toMatch(/^api-backfill\//)
  })

  it('is booked like every request, for the same purpose, and counts as a request of its walk', async () => {
    let requests = 0
    const pages = await walk(run(), { purpose: 'verify', onRequest: () => (requests += 1) })
    expect(budget.bookings.map(({ purpose }) => purpose)).toEqual(['verify', 'verify'])
    expect(budget.open).toBe(0)
    expect([requests, pages[0]?.requests]).toEqual([2, 2])
  })

  it('is asked for by one request however many wait for it', async () => {
    api.answer = async (number, _request, response) => {
      await new Promise((wake) => setTimeout(wake, 50))
      api.good.add(tokenOf(number))
      giveToken(response, { access_token: tokenOf(number) })
    }
    const client = run()
    const all = await Promise.all(Array.from({ length: 50 }, async () => await walk(client)))
    expect(all.flatMap(idsOf)).toHaveLength(250)
    expect(api.asked).toHaveLength(1)
  })

  it('is asked for by somebody else where the one who asked is stopped', async () => {
    const stop = new AbortController()
    const asked = new Promise<void>((resolveAsked) => {
      api.answer = (number, _request, response) => {
        api.good.add(tokenOf(number))
        if (number > 1) giveToken(response, { access_token: tokenOf(number) })
        else resolveAsked()
      }
    })
    const client = run()
    const first = errorOf(walk(client, { signal: stop.signal }))
    const second = walk(client)
    await asked
    stop.abort()
    expect((await first).code).toBe('stopped')
    expect(idsOf(await second)).toHaveLength(5)
    expect(api.asked).toHaveLength(2)
  })

  it('is renewed before its margin, once', async () => {
    const client = run()
    await walk(client)
    await wait(7139)
    await walk(client)
    expect(api.asked).toHaveLength(1)
    await wait(2)
    await walk(client)
    await walk(client)
    expect(api.asked).toHaveLength(2)
    expect(api.pages).not.toContain('1 401')
  })

  it('is renewed with less than an hour left where a run begins, and not in its middle', async () => {
    const first = run()
    await walk(first)
    await wait(3700)
    await walk(first)
    expect(api.asked).toHaveLength(1)
    const second = run()
    await walk(second)
    await walk(second)
    expect(api.asked).toHaveLength(2)
    // A run that ends before the token does has no use for another one.
    await wait(3700)
    await walk(run(), { deadlineAt: clock.now() + 300_000 })
    expect(api.asked).toHaveLength(2)
  })

  it('that is handed back as long as it lives is asked for once a lifetime, over many runs', async () => {
    const bornAt: number[] = []
    api.answer = (_number, _request, response) => {
      const last = bornAt.at(-1)
      if (last === undefined || clock.now() >= last + 7_200_000) bornAt.push(clock.now())
      const born = bornAt.at(-1) ?? 0
      api.good.clear()
      api.good.add(tokenOf(bornAt.length))
      const expires = Math.floor((born + 7_200_000 - clock.now()) / 1000)
      giveToken(response, {
        access_token: tokenOf(bornAt.length),
        expires_in: expires,
        created_at: Math.floor(born / 1000),
      })
    }
    // Three lifetimes of runs every five minutes, each of some requests.
    for (let minute = 0; minute < 360; minute += 5) {
      const client = run()
      await walk(client)
      await wait(20)
      await walk(client)
      await wait(280)
    }
    expect(bornAt).toHaveLength(3)
    // One more than there were tokens: the first time that it asked ahead it learned that this brings nothing.
    expect(api.asked).toHaveLength(4)
    expect(api.pages.filter((page) => page.endsWith('401'))).toEqual([])
  })

  it('that keeps coming back with a moment to live makes no hot loop', async () => {
    api.good.add(tokenOf(1))
    api.answer = (_number, _request, response) => giveToken(response, { access_token: tokenOf(1), expires_in: 0 })
    const client = run()
    for (let index = 0; index < 50; index += 1) await walk(client)
    expect(api.asked).toHaveLength(1)
    await wait(2)
    await walk(client)
    expect(api.asked).toHaveLength(2)
  })

  it('is kept until it is refused where its answer says no end', async () => {
    api.answer = (number, _request, response) => {
      api.good.add(tokenOf(number))
      json(response, { access_token: tokenOf(number), token_type: 'BEARER' })
    }
    await walk(run())
    await wait(1e7)
    await walk(run())
    expect(api.asked).toHaveLength(1)
    api.good.clear()
    await walk(run())
    expect(api.asked).toHaveLength(2)
  })

  it('that was revoked is renewed in the middle of a walk, and its request repeated, once', async () => {
    api.lastPage = 4
    let revoked = false
    api.before = (page) => {
      if (page === 3 && !revoked) {
        revoked = true
        api.good.clear()
      }
      return false
    }
    expect(idsOf(await walk(run()))).toHaveLength(35)
    expect(api.pages).toEqual(['1 200', '2 200', '3 401', '3 200', '4 200'])
    expect(api.asked).toHaveLength(2)
    // The file knows the new one.
    await walk(run())
    expect(api.asked).toHaveLength(2)
  })

  it('that was revoked under many requests is renewed once for all of them', async () => {
    const client = run()
    await walk(client)
    api.good.clear()
    await Promise.all(Array.from({ length: 20 }, async () => await walk(client)))
    expect(api.asked).toHaveLength(2)
    expect(api.pages.filter((page) => page === '1 200')).toHaveLength(21)
  })

  it('that another run renewed is taken from the file', async () => {
    const first = run()
    await walk(first)
    api.good.clear()
    await walk(run())
    expect(api.asked).toHaveLength(2)
    await walk(first)
    expect(api.asked).toHaveLength(2)
    expect(api.pages).toEqual(['1 200', '1 401', '1 200', '1 401', '1 200'])
  })

  it('is used to its end where it cannot be renewed before', async () => {
    const client = run()
    await walk(client)
    api.answer = (_number, _request, response) => refuseClient(response)
    await wait(7150)
    for (let index = 0; index < 5; index += 1) await walk(client)
    expect(api.asked).toHaveLength(2)
    expect(events).toContainEqual(expect.objectContaining({ level: 'warn', event: 'source.token_not_renewed' }))
    await wait(60)
    expect(await errorOf(walk(client))).toBeInstanceOf(CredentialsRefused)
  })

  it('is renewed where it ran out while its request waited for the budget', async () => {
    const client = run()
    await walk(client)
    const book = budget.book.bind(budget)
    let waits = 7200
    budget.book = async (request) => {
      await wait(waits)
      waits = 0
      return await book(request)
    }
    await walk(client)
    expect(api.pages).toEqual(['1 200', '1 200'])
    expect(api.asked).toHaveLength(2)
    expect(budget.open).toBe(0)
  })
})

describe('the file of a token', () => {
  const spoilers: readonly [string, (path: string) => void][] = [
    ['is broken', (path) => writeFileSync(path, '{"version":1,"accessToken":')],
    ['is of another shape', (path) => writeFileSync(path, '{"version":1}')],
    ['can be read by others', (path) => chmodSync(path, 0o644)],
    [
      'is a link',
      (path) => {
        const elsewhere = join(directory, '..', 'elsewhere')
        writeFileSync(elsewhere, readFileSync(path), { mode: 0o600 })
        rmSync(path)
        symlinkSync(elsewhere, path)
      },
    ],
  ]
  it.each(spoilers)('that %s is ignored and replaced', async (_, spoil) => {
    await walk(run())
    const path = tokenFile()
    spoil(path)
    await walk(run())
    expect(api.asked).toHaveLength(2)
    expect(events).toContainEqual(expect.objectContaining({ level: 'warn', event: 'source.token_file' }))
    await walk(run())
    expect(api.asked).toHaveLength(2)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('from a future that the clock came back from is not believed', async () => {
    await walk(run())
    clock.shiftWall(-86_400_000)
    await walk(run())
    expect(api.asked).toHaveLength(2)
  })

  it('is another one for another client and scope', async () => {
    await walk(run())
    await pagesOf(run(), start({}, { ...oauth2, scope: 'public' }))
    await walk(run({ ACME_ID: 'u-other-0123' }))
    expect(api.asked).toHaveLength(3)
  })

  it('that cannot be written costs a token a run', async () => {
    writeFileSync(directory, 'in the way')
    await walk(run())
    await walk(run())
    expect(api.asked).toHaveLength(2)
  })

  it('that a dead process was renewing is renewed by the next one', async () => {
    await walk(run())
    const lock = tokenFile().replace(/json$/, 'lock')
    rmSync(tokenFile())
    mkdirSync(lock)
    const long = new Date(Date.now() - 60_000)
    utimesSync(lock, long, long)
    await walk(run())
    expect(api.asked).toHaveLength(2)
    expect(events.filter(({ event }) => event === 'source.token_file')).toEqual([])
    expect(readdirSync(directory)).toHaveLength(1)
  })

  it('serves two processes that begin together with one token', { timeout: 30_000 }, async () => {
    api.answer = async (number, _request, response) => {
      await new Promise((wake) => setTimeout(wake, 700))
      api.good.add(tokenOf(number))
      giveToken(response, { access_token: tokenOf(number) })
    }
    const ended = await Promise.all([child(api.origin), child(api.origin)])
    expect(ended).toEqual(['5', '5'])
    expect(api.asked).toHaveLength(1)
  })
})

/** A process of its own that walks once and prints how many rows came. */
async function child(origin: string): Promise<string> {
  const script = resolve(import.meta.dirname, 'token-child.ts')
  const env = { ...process.env, ...environment }
  const process_ = spawn(process.execPath, ['--import', 'tsx', script, origin, directory], { env })
  let text = ''
  process_.stdout.on('data', (piece: Buffer) => (text += piece.toString()))
  process_.stderr.on('data', (piece: Buffer) => (text += piece.toString()))
  await new Promise((done) => process_.once('close', done))
  return text.trim()
}

describe('credentials that are refused', () => {
  it('end in one sentence, for one request however many tasks wait, and are asked again by who comes later', async () => {
    api.answer = (_number, _request, response) => refuseClient(response, ' u-acme-0123456789:s-acme-/+secret&0123')
    const client = run()
    const errors = await Promise.all(Array.from({ length: 10 }, async () => await errorOf(walk(client))))
    expect(api.asked).toHaveLength(1)
    expect(api.pages).toEqual([])
    for (const error of errors) expect(error).toBeInstanceOf(CredentialsRefused)
    expect(errors[0]).toMatchObject({
      code: 'credentials_refused',
      message: `ask POST ${api.origin}/oauth/token for a token of "acme" found status 401, invalid_client: "Client authentication failed due to unknown client $ACME_ID:$ACME_SECRET."`,
      hint: 'correct $ACME_ID and $ACME_SECRET in .env, then run "backfill resume acme"',
    })
    await errorOf(walk(client))
    expect(api.asked).toHaveLength(2)
  })

  it('are not asked about again by a walk that began before', async () => {
    api.lastPage = 3
    const client = run()
    const old = client.walk(start({ readsAhead: false }))
    await old.next()
    await wait(7201)
    api.answer = (_number, _request, response) => refuseClient(response)
    const refusal = await errorOf(walk(client))
    expect(api.asked).toHaveLength(2)
    expect(await errorOf(old.next())).toBe(refusal)
    expect(api.asked).toHaveLength(2)
  })

  it('by a fresh token are refused after one renewal, and the next one asks for another token', async () => {
    api.before = (_page, response) => {
      refuseToken(response, `Token ${tokenOf(1)} ${tokenOf(2)} is blocked`)
      return true
    }
    const client = run()
    const error = await errorOf(walk(client))
    expect(error).toBeInstanceOf(CredentialsRefused)
    expect(error).toMatchObject({
      code: 'token_refused',
      message: `fetch GET ${api.origin}/things?page=1 found status 401 with a token that was just renewed: "Token (access token) (access token) is blocked"`,
    })
    expect([api.asked.length, api.pages.length]).toEqual([2, 2])
    api.before = () => false
    expect(idsOf(await walk(client))).toHaveLength(5)
    expect(api.asked).toHaveLength(3)
    expect(idsOf(await walk(run()))).toHaveLength(5)
    expect(api.asked).toHaveLength(3)
  })

  it('renew once for a request, although it is tried again for other reasons between', async () => {
    const answers = [401, 500, 401, 200]
    api.before = (_page, response) => {
      const status = answers.shift() ?? 200
      if (status === 200) return false
      response.writeHead(status).end()
      return true
    }
    const patient = streamOf({ pagination: numbered, settings: { pageSize: 10, retries: 3, retryDelayMs: 1 } })
    const error = await errorOf(pagesOf(run(), startOf(source(), patient)))
    expect(error.code).toBe('token_refused')
    expect(api.asked).toHaveLength(2)
  })

  it('get the fate that the definition gives a 401, once renewing them brought nothing', async () => {
    api.before = (_page, response) => {
      response.writeHead(401).end()
      return true
    }
    const declared = streamOf({ pagination: numbered, settings: { pageSize: 10, statuses: { 401: 'retry' } } })
    const error = await errorOf(pagesOf(run(), startOf(source(), declared)))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect([api.asked.length, api.pages.length]).toEqual([2, 2])
  })

  it('say that the client secret ended, and warn a week before', async () => {
    const endsAt = Math.floor(clock.now() / 1000) + 6 * 86_400
    api.answer = (number, _request, response) => {
      api.good.add(tokenOf(number))
      if (clock.now() / 1000 >= endsAt) refuseClient(response)
      else giveToken(response, { access_token: tokenOf(number), secret_valid_until: endsAt })
    }
    await walk(run())
    const warning = { level: 'warn', event: 'source.secret_ends' }
    expect(events).toContainEqual({ ...warning, fields: { source: 'acme', valid_until: '2024-01-21T12:00:00Z' } })
    await wait(6 * 86_400 + 1)
    const error = await errorOf(walk(run()))
    expect(error.message).toMatch(
      /: "Client authentication failed .*"; its client secret ended at 2024-01-21T12:00:00Z$/,
    )
    expect(error.hint).toMatch(/^make a new client secret at the source, write it into \.env as ACME_SECRET, then run/)
  })

  const answers: readonly [string, (response: ServerResponse) => unknown, RegExp][] = [
    [
      '400',
      (response) => response.writeHead(400).end('{"error":"invalid_grant","error_description":"gone"}'),
      /status 400, invalid_grant: "gone"$/,
    ],
    [
      '403',
      (response) => response.writeHead(403, { 'content-type': 'application/json' }).end('{"error":"nope"}'),
      /status 403, ".*nope/,
    ],
    ['404', (response) => response.writeHead(404).end('no such page'), /status 404, "no such page"$/],
    ['200 with an error', (response) => json(response, { error: 'invalid_client' }), /status 200, /],
    ['200 without a token', (response) => json(response, { token: 'x' }), /with no access_token$/],
    [
      'a token of another type',
      (response) => json(response, { access_token: 'x', token_type: 'mac' }),
      /with a token_type other than bearer$/,
    ],
  ]
  it.each(answers)('are %s', async (_, answer, message) => {
    api.answer = (_number, _request, response) => answer(response)
    const error = await errorOf(walk(run()))
    expect(error).toBeInstanceOf(CredentialsRefused)
    expect(error.message).toMatch(message)
  })
})

describe('a token endpoint', () => {
  const patient = streamOf({ pagination: numbered, settings: { pageSize: 10, retries: 2, retryDelayMs: 10 } })

  it('that fails is tried again as any request', async () => {
    const { answer } = api
    api.answer = (number, request, response) =>
      number < 3 ? response.writeHead(503).end() : answer(number, request, response)
    expect(idsOf(await pagesOf(run(), startOf(source(), patient)))).toHaveLength(5)
    expect(api.asked).toHaveLength(3)
    expect(events.filter(({ event }) => event === 'source.retry')).toHaveLength(2)
  })

  it('that goes on failing is a failure of the source, not of its credentials', async () => {
    api.answer = (_number, _request, response) => response.writeHead(502).end('bad gateway')
    const error = await errorOf(pagesOf(run(), startOf(source(), patient)))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.code).toBe('http_502')
    expect(api.asked).toHaveLength(3)
  })

  it('that refuses for its limit closes the budget', async () => {
    const { answer } = api
    api.answer = (number, request, response) =>
      number < 2 ? response.writeHead(429, { 'retry-after': '7' }).end() : answer(number, request, response)
    await walk(run())
    expect(budget.answers[0]).toMatchObject({ isRefusal: true, retryAfterMs: 7000 })
  })

  it('behind a wall is waited for', async () => {
    api.answer = (_number, _request, response) =>
      response.writeHead(403, { 'content-type': 'text/html' }).end('<html><title>Just a moment…</title>')
    const error = await errorOf(walk(run()))
    expect(error).toBeInstanceOf(SourceUnavailable)
    expect(error.message).toMatch(/"Just a moment…"$/)
  })

  it('keeps the fates that the definition gives its data to them', async () => {
    api.answer = (_number, _request, response) => response.writeHead(503).end()
    const declared = streamOf({ pagination: numbered, settings: { pageSize: 10, statuses: { 503: 'dead' } } })
    expect(await errorOf(pagesOf(run(), startOf(source(), declared)))).toBeInstanceOf(SourceUnavailable)
  })
})

describe('a token that a source shows', () => {
  it('is taken out of messages, also where they are cut', async () => {
    const client = run()
    await walk(client)
    api.before = (_page, response) => {
      response.writeHead(404, { 'content-type': 'text/plain' }).end(`${'x'.repeat(140)} ${tokenOf(1)}`)
      return true
    }
    const error = await errorOf(walk(client))
    expect(error.message).not.toContain('tok0001')
    expect(error.message).toContain('(access toke')
  })

  it('in a next address is not stored with it, and is there again when that is asked for', async () => {
    const server = await serve((request, response, at) => {
      if (at.pathname === '/oauth/token') {
        giveToken(response, { access_token: tokenOf(1) })
        return
      }
      const next = at.searchParams.has('after') ? null : `/things?after=1&access_token=${tokenOf(1)}`
      json(response, {
        rows: rows(at.searchParams.has('after') ? 2 : 1, 1),
        next,
        token: request.headers.authorization,
      })
    })
    const following = streamOf({
      answer: { rows: ['rows'] },
      pagination: { kind: 'nextUrl', from: { path: ['next'] }, sizeParam: null },
    })
    const pages = await pagesOf(run(), startOf(sourceOf(server.origin, { auth: oauth2 }), following))
    expect(idsOf(pages)).toEqual([1, 2])
    const kept = JSON.stringify(pages.map(({ next, address }) => [next, address]))
    expect(kept).toContain('~access-token~')
    expect(kept).not.toContain('tok0001')
    expect(server.seen.at(-1)).toBe(`/things?after=1&access_token=${tokenOf(1)}`)
  })

  it('goes to no other origin', async () => {
    const other = await serve((_request, response) => json(response, []))
    api.before = (_page, response) => {
      response.writeHead(302, { location: `${other.origin}/things` }).end()
      return true
    }
    const error = await errorOf(walk(run()))
    expect(error).toBeInstanceOf(SourceRejected)
    expect(other.seen).toEqual([])
  })
})

describe('credentials that never change', () => {
  const fixed: readonly [string, Auth, string | undefined, string][] = [
    ['bearer', { kind: 'bearer', token: '$ACME_KEY' }, 'Bearer key-zyxw+9876', '/things'],
    [
      'basic',
      { kind: 'basic', user: '$ACME_ID', password: '$ACME_SECRET' },
      `Basic ${Buffer.from(`${environment.ACME_ID}:${environment.ACME_SECRET}`).toString('base64')}`,
      '/things',
    ],
    [
      'apiKey',
      { kind: 'apiKey', key: '$ACME_KEY', place: { query: 'api_key' } },
      undefined,
      '/things?api_key=key-zyxw%2B9876',
    ],
    [
      'apiKey',
      { kind: 'apiKey', key: 'Token $ACME_KEY', place: { header: 'authorization' } },
      'Token key-zyxw+9876',
      '/things',
    ],
  ]
  it.each(fixed)('%s travels as it should, and a refusal shows nothing of it', async (...[, auth, header, path]) => {
    let isGood = true
    const server = await serve((request, response) => {
      const echo = `no: ${request.url ?? ''} ${request.headers.authorization ?? ''}`
      if (isGood) json(response, rows(1, 2))
      else response.writeHead(401).end(echo)
    })
    const client = run()
    const one = streamOf()
    const pages = await pagesOf(client, startOf(sourceOf(server.origin, { auth }), one))
    expect(server.seen).toEqual([path])
    expect(server.headers[0]?.authorization).toBe(header)
    expect(pages[0]?.address).toBe(`GET ${server.origin}/things`)
    isGood = false
    const error = await errorOf(pagesOf(client, startOf(sourceOf(server.origin, { auth }), one)))
    expect(error).toBeInstanceOf(CredentialsRefused)
    expect(error.message).toMatch(/^fetch GET .* found status 401: "no: .*"; "acme" does not take \$ACME_/)
    const said = `${error.message} ${error.hint ?? ''}`
    for (const secret of [
      ...Object.values(environment),
      header?.split(' ')[1] ?? '-',
      encodeURIComponent(environment.ACME_KEY),
    ])
      if (secret !== '-') expect(said).not.toContain(secret)
    expect(server.seen).toHaveLength(2)
  })

  it('in a query are not doubled by a next address that has them', async () => {
    const auth: Auth = { kind: 'apiKey', key: '$ACME_KEY', place: { query: 'api_key' } }
    const server = await serve((request, response, at) => {
      const page = Number(at.searchParams.get('page') ?? '1')
      const next =
        page === 3
          ? null
          : `${request.url?.split('?')[0] ?? ''}?page=${page + 1}&q=a%20b${page === 1 ? '&api_key=key-zyxw%2B9876' : ''}`
      json(response, { rows: rows(page, 1), next })
    })
    const following = streamOf({
      answer: { rows: ['rows'] },
      pagination: { kind: 'nextUrl', from: { path: ['next'] }, sizeParam: null },
    })
    const pages = await pagesOf(run(), startOf(sourceOf(server.origin, { auth }), following))
    expect(server.seen).toEqual([
      '/things?api_key=key-zyxw%2B9876',
      '/things?page=2&q=a%20b&api_key=key-zyxw%2B9876',
      '/things?page=3&q=a%20b&api_key=key-zyxw%2B9876',
    ])
    expect(JSON.stringify(pages.map(({ next, address }) => [next, address]))).not.toMatch(/zyxw/)
  })

  it('that are declared otherwise at a 401 are no refusal', async () => {
    const server = await serve((_request, response) => response.writeHead(401).end())
    const auth: Auth = { kind: 'bearer', token: '$ACME_KEY' }
    const declared = streamOf({ settings: { statuses: { 401: 'retry' } } })
    const error = await errorOf(pagesOf(run(), startOf(sourceOf(server.origin, { auth }), declared)))
    expect(error.code).toBe('http_401')
  })

  it('are named where their variable is missing', async () => {
    const auth: Auth = { kind: 'bearer', token: '$NOT_SET' }
    expect(await errorOf(pagesOf(run(), startOf(sourceOf(api.origin, { auth }), streamOf())))).toMatchObject({
      code: 'missing_environment',
      hint: expect.stringContaining('NOT_SET') as string,
    })
  })
})
