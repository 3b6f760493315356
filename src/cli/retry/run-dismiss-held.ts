/** Runs `backfill retry --held --dismiss`: takes the worker's lock, gives held rows up, prints which and what is still held. */
import type { HeldDismissed } from '../../domain/held.js'
import { dismissHeld } from '../../retry/dismiss-held.js'
import type { Asked } from '../asked.js'
import { exitCodes } from '../exit.js'
import { columnsOf } from '../ink.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { count, plural, wrap } from '../text.js'
import { stillDocument, tellStill, withHeldRun } from './held-run.js'

export interface DismissHeldFlags {
  readonly json: boolean | undefined
  readonly code: readonly string[] | undefined
  readonly note: string | undefined
}

/** Answers the exit code: 0, also where no row was held. */
export async function runDismissHeld(asked: Asked<DismissHeldFlags>, stop: Stop): Promise<number> {
  return withHeldRun(asked, stop, async ({ queue, destination, log, readStill }) => {
    const { code, note = null, json } = asked.flags
    const streams = asked.streams.map(({ source, stream }) => ({ source: source.name, stream: stream.name }))
    const request = { streams, partitions: asked.filter, codes: code ?? null, note }
    const { dismissed } = await dismissHeld(request, { destination, queue })
    log('info', 'held rows dismissed', { dismissed, note })
    const still = await readStill()
    if (json === true) {
      const held = await stillDocument(still, queue)
      sayJson({ dismissed, note, held, exit_code: exitCodes.done })
    } else {
      for (const line of dismissedLines(dismissed, columnsOf(process.stdout))) say(line)
      await tellStill(still, queue)
    }
    return exitCodes.done
  })
}

function dismissedLines(dismissed: readonly HeldDismissed[], columns: number): readonly string[] {
  if (dismissed.length === 0) return ['No held row matches']
  const lines = dismissed.map(
    ({ source, stream, rows, before }) =>
      `${source}.${stream}: ${plural(rows, 'row is', 'rows are')} given up${before > 0 ? `, ${count(before)} had been before` : ''}`,
  )
  return [...lines, ...wrap(outlook(dismissed), columns)]
}

/** What becomes of them. */
function outlook(dismissed: readonly HeldDismissed[]): string {
  const waiting = dismissed.reduce((sum, one) => sum + one.waiting, 0)
  const parents = waiting > 0 ? ', or their parent comes' : ''
  return `they stay set aside with their raw text, and no alarm is raised for them; they go in where a later walk or "retry --held" can store them${parents}, and are held anew where the source sends them in another form`
}
