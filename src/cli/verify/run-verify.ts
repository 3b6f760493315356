/** Runs `backfill verify`: opens both sides, asks the use case, prints a verdict for each partition. */
import { randomUUID } from 'node:crypto'
import { systemClock } from '../../clock/system-clock.js'
import type { VerifyReport } from '../../verify/types.js'
import { verify } from '../../verify/verify.js'
import type { Asked } from '../asked.js'
import { openClient, openDestination, openWorkspaceLog } from '../compose.js'
import { openWorkspaceQueue } from '../compose-queue.js'
import { exitCodes, failureOf } from '../exit.js'
import { columnsOf, inkFor } from '../ink.js'
import { withOpened } from '../opened.js'
import { say, sayJson } from '../say.js'
import type { Stop } from '../signals.js'
import { plural } from '../text.js'
import { openCounter } from './counter.js'
import { verifyDocument } from './document.js'
import { verifyLines } from './view.js'

export interface VerifyFlags {
  readonly json: boolean | undefined
  readonly strict: boolean
}

/** Answers the exit code: 3 on a discrepancy, with `--strict` also on unproven. */
export async function runVerify(asked: Asked<VerifyFlags>, stop: Stop): Promise<number> {
  return withOpened(async (opened) => {
    const runId = randomUUID()
    const { log } = openWorkspaceLog(asked.workspace, opened, { command: 'verify', run: runId })
    const queue = opened.keep(await openWorkspaceQueue(asked.workspace, 'write'), (one) => one.close())
    const destination = await openDestination(asked.workspace, { opened, queue, log, signal: stop.signal })
    opened.keep(destination, (one) => one.close())
    const client = await openClient(asked.workspace, { budget: queue.budget, log })
    opened.keep(client, (one) => one.close())
    await queue.beginRun({ id: runId, command: 'verify', pid: process.pid })
    const counter = opened.keep(openCounter(), (one) => one.close())
    const { streams, filter, today, flags } = asked
    const request = { streams, filter, today, isStrict: flags.strict, signal: stop.signal }
    try {
      const report = await verify(request, {
        follows: queue.follows,
        findings: queue.findings,
        queue,
        client,
        destination,
        clock: systemClock,
        log,
        onVerdict: counter.tick,
      })
      counter.close()
      const exitCode = exitCodeOf(report, asked.flags)
      await queue.touchRun(runId, { requests: report.requests, done: 0, dead: 0, rows: 0 })
      await queue.endRun(runId, { exitCode, reason: reasonOf(report) })
      if (asked.flags.json === true) sayJson(verifyDocument(report, exitCode))
      else
        for (const line of verifyLines(report, {
          ink: inkFor(process.stdout),
          columns: columnsOf(process.stdout),
          now: systemClock.now(),
        }))
          say(line)
      return exitCode
    } catch (error) {
      const failure = failureOf(error, stop.exitCode())
      await queue.endRun(runId, { exitCode: failure.exitCode, reason: failure.message }).catch(() => undefined)
      throw error
    }
  })
}

function exitCodeOf(report: VerifyReport, flags: VerifyFlags): number {
  // A partition that could not be asked is no proof: 75 where time may heal it, 3 where not.
  const failures = report.failed.map(({ error }) => failureOf(error).exitCode)
  if (failures.includes(exitCodes.temporary)) return exitCodes.temporary
  if (report.byVerdict.discrepancy > 0 || failures.length > 0) return exitCodes.attention
  const isOpen = report.byVerdict.unproven > 0 || report.notAsked > 0 || report.partitions.length === 0
  return flags.strict && isOpen ? exitCodes.attention : exitCodes.done
}

/** What is wrong first: `status` shows what fits of it. */
function reasonOf({ byVerdict, notAsked }: VerifyReport): string {
  const { equal, discrepancy, unproven, moved } = byVerdict
  const parts = [
    ...(discrepancy > 0 ? [plural(discrepancy, 'discrepancy', 'discrepancies')] : []),
    ...(unproven > 0 ? [`${unproven} unproven`] : []),
    ...(notAsked > 0 ? [`${notAsked} not asked`] : []),
    ...(moved > 0 ? [`${moved} moved`] : []),
  ]
  return [...parts, `${plural(equal, 'partition')} equal`].join(', ')
}
