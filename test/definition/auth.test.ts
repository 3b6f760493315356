import { describe, expect, it } from 'vitest'
import { compileYaml } from './compile-yaml.js'

const definition = (more: string): string => `source: acme
base_url: https://{region}.acme.example/v1
dimensions: { region: [eu, us] }
${more}
streams:
  users:
    path: /users
    key: id
    columns: { id: int, region: { type: text, dimension: region } }
`
const authOf = (more: string, settings = '') => {
  const { source, lines } = compileYaml(definition(more), settings)
  expect(lines).toEqual([])
  return source?.auth
}

describe('credentials', () => {
  it('by OAuth2 have their defaults, and may say everything', () => {
    const short = 'auth: { oauth2: { token_url: /oauth/token, client_id: $ID, client_secret: $SECRET } }'
    expect(authOf(short)).toEqual({
      kind: 'oauth2',
      tokenUrl: '/oauth/token',
      clientId: '$ID',
      clientSecret: '$SECRET',
      scope: null,
      send: 'form',
      marginMs: 60_000,
      aheadMs: 3_600_000,
    })
    const long = `auth: { oauth2: { token_url: 'https://{region}.login.example/t', client_id: 'u-{region}', client_secret: $SECRET,
  scope: public projects, send: basic, margin: 0, ahead: 2h } }`
    expect(authOf(long)).toMatchObject({ send: 'basic', marginMs: 0, aheadMs: 7_200_000, scope: 'public projects' })
  })

  it.each([
    ['{ bearer: $TOKEN }', { kind: 'bearer', token: '$TOKEN' }],
    ['{ api_key: $KEY }', { kind: 'apiKey', key: '$KEY', place: { header: 'x-api-key' } }],
    ['{ api_key: Token $KEY, header: Authorization }', { key: 'Token $KEY', place: { header: 'authorization' } }],
    ['{ api_key: $KEY, query: api_key }', { kind: 'apiKey', key: '$KEY', place: { query: 'api_key' } }],
    ['{ basic: { user: $USER, password: $PASSWORD } }', { kind: 'basic', user: '$USER', password: '$PASSWORD' }],
    ['{ basic: { user: ada, password: $PASSWORD } }', { user: 'ada' }],
    ["{ basic: { user: $KEY, password: '' } }", { user: '$KEY', password: '' }],
  ])('%s', (text, expected) => {
    expect(authOf(`auth: ${text}`)).toMatchObject(expected)
  })

  it('are replaced as a whole, or taken away, by backfill.yaml', () => {
    const own = 'auth: { bearer: $TOKEN }'
    const changed = authOf(own, 'sources: { acme: { auth: { api_key: $KEY, query: key } } }')
    expect(changed).toEqual({ kind: 'apiKey', key: '$KEY', place: { query: 'key' } })
    expect(authOf(own, 'sources: { acme: { auth: none } }')).toBeUndefined()
    expect(authOf('auth: none')).toBeUndefined()
    expect(authOf('timeout: 5s')).toBeUndefined()
  })

  it('change nothing of what a walk asks for: it goes on under others', () => {
    const hash = (more: string) => compileYaml(definition(more)).source?.streams.users?.requestHash
    expect(hash('auth: { bearer: $TOKEN }')).toBe(hash('auth: { api_key: $KEY, query: k }'))
  })

  it('make their dimensions those of every stream', () => {
    const text = definition('auth: { api_key: "$KEY-{region}" }').replace('https://{region}.', 'https://')
    expect(compileYaml(text).source?.streams.users?.dimensions).toEqual(['region'])
  })
})

const line4 = 'sources/acme.yaml:4'
const variable = 'expected $NAME of a variable; its value is in .env'
const kinds =
  'expected none, or one of { oauth2: { token_url: …, client_id: …, client_secret: … } }, { bearer: $TOKEN }, { api_key: $KEY, header: … }, { basic: { user: …, password: … } }'

describe('mistaken credentials', () => {
  it.each([
    ['{ bearer: hunter2hunter2 }', `auth.bearer  ${variable}, found text of 14 characters`],
    [
      '{ bearer: Bearer $T }',
      'auth.bearer  expected $NAME without the word Bearer, found text of 9 characters that begins with it',
    ],
    ['{ api_key: hunter2hunter2 }', `auth.api_key  ${variable}, found text of 14 characters`],
    ['{ basic: { user: ada, password: hunter2 } }', `auth.basic.password  ${variable}, found text of 7 characters`],
    ["{ basic: { user: ada, password: '' } }", `auth.basic.user  ${variable}, found text of 3 characters`],
    [
      '{ oauth2: { token_url: /t, client_id: a, client_secret: hunter2 } }',
      `auth.oauth2.client_secret  ${variable}, found text of 7 characters`,
    ],
    [
      '{ oauth2: { token_url: oauth/t, client_id: a, client_secret: $S } }',
      'auth.oauth2.token_url  expected an http or https address, or a path from the origin of base_url like /oauth/token, found text of 7 characters',
    ],
    [
      '{ oauth2: { token_url: "https://a:b@acme.example/t", client_id: a, client_secret: $S } }',
      'auth.oauth2.token_url  expected an http or https address, or a path from the origin of base_url like /oauth/token, found text of 26 characters',
    ],
    [
      '{ oauth2: { token_url: "/t/{planet}", client_id: a, client_secret: $S } }',
      'auth.oauth2.token_url  expected a dimension: "region", found "planet"',
    ],
    [
      '{ oauth2: { token_url: /t, client_id: a, client_secret: $S, send: form_data } }',
      'auth.oauth2.send  expected one of form, json, basic, found text of 9 characters',
    ],
    [
      '{ oauth2: { token_url: /t, client_id: a, client_secret: $S, margin: 2 } }',
      'auth.oauth2.margin  expected a duration like 500ms, 2s, 5m, 4h or 7d, from 0ms to 1h, found 2',
    ],
    [
      '{ oauth2: { token_url: /t, client_secret: $S } }',
      'auth.oauth2.client_id  expected $NAME of a variable, or the id, found nothing',
    ],
    ['{ api_key: $K, header: X-Key, query: key }', 'auth.query  expected a header or a query parameter, found both'],
    ['{ api_key: $K, header: "X Key" }', 'auth.header  expected the name of a header, found another text'],
    ['hunter2', `auth  ${kinds}, found text of 7 characters`],
  ])('%s', (text, expected) => {
    const { lines } = compileYaml(definition(`auth: ${text}`))
    expect(lines).toEqual([`${line4}  ${expected}`])
  })

  it('of two kinds at once are refused', () => {
    const { lines } = compileYaml(definition('auth: { bearer: $T, basic: { user: $U, password: $P } }'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^sources\/acme\.yaml:4 {2}auth/)
  })

  it('beside a header that says the same are refused, where that stands', () => {
    const text = definition('headers: { Authorization: Bearer $T }\nauth: { bearer: $T }')
    expect(compileYaml(text).lines).toEqual([
      `${line4}  headers.Authorization  expected no header that "auth" sets, found "Authorization"`,
    ])
    const settings = 'sources: { acme: { headers: { X-API-Key: abc }, auth: { api_key: $K } } }'
    expect(compileYaml(definition('timeout: 5s'), settings).lines).toEqual([
      'backfill.yaml:1  sources.acme.headers.X-API-Key  expected no header that "auth" sets, found "X-API-Key"',
    ])
  })

  it('of backfill.yaml are refused at their place there', () => {
    const settings = 'sources:\n  acme:\n    auth: { bearer: hunter2hunter2 }'
    expect(compileYaml(definition('auth: { bearer: $T }'), settings).lines).toEqual([
      `backfill.yaml:3  sources.acme.auth.bearer  ${variable}, found text of 14 characters`,
    ])
  })

  it('that travel in plain are worth a note', () => {
    const token = (url: string) => `auth: { oauth2: { token_url: "${url}", client_id: $ID, client_secret: $S } }`
    expect(compileYaml(definition(token('http://login.example/t'))).notes).toEqual([
      'source "acme" sends its client secret over plain http to login.example: it can be read on the way',
    ])
    expect(compileYaml(definition(token('http://localhost:8080/t'))).notes).toEqual([])
  })
})

describe('the fates of a status', () => {
  const statusesOf = (text: string) => {
    const { source, lines } = compileYaml(definition(`statuses: ${text}`))
    return lines.length > 0 ? lines : source?.streams.users?.settings.statuses
  }

  it('may be told by the content type, an empty body and a header', () => {
    const wall = '{ content_type: Text/HTML, fate: retry }'
    const challenge = '{ header: WWW-Authenticate, contains: insufficient, fate: dead }'
    expect(statusesOf(`{ 404: retry, 403: [${wall}, { empty: true, fate: dead }, ${challenge}, budget] }`)).toEqual({
      404: 'retry',
      403: [
        { contentType: 'text/html', fate: 'retry' },
        { isEmpty: true, fate: 'dead' },
        { header: { name: 'www-authenticate', contains: 'insufficient' }, fate: 'dead' },
        { fate: 'budget' },
      ],
    })
  })

  it.each([
    [
      '{ 403: [{ content_type: html, fate: retry }] }',
      '403[0].content_type  expected a media type like text/html, without parameters, found "html"',
    ],
    [
      '{ 403: [{ content_type: text/html }] }',
      '403[0].fate  expected one of retry, dead, budget, credentials, found nothing',
    ],
    [
      '{ 403: [{ contains: x, fate: dead }] }',
      '403[0].contains  expected header or path, whose text it is about, found "x"',
    ],
    [
      '{ 403: [] }',
      '403  expected retry, dead, budget, credentials, or a list like [{ content_type: text/html, fate: retry }, dead], found an empty list',
    ],
  ])('%s is refused', (text, expected) => {
    expect(statusesOf(text)).toEqual([`${line4}  statuses.${expected}`])
  })
})
