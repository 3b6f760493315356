// Runs the commands from their sources, nothing built: `npm run dev -- status`. oclif's own way of finding sources fails where they lie beside
// src (it swallows the failure and runs an old dist), so it is switched off and pointed at them.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { execute, settings } from '@oclif/core'

const root = fileURLToPath(new URL('..', import.meta.url))
/** @type {import('@oclif/core/interfaces').PJSON} */
const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'))
pjson.oclif.commands = './commands'
pjson.oclif.helpClass = './src/cli/help'
settings.enableAutoTranspile = false
await execute({ development: true, loadOptions: { root, pjson } })
