/** Rows that wait for their parent while a run goes on: tried when the parent's table moved, and not before. */
import { expect, test } from 'vitest'
import type { HeldCount } from '../../src/domain/held.js'
import { Run } from '../../src/worker/run.js'
import { WaitingRows } from '../../src/worker/waiting-rows.js'
import { column, openDestination, startWork, streamOf, useDatabase } from '../destination/setup.js'
import { until } from '../support/cli-workspace.js'
import { createFakeClock } from '../support/fake-clock.js'

const database = useDatabase()

async function family() {
  const destination = await openDestination(database.config)
  const parent = streamOf([column('id', 'bigint')])
  await destination.openTable(parent)
  const reference = { column: 'user_id', table: parent.table, targetColumn: 'id' }
  const child = streamOf([column('id', 'bigint'), column('user_id', 'bigint')], { references: [reference] })
  const clock = createFakeClock()
  const stop = new AbortController()
  const run = new Run(
    {
      ...{ runId: 'r', streams: [], filter: {}, maxRuntimeMs: null, maxRequests: null, maxTasks: null, claim: null },
      ...{
        today: '2026-01-01',
        concurrency: null,
        metricsIntervalMs: null,
        untilEmpty: false,
        timezone: 'UTC',
        signal: new AbortController().signal,
      },
    },
    clock,
  )
  const noted: (readonly HeldCount[])[] = []
  const queue = { noteHeld: (counts: readonly HeldCount[]) => Promise.resolve(void noted.push(counts)) }
  const waiting = new WaitingRows([parent, child], { run, destination, queue, clock, log: () => undefined })
  const rows = async () => (await database.sql(`select id from public."${child.name}"`)).length
  const works = { parent: await startWork(destination, parent), child: await startWork(destination, child) }
  await works.child.flush([{ id: 1, user_id: 1 }])
  return { parent, child, clock, stop, run, waiting, noted, rows, works }
}

test('they go in while the run goes on, some seconds after a flush of the parent', async () => {
  const { parent, clock, stop, run, waiting, rows, works } = await family()
  const watching = waiting.watch(stop.signal)
  await works.parent.flush([{ id: 1 }])
  await clock.advance(60_000)
  await until(() => clock.sleepers.length > 0)
  expect(await rows()).toBe(0)
  waiting.moved(parent)
  await clock.advance(10_000)
  await until(async () => (await rows()) === 1)
  stop.abort()
  await watching
  expect(run.putBack).toBe(1)
})

test('at the end of the run all are tried, and what is still held is noted; a run that must end at once only notes', async () => {
  const { child, run, waiting, noted, rows, works } = await family()
  await works.parent.flush([{ id: 1 }])
  await works.child.flush([{ id: 2, user_id: 9 }])
  await waiting.finish()
  expect(await rows()).toBe(1)
  expect(noted.at(-1)).toContainEqual({ source: 'test', stream: child.name, waiting: 1, rejected: 0 })
  await works.parent.flush([{ id: 9 }])
  run.stop('signal', 'SIGTERM')
  await waiting.finish()
  expect(await rows()).toBe(1)
  expect(noted).toHaveLength(2)
})
