/** Start-up: a warm `status` at 1,000,000 tasks, and a `worker` with nothing due, as multiples of `node -e 0` in the same minute. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { median, printResults, runNode } from './measure.js'

const root = resolve(import.meta.dirname, '../..')
const tasks = 1_000_000
const rounds = 11

/** @returns true where both stay under four times `node -e 0`. */
export async function benchCli(): Promise<boolean> {
  const directory = makeWorkspace()
  try {
    const run = (...args: string[]) => runNode([join(root, 'bin/run.js'), ...args, '--workspace', directory])
    await run('seed', 'many')
    putOff(join(directory, 'queue.db'))
    await run('status')
    const ratios: Record<'status' | 'worker', number[]> = { status: [], worker: [] }
    for (let round = 0; round < rounds; round += 1) {
      const base = (await runNode(['-e', '0'])).ms
      ratios.status.push((await run('status')).ms / base)
      ratios.worker.push((await run('worker')).ms / base)
    }
    const target = { kind: 'at most', bound: 4 } as const
    return printResults(`Start-up (medians of ${rounds})`, [
      { what: 'warm status at 1,000,000 tasks ÷ node -e 0', value: median(ratios.status), unit: '×', target },
      { what: 'worker with nothing due ÷ node -e 0', value: median(ratios.worker), unit: '×', target },
    ])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function makeWorkspace(): string {
  const parent = join(root, 'node_modules', '.cache')
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'bench-'))
  mkdirSync(join(directory, 'sources'))
  writeFileSync(join(directory, 'backfill.yaml'), 'database: embedded\ntimezone: UTC\n')
  const cells = Array.from({ length: tasks / 1000 }, (_, index) => index)
  const days = '{ days: { from: 2020-01-01, to: 2022-09-26 } }'
  const yaml = `source: many
base_url: http://127.0.0.1:9
budget: { delay: 0s }
dimensions: { cell: [${cells.join(', ')}], day: ${days} }
streams:
  thing: { path: '/{cell}/{day}', paginate: none, key: [id], columns: { id: bigint } }
`
  writeFileSync(join(directory, 'sources', 'many.yaml'), yaml)
  return directory
}

/** Nothing is due for a year. */
function putOff(file: string): void {
  const queue = new Sqlite(file)
  const { changes } = queue.prepare(`update task set ready_at = ?`).run(Date.now() + 365 * 86_400_000)
  queue.close()
  if (changes !== tasks) throw new Error(`expected ${tasks} tasks, found ${changes}`)
}
