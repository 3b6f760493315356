/** A source of forms, whose further pages are asked for at another path, with times as Unix time: by the real commands into Postgres, also after a stop. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type Loopback, listenHere } from '../support/loopback.js'

let workspace: CliWorkspace
let server: Loopback
const asked: string[] = []
const total = 25

beforeEach(async () => {
  asked.length = 0
  server = await listenHere((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString()
      asked.push(`${request.url ?? ''} ${body}`)
      const from = Number(new URLSearchParams(body).get('cursor') ?? '0')
      const ids = Array.from({ length: 10 }, (_, at) => from + at + 1).filter((id) => id <= total)
      const entries = ids.map((id) => ({
        id,
        made: 1_704_067_200 + id,
        seen: `${1_704_067_200_000 + id}`,
        at: `${id}`,
      }))
      const last = ids.at(-1) ?? total
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ entries, cursor: String(last), more: last < total }))
    })
  })
  const definition = `source: drive
base_url: ${server.url}
budget: { delay: 0s }
streams:
  item:
    path: /list
    request: { form: { path: '/', limit: 10 } }
    answer: { rows: entries }
    paginate: { cursor: cursor, param: cursor, more: more, next: { path: /list/continue, params_in: body, form: { v: 2 } } }
    key: id
    columns:
      id: bigint
      made: { type: timestamptz, parse: seconds }
      seen: { type: timestamp, parse: milliseconds }
      at: { type: timestamptz, parse: seconds }
`
  workspace = await makeWorkspace({ 'drive.yaml': definition })
  await workspace.run('seed', 'drive')
})
afterEach(async () => {
  await workspace.close()
  await server.close()
})

const further = (from: number) => `/list/continue v=2&cursor=${from}`

describe('forms, further pages and Unix time', { timeout: 120_000 }, () => {
  it('come into the table, and a stop goes on with a further page', async () => {
    expect(await workspace.run('worker', '--max-requests', '1')).toMatchObject({ code: 0 })
    expect(await workspace.run('worker', '--until-empty')).toMatchObject({ code: 0 })
    expect(asked).toEqual(['/list path=%2F&limit=10', further(10), further(20)])
    const sql = `select count(*)::int as n, min(made) = '2024-01-01T00:00:01Z' as made, max(seen) = '2024-01-01T00:00:00.025' as seen,
      max(at) = '1970-01-01T00:00:25Z' as at from item`
    expect(await workspace.query(sql)).toEqual([{ n: total, made: true, seen: true, at: true }])
  })
})
