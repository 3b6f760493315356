import { setMaxListeners } from 'node:events'

/** A stop of one's own that a larger one includes. `AbortSignal.any` would do, but on Node 20 its signals outlive their use as long as the larger one does. */
export interface LinkedAbort {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
  /** Lets go of the larger signal; must be called at the end. */
  release(): void
}

/** A signal that is aborted by its own `abort` or by the parent. */
export function linkAbort(parent: AbortSignal): LinkedAbort {
  const own = new AbortController()
  const follow = (): void => {
    own.abort(parent.reason)
  }
  if (parent.aborted) follow()
  else {
    // As many tasks as are at work listen to one run; Node takes more than ten for a leak and says so on standard error, which cron mails.
    setMaxListeners(0, parent)
    parent.addEventListener('abort', follow, { once: true })
  }
  return {
    signal: own.signal,
    abort: (reason) => {
      own.abort(reason)
    },
    release: () => {
      parent.removeEventListener('abort', follow)
    },
  }
}
