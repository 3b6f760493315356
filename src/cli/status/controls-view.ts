/** What an operator holds back, and what was dismissed, in `backfill status`. Pure. */
import { controlLabel } from '../../domain/controls.js'
import type { StatusReport } from '../../status/types.js'
import { clean, count, wrap } from '../text.js'
import { clockText } from '../zone.js'
import type { Look } from './view.js'

const dismissedShown = 3

/** `PAUSED acme.users since 02:10 until 04:10: maintenance`. */
export function pausedLines(report: StatusReport, look: Look): readonly string[] {
  return report.controls.pauses.flatMap((pause) => {
    const until = pause.until === null ? '' : ` until ${clockText(pause.until, report.at)}`
    const note = pause.note === null ? '' : `: ${clean(pause.note)}`
    const text = `${controlLabel(pause)} since ${clockText(pause.since, report.at)}${until}${note}`
    return wrap(text, look.columns - 7).map((line, index) =>
      index === 0 ? `${look.ink.yellow('PAUSED')} ${line}` : `       ${line}`,
    )
  })
}

/** How many dead tasks were dismissed, and the last of them with their notes. */
export function dismissedLines(report: StatusReport, look: Look): readonly string[] {
  if (report.dismissedCount === 0) return []
  const shown = report.dismissed.slice(0, look.isDeadOnly ? report.dismissed.length : dismissedShown)
  const lines = shown.flatMap(({ task, dismissal }) => {
    const note = dismissal.note === null ? '' : `: ${clean(dismissal.note)}`
    const text = `#${task.number} ${task.source}.${task.stream} ${look.label(task)}, ${clockText(dismissal.at, report.at)}${note}`
    return wrap(text, look.columns - 2).map((line) => `  ${line}`)
  })
  const more = report.dismissedCount - shown.length
  return [
    look.ink.dim(`DISMISSED ${count(report.dismissedCount)}`),
    ...lines,
    ...(more > 0 ? [look.ink.dim(`  and ${count(more)} more`)] : []),
  ]
}
