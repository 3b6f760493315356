#!/usr/bin/env node
// The door of every command. Owns nothing but what must be said before src/cli can speak: that dist or SQLite's native part is missing.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = fileURLToPath(new URL('../dist/src/', import.meta.url))

if (existsSync(dist)) await start()
else refuse('backfill is not built: run "npm run build"')

async function start() {
  // From dist's side: the same copy that the commands import, which may be the bundled one (bin/bootstrap/bundle.js).
  /** @type {typeof import('@oclif/core')} */
  const { flush, handle, run } = createRequire(dist)('@oclif/core')
  try {
    await run(process.argv.slice(2), { root })
    await flush()
  } catch (error) {
    if (isNativePartMissing(error)) refuse(nativePartMissing)
    else await handle(/** @type {Error} */ (error))
  }
}

const nativePartMissing = `SQLite's native part does not fit Node ${process.versions.node} or was never built: run "npm rebuild better-sqlite3" in ${root}`

/**
 * @param {unknown} error
 * @returns {boolean}
 */
function isNativePartMissing(error) {
  if (!(error instanceof Error)) return false
  if ('code' in error && error.code === 'ERR_DLOPEN_FAILED') return true
  return error.message.startsWith('Could not locate the bindings file') || isNativePartMissing(error.cause)
}

/** @param {string} sentence */
function refuse(sentence) {
  process.stderr.write(`${sentence}\n`)
  process.exitCode = 2
}
