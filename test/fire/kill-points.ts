/** One bad moment of the reference drain: it happens at the n-th message, the worker is started again, and what came of it is judged. */
import { expect } from 'vitest'
import type { Started } from '../support/cli-workspace.js'
import { killAt, type Reference } from './reference.js'
import type { WireMessage } from './wire-tap.js'

export type Deed = 'kill' | 'cut' | 'freeze' | 'delay'

/** What one point cost. */
export interface Point {
  readonly number: number
  readonly deed: Deed
  /** The message that it happened at; null where the drain ended before. */
  readonly met: WireMessage | null
  /** Requests that reached the proxy in all runs of this point. */
  readonly requests: number
  /** What the second run asked for: `GET /parents?size=4&page=1`. */
  readonly asked: readonly string[]
  readonly ms: number
}

/** Runs the drain undisturbed and answers its messages. */
export async function measure(reference: Reference): Promise<readonly WireMessage[]> {
  const run = await reference.open()
  try {
    reference.tap.begin()
    const ran = await run.drain()
    expect(ran).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    const messages = [...reference.tap.messages]
    await run.expectExact()
    return messages
  } finally {
    await run.close()
  }
}

/** Does it at message `number`, starts the worker again, drains to the end, and asserts the promise. */
export async function tryPoint(reference: Reference, number: number, deed: Deed = 'kill'): Promise<Point> {
  const { tap } = reference
  const startedAt = performance.now()
  const run = await reference.open()
  try {
    const victim: { worker: Started | null } = { worker: null }
    tap.begin(
      deed === 'kill'
        ? killAt(number, () => victim.worker)
        : (message) => {
            if (message.number !== number) return 'pass'
            // A worker that waits for a frozen database is ended as an operator would; what it left open stays open.
            if (deed === 'freeze') victim.worker?.child.kill('SIGKILL')
            return deed === 'delay' ? { delayMs: 300 } : deed
          },
    )
    victim.worker = run.start('worker', '--until-empty')
    const first = await victim.worker.ended
    const met = tap.messages[number - 1] ?? null
    if (met !== null && (deed === 'kill' || deed === 'freeze')) expect(first.signal).toBe('SIGKILL')
    else expect([0, 75], `${deed} at ${number}: ${first.stderr}`).toContain(first.code)
    const before = requestsIn(tap.messages)
    tap.begin()
    const second = await run.drain()
    const place = `${deed} at message ${number} (${met === null ? 'not reached' : `${met.channel} to ${met.to}: ${met.label}`})`
    expect(second.code, `${place}: ${second.stderr}`).toBe(0)
    await run.expectExact().catch((error: unknown) => {
      throw new Error(`${place}: ${String(error)}`, { cause: error })
    })
    return {
      number,
      deed,
      met,
      requests: before + requestsIn(tap.messages),
      asked: questionsIn(tap.messages),
      ms: Math.round(performance.now() - startedAt),
    }
  } finally {
    tap.thaw()
    await run.close()
  }
}

/**
 * Messages that differ as moments: where the other side begins to speak, the end of a COPY, and the Sync that makes a statement of a flush count. Between
 * them a side only finishes a sentence that the other does not act upon until it is whole.
 */
export function momentsIn(messages: readonly WireMessage[]): readonly number[] {
  const firstCopy = messages.findIndex(({ label }) => label === 'CopyData')
  const isMoment = (message: WireMessage, at: number): boolean => {
    const before = messages[at - 1]
    if (before?.channel !== message.channel || before.to !== message.to) return true
    return message.label === 'CopyDone' || (message.label === 'Sync' && at > firstCopy)
  }
  return messages.filter(isMoment).map(({ number }) => number)
}

export function requestsIn(messages: readonly WireMessage[]): number {
  return questionsIn(messages).length
}

function questionsIn(messages: readonly WireMessage[]): readonly string[] {
  const toApi = messages.filter(({ channel, to }) => channel === 'api' && to === 'server')
  return toApi.map(({ label }) => label).filter((label) => label.startsWith('GET'))
}

/** The figures of the README's table. */
export function summary(points: readonly Point[], messages: readonly WireMessage[]): string {
  const needed = requestsIn(messages)
  const reached = points.filter(({ met }) => met !== null)
  const repeated = reached.map(({ requests }) => Math.max(0, requests - needed))
  const mean = repeated.reduce((sum, one) => sum + one, 0) / Math.max(1, repeated.length)
  const doubt = reached.filter(({ met }) => met?.to === 'client' && met.label.startsWith('CommandComplete COMMIT'))
  const seconds = points.reduce((sum, { ms }) => sum + ms, 0) / 1000
  return [
    `${messages.length} messages, ${needed} requests in the undisturbed drain`,
    `${points.length} points tried, ${reached.length} reached, all survived, in ${seconds.toFixed(0)} s`,
    `${doubt.length} of them after COMMIT was sent and before its answer came`,
    `requests repeated: at most ${Math.max(0, ...repeated)}, ${mean.toFixed(2)} on average`,
    'rows lost 0, rows doubled 0',
  ].join('; ')
}
