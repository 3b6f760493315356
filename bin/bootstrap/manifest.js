// Owns dist/oclif.manifest.json: what oclif must know of the commands before it loads one. Without it each start looks for the command files and
// imports them all (0.25 times `node -e 0`). Made by the build that makes the commands, never kept beside the sources; bin/run.js passes over one
// that is older than a command.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { BootstrapError } from './run-tool.js'

/**
 * Writes the manifest of the commands that are in dist now. Its paths are relative to the root.
 * @param {string} root
 * @throws {BootstrapError} when a file of dist/commands is no command, or does not load
 */
export async function writeManifest(root) {
  const dist = path.join(root, 'dist')
  /** @type {typeof import('@oclif/core')} */
  const { Plugin } = createRequire(path.join(dist, 'src/'))('@oclif/core')
  /** @type {import('@oclif/core/interfaces').PJSON} */
  const pjson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const plugin = new Plugin({
    root,
    name: pjson.name,
    pjson,
    isRoot: true,
    ignoreManifest: true,
    errorOnManifestCreate: true,
  })
  try {
    await plugin.load()
  } catch (error) {
    throw new BootstrapError(
      `a file of commands/ does not load: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  writeFileSync(path.join(dist, 'oclif.manifest.json'), `${JSON.stringify(plugin.manifest)}\n`)
}
