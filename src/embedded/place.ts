/**
 * The folders of one workspace's embedded Postgres, all below `.backfill/postgres`, and which of them exist. Makes folders, nothing else.
 *
 * `.backfill/postgres/`  `data/` the cluster, `data.new-*` one that is being made, `start.lock`, `users.lock`, `hba.conf`, `ident.conf`,
 * `elsewhere.json` where root had to put the data below /var/lib/backfill instead.
 */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../domain/errors.js'
import { codeOf } from './error-code.js'

export interface Place {
  /** Real path of `.backfill/postgres`. */
  readonly folder: string
  /** Held exclusively while a server is looked for, started or stopped. */
  readonly startLock: string
  /** Held shared by every command that uses the server; exclusively by nobody but the one who stops it. */
  readonly usersLock: string
  readonly pointer: string
  readonly libraryFolder: string
  readonly logFile: string
}

/**
 * Makes the folders of a workspace's embedded Postgres where they do not exist.
 * @param directory absolute path of the workspace's `.backfill`.
 * @throws ConfigError `folder_unwritable`, `wrong_owner`.
 */
export async function preparePlace(directory: string): Promise<Place> {
  const folder = join(directory, 'postgres')
  const logFolder = join(directory, 'log')
  await makeFolder(folder)
  await makeFolder(logFolder)
  const { uid } = await stat(folder)
  const ownUid = process.getuid?.()
  if (ownUid !== undefined && uid !== ownUid) {
    throw new ConfigError('wrong_owner', `open "${folder}" found it owned by uid ${uid}, this is uid ${ownUid}`, {
      hint: 'run as the user who owns the workspace',
    })
  }
  return {
    folder,
    startLock: join(folder, 'start.lock'),
    usersLock: join(folder, 'users.lock'),
    pointer: join(folder, 'elsewhere.json'),
    libraryFolder: join(folder, 'lib'),
    logFile: join(logFolder, 'postgres.log'),
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new ConfigError('folder_unwritable', `make "${folder}" failed with ${codeOf(error)}`, {
      hint: 'make the workspace writable for the user who runs backfill, or name another one with --workspace',
      cause: error,
    })
  })
}
