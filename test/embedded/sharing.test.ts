import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ask, isRunning, newWorkbench, serverPid } from './workbench.js'

const bench = newWorkbench()
afterAll(() => bench.clear())

it('is shared by two commands, and stopped by the last one out', async () => {
  const directory = await bench.newWorkspace()
  const first = await bench.startUser({ directory })
  const second = await bench.startUser({ directory })
  const pid = await serverPid(directory)
  expect(second.connection).toEqual(first.connection)
  await first.leave()
  expect(await ask(second.connection, 'select 1')).toBe(1)
  expect(await serverPid(directory)).toBe(pid)
  await second.leave()
  expect(isRunning(pid)).toBe(false)
})

it('counts no command that was killed', async () => {
  const directory = await bench.newWorkspace()
  const [killed, living] = await Promise.all([bench.startUser({ directory }), bench.startUser({ directory })])
  const pid = await serverPid(directory)
  await killed.kill()
  expect(await ask(living.connection, 'select 1')).toBe(1)
  await living.leave()
  expect(isRunning(pid)).toBe(false)
})

it('adopts the server of a command that was killed, and stops it in the end', async () => {
  const directory = await bench.newWorkspace()
  await (await bench.startUser({ directory })).kill()
  const pid = await serverPid(directory)
  expect(isRunning(pid)).toBe(true)
  const server = await bench.open({ directory })
  expect(await serverPid(directory)).toBe(pid)
  expect(await ask(server.connection, 'select 1')).toBe(1)
  await server.close()
  expect(isRunning(pid)).toBe(false)
})

it('is made once when four commands start at the same moment', async () => {
  const directory = join(await bench.newFolder(), '.backfill')
  const users = await Promise.all([1, 2, 3, 4].map(() => bench.startUser({ directory })))
  const pid = await serverPid(directory)
  const starts = await Promise.all(
    users.map(({ connection }) => ask(connection, 'select pg_postmaster_start_time()::text')),
  )
  expect(new Set(starts).size).toBe(1)
  await Promise.all(users.map((user) => user.leave()))
  expect(isRunning(pid)).toBe(false)
})

it('does not hear the Ctrl-C of the command that started it', async () => {
  const directory = await bench.newWorkspace()
  const first = await bench.startUser({ directory })
  const second = await bench.startUser({ directory })
  const query = ask(second.connection, 'select 42 from pg_sleep(0.3)')
  await first.interruptGroup()
  expect(first.child.signalCode).toBe('SIGINT')
  expect(await query).toBe(42)
  await second.leave()
  expect(await serverPid(directory)).toBeUndefined()
})
