// Owns the order of steps: environment, install, build, hand over. The command handed over to runs in this same process, so that signals,
// standard input and the exit code are its own.

import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, isBuilt } from './build.js'
import { prepareEnvironment } from './environment.js'
import { install, isInstalled } from './install.js'
import { withLock } from './lock.js'
import { BootstrapError } from './run-tool.js'

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** What each word makes ready, and the program that then takes over the process. */
const targets = /** @type {const} */ ({
  install: { build: false },
  build: { build: true },
  demo: { build: true, program: 'bin/run.js', args: ['demo'] },
  test: { build: true, program: 'node_modules/vitest/vitest.mjs', args: ['run'] },
})

/**
 * Makes the tree ready for the named target and becomes its program. Prints one line per step that had work to do.
 * @param {string[]} argv the target, then arguments for its program
 */
export async function bootstrap(argv) {
  const [name = '', ...rest] = argv
  if (!(name in targets)) {
    fail(`bootstrap takes one of ${Object.keys(targets).join(', ')}, not "${name}"`, 2)
    return
  }
  const target = targets[/** @type {keyof typeof targets} */ (name)]
  prepareEnvironment(process.env)
  process.chdir(root)
  try {
    await makeReady(target.build)
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error
    fail(error.message, 1)
    return
  }
  if ('program' in target) await become(target.program, [...target.args, ...rest])
}

/** @param {boolean} needsBuild */
async function makeReady(needsBuild) {
  const isReady = () => isInstalled(root) && (!needsBuild || isBuilt(root))
  if (isReady()) return
  await withLock(root, async () => {
    if (!isInstalled(root)) await install(root)
    if (needsBuild && !isBuilt(root)) await build(root)
  })
}

/**
 * @param {string} program relative to the root
 * @param {string[]} args
 */
async function become(program, args) {
  const file = path.join(root, program)
  process.argv.splice(1, process.argv.length, file, ...args)
  await import(pathToFileURL(file).href)
}

/**
 * @param {string} message
 * @param {number} code
 * @returns {void}
 */
function fail(message, code) {
  process.stderr.write(`${message}\n`)
  process.exitCode = code
}
