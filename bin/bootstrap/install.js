// Owns node_modules: installed exactly when the lock file, the declared dependencies or this Node's native interface changed. The stamp is
// removed before npm begins and written after it ended well, so that a kill between the two means another install.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { withWritableHome } from './environment.js'
import { BootstrapError, runTool } from './run-tool.js'

const stampFile = 'node_modules/.backfill-install'
const declared = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides', 'allowScripts']

/**
 * True where node_modules is what the lock file says, for this Node. Reads a stamp; where that does not tell, looks at what npm itself says it
 * installed (an npm run by hand, a lock file that changed in words only), and stamps it.
 * @param {string} root
 */
export function isInstalled(root) {
  const wanted = fingerprint(root)
  if (readText(path.join(root, stampFile)) === wanted) return true
  if (!matchesLockFile(root) || !loadsNatively(root)) return false
  writeStamp(root, wanted)
  return true
}

/**
 * Installs what the lock file names, development dependencies and their install scripts included. About a minute, most of it compiling SQLite.
 * @param {string} root
 * @throws {BootstrapError}
 */
export async function install(root) {
  process.stdout.write('installing packages and compiling SQLite (once, about a minute)\n')
  const wanted = fingerprint(root)
  rmSync(path.join(root, stampFile), { force: true })
  const verb = existsSync(path.join(root, 'package-lock.json')) ? 'ci' : 'install'
  const flags = [
    '--include=dev',
    '--include=optional',
    '--ignore-scripts=false',
    '--no-audit',
    '--no-fund',
    '--no-progress',
  ]
  await withWritableHome((env) => runTool(`npm ${verb}`, [npmProgram(), verb, ...flags], env))
  if (!loadsNatively(root)) {
    throw new BootstrapError(
      `better-sqlite3 was installed but cannot be loaded by Node ${process.versions.node}; run "npm rebuild better-sqlite3" and read what it prints`,
    )
  }
  writeStamp(root, wanted)
}

/**
 * Everything that decides what node_modules must hold, as one line.
 * @param {string} root
 */
function fingerprint(root) {
  const hash = createHash('sha256')
  const manifest = /** @type {Record<string, unknown>} */ (
    JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  )
  for (const key of declared) hash.update(JSON.stringify([key, manifest[key] ?? null]))
  hash.update(readText(path.join(root, 'package-lock.json')) ?? 'no lock file')
  return `${hash.digest('hex')} abi ${process.versions.modules} ${process.platform}-${process.arch}\n`
}

/**
 * npm's own account of what it installed, against what the lock file asks for; packages for other platforms are optional there.
 * @param {string} root
 */
function matchesLockFile(root) {
  const wanted = packagesOf(path.join(root, 'package-lock.json'))
  const present = packagesOf(path.join(root, 'node_modules/.package-lock.json'))
  if (wanted === null || present === null) return false
  return Object.entries(wanted).every(
    ([place, entry]) => place === '' || entry.optional === true || present[place]?.version === entry.version,
  )
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }> | null}
 */
function packagesOf(file) {
  const text = readText(file)
  if (text === null) return null
  /** @type {{ packages?: Record<string, { version?: string, optional?: boolean }> }} */
  const lockFile = JSON.parse(text)
  return lockFile.packages ?? null
}

/** @param {string} root */
function loadsNatively(root) {
  try {
    /** @type {typeof import('better-sqlite3')} */
    const Database = createRequire(path.join(root, 'package.json'))('better-sqlite3')
    new Database(':memory:').close()
    return true
  } catch {
    return false
  }
}

/** The npm that started us, else the one beside this Node. */
function npmProgram() {
  const started = process.env.npm_execpath
  if (started !== undefined && path.basename(started) === 'npm-cli.js') return started
  const places = [
    path.join(path.dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js'),
    path.join(path.dirname(process.execPath), 'node_modules/npm/bin/npm-cli.js'),
    ...(process.env.PATH ?? '').split(path.delimiter).map((folder) => path.join(folder, 'npm')),
  ]
  const found = places.find((place) => existsSync(place))
  if (found === undefined) throw new BootstrapError('npm was not found; install it (it comes with Node) and try again')
  return found
}

/**
 * @param {string} root
 * @param {string} text
 */
function writeStamp(root, text) {
  try {
    mkdirSync(path.join(root, 'node_modules'), { recursive: true })
    writeFileSync(path.join(root, stampFile), text)
  } catch {
    // A tree that belongs to somebody else: looked at again next time.
  }
}

/** @param {string} file */
function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
