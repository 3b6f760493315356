/**
 * What a worker shows while it works: on a terminal one bar per running task and a line for each that ends; elsewhere nothing. On stderr, so that stdout
 * stays clean. Loads the bars only where there is somebody to see them.
 */
import type { MultiBar, SingleBar } from 'cli-progress'
import type { Task } from '../../domain/task.js'
import type { WorkerEvent } from '../../worker/types.js'
import type { Asked } from '../asked.js'
import { columnsOf } from '../ink.js'
import { labelOf } from '../task-text.js'
import { clean, count, plural, shorten, width } from '../text.js'
import { clockText } from '../zone.js'

export interface WorkerScreen {
  readonly show: (event: WorkerEvent) => void
  close(): void
}

/** Silent where stderr is no terminal, or with `--json`. */
export async function openWorkerScreen(
  asked: Pick<Asked<{ readonly json: boolean | undefined }>, 'flags' | 'streams'>,
): Promise<WorkerScreen> {
  if (!process.stderr.isTTY || asked.flags.json === true) return { show: () => undefined, close: () => undefined }
  const { default: progress } = await import('cli-progress')
  const bars = new progress.MultiBar(
    {
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      // It would listen to SIGINT itself, and the worker still draws while it ends.
      gracefulExit: false,
      // The removal of a bar clears those below it; unchanged ones would stay away.
      forceRedraw: true,
      format: '  {bar} {what}',
      barsize: barColumns,
      fps: 4,
    },
    progress.Presets.shades_classic,
  )
  const screen = new Bars(bars, asked.streams)
  return { show: (event) => screen.show(event), close: () => screen.close() }
}

const barColumns = 16

class Bars {
  readonly #bars: MultiBar
  readonly #streams: Asked<unknown>['streams']
  readonly #running = new Map<string, SingleBar>()

  constructor(bars: MultiBar, streams: Asked<unknown>['streams']) {
    this.#bars = bars
    this.#streams = streams
  }

  show(event: WorkerEvent): void {
    switch (event.type) {
      case 'started':
        return this.#start(event.task)
      case 'progress':
        return this.#move(event.task, event.progress)
      case 'ended':
        // The line before its bar goes: what is logged appears with the next drawing, which the removal does.
        this.#line(this.#endText(event))
        return this.#drop(event.task.id)
      case 'waiting':
        return this.#line(waitText(event))
      case 'reclaimed':
        return this.#line(`${plural(event.tasks.length, 'task')} taken back from a worker that died`)
      case 'unknown fields':
        return this.#line(
          `${event.source}.${event.stream} sends fields that no column names: ${event.fields.join(', ')}`,
        )
    }
  }

  close(): void {
    for (const id of [...this.#running.keys()]) this.#drop(id)
    this.#bars.stop()
  }

  #start(task: Task): void {
    const total = totalOf(task)
    this.#running.set(task.id, this.#bars.create(total, task.totals.received, { what: this.#barText(task) }))
  }

  #move(task: Task, progress: Pick<Task, 'totals' | 'expected'>): void {
    const now: Task = { ...task, totals: progress.totals, expected: progress.expected }
    const bar = this.#running.get(task.id)
    bar?.setTotal(totalOf(now))
    bar?.update(now.totals.received, { what: this.#barText(now) })
  }

  #drop(id: string): void {
    const bar = this.#running.get(id)
    if (bar === undefined) return
    this.#running.delete(id)
    this.#bars.remove(bar)
    // A timer of bars that are not there would keep the process.
    if (this.#running.size === 0) this.#bars.stop()
  }

  /** Above the bars. Neither longer than the terminal nor shorter than the bar it replaces: both would leave remains. */
  #line(text: string): void {
    const columns = columnsOf(process.stderr) - 1
    const line = shorten(clean(text), columns)
    if (this.#running.size === 0) process.stderr.write(`${line}\n`)
    else this.#bars.log(`${line}${' '.repeat(Math.max(0, columns - width(line)))}\n`)
  }

  #barText(task: Task): string {
    const received = count(task.totals.received)
    const rows = task.expected === null ? `${received} rows` : `${received} of ${count(task.expected)} rows`
    return shorten(`${this.#nameOf(task)}  ${rows}`, columnsOf(process.stderr) - barColumns - 4)
  }

  #endText({ task, outcome }: Extract<WorkerEvent, { type: 'ended' }>): string {
    const name = this.#nameOf(task)
    const rows = plural(outcome.progress.totals.received, 'row')
    switch (outcome.kind) {
      case 'done':
        return `done      ${name}  ${rows}, ${outcome.proof}`
      case 'cancelled':
        return `cancelled ${name}  ${outcome.code}: ${outcome.message}`
      case 'dead':
        return `dead      ${name}  ${outcome.code}: ${outcome.message}`
      case 'later':
        return `later     ${name}  at ${clockText(outcome.readyAt, Date.now())}: ${outcome.message}`
      case 'released':
        return `released  ${name}  ${rows} so far`
    }
  }

  #nameOf(task: Task): string {
    const known = this.#streams.find(({ stream }) => stream.source === task.source && stream.name === task.stream)
    const label = labelOf(task, known?.stream)
    const stream = `${task.source}.${task.stream}`
    return label === stream ? `#${task.number} ${stream}` : `#${task.number} ${stream} ${label}`
  }
}

/** Without a count the bar fills half at most: it must not look finished. */
function totalOf(task: Pick<Task, 'totals' | 'expected'>): number {
  return Math.max(1, task.expected ?? task.totals.received * 2)
}

function waitText({ until, source }: Extract<WorkerEvent, { type: 'waiting' }>): string {
  return `waiting until ${clockText(until, Date.now())}${source === null ? '' : ` for the budget of ${source}`}`
}
