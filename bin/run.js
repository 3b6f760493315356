#!/usr/bin/env node
// The door of every command. Owns nothing but what must be said before src/cli can speak: that dist or SQLite's native part is missing.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
const dist = path.join(root, 'dist')
const require = createRequire(path.join(dist, 'src/'))

if (!existsSync(path.join(dist, 'src'))) refuse('backfill is not built: run "npm run build"')
else if (asksForWork() && !hasNativePart()) refuse(nativePartMissing())
else await start()

async function start() {
  // From dist's side: the same copy that the commands import, which may be the bundled one (bin/bootstrap/bundle.js).
  /** @type {typeof import('@oclif/core')} */
  const { flush, handle, Plugin, run } = require('@oclif/core')
  try {
    await run(words(process.argv.slice(2)), hasFreshManifest() ? await knownCommands(Plugin) : { root })
    await flush()
  } catch (error) {
    const word = unknownCommand(error)
    if (word === null) await handle(/** @type {Error} */ (error))
    else await refuseCommand(word)
  }
}

/**
 * `help`, `help seed`: as other programs have it.
 * @param {string[]} typed
 */
function words(typed) {
  const [first, ...rest] = typed
  return first === 'help' ? [...rest, '--help'] : typed
}

/**
 * The word that names no command, where that is the error; null else. oclif joins the words after it with colons.
 * @param {unknown} error
 */
function unknownCommand(error) {
  return error instanceof Error ? (/^command ([^:]+).* not found$/.exec(error.message)?.[1] ?? null) : null
}

/** @param {string} word */
async function refuseCommand(word) {
  /** @type {typeof import('../src/domain/nearest.js')} */
  const { didYouMean } = await import(path.join(dist, 'src/domain/nearest.js'))
  const names = readdirSync(path.join(dist, 'commands')).flatMap((file) => /^(.+)\.js$/.exec(file)?.[1] ?? [])
  refuse(`Error: run "${word}" found no such command${didYouMean(word, names)}\nTry: run "backfill --help"`)
}

/**
 * What oclif would find out by itself, from the manifest in dist. oclif looks for one beside package.json only, where it would also be taken for the
 * sources' (`npm run dev`).
 * @param {typeof import('@oclif/core').Plugin} Plugin
 */
async function knownCommands(Plugin) {
  /** @type {import('@oclif/core/interfaces').PJSON} */
  const pjson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const plugin = new Plugin({ root: dist, name: pjson.name, pjson, isRoot: true })
  await plugin.load()
  // The manifest's paths, and the commands', count from here.
  plugin.root = root
  return { root, pjson, plugins: new Map([[pjson.name, plugin]]) }
}

/** A manifest older than a command (a compiler run by hand) would hide what changed: then oclif looks for itself, in a tenth of a second. */
function hasFreshManifest() {
  const commands = path.join(dist, 'commands')
  const madeAt = statSync(path.join(dist, 'oclif.manifest.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  return readdirSync(commands).every((file) => statSync(path.join(commands, file)).mtimeMs <= madeAt)
}

/** Help and version need no SQLite. */
function asksForWork() {
  const [first] = process.argv.slice(2)
  return (
    first !== undefined && !process.argv.some((argument) => ['help', '--help', '-h', '--version'].includes(argument))
  )
}

/** Whether npm's install script ran; a look at the file costs nothing, loading it is the command's affair. */
function hasNativePart() {
  const folder = path.dirname(require.resolve('better-sqlite3/package.json'))
  return existsSync(path.join(folder, 'build/Release/better_sqlite3.node'))
}

function nativePartMissing() {
  return `SQLite's native part was never built, npm ran no install scripts: run "npm rebuild better-sqlite3" in ${root}`
}

/** @param {string} sentence */
function refuse(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exitCode = 2
}
