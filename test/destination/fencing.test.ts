import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startProxy } from '../support/proxy.js'
import { advanceOf, claim, column, heldPromises, openDestination, startWork, streamOf, useDatabase } from './setup.js'

const database = useDatabase()
const idAndName = [column('id', 'bigint'), column('name', 'text')]

/** The database behind a proxy, and a destination that goes through it. */
async function openThroughProxy(overrides: Parameters<typeof openDestination>[1] = {}) {
  const { host, port } = database.config
  const proxy = await startProxy({ path: join(host, `.s.PGSQL.${port}`) })
  onTestFinished(() => proxy.close())
  const destination = await openDestination({ ...database.config, host: '127.0.0.1', port: proxy.port }, overrides)
  return { proxy, destination }
}

test('a claim raises the epoch, and the flush of the claim before it is refused', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const asleep = await startWork(destination, stream)
  await asleep.flush([{ id: 1 }])
  const awake = await claim(destination, asleep.lease)
  expect(awake.epoch).toBe(asleep.checkpoint.epoch + 1)
  expect(awake.sequence).toBe(1)
  await expect(asleep.flush([{ id: 2 }])).rejects.toMatchObject({ name: 'FencedError' })
  await heldPromises(database.sql, stream, [1])
})

test('a claim waits for a flush in doubt no longer than a lock may take, and leaves nothing that claims later', async () => {
  const destination = await openDestination(database.config, { deadlines: { lockMs: 50 } })
  const work = await startWork(destination, streamOf(idAndName))
  await database.sql('begin')
  await database.sql('update backfill.ledger set sequence = sequence where task = $1', [work.lease.task.id])
  await expect(claim(destination, work.lease)).rejects.toMatchObject({
    name: 'DestinationUnavailable',
    code: 'database_contention',
  })
  await database.sql('rollback')
  expect((await claim(destination, work.lease)).epoch).toBe(work.checkpoint.epoch + 1)
})

test('a claim takes the epoch of its lease where that is higher', async () => {
  const destination = await openDestination(database.config)
  const work = await startWork(destination, streamOf(idAndName))
  const checkpoint = await claim(destination, { ...work.lease, epoch: 40 })
  expect(checkpoint.epoch).toBe(40)
})

test('a flush repeated after its own commit adopts what that one did', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const batch = await work.batchOf([{ id: 1 }, { id: 2 }])
  const first = await destination.flush(work.checkpoint, batch, advanceOf())
  const second = await destination.flush(work.checkpoint, batch, advanceOf())
  expect(second).toEqual(first)
  await heldPromises(database.sql, stream, [1, 2])
})

test('a ledger row that is gone or behind is a restored database, not a newer claim', async () => {
  const destination = await openDestination(database.config)
  const work = await startWork(destination, streamOf(idAndName))
  await database.sql('delete from backfill.ledger where task = $1', [work.lease.task.id])
  await expect(work.flush([{ id: 1 }])).rejects.toMatchObject({ name: 'DestinationUnavailable', code: 'ledger_behind' })
})

test('a COMMIT whose answer is lost is in doubt, and the next claim finds it promoted', async () => {
  const { proxy, destination } = await openThroughProxy()
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const cut = proxy.cutAnswerOf('commit\0')
  await expect(work.flush([{ id: 1 }])).rejects.toMatchObject({
    name: 'DestinationUnavailable',
    context: { inDoubt: true },
  })
  await cut
  expect(await claim(destination, work.lease)).toMatchObject({ sequence: 1, totals: { created: 1 } })
  await heldPromises(database.sql, stream, [1])
})

test('a COMMIT that never arrived is in doubt too, and the next claim finds nothing promoted', async () => {
  const { proxy, destination } = await openThroughProxy()
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const cut = proxy.cutBefore('commit\0')
  await expect(work.flush([{ id: 1 }])).rejects.toMatchObject({ context: { inDoubt: true } })
  await cut
  work.checkpoint = await claim(destination, work.lease)
  expect(work.checkpoint.sequence).toBe(0)
  await work.flush([{ id: 1 }])
  await heldPromises(database.sql, stream, [1])
})

test('an empty flush whose answer is lost is in doubt as well', async () => {
  const { proxy, destination } = await openThroughProxy()
  const work = await startWork(destination, streamOf(idAndName))
  const cut = proxy.cutAnswerOf('backfill_ledger_move')
  await expect(work.flush()).rejects.toMatchObject({ context: { inDoubt: true } })
  await cut
  expect((await claim(destination, work.lease)).sequence).toBe(1)
})

test('a connection lost during COPY is unavailable, without doubt, and the pool goes on', async () => {
  const { proxy, destination } = await openThroughProxy()
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  const cut = proxy.cutBefore('copy')
  const error = await work.flush([{ id: 1 }]).catch((reason: unknown) => reason)
  await cut
  expect(error).toMatchObject({ name: 'DestinationUnavailable', code: 'database_unavailable' })
  expect(error).not.toMatchObject({ context: { inDoubt: true } })
  work.checkpoint = await claim(destination, work.lease)
  await work.flush([{ id: 1 }])
  await heldPromises(database.sql, stream, [1])
})

test('a connection that freezes inside COPY is given up at the deadline and holds nobody up', async () => {
  const { proxy, destination } = await openThroughProxy({ deadlines: { answerMs: 300 } })
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  proxy.freezeAt('copy')
  const flush = work.flush(Array.from({ length: 5000 }, (_, id) => ({ id, name: 'x'.repeat(200) })))
  await expect(flush).rejects.toMatchObject({ name: 'DestinationUnavailable', code: 'database_silent' })
  const other = await openDestination(database.config)
  work.checkpoint = await claim(other, work.lease)
  const { checkpoint } = await other.flush(work.checkpoint, await work.batchOf([{ id: 1 }]), advanceOf())
  expect(checkpoint.sequence).toBe(1)
  proxy.cut()
  await heldPromises(database.sql, stream, [1])
})

test('a backend that is terminated is unavailable, and the next flush connects anew', async () => {
  const destination = await openDestination(database.config, { maxConnections: 1 })
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  await database.sql(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'backfill' and datname = current_database()",
  )
  const result = await work.flush([{ id: 1 }]).catch((error: unknown) => error)
  if (result instanceof Error) {
    expect(result).toMatchObject({ name: 'DestinationUnavailable' })
    work.checkpoint = await claim(destination, work.lease)
    await work.flush([{ id: 1 }])
  }
  await heldPromises(database.sql, stream, [1])
})

test('abort ends every wait at once', async () => {
  const stop = new AbortController()
  const { proxy, destination } = await openThroughProxy({ signal: stop.signal })
  const work = await startWork(destination, streamOf(idAndName))
  proxy.freeze()
  const flush = work.flush([{ id: 1 }])
  stop.abort()
  await expect(flush).rejects.toMatchObject({ name: 'StoppedError' })
})

test('a lock that is not to be had is contention, after a few tries', async () => {
  const destination = await openDestination(database.config, { deadlines: { lockMs: 50 } })
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  await database.sql('begin')
  await database.sql(`lock table public."${stream.name}" in access exclusive mode`)
  await expect(work.flush([{ id: 1 }])).rejects.toMatchObject({
    name: 'DestinationUnavailable',
    code: 'database_contention',
  })
  await database.sql('rollback')
  await work.flush([{ id: 1 }])
  await heldPromises(database.sql, stream, [1])
})

test('a table that changed under a run is a conflict, not a bad row', async () => {
  const destination = await openDestination(database.config)
  const stream = streamOf(idAndName)
  const work = await startWork(destination, stream)
  await database.sql(`alter table public."${stream.name}" drop column name`)
  await expect(work.flush([{ id: 1 }])).rejects.toMatchObject({
    name: 'PromotionConflict',
    context: { sqlstate: '42703' },
  })
})

test('a read-only database is unavailable', async () => {
  const destination = await openDestination(database.config)
  const work = await startWork(destination, streamOf(idAndName))
  const [row] = await database.sql<{ name: string }>('select current_database() as name')
  const name = `"${row?.name ?? ''}"`
  await database.sql(`alter database ${name} set default_transaction_read_only = on`)
  onTestFinished(async () => {
    await database.sql(`alter database ${name} reset default_transaction_read_only`)
  })
  const later = await openDestination(database.config)
  await expect(later.flush(work.checkpoint, await work.batchOf([{ id: 1 }]), advanceOf())).rejects.toMatchObject({
    name: 'DestinationUnavailable',
    code: 'database_read_only',
  })
})

test('no message holds the password', async () => {
  const config = { ...database.config, host: '127.0.0.1', port: 1, password: 'secret-word' }
  const error = await openDestination(config).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ name: 'DestinationUnavailable', code: 'database_unavailable' })
  expect(JSON.stringify(error) + String(error)).not.toContain('secret-word')
})
