// School 42 through the built program, against a school in a process of its own and the replaced scripts' tables: what is loaded, what is held, what is refused and parked.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { syntheticApplication } from '../../src/simulators/school-42/tokens.js'
import { createDatabase, type TestDatabase } from '../support/postgres.js'
import { openStage, restingStreams, type SchoolStage } from '../support/school-stage.js'
import { wantedOf } from '../support/school-truth.js'

const settings = {
  budget: { limits: ['1000/s'], delay: '0s', concurrency: 4 },
  ...{ retry_delay: '20ms', backoff: '50ms', streams: restingStreams },
}
const unlimited = { secondly: null, hourly: null }

let database: TestDatabase
let stage: SchoolStage
beforeAll(async () => {
  database = await createDatabase()
  stage = await openStage({ database, school: { size: { users: 150 }, switches: unlimited }, settings })
  await stage.seed()
}, 120_000)
afterAll(async () => {
  await stage.close()
  await database.drop()
})

const audited = async () => (await stage.school.audit()).length

describe('School 42', { timeout: 120_000 }, () => {
  it('is loaded in one run after one seed, row by row as the school has it, children with their parents', async () => {
    const run = await stage.work()
    expect(run).toMatchObject({ exit_code: 0, died: [], retrying: 0 })
    expect(await stage.differences()).toEqual({})
    expect(await audited()).toBeLessThan(2 * (await stage.school.least()).least)
  })

  it('keeps marks above 100, names with a question mark, long fractions and instants of another zone', async () => {
    const [found] = await stage.query(`select
      (select max(final_mark) from project_users) as mark,
      (select count(*)::int from project_users where validated is null) as unknown,
      (select count(*)::int from cursus_users where level::text ~ '[.][0-9]{10,}') as fractions,
      (select count(*)::int from users where extract(hour from anonymize_date at time zone 'UTC') = 16) as eastern,
      (select count(*)::int from users where staff) as staff`)
    const truth = wantedOf(await stage.school.truth())
    expect(found).toEqual({
      mark: 125,
      unknown: truth.projects_users.filter((row) => row['validated?'] === null).length,
      fractions: expect.any(Number) as number,
      eastern: expect.any(Number) as number,
      staff: truth.users.filter((row) => row['staff?']).length,
    })
    expect(Number(found?.fractions)).toBeGreaterThan(0)
    expect(Number(found?.eastern)).toBeGreaterThan(0)
  })

  it('keeps two coalitions of one slug and pairs that come twice, and asks for no member whom no list names', async () => {
    const slugs = await stage.query('select slug from coalitions group by slug having count(*) > 1')
    const pairs = await stage.query('select from coalitions_users group by coalition_id, user_id having count(*) > 1')
    expect([slugs.length, pairs.length]).toEqual([1, 3])
  })

  it('asks for nothing while nothing is due', async () => {
    const before = await audited()
    expect(await stage.work()).toMatchObject({ end: 'nothing_due', requests: 0 })
    expect(await audited()).toBe(before)
  })

  it('holds what names an unknown parent as waiting, and puts it into its table when the parent comes', async () => {
    const truth = wantedOf(await stage.school.truth())
    const [won, achievement] = [truth.achievements_users[0], truth.achievements[0]]
    if (won === undefined || achievement === undefined) throw new Error('a school without achievements')
    const id = 9_000_001
    const row = { ...won, id: 8_000_001, achievement_id: id }
    await stage.school.mutate({ table: 'achievements_users', insert: row })
    const asked = ['seed', 'school42.achievements_users', '--force', '--user-id', String(won.user_id)]
    expect(await stage.workspace.run(...asked)).toMatchObject({ code: 0 })
    await stage.work('school42.achievements_users')
    const waiting = await stage.query('select code, parent_key::text from backfill.held')
    expect(waiting).toEqual([{ code: 'parent_missing', parent_key: `{${id}}` }])
    const parent = { ...achievement, id }
    await stage.school.mutate({ table: 'achievements', insert: parent })
    expect(await stage.workspace.run('seed', 'school42.achievements', '--force')).toMatchObject({ code: 0 })
    expect(await stage.work('school42.achievements')).toMatchObject({ put_back: 1 })
    expect(await stage.query('select from backfill.held')).toEqual([])
  })

  it('refuses a campus that does not exist before a request is spent', async () => {
    const before = await audited()
    expect(await stage.workspace.run('seed', 'school42.users', '--campus-id', '999')).toMatchObject({ code: 0 })
    const run = await stage.work('school42.users')
    expect(run.exit_code).toBe(3)
    expect(run.died).toEqual([expect.objectContaining({ code: 'unknown_partition' })])
    expect(run.died[0]?.message).toContain('999')
    expect(await audited()).toBe(before)
  })

  it('refuses a filter that the source ignores, with the program as with the compiler', async () => {
    stage.workspace.configure({ ...settings, streams: { projects_users: { filter: { cursus: 21 } } } })
    const { code, stderr } = await stage.workspace.run('status')
    stage.workspace.configure(settings)
    expect(code).toBe(2)
    expect(stderr).toContain('cursus')
  })

  it('parks with one sentence when the secret has ended, spends no attempt, and goes on with a new one', async () => {
    await stage.school.set({ secretValidUntil: Math.floor(Date.now() / 1000) - 60, reusesToken: false })
    await stage.school.revokeTokens()
    await stage.seed('--force')
    const before = await audited()
    const run = await stage.work()
    expect(run).toMatchObject({ exit_code: 3, died: [] })
    expect(run.parked).toHaveLength(1)
    expect(run.parked[0]?.message).not.toContain(syntheticApplication.clientSecret)
    // Not one refused token request for each task: what was in flight at most.
    expect((await audited()) - before).toBeLessThan(12)
    const queue = new Sqlite(join(stage.workspace.directory, 'queue.db'), { readonly: true })
    const { spent } = queue
      .prepare(`select coalesce(max(attempts), 0) as spent from task where state = 'ready'`)
      .get() as { spent: number }
    queue.close()
    expect(spent).toBe(0)
    await stage.school.set({ secretValidUntil: null })
    expect((await stage.workspace.run('resume', 'school42')).code).toBe(0)
    const [last] = (await stage.settle()).slice(-1)
    expect(last).toMatchObject({ exit_code: 0 })
    expect(await stage.differences()).toEqual({})
  })

  it('writes no secret and no token to any file but .env and the token store', () => {
    const log = join(stage.workspace.directory, '.backfill/log')
    expect(existsSync(log)).toBe(true)
    expect(readFileSync(join(stage.workspace.directory, 'queue.db')).includes(syntheticApplication.clientSecret)).toBe(
      false,
    )
  })
})
