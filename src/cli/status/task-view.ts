/** `status --task N` for people: all about one task. Pure. */
import type { Dismissal } from '../../domain/ports.js'
import type { Task } from '../../domain/task.js'
import type { Ink } from '../ink.js'
import { clean, count, duration, plural, shorten, wrap } from '../text.js'
import { fullTime } from '../zone.js'
import { progressText, stateText } from './view.js'

const labelColumns = 11

export interface TaskLook {
  readonly ink: Ink
  readonly columns: number
  readonly now: number
  readonly label: (task: Task) => string
  /** null: it was not dismissed. */
  readonly dismissal: Dismissal | null
}

export function taskLines(task: Task, look: TaskLook): readonly string[] {
  const { ink } = look
  const head = `${ink.bold(`TASK ${task.number}`)}  ${task.source}.${task.stream}  ${look.label(task)}`
  return [head, ...facts(task, look).flatMap(([label, text]) => factLines(label, text, look))]
}

function factLines(label: string, text: string, { ink, columns }: TaskLook): readonly string[] {
  return wrap(text, columns - labelColumns).map(
    (line, index) => `${ink.dim((index === 0 ? label : '').padEnd(labelColumns))}${line}`,
  )
}

function facts(task: Task, { now, dismissal }: TaskLook): readonly (readonly [string, string])[] {
  const { totals } = task
  const partition = Object.entries(task.partition).map(([name, value]) => `${name}=${clean(value)}`)
  const facts: (readonly [string, string | null])[] = [
    ['state', stateText(task, now)],
    [
      'dismissed',
      dismissal === null
        ? null
        : `${fullTime(dismissal.at)}${dismissal.note === null ? '' : `: ${clean(dismissal.note)}`}`,
    ],
    ['why', task.message === null ? null : `${task.code ?? 'unknown'}: ${clean(task.message)}`],
    ['try', task.hint === null ? deadHint(task) : clean(task.hint)],
    [
      'progress',
      `${progressText(task)}, ${plural(totals.pages, 'page')}, ${plural(task.requests, 'request')}, ${duration(task.workedMs)} of work`,
    ],
    [
      'rows',
      `${count(totals.created)} created, ${count(totals.updated)} updated, ${count(totals.unchanged)} unchanged, ${count(totals.held)} held, ${count(totals.duplicates)} duplicate`,
    ],
    ['partition', partition.length === 0 ? '(all)' : partition.join(', ')],
    ['attempts', `${plural(task.attempts, 'attempt')} and ${plural(task.reclaims, 'reclaim')} since the last progress`],
    ['created', fullTime(task.createdAt)],
    ['leased', task.leasedAt === null ? null : `${fullTime(task.leasedAt)}, epoch ${task.epoch}`],
    ['renewed', task.renewedAt === null ? null : fullTime(task.renewedAt)],
    [
      'finished',
      task.finishedAt === null ? null : `${fullTime(task.finishedAt)}${task.proof === null ? '' : `, ${task.proof}`}`,
    ],
    ['cursor', task.cursor === null ? null : shorten(clean(task.cursor), 200)],
    ['id', task.id],
    ['backfill', task.backfillId],
    ['run', task.runId],
  ]
  return facts.flatMap(([label, text]) => (text === null ? [] : [[label, text] as const]))
}

function deadHint(task: Task): string | null {
  return task.state === 'dead' ? `run "backfill retry --task ${task.number}" when the cause is gone` : null
}
