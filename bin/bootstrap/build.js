// Owns dist: compiled exactly when a source or the compiler's settings changed, and never holding what has no source any more (a file left in
// dist/commands would still be a command). The stamp goes first and comes back last.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { bundle } from './bundle.js'
import { writeManifest } from './manifest.js'
import { runTool } from './run-tool.js'

const compiled = ['src', 'commands']
/** What decides, beside the sources, what dist holds. */
const deciding = [
  'tsconfig.json',
  'package.json',
  'package-lock.json',
  'bin/bootstrap/build.js',
  'bin/bootstrap/bundle.js',
  'bin/bootstrap/manifest.js',
]
const stampFile = 'dist/.build/stamp'
const memoryFile = 'dist/.build/tsconfig.tsbuildinfo'
const products = ['.js', '.js.map', '.d.ts']

/**
 * True where dist was made from the sources as they are now (by name, size and time).
 * @param {string} root
 */
export function isBuilt(root) {
  try {
    return readFileSync(path.join(root, stampFile), 'utf8') === sourcesOf(root).stamp
  } catch {
    return false
  }
}

/**
 * Compiles what changed and removes what has no source.
 * @param {string} root
 * @throws {import('./run-tool.js').BootstrapError} when the sources do not compile
 */
export async function build(root) {
  process.stdout.write('building\n')
  rmSync(path.join(root, stampFile), { force: true })
  const { files, stamp } = sourcesOf(root)
  const wanted = new Set(files.flatMap((file) => products.map((end) => path.join('dist', file.replace(/\.ts$/, end)))))
  const isWhole = [...wanted].every((file) => existsSync(path.join(root, file)))
  // The compiler trusts its memory of what it emitted: a product that was removed by hand would not come back.
  if (!isWhole) rmSync(path.join(root, memoryFile), { force: true })
  const compiler = path.join(root, 'node_modules/typescript/lib/tsc.js')
  await runTool('tsc', [compiler, '-p', path.join(root, 'tsconfig.json'), '--pretty', 'false'])
  for (const file of productsOf(root)) if (!wanted.has(file)) rmSync(path.join(root, file))
  await bundle(root)
  await writeManifest(root)
  mkdirSync(path.dirname(path.join(root, stampFile)), { recursive: true })
  writeFileSync(path.join(root, stampFile), stamp)
}

/**
 * @param {string} root
 * @returns {{ files: string[], stamp: string }} paths relative to the root, and one line that changes with any of them
 */
function sourcesOf(root) {
  const files = compiled
    .flatMap((folder) => filesBelow(root, folder))
    .filter((file) => /(?<!\.d)\.ts$/.test(file))
    .sort()
  const hash = createHash('sha256')
  for (const file of [...deciding, ...files]) {
    const { size, mtimeMs } = statSync(path.join(root, file))
    hash.update(`${file} ${size} ${mtimeMs}\n`)
  }
  return { files, stamp: `${hash.digest('hex')}\n` }
}

/** @param {string} root */
function productsOf(root) {
  return compiled.flatMap((folder) => filesBelow(root, path.join('dist', folder)))
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {string[]} relative to the root
 */
function filesBelow(root, folder) {
  if (!existsSync(path.join(root, folder))) return []
  return readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
}
