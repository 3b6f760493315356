/** SIGTERM, SIGINT, SIGHUP: the first asks the command to flush, release and end; the second ends the process at once. */
import { StoppedError } from '../domain/errors.js'

const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
type StopSignal = keyof typeof codes

export interface Stop {
  /** Aborted by the first signal; its reason is a StoppedError that names it. */
  readonly signal: AbortSignal
  /** 129, 130 or 143 once a signal came; null before. */
  exitCode(): number | null
  /** `SIGTERM`, once it came. */
  name(): string | null
  dispose(): void
}

/** Listens until `dispose`. */
export function listenForSignals(): Stop {
  const controller = new AbortController()
  let received: StopSignal | null = null
  const onSignal = (name: StopSignal): void => {
    if (received !== null) process.exit(codes[name])
    received = name
    controller.abort(new StoppedError(`stopped by ${name}`))
  }
  const names = Object.keys(codes) as StopSignal[]
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    exitCode: () => (received === null ? null : codes[received]),
    name: () => received,
    dispose: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}
