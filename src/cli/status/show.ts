/** Runs `backfill status`: opens queue.db for reading, asks the use case, prints. Must stay light: it is run by hand, by monitoring and by `watch`. */
import { basename, join } from 'node:path'
import { systemClock } from '../../clock/system-clock.js'
import { ConfigError } from '../../domain/errors.js'
import { partitionLabel } from '../../domain/partition.js'
import type { Task } from '../../domain/task.js'
import { status } from '../../status/status.js'
import type { StatusReport, StatusRequest } from '../../status/types.js'
import type { Asked } from '../asked.js'
import { type OpenQueue, openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { clean } from '../text.js'

export interface StatusFlags {
  readonly json: boolean | undefined
  readonly watch: boolean
  readonly dead: boolean
  readonly check: boolean
  readonly task: string | undefined
}
type StatusReading = Asked<StatusFlags>

const deadShown = 5
/** `--dead` lists so many at most; more are counted. */
const deadListed = 1000
const runsRead = 50
const redrawMs = 2000

/** Answers the exit code: 3 with `--check` where anything is wrong, else 0. */
export async function showStatus(reading: StatusReading, stop: Stop): Promise<number> {
  if (reading.flags.watch && !process.stdout.isTTY) {
    throw new ConfigError('usage', 'draw status again and again found no terminal', {
      hint: 'leave --watch out, or run it in a terminal',
    })
  }
  return withOpened(async (opened) => {
    const queue = opened.keep(await openWorkspaceQueue(reading.workspace, 'read'), (open) => open.close())
    if (reading.flags.task !== undefined) return showTask(reading.flags.task, queue, reading)
    if (reading.flags.watch) return watch(reading, queue, stop)
    const report = await ask(reading, queue)
    if (reading.flags.json === true) {
      const { statusDocument } = await import('./document.js')
      sayJson(statusDocument(report, reading.workspace))
    } else say((await draw(reading, report)).join('\n'))
    return reading.flags.check && report.problems.length > 0 ? exitCodes.attention : exitCodes.done
  })
}

async function ask(reading: StatusReading, queue: OpenQueue): Promise<StatusReport> {
  const { streams, filter, isEverything, flags } = reading
  const deadLimit = flags.dead ? deadListed : flags.json === true ? 100 : 50
  const { timezone } = reading.workspace
  const request: StatusRequest = { streams, filter, isEverything, timezone, deadLimit, runLimit: runsRead }
  const { readSecretEnds } = await import('../../source/token-file.js')
  const secretEnds = () => readSecretEnds(join(reading.workspace.stateDirectory, 'tokens'))
  return status(request, {
    queue,
    follows: queue.follows,
    budget: queue.budget,
    findings: queue.findings,
    controls: queue.controls,
    clock: systemClock,
    isAlive,
    secretEnds,
  })
}

async function draw({ workspace, flags, streams }: StatusReading, report: StatusReport): Promise<readonly string[]> {
  const { statusLines } = await import('./view.js')
  return statusLines(report, {
    ink: inkFor(process.stdout),
    columns: columnsOf(process.stdout),
    deadShown: flags.dead ? deadListed : deadShown,
    isDeadOnly: flags.dead,
    label: labelIn(streams),
    workspace: basename(workspace.directory),
  })
}

async function showTask(name: string, queue: OpenQueue, { flags, streams }: StatusReading): Promise<number> {
  const isNumber = /^#?\d{1,15}$/.test(name)
  const [task] = await queue.tasks(
    isNumber ? { number: Number(name.replace('#', '')), limit: 1 } : { id: name, limit: 1 },
  )
  if (task === undefined)
    throw new ConfigError('unknown_task', `show task "${name}" found no such task`, {
      hint: 'numbers are in "backfill status" and in the log',
    })
  const dismissal = await queue.dismissal(task.id)
  if (flags.json === true) {
    const { dismissalDocument, taskDocument } = await import('./document.js')
    sayJson({ task: taskDocument(task), dismissal: dismissalDocument(dismissal) })
  } else {
    const { taskLines } = await import('./task-view.js')
    const look = {
      ink: inkFor(process.stdout),
      columns: columnsOf(process.stdout),
      now: Date.now(),
      label: labelIn(streams),
    }
    say(taskLines(task, { ...look, dismissal }).join('\n'))
  }
  return flags.check && task.state === 'dead' ? exitCodes.attention : exitCodes.done
}

/** The values of a partition in the order of its stream's dimensions; of a stream that is not configured, in the alphabet's. */
function labelIn(streams: StatusReading['streams']): (task: Task) => string {
  return (task) => {
    const known = streams.find(({ stream }) => stream.source === task.source && stream.name === task.stream)
    return clean(partitionLabel(task.partition, known?.stream.dimensions))
  }
}

const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const home = '\u001b[H'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'

/** Draws over itself, line by line, so that nothing flickers; what does not fit below is left out. */
async function watch(reading: StatusReading, queue: OpenQueue, stop: Stop): Promise<number> {
  process.stdout.write(`${hideCursor}\u001b[2J`)
  try {
    while (!stop.signal.aborted) {
      const lines = (await draw(reading, await ask(reading, queue))).slice(0, Math.max(5, process.stdout.rows - 1))
      process.stdout.write(`${home}${lines.map((line) => `${line}${clearLine}`).join('\n')}\n${clearBelow}`)
      await systemClock.sleep(redrawMs, stop.signal).catch(() => undefined)
    }
  } finally {
    process.stdout.write(showCursor)
  }
  return stop.exitCode() ?? exitCodes.done
}

/** Signal 0 asks whether the process exists; EPERM means that it does and is somebody else's. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
