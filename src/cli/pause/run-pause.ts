/** Runs `backfill pause`: writes the pause into queue.db, where a worker at work finds it. */
import { systemClock } from '../../clock/system-clock.js'
import { controlLabel } from '../../domain/controls.js'
import type { Workspace } from '../../domain/workspace-model.js'
import { openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import { clean } from '../text.js'
import { clockText, useZone } from '../zone.js'
import { pauseDocument } from './document.js'
import { controlNames } from './names.js'

export interface PauseAsked {
  readonly workspace: Workspace
  /** `SOURCE[.STREAM]`, at least one. */
  readonly names: readonly string[]
  /** null: until it is resumed. */
  readonly forMs: number | null
  readonly note: string | null
  readonly isJson: boolean | undefined
}

/** Answers the exit code. @throws ConfigError `unknown_source`, `unknown_stream` */
export async function runPause({ workspace, names, forMs, note, isJson }: PauseAsked): Promise<number> {
  useZone(workspace.timezone)
  const wanted = controlNames(workspace, names)
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, { command: 'pause' })
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'write'), (one) => one.close())
    const now = systemClock.now()
    const until = forMs === null ? null : now + forMs
    const pauses = await queue.controls.pause(wanted, { until, note })
    for (const pause of pauses) log('info', 'paused', { name: controlLabel(pause), until, note })
    if (isJson === true) {
      sayJson({ paused: pauses.map(pauseDocument) })
      return exitCodes.done
    }
    for (const pause of pauses) {
      const end = until === null ? '' : ` until ${clockText(until, now)}`
      say(`${controlLabel(pause)} is paused${end}${note === null ? '' : `: ${clean(note)}`}`)
    }
    say(`To go on${until === null ? '' : ' before'}: run "backfill resume ${wanted.map(controlLabel).join(' ')}"`)
    return exitCodes.done
  })
}
