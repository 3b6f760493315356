/** A row that can never be stored, given up by hand: no alarm any more, and none is hidden by it. By the real commands. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type CliWorkspace, makeWorkspace } from '../support/cli-workspace.js'
import { type RowsApi, startRowsApi } from '../support/rows-api.js'

const acme = (url: string, day = 'date') => `source: acme
base_url: ${url}
budget: { delay: 0s }
backoff: 10ms
paginate: { page: page, size: size, total: header X-Total }
page_size: 10
streams:
  days:
    path: /days
    key: id
    columns: { id: bigint, day: ${day} }
`
const days = (count: number) => Array.from({ length: count }, (_, at) => ({ id: at + 1, day: '2025-01-01' }))
const noDay = { id: 25, day: '1899-02-31' }

let api: RowsApi
let workspace: CliWorkspace

beforeEach(async () => {
  api = await startRowsApi({ days: [...days(24), noDay] })
  workspace = await makeWorkspace({ 'acme.yaml': acme(api.url) })
  await workspace.run('seed')
  await workspace.run('worker')
})
afterEach(async () => {
  await workspace.close()
  await api.close()
})

const walkAgain = async () => {
  await workspace.run('seed', '--force')
  expect(await workspace.run('worker')).toMatchObject({ code: 0, stderr: '' })
}

it('ends the alarm of a nightly verify and of status, and is listed apart', { timeout: 120_000 }, async () => {
  expect(await workspace.run('verify')).toMatchObject({ code: 3 })
  expect((await workspace.run('status')).stdout).toContain('1 row is set aside now: "backfill status --held"')

  const given = await workspace.run('retry', '--held', '--dismiss', 'acme.days', '--note', 'no such day')
  expect(given).toMatchObject({ code: 0, stderr: '' })
  expect(given.stdout).toMatch(/^acme\.days: 1 row is given up\n/)
  expect(given.stdout).toMatch(/GIVEN UP +CODE +ROWS[^]*given up \d\d:\d\d: no such day\n/)
  const status = await workspace.run('status')
  expect(status.stdout).not.toContain('set aside with a reason')
  expect(status.stdout).toContain('1 row is set aside and given up: "backfill status --held"')
  expect(await workspace.json('status')).toMatchObject({
    streams: [{ held: { rejected: 0, waiting: 0, dismissed: 1 } }],
  })

  const verified = await workspace.run('verify')
  expect(verified).toMatchObject({ code: 0 })
  expect(verified.stdout).toContain('the source has 25 rows: 24 in the table, 1 given up by hand')
  expect(verified.stdout).toContain('1 partition is equal to the source, 1 row given up (')
  for (const { stdout } of [given, status, verified])
    expect(stdout.split('\n').every((line) => line.length <= 80)).toBe(true)
  expect(await workspace.json('verify', '--strict')).toMatchObject({
    verdicts: { equal: 1, discrepancy: 0 },
    partitions: [{ verdict: 'equal', expected: { count: 25 }, actual: { rows: 24, held: 1, dismissed: 1 } }],
    exit_code: 0,
  })

  await walkAgain()
  expect(await workspace.run('verify')).toMatchObject({ code: 0 })
  expect(await workspace.run('status', '--held', '--check')).toMatchObject({ code: 0 })
  expect((await workspace.run('status', '--held')).stdout).toMatch(/^no row is held; 1 was given up\n/)
  expect(await workspace.json('status', '--held', '--raw')).toMatchObject({
    ...{ total: 1, dismissed: 1 },
    groups: [{ dismissal_note: 'no such day' }],
    rows: [{ dismissal_note: 'no such day', raw: '{"id":25,"day":"1899-02-31"}' }],
  })
})

it('hides no loss: a row that goes is a discrepancy, a record that changed is held anew', {
  timeout: 120_000,
}, async () => {
  await workspace.run('retry', '--held', '--dismiss', '--code', 'invalid_value')
  await workspace.query('delete from days where id = 3')
  const lost = await workspace.run('verify')
  expect(lost).toMatchObject({ code: 3 })
  expect(lost.stdout.replaceAll(/\s+/g, ' ')).toContain(
    'the source has 25 rows, the table 23, and 1 is given up: 1 missing; run "backfill seed acme.days --force"',
  )
  api.rows.days = [...days(24), { ...noDay, day: '1899-02-30' }]
  await walkAgain()
  expect(await workspace.run('verify')).toMatchObject({ code: 3 })
  expect(await workspace.run('status', '--held', '--check')).toMatchObject({ code: 3 })
  expect((await workspace.run('status')).stdout).toContain('1 row is set aside now, of 2 that were held')

  // It went at the source: what was given up stands in for nothing else that went from the table.
  await workspace.run('retry', '--held', '--dismiss', 'acme')
  api.rows.days = days(24)
  await walkAgain()
  expect(await workspace.run('verify')).toMatchObject({ code: 0 })
  await workspace.query('delete from days where id = 3')
  const gone = await workspace.run('verify')
  expect(gone).toMatchObject({ code: 3 })
  expect(gone.stdout.replaceAll(/\s+/g, ' ')).toContain(
    '1 missing; run "backfill seed acme.days --force" (1 row given up explains none of it: the last walk did not bring it any more)',
  )
})

it('is put through a mended definition like any other, and is off the list then', { timeout: 120_000 }, async () => {
  await workspace.run('retry', '--held', '--dismiss', 'acme')
  const tried = await workspace.run('retry', '--held')
  expect(tried).toMatchObject({ code: 0, stderr: '' })
  expect(tried.stdout).toContain('acme.days: 0 of 1 row went in (0 new, 0 changed), 1 still held and given up')
  await workspace.query('alter table days alter column day type text')
  writeFileSync(join(workspace.directory, 'sources/acme.yaml'), acme(api.url, 'text'))
  const mended = await workspace.run('retry', '--held', 'acme.days')
  expect(mended).toMatchObject({ code: 0, stderr: '' })
  expect(mended.stdout).toContain(
    'acme.days: 1 of 1 row went in (1 new, 0 changed), 1 no longer held that had been given up',
  )
  expect((await workspace.run('status', '--held')).stdout).toBe('no row is held\n')
  expect(await workspace.json('status')).toMatchObject({ streams: [{ held: { dismissed: 0 } }] })
  expect(await workspace.query('select day from days where id = 25')).toEqual([{ day: '1899-02-31' }])
})

it('wants a source, a stream or a code typed, and no worker at work', { timeout: 120_000 }, async () => {
  for (const args of [[], ['--note', 'x'], ['--json']]) {
    const bare = await workspace.run('retry', '--held', '--dismiss', ...args)
    expect(bare).toMatchObject({ code: 2 })
    expect(bare.stdout + bare.stderr).toContain('needs to be told which rows to give up')
  }
  expect(await workspace.run('retry', '--held', '--note', 'x')).toMatchObject({ code: 2 })
  expect(await workspace.run('retry', '--held', '--dismiss', 'acme', '--all')).toMatchObject({ code: 2 })
  expect(await workspace.run('retry', '--held', '--dismiss', 'acme.night')).toMatchObject({ code: 2 })
  expect((await workspace.run('retry', '--held', '--dismiss', 'acme', '--code', 'other')).stdout).toMatch(
    /^No held row matches\n/,
  )

  let open: (() => void) | undefined
  const asked = new Promise<void>((resolve) => (open = resolve))
  api.before = (_name, _page, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    open?.()
  }
  await workspace.run('seed', '--force')
  const worker = workspace.start('worker')
  await asked
  expect(await workspace.run('retry', '--held', '--dismiss', 'acme')).toMatchObject({ code: 75 })
  worker.child.kill('SIGKILL')
  await worker.ended
  expect(await workspace.query('select dismissed_at from backfill.held')).toEqual([{ dismissed_at: null }])
  expect(await workspace.json('retry', '--held', '--dismiss', 'acme', '--note', 'why')).toMatchObject({
    dismissed: [{ source: 'acme', stream: 'days', rows: 1, waiting: 0, before: 0 }],
    note: 'why',
    held: { total: 1, dismissed: 1, groups: [{ count: 1, dismissal_note: 'why' }] },
    exit_code: 0,
  })
})
