/**
 * The folder of a server's Unix socket. A socket's path holds at most 107 bytes, a workspace's may be longer: then the socket lies in a short
 * folder of our own below the temporary one. Only the owner may enter it; that is the whole access control.
 */
import { createHash } from 'node:crypto'
import { chmod, lchown, lstat, mkdir, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../domain/errors.js'
import type { Account } from './account.js'
import { codeOf } from './error-code.js'
import type { Home } from './home.js'
import { socketPath } from './postmaster.js'

/** The port is part of the socket's name only; nothing listens on TCP. */
export const port = 5432

const longestPath = 107

/**
 * Makes the folder, closed to everybody else, and clears what a killed server left in it: its lock file would stop a new server where the pid in
 * it belongs to somebody else by now. Answers its path.
 */
export async function makeSocketFolder(home: Home, account: Account): Promise<string> {
  const folder = socketFolderOf(home)
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
  if (account.kind === 'other') await lchown(folder, account.uid, account.gid)
  await checkOwn(folder, account)
  await chmod(folder, 0o700)
  const path = socketPath(folder, port)
  await Promise.all([rm(path, { force: true }), rm(`${path}.lock`, { force: true })])
  return folder
}

/** Where the socket of a home's server lies, or is to lie. */
export function socketFolderOf(home: Home): string {
  const inside = join(home.folder, 'socket')
  if (fits(inside)) return inside
  const name = `backfill-${createHash('sha256').update(home.folder).digest('hex').slice(0, 16)}`
  const outside = join(tmpdir(), name)
  return fits(outside) ? outside : join('/tmp', name)
}

// postmaster.pid has the path on one line, and a socket's path is bytes: anything but plain characters goes outside.
function fits(folder: string): boolean {
  return /^[ -~]+$/.test(folder) && Buffer.byteLength(socketPath(folder, port)) <= longestPath
}

async function checkOwn(folder: string, account: Account): Promise<void> {
  const found = await lstat(folder)
  const { uid } = found
  const owner = account.kind === 'other' ? account.uid : process.getuid?.()
  if (found.isDirectory() && uid === owner) return
  throw new ConfigError('socket_folder_taken', `make the socket's folder "${folder}" found it owned by uid ${uid}`, {
    hint: 'remove it, or point TMPDIR to a folder of your own',
  })
}

/** Removes the folder again where it lies outside of the workspace; one in use stays. */
export async function removeSocketFolder(folder: string, home: Home): Promise<void> {
  if (folder !== join(home.folder, 'socket')) await rmdir(folder).catch(() => undefined)
}
