/** Seeds that ended before everything was in the queue: told once their process is gone, until the same is asked for again and comes to its end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewTask } from '../../src/domain/ports.js'
import { migrate } from '../../src/queue/migrations.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { createFakeClock, type FakeClock } from '../support/fake-clock.js'
import { gonePlanner, noteBackfillPlanner, strangePlanner, successorPlanner } from '../support/planner.js'

const minute = 60_000
let folder = ''
let queue: OpenQueue
let clock: FakeClock

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'backfill-cut-off-'))
  clock = createFakeClock()
  queue = openQueue({ file: join(folder, 'queue.db'), mode: 'create', clock, timezone: 'UTC' })
})
afterEach(() => {
  queue.close()
  rmSync(folder, { recursive: true })
})

const task = (id: number): NewTask => ({ source: 'acme', stream: 'users', partition: { id: `${id}` }, priority: 0 })
const begin = (scope: string, how = 'newest', isForced = false) =>
  queue.beginBackfill({ scope, fingerprint: `${scope} ${how} ${isForced}`, reason: 'seed', isForced })
const round = (scope: string) =>
  queue.beginBackfill({ scope, fingerprint: `${scope} round`, reason: 'every', isForced: false })
const make = (backfill: string, id: number) => queue.enqueue(backfill, [task(id)], { supersede: false, skipDone: true })
const scopes = async () => (await queue.cutOffSeeds()).map(({ scope }) => scope)

const seededBy = (planner: string | null, backfill: string) =>
  noteBackfillPlanner(join(folder, 'queue.db'), backfill, planner)

async function cutOff(...given: Parameters<typeof begin>): Promise<void> {
  seededBy(gonePlanner(), await begin(...given))
}

describe('a seed', () => {
  test('that is at work is none, however long it takes, and none that came to its end', async () => {
    const done = await begin('acme')
    await queue.finishPlanning(done)
    seededBy(gonePlanner(), done)
    await begin('acme.users')
    await clock.advance(60 * minute)
    expect(await scopes()).toEqual([])
  })

  test('whose process is gone is told at once, with what was asked for and when', async () => {
    for (const [scope, planner] of [
      ['acme --site a', gonePlanner()],
      ['acme --site b', successorPlanner],
    ] as const) {
      const begunAt = clock.now()
      seededBy(planner, await begin(scope))
      expect((await queue.cutOffSeeds())[0]).toEqual({ scope, begunAt, isGone: true })
      await clock.advance(1)
    }
  })

  test('is forgotten once the same was asked for again and came to its end, however it was typed', async () => {
    await cutOff('acme')
    await cutOff('acme')
    await cutOff('acme', 'oldest')
    await cutOff('other')
    expect(await scopes()).toEqual(['other', 'acme'])
    await queue.finishPlanning(await begin('acme', 'oldest'))
    expect(await scopes()).toEqual(['other'])
  })

  test('is not told while the same is at work again, unless it was forced and that is not', async () => {
    await cutOff('acme')
    await begin('acme', 'oldest')
    expect(await scopes()).toEqual([])
    await cutOff('other', 'newest', true)
    await begin('other', 'oldest')
    expect(await scopes()).toEqual(['other'])
    await begin('other', 'oldest', true)
    expect(await scopes()).toEqual([])
  })

  test('is taken over by the process that types it again', async () => {
    const backfill = await begin('acme')
    seededBy(gonePlanner(), backfill)
    expect(await begin('acme')).toBe(backfill)
    expect(await scopes()).toEqual([])
  })

  test('that was forced is gone on with for a day; later it is begun anew, because what was done since is wanted again', async () => {
    const [forced, plain] = [await begin('acme', 'newest', true), await begin('acme')]
    await clock.advance(24 * 60 * minute - 1)
    expect(await begin('acme', 'newest', true)).toBe(forced)
    await clock.advance(1)
    const anew = await begin('acme', 'newest', true)
    expect(anew).not.toBe(forced)
    expect(await begin('acme')).toBe(plain)
    await queue.finishPlanning(anew)
    seededBy(gonePlanner(), forced)
    expect(await scopes()).toEqual([])
  })

  test('that was forced is forgotten only for another forced one', async () => {
    await cutOff('acme', 'newest', true)
    await queue.finishPlanning(await begin('acme'))
    expect(await scopes()).toEqual(['acme'])
    await queue.finishPlanning(await begin('acme', 'oldest', true))
    expect(await scopes()).toEqual([])
  })

  test('is none where it is a round of what comes round by itself', async () => {
    seededBy(gonePlanner(), await round('every acme.users'))
    expect(await scopes()).toEqual([])
  })
})

describe.each([
  ['in another container', strangePlanner],
  ['of an older version', null],
])('a seed %s', (_, planner) => {
  test('is told a minute after the last task was made', async () => {
    const backfill = await begin('acme')
    seededBy(planner, backfill)
    for (const id of [1, 2, 3]) {
      await clock.advance(minute / 2)
      await make(backfill, id)
      expect(await scopes()).toEqual([])
    }
    await clock.advance(minute - 1)
    expect(await scopes()).toEqual([])
    await clock.advance(1)
    expect(await scopes()).toEqual(['acme'])
  })

  test('is told after ten minutes where something else makes tasks all the time', async () => {
    seededBy(planner, await begin('acme'))
    const other = await round('every acme.users')
    for (let id = 1; id < 20; id += 1) {
      expect(await scopes()).toEqual([])
      await clock.advance(minute / 2)
      await make(other, id)
    }
    await clock.advance(minute / 2)
    expect(await scopes()).toEqual(['acme'])
  })
})

test('a queue of an older version keeps what it knew of forced ones', async () => {
  const file = join(folder, 'older.db')
  const db = new Database(file)
  migrate(db, 5)
  const insert = db.prepare(
    `insert into backfill (id, scope, fingerprint, reason, created_at, planned_at) values (?, 'acme', ?, 'seed', ?, ?)`,
  )
  insert.run('a', '["acme","newest",0,true]', clock.now(), null)
  insert.run('b', '["acme","newest",0,false]', clock.now(), clock.now() + 1)
  db.close()
  const options = { file, clock, timezone: 'UTC' } as const
  const reader = openQueue({ ...options, mode: 'read' })
  expect(await reader.cutOffSeeds()).toEqual([])
  reader.close()
  const holder = openQueue({ ...options, mode: 'write', migrate: true })
  await clock.advance(10 * minute)
  expect((await holder.cutOffSeeds()).map(({ scope }) => scope)).toEqual(['acme'])
  holder.close()
})
