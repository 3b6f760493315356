/**
 * How a new day comes: by itself where the stream comes round by itself and was seeded whole, else by the daily `seed` of crontab.example, which makes the tasks of
 * the days that there were not yet and leaves everything else alone.
 */
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

/** Three days up to the western today: the first of them, and those that the east has more. */
async function start(
  every: string,
): Promise<{ readonly first: string; readonly known: string[]; readonly fresh: string[] }> {
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
      `  things: { path: '/things/{day}', key: [day, id], ${every} columns: { day: { type: date, dimension: day }, id: bigint } }`,
    ].join('\n'),
  })
  moveTo(west)
  return { first, known: daysFrom(first, before), fresh: daysFrom(before, after).slice(1) }
}
async function work(): Promise<string[]> {
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
  return asked().sort()
}

it('comes by itself where the stream has `every` and was seeded whole, once', { timeout: 60_000 }, async () => {
  const { known, fresh } = await start('every: 1h,')
  await workspace.run('seed')
  expect(await work()).toEqual(known)
  expect(await work()).toEqual([])
  moveTo(east)
  expect(await work()).toEqual(fresh)
  expect(await work()).toEqual([])
  // The day that was reached stays, though the clock goes back and forth.
  moveTo(west)
  expect(await work()).toEqual([])
  moveTo(east)
  expect(await work()).toEqual([])
  expect(await workspace.json('seed')).toMatchObject({ created: 0, already_done: known.length + fresh.length })
  const { streams } = (await workspace.json('status')) as {
    streams: { freshness: { fresh_to: string | null } | null }[]
  }
  expect(streams[0]?.freshness?.fresh_to).toMatch(/Z$/)
})

it('does not come by itself where a part was seeded', { timeout: 60_000 }, async () => {
  const { first } = await start('every: 1h,')
  await workspace.run('seed', '--day', first)
  expect(await work()).toEqual([first])
  moveTo(east)
  expect(await work()).toEqual([])
})

it('comes by the daily seed where nothing brings the stream round, and nothing else does', {
  timeout: 60_000,
}, async () => {
  const { known, fresh } = await start('')
  expect([daily?.[1], daily?.[2]]).toEqual(['seed', undefined])
  await workspace.run('seed')
  expect(await work()).toEqual(known)
  moveTo(east)
  expect(await work()).toEqual([])
  expect(await workspace.json('seed')).toMatchObject({ created: fresh.length, already_done: 3 })
  expect(await work()).toEqual(fresh)
  expect(await workspace.run('seed')).toMatchObject({ code: 0, stderr: '' })
  expect(await work()).toEqual([])
})
