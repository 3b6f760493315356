/**
 * A clock that stands still until a test moves it. `manual`: sleepers wake when `advance` reaches them, in order of their time.
 * `automatic`: a sleep moves the clock itself, for code that waits alone.
 */
import { StoppedError } from '../../src/domain/errors.js'
import type { Clock } from '../../src/domain/ports.js'

export interface FakeClock extends Clock {
  /** Moves both clocks by `ms`, waking sleepers one by one at their own moment; pending promises run in between. */
  advance(ms: number): Promise<void>
  /** Moves only the wall clock (somebody sets the time); may be negative. */
  shiftWall(ms: number): void
  /** A new boot: another id, the monotonic clock starts again at 0; the wall clock goes on by `downMs`. */
  reboot(downMs?: number): void
  /** Sleepers at present, each with the monotonic moment at which it wakes. */
  readonly sleepers: readonly number[]
}

interface Sleeper {
  readonly wakesAt: number
  readonly wake: () => void
}

export function createFakeClock(
  options: { readonly now?: number; readonly monotonic?: number; readonly mode?: 'manual' | 'automatic' } = {},
): FakeClock {
  let wall = options.now ?? Date.UTC(2024, 0, 15, 12)
  let monotonic = options.monotonic ?? 1_000_000
  let boots = 1
  const sleepers = new Set<Sleeper>()

  function move(ms: number): void {
    wall += ms
    monotonic += ms
  }

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(new StoppedError('stopped while waiting'))
    if (options.mode === 'automatic') {
      move(Math.max(0, ms))
      return settled()
    }
    return new Promise((resolve, reject) => {
      const sleeper: Sleeper = { wakesAt: monotonic + Math.max(0, ms), wake: () => leave(resolve) }
      const stop = (): void => leave(() => reject(new StoppedError('stopped while waiting')))
      function leave(end: () => void): void {
        sleepers.delete(sleeper)
        signal?.removeEventListener('abort', stop)
        end()
      }
      sleepers.add(sleeper)
      signal?.addEventListener('abort', stop, { once: true })
    })
  }

  async function advance(ms: number): Promise<void> {
    const end = monotonic + ms
    await settled()
    for (;;) {
      const next = [...sleepers].sort((a, b) => a.wakesAt - b.wakesAt)[0]
      if (next === undefined || next.wakesAt > end) break
      move(Math.max(0, next.wakesAt - monotonic))
      next.wake()
      await settled()
    }
    move(end - monotonic)
    await settled()
  }

  return {
    now: () => wall,
    monotonic: () => monotonic,
    get bootId() {
      return `boot-${boots}`
    },
    sleep,
    advance,
    shiftWall: (ms) => {
      wall += ms
    },
    reboot: (downMs = 0) => {
      boots += 1
      monotonic = 0
      wall += downMs
    },
    get sleepers() {
      return [...sleepers].map((sleeper) => sleeper.wakesAt).sort((a, b) => a - b)
    },
  }
}

/** Lets everything that is ready to run do so: promises, then one turn of the event loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
