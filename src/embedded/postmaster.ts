/**
 * What is known from outside about the server of a data folder: its postmaster.pid, whether that process lives and is really this folder's,
 * and whether its socket answers. Reads only, apart from removing a postmaster.pid that is proven stale.
 *
 * A pid alone proves nothing (they are reused, in containers within seconds): a postmaster works in its data folder, so the folder of the
 * process is compared.
 */
import { execFile } from 'node:child_process'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from './error-code.js'

/** A living server, as its own lock file describes it. */
export interface Postmaster {
  readonly pid: number
  readonly port: number
  readonly socketFolder: string
  /** `starting`, `ready`, `stopping`; empty before the server wrote one. */
  readonly status: string
}

/** The living server of a data folder, or undefined. */
export async function findPostmaster(dataFolder: string): Promise<Postmaster | undefined> {
  const postmaster = await readLockFile(dataFolder)
  if (postmaster === undefined) return undefined
  return (await servesFolder(postmaster.pid, dataFolder)) ? postmaster : undefined
}

async function readLockFile(dataFolder: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 1) return undefined
  return { pid, port: Number(lines[3]), socketFolder: lines[4] ?? '', status: (lines[7] ?? '').trim() }
}

/** Whether the process is a Postgres server that works in this data folder. */
export async function servesFolder(pid: number, dataFolder: string): Promise<boolean> {
  if (process.platform !== 'linux') return (await commandLine(pid)).includes(dataFolder)
  const [own, theirs] = await Promise.all([stat(dataFolder), stat(`/proc/${String(pid)}/cwd`)].map(orUndefined))
  if (own !== undefined && theirs !== undefined) {
    return own.dev === theirs.dev && own.ino === theirs.ino && (await isPostgres(pid))
  }
  // Without CAP_SYS_PTRACE (containers) root may not look at the folder of another account's process; its command line is open.
  const line = await readFile(`/proc/${String(pid)}/cmdline`, 'utf8').catch(() => '')
  return line.split('\0').includes(dataFolder)
}

const orUndefined = <T>(promise: Promise<T>): Promise<T | undefined> => promise.catch(() => undefined)

async function isPostgres(pid: number): Promise<boolean> {
  return (await readFile(`/proc/${String(pid)}/comm`, 'utf8').catch(() => '')).trim() === 'postgres'
}

async function commandLine(pid: number): Promise<string> {
  const run = promisify(execFile)
  return run('ps', ['-ww', '-o', 'command=', '-p', String(pid)]).then(
    ({ stdout }) => stdout,
    () => '',
  )
}

/**
 * Server processes that still work in a data folder whose postmaster is gone: backends on their way out. Two servers on one folder would
 * destroy it, so a start waits for them. Linux only; elsewhere Postgres's own check of its shared memory stands alone.
 */
export async function findOrphans(dataFolder: string): Promise<readonly number[]> {
  if (process.platform !== 'linux') return []
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const serving = await Promise.all(pids.map(async (pid) => (await isPostgres(pid)) && servesFolder(pid, dataFolder)))
  return pids.filter((_, position) => serving[position])
}

/** Removes the lock file of a server that is proven dead: Postgres itself would refuse to start if its pid belongs to somebody else by now. */
export async function removeStaleLockFile(dataFolder: string): Promise<void> {
  await rm(join(dataFolder, 'postmaster.pid'), { force: true })
}

/** Where a server's socket lies, by Postgres's naming. */
export function socketPath(folder: string, port: number): string {
  return join(folder, `.s.PGSQL.${String(port)}`)
}

/** Whether something listens on the socket. One that is too busy to accept at once listens. */
export async function answers(folder: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(folder, port))
    const finish = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => finish(true))
    socket.once('error', (error) => finish(!deaf.has(codeOf(error))))
    socket.setTimeout(2_000, () => finish(true))
  })
}

const deaf = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'EINVAL'])
