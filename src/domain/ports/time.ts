/** Time and log as the use cases see them. */

/** Time comes from here only, so that policies are pure and tests exact. */
export interface Clock {
  /** Wall clock, Unix ms. */
  now(): number
  /** Monotonic since boot, ms; comparable between processes of one boot. */
  monotonic(): number
  /** Identifies the boot that `monotonic` counts from. */
  readonly bootId: string
  /** Resolves after `ms`; rejects with StoppedError when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
/** One event a line, JSON, in `.backfill/log/`. `fields` hold no secret. */
export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>) => void
