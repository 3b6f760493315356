/** Folders, processes and looks from outside that the tests of the embedded Postgres share. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type EmbeddedConnection,
  type EmbeddedServer,
  type OpenEmbeddedOptions,
  openEmbedded,
} from '../../src/embedded/open-embedded.js'
import { openClient } from '../support/open-client.js'

export interface Workbench {
  /** A new folder, removed at the end. */
  newFolder(): Promise<string>
  /** A `.backfill` folder with a finished cluster and no server; in a new folder, or in `parent`, which is made. */
  newWorkspace(parent?: string): Promise<string>
  /** A folder that every account may enter: where the data goes that root cannot keep in a workspace. */
  elsewhere(): Promise<string>
  /** `openEmbedded` that leaves nothing outside of the workbench's folders. */
  open(options: OpenEmbeddedOptions): Promise<EmbeddedServer>
  /** A process that opens the embedded Postgres. */
  startUser(options: OpenEmbeddedOptions, process?: UserProcess): Promise<User>
  /** Ends what still runs and removes the folders. */
  clear(): Promise<void>
}

export interface UserProcess {
  readonly script?: string
  readonly uid?: number
}

export interface User {
  readonly child: ChildProcess
  readonly connection: EmbeddedConnection
  /** Lets the command end and waits for that. */
  leave(): Promise<void>
  /** SIGKILL to the command alone, or another signal to its whole process group. */
  kill(): Promise<void>
  interruptGroup(): Promise<void>
}

// Root's own temporary folder may be closed to the account that root's server runs as.
const temporary = process.getuid?.() === 0 ? '/tmp' : tmpdir()

/** Everything a test file needs; call `clear` after the last test. */
export function newWorkbench(): Workbench {
  const folders: string[] = []
  const users: User[] = []
  let template: Promise<string> | undefined
  let shared: Promise<string> | undefined
  const newFolder = async () => {
    const folder = await mkdtemp(join(temporary, 'embedded-'))
    folders.push(folder)
    return folder
  }
  const elsewhere = () => (shared ??= newFolder().then((folder) => chmod(folder, 0o755).then(() => folder)))
  const open = async (options: OpenEmbeddedOptions) => openEmbedded({ elsewhere: await elsewhere(), ...options })
  const makeCluster = async (parent: string) => {
    const folder = join(parent, '.backfill')
    await (await open({ directory: folder })).close()
    return folder
  }
  const newWorkspace = async (parent?: string) => {
    template ??= newFolder().then(makeCluster)
    const inside = parent ?? (await newFolder())
    // One whose data lies elsewhere cannot be copied.
    if (existsSync(join(await template, 'postgres/elsewhere.json'))) return makeCluster(inside)
    const folder = join(inside, '.backfill')
    await cp(await template, folder, { recursive: true })
    return folder
  }
  const startUser = async (options: OpenEmbeddedOptions, process: UserProcess = {}) => {
    const user = await spawnUser({ elsewhere: await elsewhere(), ...options }, process)
    users.push(user)
    return user
  }
  const clear = async () => {
    await Promise.all(users.map((user) => user.kill()))
    for (const folder of folders) await removeWorkspace(folder)
  }
  return { newFolder, newWorkspace, elsewhere, open, startUser, clear }
}

async function removeWorkspace(folder: string): Promise<void> {
  const pid = await serverPid(join(folder, '.backfill'))
  if (pid !== undefined && isRunning(pid)) process.kill(pid, 'SIGQUIT')
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

async function spawnUser(options: OpenEmbeddedOptions, how: UserProcess): Promise<User> {
  const script = how.script ?? fileURLToPath(new URL('user.ts', import.meta.url))
  const loader = script.endsWith('.ts') ? ['--import', 'tsx'] : []
  const ids = how.uid === undefined ? {} : { uid: how.uid, gid: how.uid }
  const child = spawn(process.execPath, [...loader, script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...ids,
  })
  const ended = once(child, 'exit')
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => (complaint += text.toString()))
  const lines = createInterface(child.stdout)
  const line = await Promise.race([once(lines, 'line'), ended.then(() => undefined)])
  if (line === undefined) throw new Error(`the command ended before it was ready: ${complaint}`)
  const end = async (act: () => void) => {
    if (child.exitCode === null && child.signalCode === null) act()
    await ended
  }
  return {
    child,
    connection: JSON.parse(String(line[0])) as EmbeddedConnection,
    leave: () => end(() => child.stdin.end()),
    kill: () => end(() => child.kill('SIGKILL')),
    interruptGroup: () => end(() => process.kill(-(child.pid ?? 0), 'SIGINT')),
  }
}

/** Answer of one statement, the first row's first column. */
export async function ask(connection: EmbeddedConnection, sql: string): Promise<unknown> {
  const client = await openClient(connection)
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' }).finally(() => client.end())
  return rows[0]?.[0]
}

/** Where the cluster of a `.backfill` folder lies. */
export async function dataFolder(directory: string): Promise<string> {
  const pointer = join(directory, 'postgres/elsewhere.json')
  if (!existsSync(pointer)) return join(directory, 'postgres/data')
  return join((JSON.parse(await readFile(pointer, 'utf8')) as { folder: string }).folder, 'data')
}

/** The pid that the server's lock file names; undefined where there is none. */
export async function serverPid(directory: string): Promise<number | undefined> {
  const file = join(await dataFolder(directory), 'postmaster.pid')
  return existsSync(file) ? Number((await readFile(file, 'utf8')).split('\n')[0]) : undefined
}

/** Whether the process works still: one that ended and waits for its parent to notice does not. */
export function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Resolves when the condition holds; the test's own time-out is the deadline. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(2)
}
