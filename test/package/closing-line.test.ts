/** The closing line of .ci/run, from reports as vitest writes them; and the whole script on a tree whose npm and vitest are stand-ins. */
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { summarise } from '../../.ci/summary.js'

const project = path.resolve(import.meta.dirname, '../..')

function report(...statuses: string[]) {
  const assertionResults = statuses.map((status) => ({ status }))
  const status = statuses.includes('failed') ? 'failed' : 'passed'
  return { success: status === 'passed', testResults: [{ status, assertionResults }] }
}

describe('summary', () => {
  it('counts what passed', () => {
    expect(summarise(report('passed', 'passed'), 0)).toEqual({ line: '2 passed, 0 failed', isGreen: true })
  })

  it('counts what failed and what was skipped', () => {
    expect(summarise(report('passed', 'failed', 'skipped', 'todo'), 1)).toEqual({
      line: '1 passed, 1 failed, 2 skipped',
      isGreen: false,
    })
  })

  it('counts a file that does not load as a failure', () => {
    const broken = { status: 'failed', assertionResults: [] }
    const whole = { success: false, testResults: [...report('passed').testResults, broken] }
    expect(summarise(whole, 1)).toEqual({ line: '1 passed, 1 failed', isGreen: false })
  })

  it.each([
    ['no report', null, 1],
    ['no test', { success: true, testResults: [] }, 0],
    ['an exit code that no test accounts for', report('passed'), 1],
  ])('never reads %s as success', (_, given, exitCode) => {
    const { line, isGreen } = summarise(given, exitCode)
    expect(line).toMatch(/^\d+ passed, 1 failed$/)
    expect(isGreen).toBe(false)
  })
})

describe('.ci/run', () => {
  let root: string

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'backfill-ci-'))
    await cp(path.join(project, '.ci'), path.join(root, '.ci'), { recursive: true })
    await mkdir(path.join(root, 'bin'))
    await writeFile(path.join(root, 'bin/bootstrap.js'), '')
  })
  afterEach(async () => {
    await rm(root, { recursive: true, force: true })
  })

  /** An `npm` whose `test` leaves the given report and whose `check` ends with the given exit code. */
  async function run(given: { report: object | null; testExit?: number; checkExit?: number }) {
    const written =
      given.report === null ? '' : `echo '${JSON.stringify(given.report)}' > "\${argument#--outputFile.json=}"`
    const npm = path.join(root, 'npm')
    await writeFile(
      npm,
      `#!/usr/bin/env bash
       [ "$1" = run ] && exit ${given.checkExit ?? 0}
       for argument; do case $argument in --outputFile.json=*) ${written || ':'};; esac; done
       exit ${given.testExit ?? 0}`,
    )
    await chmod(npm, 0o755)
    const env = { PATH: `${root}:${process.env.PATH ?? ''}` }
    const { stdout, exitCode } = await execa(path.join(root, '.ci/run'), { env, reject: false })
    return { last: stdout.split('\n').at(-1), exitCode }
  }

  it('ends with the counts of a passing run and exit 0', async () => {
    expect(await run({ report: report('passed', 'passed') })).toEqual({ last: '2 passed, 0 failed', exitCode: 0 })
  })

  it('ends with the counts of a failing run and exit 1', async () => {
    expect(await run({ report: report('passed', 'failed'), testExit: 1 })).toEqual({
      last: '1 passed, 1 failed',
      exitCode: 1,
    })
  })

  it('fails where vitest crashed', async () => {
    expect(await run({ report: null, testExit: 134 })).toEqual({ last: '0 passed, 1 failed', exitCode: 1 })
  })

  it('fails where only the checks failed, and still says what the tests did', async () => {
    expect(await run({ report: report('passed'), checkExit: 1 })).toEqual({ last: '1 passed, 0 failed', exitCode: 1 })
  })
})
