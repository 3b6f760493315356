/** A new day comes by the daily `seed` of crontab.example: it makes the tasks of the days that there were not yet, and leaves everything else alone. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace, root } from '../support/cli-workspace.js'
import { type RowsApi, startRowsApi } from '../support/rows-api.js'

let api: RowsApi
let workspace: CliWorkspace
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const dayMs = 86_400_000
const dayIn = (zone: string): string => new Intl.DateTimeFormat('sv-SE', { timeZone: zone }).format(new Date())
const daysFrom = (first: string, last: string): string[] => {
  const days: string[] = []
  for (let at = Date.parse(first); at <= Date.parse(last); at += dayMs)
    days.push(new Date(at).toISOString().slice(0, 10))
  return days
}
/** Midnight comes by moving the workspace to a zone where it is the next day already (or the one after). */
const [west, east] = ['Pacific/Pago_Pago', 'Pacific/Kiritimati']
function moveTo(zone: string): void {
  writeFileSync(join(workspace.directory, 'backfill.yaml'), `database: $TEST_DATABASE\ntimezone: ${zone}\n`)
}
const asked = (): string[] => api.requests.splice(0).map((request) => request.replace(/^things\/(\S+) 1$/, '$1'))
/** As its line in the crontab has it, less the workspace. */
const daily = /run\.js (seed)( .*)? --workspace/.exec(readFileSync(join(root, 'crontab.example'), 'utf8'))

it('makes tasks for what is new, and for nothing else, however often it runs', { timeout: 60_000 }, async () => {
  const [before, after] = [dayIn(west), dayIn(east)]
  const first = new Date(Date.parse(before) - 2 * dayMs).toISOString().slice(0, 10)
  api = await startRowsApi({})
  workspace = await makeWorkspace({
    'acme.yaml': [
      'source: acme',
      `base_url: ${api.url}`,
      'budget: { delay: 0s }',
      `dimensions: { day: { days: { from: ${first}, to: today } } }`,
      'paginate: { page: page, size: size, total: header X-Total }',
      'streams:',
      "  things: { path: '/things/{day}', key: [day, id], every: 1h, columns: { day: { type: date, dimension: day }, id: bigint } }",
    ].join('\n'),
  })
  expect([daily?.[1], daily?.[2]]).toEqual(['seed', undefined])
  moveTo(west)
  await workspace.run('seed')
  expect((await workspace.run('worker')).code).toBe(0)
  expect(asked().sort()).toEqual(daysFrom(first, before))

  moveTo(east)
  expect((await workspace.run('worker')).code).toBe(0)
  // The worker alone lets in no day that was not seeded.
  expect(asked()).toEqual([])
  const fresh = daysFrom(before, after).slice(1)
  expect(await workspace.json('seed')).toMatchObject({ created: fresh.length, already_done: 3 })
  expect((await workspace.run('worker')).code).toBe(0)
  expect(asked().sort()).toEqual(fresh)

  const again = await workspace.run('seed')
  expect(again).toMatchObject({ code: 0, stderr: '' })
  expect((await workspace.run('worker')).code).toBe(0)
  expect(asked()).toEqual([])
})
