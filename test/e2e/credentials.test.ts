/** Credentials through the real commands: what parks a source, what it costs, how it goes on, and that nothing secret is left anywhere. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, expectExactlyOnce, makeWorkspace, type Ran, until } from '../support/cli-workspace.js'
import { type PagedApi, pagedYaml, startPagedApi } from '../support/paged-api.js'

interface Status {
  readonly problems: readonly { readonly code: string; readonly message: string; readonly hint: string | null }[]
  readonly parked: readonly { readonly reason: string; readonly code: string; readonly times: number }[]
  readonly streams: readonly {
    readonly ready: number
    readonly done: number
    readonly dead: number
    readonly retrying: number
  }[]
}

const sites = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`s${index}`, 12]))
const clientId = 'u-paged-58fe2a71c0d94e6b'
const secret = 's-paged-93b1d7f4a2ce4051'
const oldSecret = 's-paged-00000expired00000'

let workspace: CliWorkspace
let api: PagedApi
let gate: Gate

/** In front of the API: a token endpoint, and nobody without its newest token. */
interface Gate {
  readonly url: string
  readonly tokens: string[]
  asked: number
  refused: number
  secretValidUntil: number | null
  /** The client secret that it takes. */
  accepts: string
  /** Answers 401 to this many more data requests, whatever they carry. */
  blocks: number
  readonly server: Server
}

async function startGate(inner: PagedApi): Promise<Gate> {
  const server = createServer((request, response) => {
    void answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const made: Gate = {
    url,
    tokens: [],
    asked: 0,
    refused: 0,
    secretValidUntil: null,
    accepts: secret,
    blocks: 0,
    server,
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    if (request.url === '/oauth/token') giveToken(new URLSearchParams(Buffer.concat(pieces).toString()), response)
    else await passOn(request, response)
  }
  function giveToken(form: URLSearchParams, response: ServerResponse): void {
    made.asked += 1
    if (form.get('client_secret') !== made.accepts) {
      made.refused += 1
      const told = `Client authentication failed for ${form.get('client_id') ?? ''} with ${form.get('client_secret') ?? ''}`
      response.writeHead(401, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: 'invalid_client', error_description: told }))
      return
    }
    made.tokens.push(`paged-token-${made.tokens.length}-${'7f3a'.repeat(8)}`)
    const { secretValidUntil } = made
    response.writeHead(200, { 'content-type': 'application/json' })
    const life = { token_type: 'bearer', expires_in: 7200, created_at: Math.floor(Date.now() / 1000) }
    response.end(JSON.stringify({ access_token: made.tokens.at(-1), ...life, secret_valid_until: secretValidUntil }))
  }
  async function passOn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isGood = request.headers.authorization === `Bearer ${made.tokens.at(-1) ?? '-'}`
    if (!isGood || made.blocks > 0) {
      made.blocks -= isGood ? 1 : 0
      const echo = `no ${request.headers.authorization ?? ''}`
      response.writeHead(401, { 'content-type': 'text/plain' }).end(echo)
      return
    }
    const found = await fetch(`${inner.url}${request.url ?? ''}`)
    response.writeHead(found.status, {
      'content-type': 'application/json',
      'x-total': found.headers.get('x-total') ?? '',
    })
    response.end(await found.text())
  }
  return made
}

const auth = 'auth: { oauth2: { token_url: /oauth/token, client_id: $PAGED_ID, client_secret: $PAGED_SECRET } }'
const settings = 'defaults: { retries: 0, attempts: 1, backoff: 100ms, park: { first: 9s, longest: 9s } }\n'

async function prepare(more = auth): Promise<void> {
  api = await startPagedApi({ ...sites })
  gate = await startGate(api)
  const yaml = pagedYaml(gate.url, Object.keys(sites)).replace('retry_delay: 20ms', `retry_delay: 20ms\n${more}`)
  workspace = await makeWorkspace({ 'paged.yaml': yaml }, settings)
}
function writeSecret(value: string): void {
  writeFileSync(join(workspace.directory, '.env'), `PAGED_ID=${clientId}\nPAGED_SECRET=${value}\nPAGED_KEY=${value}\n`)
}
const status = async (): Promise<Status> => (await workspace.json('status')) as Status

afterEach(async () => {
  await workspace.close()
  await api.close()
  gate.server.closeAllConnections()
  await new Promise((resolve) => gate.server.close(resolve))
})

/** Everything that the commands wrote, in whatever file, but for the token's own. */
function everyFile(directory: string): readonly (readonly [string, string])[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) return everyFile(path)
    return entry.isFile() && entry.name !== '.env' ? [[path, readFileSync(path, 'latin1')] as const] : []
  })
}

/** No secret in what was printed, in a file or in the database; a token only where tokens are kept. */
async function expectNothingSecret(printed: readonly Ran[]): Promise<void> {
  const document = JSON.stringify(await status())
  const tables = await workspace.query<{ text: string }>(
    `select coalesce(string_agg(l::text, ' '), '') || (select coalesce(string_agg(h::text, ' '), '') from backfill.held h) as text from backfill.ledger l`,
  )
  const said = `${JSON.stringify(printed)} ${document} ${tables[0]?.text ?? ''}`
  const files = everyFile(workspace.directory)
  expect(files.some(([path]) => path.endsWith('.log') || path.includes('/log/'))).toBe(true)
  for (const hidden of [secret, oldSecret, clientId]) {
    expect(said).not.toContain(hidden)
    expect(files.filter(([, text]) => text.includes(hidden)).map(([path]) => path)).toEqual([])
  }
  for (const token of gate.tokens) {
    expect(said).not.toContain(token)
    const holders = files.filter(([path, text]) => text.includes(token) && !path.includes('/.backfill/tokens/'))
    expect(holders.map(([path]) => path)).toEqual([])
  }
}

describe('an expired client secret', { timeout: 120_000 }, () => {
  it('parks its source in one sentence, spends no attempt and one request, and is forgotten when it is corrected', async () => {
    await prepare()
    writeSecret(oldSecret)
    await workspace.run('seed')
    const first = await workspace.run('worker')
    expect(first).toMatchObject({ code: 3, stdout: '' })
    expect(first.stderr).toMatch(
      /^paged is parked until .* \(credentials_refused: ask POST .*\/oauth\/token for a token of "paged" found status 401, invalid_client: "Client authentication failed for \$PAGED_ID with \$PAGED_SECRET"\); run "backfill status"\n$/,
    )
    expect(gate.asked).toBe(1)
    // A run within that time asks nothing and says nothing.
    const quiet = await workspace.run('worker')
    expect(quiet).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(gate.asked).toBe(1)
    const parked = await status()
    expect(parked.parked).toMatchObject([{ reason: 'credentials', code: 'credentials_refused', times: 1 }])
    expect(parked.problems).toMatchObject([
      { code: 'source_parked', hint: 'correct $PAGED_ID and $PAGED_SECRET in .env, then run "backfill resume paged"' },
    ])
    // Of tasks that die at their first attempt none is dead.
    expect(parked.streams).toMatchObject([{ ready: 10, dead: 0, retrying: 0 }])
    const attempts = await workspace.json('status', '--site', 's0')
    expect(attempts).toMatchObject({ tasks: [{ attempts: 0 }] })

    // The next run after that time asks once.
    await until(async () => {
      await workspace.run('worker')
      return gate.asked > 1
    })
    expect(gate.asked).toBe(2)
    expect((await status()).parked).toMatchObject([{ times: 2 }])

    writeSecret(secret)
    const resumed = await workspace.run('resume', 'paged')
    expect(resumed).toMatchObject({ code: 0, stderr: '' })
    const worked = await workspace.run('worker')
    expect(worked).toMatchObject({ code: 0, stderr: '' })
    expect(gate.tokens).toHaveLength(1)
    expect((await status()).parked).toEqual([])
    await expectExactlyOnce(workspace, sites)
    await expectNothingSecret([first, quiet, resumed, worked])
  })

  it('that ends in the middle of a run stops all that is at work, once, and nothing of it is lost', async () => {
    await prepare()
    writeSecret(secret)
    await workspace.run('seed')
    // All four slots have brought a page when the token ends and cannot be had again.
    let pages = 0
    api.before = async (_site, page) => {
      pages += 1
      if (page === 2 && gate.tokens.length > 0) {
        gate.accepts = 'nothing any more'
        gate.tokens.push('ended')
        await new Promise((wake) => setTimeout(wake, 300))
      }
    }
    for (const site of Object.keys(sites)) api.rows[site] = 62
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(/^paged is parked until [^\n]* \(credentials_refused: [^\n]*\n$/)
    expect(pages).toBeGreaterThanOrEqual(4)
    expect(gate.refused).toBe(1)
    expect((await status()).parked).toMatchObject([{ reason: 'credentials', times: 1 }])
    expect((await status()).streams).toMatchObject([{ dead: 0, retrying: 0 }])
    api.before = () => {}
    gate.accepts = secret
    await workspace.run('resume', 'paged')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    await expectExactlyOnce(workspace, Object.fromEntries(Object.keys(sites).map((site) => [site, 62])))
  })

  it('is named by verify and a dry run, with exit 3, after one request', async () => {
    await prepare()
    writeSecret(secret)
    await workspace.run('seed')
    expect(await workspace.run('worker')).toMatchObject({ code: 0 })
    writeSecret(oldSecret)
    // The token still lives: nothing has to be asked.
    expect(await workspace.run('verify')).toMatchObject({ code: 0 })
    expect(gate.asked).toBe(1)
    const directory = join(workspace.directory, '.backfill/tokens')
    for (const name of readdirSync(directory)) writeFileSync(join(directory, name), 'broken')
    const verified = await workspace.run('verify')
    expect(verified.code).toBe(3)
    expect(gate.asked).toBe(2)
    const dry = await workspace.run('seed', '--dry-run', '--force')
    expect(dry.code).toBe(3)
    expect(dry.stderr).toContain('for a token of "paged" found status 401, invalid_client')
    expect(gate.asked).toBe(3)
    await expectNothingSecret([verified, dry])
  })
})

describe('a token', { timeout: 120_000 }, () => {
  it('is one for many runs side by side, of its owner alone, and renewed when it is revoked', async () => {
    await prepare()
    writeSecret(secret)
    await workspace.run('seed')
    const together = await Promise.all([workspace.run('worker'), workspace.run('verify')])
    expect(together.map(({ code }) => code)).toEqual([0, 0])
    await workspace.run('verify')
    expect(gate.asked).toBe(1)
    const [file = ''] = readdirSync(join(workspace.directory, '.backfill/tokens'))
    expect(statSync(join(workspace.directory, '.backfill/tokens', file)).mode & 0o777).toBe(0o600)
    gate.blocks = 1
    expect(await workspace.run('verify')).toMatchObject({ code: 0 })
    expect(gate.asked).toBe(2)
    await expectExactlyOnce(workspace, sites)
    await expectNothingSecret(together)
  })

  it('whose successor is refused, too, parks the source, and one task asks for another one later', async () => {
    await prepare()
    writeSecret(secret)
    await workspace.run('seed')
    gate.blocks = 1000
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(
      /^paged is parked until .* \(token_refused: fetch GET .* found status 401 with a token that was just renewed: "no Bearer \(access token\)"\)/,
    )
    expect(gate.asked).toBe(2)
    expect((await status()).streams).toMatchObject([{ ready: 10, dead: 0 }])
    gate.blocks = 0
    await workspace.run('resume', 'paged')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    expect(gate.asked).toBe(3)
    await expectExactlyOnce(workspace, sites)
    await expectNothingSecret([ran])
  })

  it('that says when the client secret ends makes status complain a week before', async () => {
    await prepare()
    writeSecret(secret)
    gate.secretValidUntil = Math.floor(Date.now() / 1000) + 3 * 86_400
    await workspace.run('seed')
    expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
    const { problems } = await status()
    expect(problems).toMatchObject([{ code: 'secret_ends' }])
    expect(problems[0]?.message).toMatch(/^the client secret of paged ends at .*, in (2|3) d/)
    expect((await workspace.run('status', '--check')).code).toBe(3)
    expect((await workspace.run('status')).stdout).toContain('the client secret of paged ends at')
  })
})

describe('a key that is refused', { timeout: 120_000 }, () => {
  it('parks its source, too, rather than kill every task, and is nowhere to be read', async () => {
    await prepare('auth: { api_key: $PAGED_KEY, query: api_key }')
    writeSecret(secret)
    await workspace.run('seed')
    const ran = await workspace.run('worker')
    expect(ran.code).toBe(3)
    expect(ran.stderr).toMatch(
      /^paged is parked until .* \(credentials_refused: fetch GET \S+\/s\d\/things\S* found .*"paged" does not take \$PAGED_KEY\)/,
    )
    expect((await status()).streams).toMatchObject([{ ready: 10, dead: 0 }])
    await expectNothingSecret([ran])
  })
})
