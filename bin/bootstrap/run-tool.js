// Owns running npm and tsc: quiet while they work, their last words and a sentence when they fail. A signal stops the tool before us.

import { spawn } from 'node:child_process'

/** A failure that the newcomer can do something about: printed without a stack, exit 1. */
export class BootstrapError extends Error {}

const tailLines = 25
const keptBytes = 256 * 1024

/** What the tools say when something outside the project is missing, and what to do about it. The first match wins: a failed compiler comes after a failed download. */
const explanations = /** @type {const} */ ([
  [/ENOSPC|no space left/i, 'the disk is full; make room and try again'],
  [
    /Could not find any Python installation/,
    'better-sqlite3 is compiled here and that needs Python 3; install it (Debian: apt install python3) and try again',
  ],
  [
    /not found: make|\b(make|cc|c\+\+|gcc|g\+\+|clang|clang\+\+): (No such file|(command )?not found)|xcrun: error/,
    'better-sqlite3 is compiled here and that needs make and a C++ compiler; install them (Debian: apt install build-essential; macOS: xcode-select --install) and try again',
  ],
  [
    /gyp WARN install got an error|gyp ERR! configure error[\s\S]*network/,
    "node-gyp could not fetch Node's headers; set npm_config_nodedir to a folder that has include/node/node.h and try again",
  ],
  [/gyp ERR! build error/, 'better-sqlite3 did not compile; it needs a compiler that knows C++20'],
  [
    /npm error code (ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT)/,
    "npm could not reach the package registry; check the network, or npm's registry and proxy settings, and try again",
  ],
  [
    /npm error code (EACCES|EPERM|EROFS)|EACCES: permission denied/,
    'this user may not write here; change the owner of the folder, or work in a clone of your own',
  ],
  [
    /npm error code EUSAGE/,
    'package.json and package-lock.json do not belong together; run "npm install" and try again',
  ],
])

/**
 * Finds the sentence for what a tool printed before it failed, or null where nothing is recognised.
 * @param {string} output
 * @returns {string | null}
 */
export function explain(output) {
  for (const [pattern, sentence] of explanations) if (pattern.test(output)) return sentence
  return null
}

/**
 * Runs a program with this Node, without standard input. Resolves when it exits with 0.
 * @param {string} title names the step in the message of a failure
 * @param {string[]} argv the program's file and its arguments
 * @param {NodeJS.ProcessEnv} env
 * @throws {BootstrapError} with the last lines of its output and, where the cause is recognised, what to do
 */
export async function runTool(title, argv, env = process.env) {
  const { outcome, output } = await collect(argv, env)
  if (outcome === 0) return
  const tail = output.trimEnd().split('\n').slice(-tailLines).join('\n')
  const how = typeof outcome === 'number' ? `exit code ${outcome}` : outcome
  throw new BootstrapError(`${tail}\n\n${title} failed (${how})${suffix(explain(output))}`)
}

/** @param {string | null} sentence */
function suffix(sentence) {
  return sentence === null ? '; its last lines are above' : `: ${sentence}`
}

/**
 * @param {string[]} argv
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ outcome: number | string, output: string }>}
 */
function collect(argv, env) {
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (/** @type {Buffer} */ bytes) => {
    output = (output + bytes.toString('utf8')).slice(-keptBytes)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const stopForwarding = forwardSignals(child)
  return new Promise((resolve) => {
    const end = (/** @type {number | string} */ outcome) => {
      stopForwarding()
      resolve({ outcome, output })
    }
    child.on('error', (error) => end(error.message))
    child.on('close', (code, signal) => end(code ?? signal ?? 'unknown'))
  })
}

/** @param {import('node:child_process').ChildProcess} child */
function forwardSignals(child) {
  const signals = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])
  const forward = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal)
  for (const signal of signals) process.on(signal, forward)
  return () => {
    for (const signal of signals) process.off(signal, forward)
  }
}
