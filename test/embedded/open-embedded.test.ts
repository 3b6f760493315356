import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { tryExclusive } from '../../src/embedded/kernel-lock.js'
import { ask, dataFolder, isRunning, newWorkbench, serverPid, until } from './workbench.js'

const bench = newWorkbench()
afterAll(() => bench.clear())

it('makes, starts and stops a server, and keeps what was written', async () => {
  const directory = join(await bench.newFolder(), '.backfill')
  const first = await bench.open({ directory })
  await ask(first.connection, 'create table kept as select 42 as answer')
  const pid = await serverPid(directory)
  await first.close()
  expect(isRunning(pid)).toBe(false)
  const second = await bench.open({ directory })
  expect(await ask(second.connection, 'select answer from kept')).toBe(42)
  await second.close()
  await second.close()
})

it('listens on a socket in a closed folder only, and is durable', async () => {
  const directory = await bench.newWorkspace()
  const server = await bench.open({ directory })
  const setting = (name: string) => ask(server.connection, `select current_setting('${name}')`)
  expect(await setting('listen_addresses')).toBe('')
  expect(await Promise.all(['fsync', 'synchronous_commit', 'full_page_writes'].map(setting))).toEqual([
    'on',
    'on',
    'on',
  ])
  expect(await setting('server_encoding')).toBe('UTF8')
  expect(await setting('timezone')).toBe('UTC')
  expect((await stat(server.connection.host)).mode & 0o777).toBe(0o700)
  expect(server.url).toBe(
    `postgresql://backfill@/postgres?host=${encodeURIComponent(server.connection.host)}&port=5432`,
  )
  await server.close()
})

it('starts after a server that was killed, even where its pid belongs to another process by now', async () => {
  const directory = await bench.newWorkspace()
  const first = await bench.open({ directory })
  await ask(first.connection, 'create table kept as select 42 as answer')
  const pid = await serverPid(directory)
  process.kill(pid ?? 0, 'SIGKILL')
  await until(() => !isRunning(pid))
  // Not this process: Postgres takes the pid of its own parent for stale.
  const stranger = spawn('sleep', ['60'])
  const lockFile = join(await dataFolder(directory), 'postmaster.pid')
  await writeFile(lockFile, (await readFile(lockFile, 'utf8')).replace(String(pid), String(stranger.pid)))
  await writeFile(join(first.connection.host, '.s.PGSQL.5432.lock'), `${String(stranger.pid)}\n`)
  const second = await bench.open({ directory }).finally(() => stranger.kill())
  expect(await ask(second.connection, 'select answer from kept')).toBe(42)
  await first.close()
  expect(await ask(second.connection, 'select 1')).toBe(1)
  await second.close()
  expect(existsSync(lockFile)).toBe(false)
})

it('makes a cluster anew that was killed half-way', async () => {
  const directory = join(await bench.newFolder(), '.backfill')
  const elsewhere = await bench.elsewhere()
  const script = fileURLToPath(new URL('user.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify({ directory, elsewhere })])
  const ended = once(child, 'exit')
  const entries = async () => readdir(dirname(await dataFolder(directory))).catch(() => [])
  await until(async () => (await entries()).some((name) => name.startsWith('data.new-')))
  child.kill('SIGKILL')
  await ended
  expect(await entries()).not.toContain('data')
  const server = await bench.open({ directory })
  expect(await ask(server.connection, 'select 1')).toBe(1)
  await server.close()
  expect((await entries()).filter((name) => name.startsWith('data'))).toEqual(['data'])
})

it('puts the socket into a short folder where the workspace is too long, and removes it at the end', async () => {
  const directory = await bench.newWorkspace(join(await bench.newFolder(), 'a "long" pläce, '.repeat(12)))
  const server = await bench.open({ directory })
  expect(server.connection.host.length).toBeLessThan(90)
  expect((await stat(server.connection.host)).mode & 0o777).toBe(0o700)
  expect(await ask(server.connection, 'select 1')).toBe(1)
  await server.close()
  expect(existsSync(join(server.connection.host, '.s.PGSQL.5432'))).toBe(false)
  expect(existsSync(server.connection.host)).toBe(existsSync(join(directory, 'postgres/elsewhere.json')))
})

it('starts the server anew where its socket was swept away', async () => {
  const directory = await bench.newWorkspace()
  const first = await bench.open({ directory })
  const pid = await serverPid(directory)
  await rm(first.connection.host, { recursive: true })
  const second = await bench.open({ directory })
  expect(await serverPid(directory)).not.toBe(pid)
  expect(await ask(first.connection, 'select 1')).toBe(1)
  await Promise.all([first.close(), second.close()])
  expect(await serverPid(directory)).toBeUndefined()
})

it('refuses data of another version, naming both', async () => {
  const directory = await bench.newWorkspace()
  await writeFile(join(await dataFolder(directory), 'PG_VERSION'), '17\n')
  const opening = bench.open({ directory })
  await expect(opening).rejects.toMatchObject({ name: 'ConfigError', code: 'embedded_version' })
  await expect(opening).rejects.toThrow(/PostgreSQL 17, the embedded one is PostgreSQL 18$/)
})

it('refuses a folder that holds something else', async () => {
  const directory = await bench.newFolder()
  await mkdir(join(directory, 'postgres/data/photos'), { recursive: true })
  await expect(bench.open({ directory })).rejects.toMatchObject({ code: 'embedded_foreign' })
})

it('refuses a place where it cannot make folders', async () => {
  const folder = await bench.newFolder()
  await writeFile(join(folder, 'file'), '')
  const opening = bench.open({ directory: join(folder, 'file/.backfill') })
  await expect(opening).rejects.toMatchObject({ name: 'ConfigError', code: 'folder_unwritable' })
})

it("repeats the server's own words where it does not start, and holds nothing afterwards", async () => {
  const directory = await bench.newWorkspace()
  const settings = join(await dataFolder(directory), 'postgresql.auto.conf')
  await appendFile(settings, 'shared_buffers = many\n')
  const opening = bench.open({ directory })
  await expect(opening).rejects.toMatchObject({ name: 'DestinationUnavailable', code: 'embedded_start_failed' })
  await expect(opening).rejects.toThrow(/FATAL: .*postgresql.auto.conf.* contains errors/)
  await rm(settings)
  const server = await bench.open({ directory })
  await server.close()
})

it('stops waiting when it is told to, and gives up at its deadline', async () => {
  const directory = await bench.newWorkspace()
  const gate = tryExclusive(join(directory, 'postgres/start.lock'))
  await expect(bench.open({ directory, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'StoppedError' })
  const opening = bench.open({ directory, deadlineMs: 30 })
  await expect(opening).rejects.toMatchObject({ name: 'TemporaryFailure', code: 'embedded_busy' })
  gate?.release()
})
