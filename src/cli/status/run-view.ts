/** The last runs, newest first; a row of idle ones (cron's "nothing due") is one line. */
import type { RunRecord } from '../../domain/ports.js'
import type { StatusReport } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import { clean, count, duration } from '../text.js'
import { clockText, localTimes } from '../zone.js'
import type { Look } from './view.js'

const runsShown = 5
const head = ['LAST RUNS', 'TOOK', 'DONE', 'DEAD', 'ROWS', 'REQUESTS', 'WHY IT ENDED']

export function runLines(report: StatusReport, look: Look): readonly string[] {
  const groups = groupIdle(report.runs).slice(0, runsShown)
  if (groups.length === 0) return []
  const { ink, columns } = look
  const rows = groups.map((group) => runRow(group, report))
  const paint = (text: string, row: number | null, column: number): string => {
    if (row === null || text === '0' || text === '-') return ink.dim(text)
    return column === 6 && text.startsWith('exit') ? ink.yellow(text) : text
  }
  return renderColumns({ head, rows, right: [1, 2, 3, 4, 5], flexible: 6, columns, paint })
}

interface RunGroup {
  readonly newest: RunRecord
  readonly times: number
}

/** Runs of one command in a row that did nothing and ended for the same reason. */
function groupIdle(runs: readonly RunRecord[]): readonly RunGroup[] {
  const groups: RunGroup[] = []
  for (const run of runs) {
    const last = groups.at(-1)
    if (
      last !== undefined &&
      isIdle(run) &&
      isIdle(last.newest) &&
      run.command === last.newest.command &&
      run.reason === last.newest.reason
    ) {
      groups[groups.length - 1] = { newest: last.newest, times: last.times + 1 }
    } else groups.push({ newest: run, times: 1 })
  }
  return groups
}

function isIdle(run: RunRecord): boolean {
  return run.exitCode === 0 && run.requests === 0 && run.done === 0
}

function runRow({ newest, times }: RunGroup, report: StatusReport): readonly string[] {
  const { at, worker } = report
  const isWorking = worker?.run.id === newest.id && worker.state !== 'gone'
  const end = newest.finishedAt ?? (isWorking ? at : newest.touchedAt)
  const numbers = [newest.done, newest.dead, newest.rows, newest.requests].map(count)
  const took = times > 1 ? '-' : duration(end - newest.startedAt)
  return [
    `${clockText(newest.startedAt, at)} ${newest.command}`,
    took,
    ...numbers,
    endText({ newest, times }, isWorking, at),
  ]
}

/** Exit 0 goes without saying. */
function endText({ newest, times }: RunGroup, isWorking: boolean, now: number): string {
  if (newest.finishedAt === null) return isWorking ? 'still running' : 'cut off'
  const exit = newest.exitCode === 0 ? [] : [`exit ${newest.exitCode ?? 1}`]
  const reason = newest.reason === null ? [] : [localTimes(clean(newest.reason), now)]
  return [...exit, ...reason].join(': ') + (times > 1 ? ` ×${times}` : '')
}
