// The static checks, two at a time: the linter, which takes as long as all the others, and those beside it. Both run to their end, whatever became of
// the other, and what each says comes out whole. Exit 0 only where both passed. Needs a built dist.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const results = await Promise.all(['check:lint', 'check:rest'].map(run))
process.exitCode = results.every((code) => code === 0) ? 0 : 1

/**
 * Answers the exit code of the npm script.
 * @param {string} script
 * @returns {Promise<number | null>}
 */
function run(script) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['run', '--silent', script], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const keep = (/** @type {Buffer} */ some) => {
      output += some.toString()
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', reject).on('close', (code) => {
      process.stdout.write(`${output}npm run ${script} ${code === 0 ? 'passed' : 'failed'}\n`)
      resolve(code)
    })
  })
}
