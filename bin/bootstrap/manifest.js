// Owns dist/package.json and dist/oclif.manifest.json: what oclif must know of the commands before it loads one. Without them each start looks
// for the command files and imports them all (0.25 times `node -e 0`). Made by the build that makes the commands, never kept beside the sources;
// bin/run.js passes over a manifest that is older than a command.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { BootstrapError } from './run-tool.js'

/**
 * Writes both files for the commands that are in dist now.
 * @param {string} root
 * @throws {BootstrapError} when a file of dist/commands is no command, or does not load
 */
export async function writeManifest(root) {
  const dist = path.join(root, 'dist')
  writeFileSync(path.join(dist, 'package.json'), `${JSON.stringify(manifestSeenFromDist(root), null, 2)}\n`)
  /** @type {typeof import('@oclif/core')} */
  const { Plugin } = createRequire(path.join(dist, 'src/'))('@oclif/core')
  const plugin = new Plugin({
    root: dist,
    name: undefined,
    isRoot: true,
    ignoreManifest: true,
    errorOnManifestCreate: true,
  })
  try {
    await plugin.load()
  } catch (error) {
    throw new BootstrapError(
      `a file of commands/ cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  writeFileSync(path.join(dist, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest)}\n`)
}

/**
 * package.json with oclif's paths as they are from dist, and without what only a clone needs.
 * @param {string} root
 */
function manifestSeenFromDist(root) {
  const { name, version, description, type, engines, bin, oclif } = JSON.parse(
    readFileSync(path.join(root, 'package.json'), 'utf8'),
  )
  return {
    name,
    version,
    description,
    type,
    engines,
    bin,
    oclif: JSON.parse(JSON.stringify(oclif).replaceAll('"./dist/', '"./')),
  }
}
