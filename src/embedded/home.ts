/**
 * Where a cluster lives: below the workspace, or, when root must run it as another account, below /var/lib/backfill with a pointer file in the
 * workspace. Moves the data there once where namespaces worked before and no longer do.
 *
 * The pointer is written first, and is marked once a cluster exists behind it: a kill in between is repeated from the start, a cluster that
 * vanished afterwards is told and never silently replaced by an empty one.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { ConfigError } from '../domain/errors.js'
import { giveTo, type OtherAccount } from './account.js'
import type { Place } from './place.js'

export interface Home {
  readonly kind: 'here' | 'elsewhere'
  /** Holds `data` and the access files. The account that runs the server may read it. */
  readonly folder: string
  readonly dataFolder: string
}

interface Pointer {
  readonly folder: string
  /** Real path of the `.backfill/postgres` that it was made for. */
  readonly workspace: string
  /** Whether a cluster was completed there. */
  readonly has_data: boolean
}

/** Where all clusters lie that root could not keep in their workspaces, and the copy of the programs they run. */
export const defaultElsewhere = '/var/lib/backfill'

/**
 * The home that the workspace has; by default the workspace itself.
 * @throws ConfigError `embedded_copied`, `embedded_data_lost`.
 */
export async function findHome(place: Place): Promise<Home> {
  const pointer = await readPointer(place.pointer)
  if (pointer === undefined) return homeIn(place.folder, 'here')
  await checkIsOurs(place, pointer)
  const home = homeIn(pointer.folder, 'elsewhere')
  if (pointer.has_data && !existsSync(home.dataFolder)) {
    throw new ConfigError('embedded_data_lost', `open the embedded Postgres found no data in "${home.dataFolder}"`, {
      hint: `put the folder back from a backup, or remove "${place.pointer}" and queue.db to begin anew`,
    })
  }
  return home
}

function homeIn(folder: string, kind: Home['kind']): Home {
  return { kind, folder, dataFolder: join(folder, 'data') }
}

async function readPointer(file: string): Promise<Pointer | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as Pointer)
}

async function writePointer(file: string, pointer: Pointer): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(pointer, null, 2)}\n`, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
}

async function checkIsOurs(place: Place, pointer: Pointer): Promise<void> {
  const own = await realpath(place.folder)
  if (pointer.workspace === own) return
  const original = await readPointer(join(pointer.workspace, basename(place.pointer)))
  if (original?.folder === pointer.folder) {
    throw new ConfigError('embedded_copied', `open "${own}" found the data of "${pointer.workspace}"`, {
      hint: `a copied workspace must not share its data: remove "${place.pointer}" and queue.db from the copy`,
    })
  }
  await writePointer(place.pointer, { ...pointer, workspace: own })
}

/**
 * Gives the workspace a home below `elsewhere`, owned by root, its data by the account; data that the workspace holds itself is moved there.
 * Must be called under the start lock with no server running.
 */
export async function moveElsewhere(place: Place, elsewhere: string, account: OtherAccount): Promise<Home> {
  const found = await readPointer(place.pointer)
  const workspace = await realpath(place.folder)
  const pointer = found ?? { folder: join(elsewhere, randomUUID()), workspace, has_data: false }
  await writePointer(place.pointer, pointer)
  await makeOpenFolder(elsewhere)
  await makeOpenFolder(pointer.folder)
  const home = homeIn(pointer.folder, 'elsewhere')
  const old = join(place.folder, 'data')
  if (!pointer.has_data && existsSync(old)) {
    if (!existsSync(home.dataFolder)) await copyData(old, home.dataFolder, account)
    await markData(place, home)
    await rm(old, { recursive: true, force: true })
  }
  return home
}

async function copyData(from: string, to: string, account: OtherAccount): Promise<void> {
  const unfinished = `${to}.new-moved`
  await rm(unfinished, { recursive: true, force: true })
  await cp(from, unfinished, { recursive: true, preserveTimestamps: true })
  await giveTo(account, unfinished)
  // On disk before the original goes.
  await promisify(execFile)('sync')
  await rename(unfinished, to)
}

/** Notes that a complete cluster exists, so that its loss is recognised. */
export async function markData(place: Place, home: Home): Promise<void> {
  const pointer = home.kind === 'elsewhere' ? await readPointer(place.pointer) : undefined
  if (pointer !== undefined && !pointer.has_data) await writePointer(place.pointer, { ...pointer, has_data: true })
}

/** A folder that every account may enter, whatever this user's umask says; what is secret in it has its own permissions. */
async function makeOpenFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
}
