/**
 * `npm run bench`: every benchmark, each with its targets; exits 1 where one is missed. Name some (`path queue cli`) to run only those; `school` takes parts of its own behind
 * its name (`school limits churn`), and runs only where it is named: it takes half an hour.
 */
import { join } from 'node:path'
import { benchCli } from './cli.js'
import { runNode } from './measure.js'
import { benchPath } from './path.js'
import { benchSchool } from './school.js'

const benchmarks: Readonly<Record<string, () => Promise<boolean>>> = {
  path: benchPath,
  cli: benchCli,
  // In a process of its own: it prints its own table and sets its own exit status.
  queue: async () => {
    const { output, code } = await runNode(['--import', 'tsx', join(import.meta.dirname, 'queue.ts')], {
      mayFail: true,
    })
    process.stdout.write(`\n${output}`)
    return code === 0
  },
}

const named = process.argv.slice(2)
if (named[0] === 'school') {
  process.exitCode = (await benchSchool(named.slice(1))) ? 0 : 1
  process.exit()
}
const unknown = named.filter((name) => !Object.hasOwn(benchmarks, name))
if (unknown.length > 0)
  throw new Error(`no benchmark is called ${unknown.join(', ')}; there are ${Object.keys(benchmarks).join(', ')}`)

let isGood = true
for (const [name, bench] of Object.entries(benchmarks)) {
  if (named.length > 0 && !named.includes(name)) continue
  isGood = (await bench()) && isGood
}
process.exitCode = isGood ? 0 : 1
