// Owns what the demo and the tests may know of the caller's environment: nothing that would lead them to a database or a workspace of his.

import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** DATABASE_URL, libpq's PG* and our own BACKFILL_*. */
const settings = /^(DATABASE_URL|PG[A-Z]+|BACKFILL_[A-Z0-9_]+)$/

/**
 * Removes every setting that could point the demo or a test at a real database or workspace.
 * @param {NodeJS.ProcessEnv} env changed in place
 */
export function removeSettings(env) {
  for (const name of Object.keys(env)) if (settings.test(name)) Reflect.deleteProperty(env, name)
}

/**
 * Removes settings, repairs an empty HOME (an empty string makes npm write its cache below the working directory), and tells node-gyp where
 * this Node's own headers are, so that better-sqlite3 builds without downloading them.
 * @param {NodeJS.ProcessEnv} env changed in place
 */
export function prepareEnvironment(env) {
  removeSettings(env)
  if (env.HOME === '') delete env.HOME
  const prefix = path.dirname(path.dirname(process.execPath))
  if (env.npm_config_nodedir === undefined && existsSync(path.join(prefix, 'include/node/node.h'))) {
    env.npm_config_nodedir = prefix
  }
}

/**
 * Gives npm a home that can be written, for the time of one install: the caller's own, else a temporary one.
 * @template T
 * @param {(env: NodeJS.ProcessEnv) => Promise<T>} act
 * @returns {Promise<T>}
 */
export async function withWritableHome(act) {
  if (process.env.HOME === undefined || isWritable(process.env.HOME)) return act(process.env)
  const home = mkdtempSync(path.join(tmpdir(), 'backfill-install-'))
  try {
    return await act({ ...process.env, HOME: home, npm_config_cache: path.join(home, '.npm') })
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** @param {string} folder */
function isWritable(folder) {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
