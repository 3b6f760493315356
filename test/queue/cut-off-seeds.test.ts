/** Seeds that ended before everything was in the queue: told once they are quiet, until the same is asked for again and comes to its end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { NewTask } from '../../src/domain/ports.js'
import { type OpenQueue, openQueue } from '../../src/queue/queue.js'
import { createFakeClock, type FakeClock } from '../support/fake-clock.js'

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
const begin = (scope: string, how = 'newest', reason: 'seed' | 'every' = 'seed') =>
  queue.beginBackfill({ scope, fingerprint: `${scope} ${how}`, reason })
const make = (backfill: string, id: number) => queue.enqueue(backfill, [task(id)], { supersede: false, skipDone: true })
const scopes = async () => (await queue.cutOffSeeds()).map(({ scope }) => scope)

test('one that is at work, or came to its end, is none', async () => {
  const done = await begin('acme')
  await make(done, 1)
  await queue.finishPlanning(done)
  await clock.advance(minute)
  expect(await scopes()).toEqual([])
  const working = await begin('acme.users')
  for (let id = 2; id < 6; id += 1) {
    await make(working, id)
    await clock.advance(minute / 2)
    expect(await scopes()).toEqual([])
  }
})

test('is told a minute after the last task was made, with what was asked for and when', async () => {
  const begunAt = clock.now()
  const backfill = await begin('acme --site a')
  await clock.advance(minute / 2)
  await make(backfill, 1)
  await clock.advance(minute - 1)
  expect(await scopes()).toEqual([])
  await clock.advance(1)
  expect(await queue.cutOffSeeds()).toEqual([{ scope: 'acme --site a', begunAt }])
})

test('is told after ten minutes where something else makes tasks all the time', async () => {
  await begin('acme')
  const other = await begin('every acme.users', 'round', 'every')
  for (let id = 1; id < 20; id += 1) {
    expect(await scopes()).toEqual([])
    await clock.advance(minute / 2)
    await make(other, id)
  }
  await clock.advance(minute / 2)
  expect(await scopes()).toEqual(['acme'])
})

test('is forgotten once the same was asked for again and came to its end, however it was typed', async () => {
  await begin('acme')
  await begin('acme')
  await begin('acme', 'oldest')
  await begin('other')
  await clock.advance(minute)
  expect(await scopes()).toEqual(['other', 'acme'])
  await queue.finishPlanning(await begin('acme', 'oldest'))
  expect(await scopes()).toEqual(['other'])
})

test('a forced one is forgotten only for another forced one', async () => {
  const fingerprint = (priority: number, isForced: boolean) => JSON.stringify(['acme', 'newest', priority, isForced])
  const force = (priority: number, isForced: boolean) =>
    queue.beginBackfill({ scope: 'acme', fingerprint: fingerprint(priority, isForced), reason: 'seed' })
  await force(0, true)
  await clock.advance(minute)
  await queue.finishPlanning(await force(0, false))
  expect(await scopes()).toEqual(['acme'])
  await queue.finishPlanning(await force(5, true))
  expect(await scopes()).toEqual([])
})

test('what comes round by itself is none', async () => {
  await begin('every acme.users', 'round', 'every')
  await clock.advance(minute)
  expect(await scopes()).toEqual([])
})
