/**
 * The cluster on disk: makes it once, checks its version, writes who may connect. Starts no server.
 *
 * A cluster is made under another name and renamed when it is complete and on disk: a kill in between leaves a `data.new-*` that the next
 * start removes.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chown, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ConfigError, DestinationUnavailable, StoppedError } from '../domain/errors.js'
import { type Account, invoke } from './account.js'
import { type Binaries, programOf } from './binaries.js'
import { environmentFor } from './environment.js'
import { codeOf } from './error-code.js'
import type { Home } from './home.js'
import { clusterSettings, settingArguments } from './settings.js'
import type { Patience } from './wait.js'

/** The cluster's only role: its owner. */
export const owner = 'backfill'

export interface ClusterTools {
  readonly binaries: Binaries
  readonly account: Account
  readonly patience: Patience
}

/**
 * Makes the cluster where there is none, else checks that the programs can read it.
 * @throws ConfigError `embedded_version` where another major version made it, `embedded_foreign` where it is no cluster.
 */
export async function ensureCluster(home: Home, tools: ClusterTools): Promise<void> {
  await removeUnfinished(home)
  const version = await readVersion(home.dataFolder)
  if (version === null) return makeCluster(home, tools)
  const { major } = tools.binaries
  if (version === major) return
  throw new ConfigError(
    'embedded_version',
    `open "${home.dataFolder}" found data of PostgreSQL ${version}, the embedded one is PostgreSQL ${major}`,
    { hint: `dump the data with PostgreSQL ${version} and restore it, or install the backfill version that made it` },
  )
}

async function readVersion(dataFolder: string): Promise<string | null> {
  const entries = await readdir(dataFolder).catch(() => null)
  if (entries === null) return null
  if (!entries.includes('PG_VERSION')) {
    throw new ConfigError('embedded_foreign', `open "${dataFolder}" found a folder that is no Postgres cluster`, {
      hint: 'move it away; a new cluster is made in its place',
    })
  }
  return (await readFile(join(dataFolder, 'PG_VERSION'), 'utf8')).trim()
}

async function removeUnfinished(home: Home): Promise<void> {
  const names = await readdir(home.folder)
  const unfinished = names.filter((name) => name.startsWith(`${basename(home.dataFolder)}.new-`))
  // An initdb whose parent was killed may still be writing; what stays is removed next time.
  const remove = (name: string) => rm(join(home.folder, name), { recursive: true, force: true, maxRetries: 5 })
  await Promise.allSettled(unfinished.map(remove))
}

async function makeCluster(home: Home, tools: ClusterTools): Promise<void> {
  const unfinished = `${home.dataFolder}.new-${randomUUID()}`
  await mkdir(unfinished, { mode: 0o700 })
  if (tools.account.kind === 'other') await chown(unfinished, tools.account.uid, tools.account.gid)
  await runInitdb(unfinished, tools)
  await rename(unfinished, home.dataFolder)
  await syncFolder(dirname(home.dataFolder))
}

async function runInitdb(dataFolder: string, { binaries, account, patience }: ClusterTools): Promise<void> {
  const { file, args, ids } = invoke(account, programOf(binaries, 'initdb'), [
    ...['-D', dataFolder, `--username=${owner}`, '--auth-local=peer', '--auth-host=reject', '--no-instructions'],
    // Byte order, the same on every machine and in every version of the system's libraries.
    ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ...settingArguments(clusterSettings),
  ])
  const timeout = Math.max(1, Math.round(patience.deadlineAt - performance.now()))
  const signal = patience.signal === undefined ? {} : { signal: patience.signal }
  const options = { cwd: '/', env: environmentFor(binaries), timeout, ...ids, ...signal }
  await promisify(execFile)(file, args, options).catch((error: unknown) => {
    throw initFailure(dataFolder, error)
  })
}

function initFailure(dataFolder: string, cause: unknown): Error {
  if (cause instanceof Error && cause.name === 'AbortError') {
    return new StoppedError('making the embedded Postgres was stopped')
  }
  const written = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : ''
  const reason = written.split('\n').findLast((line) => line.includes('error')) ?? (written || codeOf(cause))
  return new DestinationUnavailable('embedded_init_failed', `make the embedded Postgres failed: ${reason}`, {
    hint: `check free space and permissions of "${dirname(dataFolder)}"`,
    cause,
  })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

/** Paths of the files that say who may connect. */
export function accessFiles(home: Home): { readonly hba: string; readonly ident: string } {
  return { hba: join(home.folder, 'hba.conf'), ident: join(home.folder, 'ident.conf') }
}

/**
 * Writes who may connect: whoever gets into the socket's closed folder. Where the server runs as an account that others use too, that
 * account could enter; there only root is let in.
 */
export async function writeAccessFiles(home: Home, account: Account): Promise<void> {
  const files = accessFiles(home)
  const isShared = account.kind === 'other'
  const mode = isShared ? 0o644 : 0o600
  await writeFile(files.hba, isShared ? 'local all all peer map=owner\n' : 'local all all trust\n', { mode })
  await writeFile(files.ident, isShared ? `owner root ${owner}\n` : '', { mode })
}
