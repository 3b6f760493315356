/**
 * What a worker shows while it works: on a terminal one bar per running task and a line for each that ends; elsewhere nothing. On stderr, so that stdout
 * stays clean. Loads the bars only where there is somebody to see them.
 */
import type { MultiBar, SingleBar } from 'cli-progress'
import type { Task } from '../../domain/task.js'
import type { WorkerEvent } from '../../worker/types.js'
import type { Asked } from '../asked.js'
import { columnsOf, type Ink } from '../ink.js'
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
  const { inkFor } = await import('../ink.js')
  const { default: progress } = await import('cli-progress')
  const bars = new progress.MultiBar(
    {
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      // Without these, it draws nothing until a bar is full, and listens to SIGINT itself.
      forceRedraw: true,
      gracefulExit: false,
      format: '  {bar} {what}',
      barsize: 16,
      fps: 4,
    },
    progress.Presets.shades_classic,
  )
  return screenOn(bars, { ink: inkFor(process.stderr), dimensions: dimensionsOf(asked.streams) })
}

interface Style {
  readonly ink: Ink
  readonly dimensions: (task: Task) => { readonly dimensions: readonly string[] } | undefined
}

function dimensionsOf(streams: Asked<unknown>['streams']): Style['dimensions'] {
  return (task) => streams.find(({ stream }) => stream.source === task.source && stream.name === task.stream)?.stream
}

function screenOn(bars: MultiBar, style: Style): WorkerScreen {
  const running = new Map<string, SingleBar>()
  const line = (text: string): void => {
    // The bars are drawn over the last lines: a line goes above them, filled so that nothing of a bar remains.
    bars.log(`${text}${' '.repeat(Math.max(0, columnsOf(process.stderr) - width(text) - 1))}\n`)
  }
  const drop = (task: Task): void => {
    const bar = running.get(task.id)
    if (bar !== undefined) bars.remove(bar)
    running.delete(task.id)
  }
  const show = (event: WorkerEvent): void => {
    switch (event.type) {
      case 'started':
        running.set(
          event.task.id,
          bars.create(event.task.expected ?? 0, event.task.totals.received, { what: barText(event.task, style) }),
        )
        return
      case 'progress': {
        const { totals, expected } = event.progress
        const bar = running.get(event.task.id)
        bar?.setTotal(expected ?? Math.max(1, totals.received * 2))
        bar?.update(totals.received, { what: barText({ ...event.task, totals, expected }, style) })
        return
      }
      case 'ended':
        drop(event.task)
        line(endedText(event, style))
        return
      case 'waiting':
        line(
          style.ink.dim(
            `waiting until ${clockText(event.until, Date.now())}${event.source === null ? '' : ` for the budget of ${event.source}`}`,
          ),
        )
        return
      case 'reclaimed':
        line(`${plural(event.tasks.length, 'task')} taken back from a worker that died`)
        return
      case 'unknown fields':
        line(`${event.source}.${event.stream} sends fields that no column names: ${clean(event.fields.join(', '))}`)
    }
  }
  return { show, close: () => bars.stop() }
}

function barText(task: Task, style: Style): string {
  const rows =
    task.expected === null
      ? plural(task.totals.received, 'row')
      : `${count(task.totals.received)} of ${count(task.expected)} rows`
  return shorten(`#${task.number} ${nameOf(task, style)}  ${rows}`, columnsOf(process.stderr) - 20)
}

function endedText({ task, outcome }: Extract<WorkerEvent, { type: 'ended' }>, style: Style): string {
  const { ink } = style
  const name = `#${task.number} ${nameOf(task, style)}`
  const rows = plural(outcome.progress.totals.received, 'row')
  switch (outcome.kind) {
    case 'done':
      return `${ink.green('done')} ${name}  ${rows}, ${outcome.proof}`
    case 'dead':
      return `${ink.red('dead')} ${name}  ${outcome.code}: ${clean(outcome.message)}`
    case 'later':
      return `${ink.yellow('later')} ${name}  at ${clockText(outcome.readyAt, Date.now())}: ${clean(outcome.message)}`
    case 'released':
      return `${ink.dim('released')} ${name}  ${rows} so far`
  }
}

function nameOf(task: Task, style: Style): string {
  const label = labelOf(task, style.dimensions(task))
  const stream = `${task.source}.${task.stream}`
  return label === stream ? stream : `${stream} ${label}`
}
