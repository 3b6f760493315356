/**
 * Owns those of this process that wait for one key: who is to be woken when something happens here. Their order is kept in memory only where nothing is booked;
 * else their places in the file decide, over all processes.
 */

export interface Waiter {
  /** Of this process. */
  isFirst(): boolean
  /** Called when something has happened that it may have waited for. */
  onChange: () => void
  leave(): void
}

export interface Line {
  join(priority: number): Waiter
  /** Something happened that the first may wait for. */
  wakeFirst(): void
  /** Something happened that changes everybody's wait. */
  wakeAll(): void
  /** Requests of this process under way. */
  underWay: number
}

export function createLine(): Line {
  /** The highest priority first, then first come, first served. */
  const waiters: { readonly waiter: Waiter; readonly priority: number }[] = []

  function leave(waiter: Waiter): void {
    const index = waiters.findIndex((one) => one.waiter === waiter)
    if (index < 0) return
    waiters.splice(index, 1)
    if (index === 0) line.wakeFirst()
  }

  const line: Line = {
    underWay: 0,
    join: (priority) => {
      const waiter: Waiter = {
        isFirst: () => waiters[0]?.waiter === waiter,
        onChange: () => undefined,
        leave: () => leave(waiter),
      }
      const behind = waiters.findIndex((one) => one.priority < priority)
      waiters.splice(behind < 0 ? waiters.length : behind, 0, { waiter, priority })
      return waiter
    },
    wakeFirst: () => waiters[0]?.waiter.onChange(),
    wakeAll: () => {
      for (const { waiter } of [...waiters]) waiter.onChange()
    },
  }
  return line
}
