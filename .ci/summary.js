// Turns vitest's JSON report into the closing line of .ci/run, and its exit code. A run that left no report, or none of whose tests
// failed although vitest did (an unhandled rejection, a file that does not load), counts as one failure: it never reads as success.

import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/**
 * The part of vitest's report that is read here.
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 * @typedef {{ success: boolean, testResults: FileResult[] }} Report
 */

/**
 * @param {Report | null} report null where vitest left none
 * @param {number} exitCode vitest's own
 * @returns {{ line: string, isGreen: boolean }}
 */
export function summarise(report, exitCode) {
  const files = report?.testResults ?? []
  const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status))
  const count = (/** @type {string[]} */ ...wanted) => statuses.filter((status) => wanted.includes(status)).length
  const brokenFiles = files.filter((file) => file.status === 'failed' && !file.assertionResults.some(isFailed)).length
  const passed = count('passed')
  const hasFailedOtherwise = exitCode !== 0 || report?.success !== true || passed === 0
  const failed = count('failed') + brokenFiles || (hasFailedOtherwise ? 1 : 0)
  const skipped = statuses.length - passed - count('failed')
  const line = `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
  return { line, isGreen: failed === 0 }
}

/** @param {{ status: string }} test */
function isFailed(test) {
  return test.status === 'failed'
}

/**
 * @param {string} file
 * @returns {Report | null}
 */
function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    process.stdout.write('vitest left no report: it crashed or did not start\n')
    return null
  }
}

const [program = '', file = '', exitCode = '1'] = process.argv.slice(1)
if (import.meta.url === pathToFileURL(program).href) {
  const { line, isGreen } = summarise(readReport(file), Number(exitCode))
  process.stdout.write(`${line}\n`)
  process.exitCode = isGreen ? 0 : 1
}
