/** Runs `backfill resume`: ends pauses and parkings, and says what still holds a stream back. */
import { systemClock } from '../../clock/system-clock.js'
import { type ControlName, type ControlState, controlLabel, gateOf } from '../../domain/controls.js'
import type { Workspace } from '../../domain/workspace-model.js'
import { openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes } from '../exit.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import { plural } from '../text.js'
import { clockText, useZone } from '../zone.js'
import { parkingDocument, pauseDocument } from './document.js'
import { controlNames } from './names.js'

export interface ResumeAsked {
  readonly workspace: Workspace
  readonly names: readonly string[]
  readonly isJson: boolean | undefined
}

/** Answers the exit code: 0, also where nothing was held back. @throws ConfigError `unknown_source`, `unknown_stream` */
export async function runResume({ workspace, names, isJson }: ResumeAsked): Promise<number> {
  useZone(workspace.timezone)
  return withOpened(async (opened) => {
    const { log } = openWorkspaceLog(workspace, opened, { command: 'resume' })
    const queue = opened.keep(await openWorkspaceQueue(workspace, 'write'), (one) => one.close())
    const wanted = controlNames(workspace, names, await queue.controls.read())
    const { pauses, parkings } = await queue.controls.resume(wanted)
    const after = await queue.controls.read()
    const still = wanted.filter((name) => isStillHeld(after, name))
    log('info', 'resumed', { names: wanted.map(controlLabel), pauses: pauses.length, parkings: parkings.length })
    if (isJson === true) {
      const held = still.map(({ source, stream }) => ({ source, stream }))
      sayJson({ pauses: pauses.map(pauseDocument), parkings: parkings.map(parkingDocument), still_held: held })
      return exitCodes.done
    }
    const now = systemClock.now()
    for (const pause of pauses)
      say(`${controlLabel(pause)} goes on: it was paused since ${clockText(pause.since, now)}`)
    for (const one of parkings) {
      const failures = plural(one.failures, 'failure')
      say(`${one.source} goes on: it was parked since ${clockText(one.since, now)} after ${failures} in a row`)
    }
    if (pauses.length + parkings.length === 0) say('Nothing of it was paused or parked')
    for (const name of still)
      say(`${controlLabel(name)} is still held back by its source: run "backfill resume ${name.source}"`)
    return exitCodes.done
  })
}

/** A stream whose source is paused or parked. */
function isStillHeld(state: ControlState, { source, stream }: ControlName): boolean {
  if (stream === null) return false
  const { kind } = gateOf(state, { source, stream }, systemClock.now())
  return kind === 'paused' || kind === 'parked'
}
