/** The only way in which this folder waits: for something to be observed, with a deadline and a signal. */
import { setTimeout as sleep } from 'node:timers/promises'
import { StoppedError } from '../domain/errors.js'

export interface Patience {
  /** Monotonic moment of `performance.now()` at which waiting ends. */
  readonly deadlineAt: number
  readonly signal?: AbortSignal | undefined
}

/** Patience that ends `ms` from now. */
export function patienceOf(ms: number, signal?: AbortSignal): Patience {
  return { deadlineAt: performance.now() + ms, signal }
}

/**
 * Asks `probe` until it answers something else than undefined, first at once, then every few ms.
 * @returns undefined when the deadline came first.
 * @throws StoppedError when the signal aborts.
 */
export async function waitFor<T>(
  patience: Patience,
  probe: () => T | undefined | Promise<T | undefined>,
): Promise<T | undefined> {
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
    if (patience.signal?.aborted === true) throw new StoppedError('wait for the embedded Postgres was stopped')
    const found = await probe()
    if (found !== undefined) return found
    if (performance.now() >= patience.deadlineAt) return undefined
    await sleep(pauseMs, undefined, patience.signal === undefined ? {} : { signal: patience.signal }).catch(() => {
      throw new StoppedError('wait for the embedded Postgres was stopped')
    })
  }
}
