/**
 * `backfill status` for people: the verdict first, then streams, what runs, the dead, the budget, the last runs. Pure: a report in, lines out, none of
 * them wider than the screen. Everything that came from a source is cleaned of control characters.
 */
import type { Task } from '../../domain/task.js'
import type { StatusReport } from '../../status/types.js'
import { renderColumns } from '../columns.js'
import type { Ink } from '../ink.js'
import { clean, count, duration, plural, shorten, wrap } from '../text.js'
import { clockText, fullTime } from '../zone.js'
import { budgetLines } from './budget-view.js'
import { dismissedLines, pausedLines } from './controls-view.js'
import { freshnessLines } from './freshness-view.js'
import { runLines } from './run-view.js'
import { activitySentence, problemSentence, rowsAside, setbackSentences } from './sentences.js'
import { streamLines } from './stream-view.js'

export interface Look {
  readonly ink: Ink
  readonly columns: number
  /** Dead tasks listed; the rest is counted. */
  readonly deadShown: number
  /** Only the dead. */
  readonly isDeadOnly: boolean
  /** A partition as people read it: its values in the stream's order. */
  readonly label: (task: Task) => string
  /** Name of the workspace's folder. */
  readonly workspace: string
}

const runningShown = 10

export function statusLines(report: StatusReport, look: Look): readonly string[] {
  if (look.isDeadOnly) return [...deadLines(report, look), ...dismissedLines(report, look)]
  const sections = [
    headLines(report, look),
    pausedLines(report, look),
    streamLines(report, look),
    freshnessLines(report, look),
    selectedLines(report, look),
    runningLines(report, look),
    report.deadCount === 0 ? [] : deadLines(report, look),
    dismissedLines(report, look),
    budgetLines(report, look),
    runLines(report, look),
  ]
  return sections.filter((lines) => lines.length > 0).flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]))
}

function headLines(report: StatusReport, look: Look): readonly string[] {
  const { ink, columns } = look
  const problems = report.problems.map((problem) => problemSentence(problem, report.at))
  const activity = activitySentence(report)
  const setbacks = setbackSentences(report)
  const { text, paint } = headline(report, ink)
  const place = `${look.workspace}, ${fullTime(report.at)}`
  const lines = [`${paint(text)}${' '.repeat(Math.max(1, columns - text.length - place.length))}${ink.dim(place)}`]
  for (const { message, hint } of problems) {
    lines.push(...bullet(message, ink.red('✗'), columns), ...(hint === null ? [] : arrow(hint, look)))
  }
  for (const { message, hint } of setbacks) {
    lines.push(...bullet(message, ink.yellow('!'), columns), ...(hint === null ? [] : arrow(hint, look)))
  }
  lines.push(
    ...bullet(activity.message, ink.green('●'), columns),
    ...(activity.hint === null ? [] : arrow(activity.hint, look)),
  )
  return lines
}

/** The worst first: one word says whether somebody has to look, whether something failed, and whether all is well. */
function headline(report: StatusReport, ink: Ink): { readonly text: string; readonly paint: Ink } {
  if (report.problems.length > 0) return { text: 'NEEDS YOU', paint: ink.red.bold }
  if (report.retrying !== null) return { text: 'RETRYING', paint: ink.yellow.bold }
  if (report.refusing.length > 0) return { text: 'REFUSED', paint: ink.yellow.bold }
  if (rowsAside(report) > 0) return { text: 'ROWS SET ASIDE', paint: ink.yellow.bold }
  return { text: report.verdict.activity === 'due' ? 'READY' : 'ALL IS WELL', paint: ink.green.bold }
}

function bullet(text: string, sign: string, columns: number): readonly string[] {
  return wrap(text, columns - 2).map((line, index) => (index === 0 ? `${sign} ${line}` : `  ${line}`))
}

function arrow(text: string, { ink, columns }: Look): readonly string[] {
  return wrap(text, columns - 4).map((line, index) => ink.dim(index === 0 ? `  → ${line}` : `    ${line}`))
}

function runningLines(report: StatusReport, look: Look): readonly string[] {
  const { ink, columns } = look
  const shown = report.running.slice(0, runningShown)
  if (shown.length === 0) return []
  const rows = shown.map((task) => [
    `#${task.number}`,
    `${task.source}.${task.stream}`,
    look.label(task),
    progressText(task),
    task.leasedAt === null ? '' : duration(report.at - task.leasedAt),
  ])
  const lines = renderColumns({
    head: ['RUNNING', 'STREAM', 'PARTITION', 'PROGRESS', 'FOR'],
    rows,
    right: [4],
    flexible: 2,
    middle: [1],
    columns,
    paint: heads(ink),
  })
  const more = report.running.length - shown.length
  return more > 0 ? [...lines, ink.dim(`and ${count(more)} more`)] : lines
}

function selectedLines(report: StatusReport, look: Look): readonly string[] {
  const { ink, columns } = look
  if (report.selected.length === 0) return []
  const rows = report.selected.map((task) => [
    `#${task.number}`,
    `${task.source}.${task.stream}`,
    look.label(task),
    stateText(task, report.at),
    progressText(task),
  ])
  return renderColumns({
    head: ['TASK', 'STREAM', 'PARTITION', 'STATE', 'PROGRESS'],
    rows,
    flexible: 2,
    middle: [1],
    columns,
    paint: heads(ink),
  })
}

function deadLines(report: StatusReport, look: Look): readonly string[] {
  const { ink } = look
  if (report.deadCount === 0) return ['no task is dead']
  const shown = report.dead.slice(0, look.deadShown)
  const codes = new Map<string, number>()
  for (const task of report.dead) codes.set(task.code ?? 'unknown', (codes.get(task.code ?? 'unknown') ?? 0) + 1)
  const summary = [...codes].map(([code, times]) => `${code} ${count(times)}`).join(', ')
  const lines = [`${ink.red.bold(`DEAD ${count(report.deadCount)}`)}  ${ink.dim(shorten(summary, look.columns - 12))}`]
  for (const task of shown) lines.push(...deadTaskLines(task, report.at, look))
  const more = report.deadCount - shown.length
  if (more > 0) lines.push(ink.dim(`and ${count(more)} more: run "backfill status --dead"`))
  return lines
}

function deadTaskLines(task: Task, now: number, look: Look): readonly string[] {
  const { ink, columns } = look
  const number = `#${task.number}`
  const when = clockText(task.finishedAt ?? task.createdAt, now)
  const label = shorten(`${task.source}.${task.stream}  ${look.label(task)}`, columns - number.length - when.length - 3)
  const pad = ' '.repeat(Math.max(1, columns - number.length - 1 - label.length - when.length))
  const hint = task.hint ?? `run "backfill retry --task ${task.number}" when the cause is gone`
  return [
    `${ink.bold(number)} ${label}${pad}${ink.dim(when)}`,
    ...wrap(`${task.code ?? 'unknown'}: ${clean(task.message ?? 'no reason was recorded')}`, columns - 2).map(
      (line) => `  ${line}`,
    ),
    ...wrap(clean(hint), columns - 4).map((line, index) => ink.dim(index === 0 ? `  → ${line}` : `    ${line}`)),
  ]
}

/** `3,200 of 12,000 rows`. */
export function progressText(task: Task): string {
  if (task.expected === null) return plural(task.totals.received, 'row')
  return `${count(task.totals.received)} of ${count(task.expected)} rows`
}

/** `ready at 02:45`, `leased since 02:00`, `done 02:10, proven`, `dead 02:14`. */
export function stateText(task: Task, now: number): string {
  const ended = task.finishedAt === null ? '' : ` ${clockText(task.finishedAt, now)}`
  switch (task.state) {
    case 'ready':
      return task.readyAt !== null && task.readyAt > now ? `ready at ${clockText(task.readyAt, now)}` : 'ready'
    case 'leased':
      return task.leasedAt === null ? 'leased' : `leased since ${clockText(task.leasedAt, now)}`
    case 'done':
      return `done${ended}${task.proof === null ? '' : `, ${task.proof}`}`
    case 'dead':
    case 'cancelled':
      return `${task.state}${ended}`
  }
}

function heads(ink: Ink): (text: string, row: number | null) => string {
  return (text, row) => (row === null ? ink.dim(text) : text)
}
