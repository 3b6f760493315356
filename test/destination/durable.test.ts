/** A database that answers COMMIT before it has written (`synchronous_commit = off`, a common setting): the end of a walk, which nobody asks for again, is written all the same. */
import type pg from 'pg'
import { expect, test } from 'vitest'
import { advanceOf, column, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const rows = [{ id: 1 }, { id: 2 }]

let isWatched = false
/** Notes how each transaction that moves the ledger commits: a constraint trigger speaks at the end of its statement, or last. */
async function watched(config: pg.ClientConfig) {
  if (!isWatched) {
    await openDestination(config)
    const [{ name } = { name: '' }] = await database.sql<{ name: string }>('select current_database() as name')
    await database.sql('create table commits (task uuid, done boolean, how text)')
    await database.sql(`create function note_commit() returns trigger language plpgsql as $$
      begin insert into public.commits values (new.task, new.done, current_setting('synchronous_commit')); return null; end $$`)
    await database.sql(`create constraint trigger note_commit after update of sequence on backfill.ledger
      deferrable initially deferred for each row execute function public.note_commit()`)
    await database.sql(`alter database "${name}" set synchronous_commit = off`)
  }
  isWatched = true
  return await openDestination(config)
}

const commitsOf = (task: string) => database.sql('select done, how from commits where task = $1 order by done', [task])

test.each(['merge', 'replace'] as const)(
  '%s: pages commit as the database likes, the end on the disk',
  async (disposition) => {
    const destination = await watched(database.config)
    const work = await startWork(destination, streamOf([column('id', 'bigint')], { disposition }))
    await work.flush(rows)
    const end = { done: true, proof: 'proven' as const, end: { kind: 'keep' as const } }
    await destination.flush(work.checkpoint, await work.batchOf(), advanceOf({}, end))
    expect(await commitsOf(work.lease.task.id)).toEqual([
      { done: false, how: 'off' },
      { done: true, how: 'local' },
    ])
  },
)

test('an end that comes with its rows, and one without any', async () => {
  const destination = await watched(database.config)
  for (const some of [rows, []]) {
    const work = await startWork(destination, streamOf([column('id', 'bigint')]))
    await destination.flush(work.checkpoint, await work.batchOf(some), advanceOf({}, { done: true, proof: 'proven' }))
    expect(await commitsOf(work.lease.task.id)).toEqual([{ done: true, how: 'local' }])
  }
})

test('a stricter setting is left as it is', async () => {
  const options = `${database.config.options} -c synchronous_commit=on`
  const destination = await watched({ ...database.config, options })
  const work = await startWork(destination, streamOf([column('id', 'bigint')]))
  await destination.flush(work.checkpoint, await work.batchOf(rows), advanceOf({}, { done: true, proof: 'proven' }))
  expect(await commitsOf(work.lease.task.id)).toEqual([{ done: true, how: 'on' }])
})
