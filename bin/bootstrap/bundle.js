// Owns dist/node_modules: the packages that every command loads at its start, each made into one file. Node finds them there before the real ones,
// so no source knows. Without it everything still runs, slower: @oclif/core alone is 106 files, and `status` took 3.6 times `node -e 0` with
// imports only; with one file each it takes 2.5 (median of 25, two busy cores). Tests and `npm run dev` run from the sources and never see it.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

/** What is loaded before a command does its work, and has neither native parts nor files that it looks for beside itself. */
const bundled = ['@oclif/core', 'chalk', 'cli-table3', 'proper-lockfile', 'yaml']

/** Asked for by name at run time only where a project has them; oclif falls back without. */
const external = ['typescript', 'ts-node', 'tsx']

const stampFile = 'dist/node_modules/.stamp'

/**
 * Makes the bundles that are missing or of another version than node_modules has.
 * @param {string} root
 */
export async function bundle(root) {
  const versions = `${bundled.map((name) => `${name} ${manifestOf(root, name).version}`).join('\n')}\n`
  const stamp = path.join(root, stampFile)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === versions) return
  rmSync(path.join(root, 'dist/node_modules'), { recursive: true, force: true })
  await Promise.all(bundled.map((name) => bundlePackage(root, name)))
  writeFileSync(stamp, versions)
}

/**
 * @param {string} root
 * @param {string} name
 */
async function bundlePackage(root, name) {
  const { type = 'commonjs', version, license } = manifestOf(root, name)
  const isModule = type === 'module'
  const { build } = await import('esbuild')
  const folder = path.join(root, 'dist/node_modules', name)
  await build({
    absWorkingDir: root,
    entryPoints: [name],
    outfile: path.join(folder, isModule ? 'index.js' : 'bundle.js'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: isModule ? 'esm' : 'cjs',
    external,
    keepNames: true,
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'inline',
  })
  if (!isModule) writeFileSync(path.join(folder, 'index.js'), doorOf(root, name))
  const manifest = { name, version, license, type, main: 'index.js', exports: './index.js' }
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

/**
 * What is imported of a CommonJS bundle. Its first line never runs: Node reads there which names `import { … }` may ask for, which it cannot
 * read from the bundle itself (it lost its way in @oclif/core's after nine of 24).
 * @param {string} root
 * @param {string} name
 */
function doorOf(root, name) {
  /** @type {object} */
  const whole = createRequire(path.join(root, 'package.json'))(name)
  const names = Object.keys(whole).filter((key) => /^[A-Za-z_$][\w$]*$/.test(key) && key !== 'default')
  return `0 && (module.exports = { ${names.join(', ')} })\nconst whole = require('./bundle.js')\nmodule.exports = whole\n`
}

/**
 * @param {string} root
 * @param {string} name
 * @returns {{ version: string, license: string, type?: 'module' | 'commonjs' }}
 */
function manifestOf(root, name) {
  return JSON.parse(readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8'))
}
