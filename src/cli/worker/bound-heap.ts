/** Owns how much memory V8 lets lie before it collects: a worker's rows live for seconds, and what the collector leaves for later is peak memory. */
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Both halves of the young generation, bytes. At most four times as much by default, which costs memory and is slower: it outgrows the processor's cache. */
const youngBytes = 8 * 1024 * 1024

/**
 * Lets the old generation grow by a quarter of what lives in it before it is collected, not to up to four times, and stops the young one from growing further than it
 * serves. V8 reads these flags at each collection, so they may be set while it runs. Measured by `npm run bench`: the peak memory of the worker.
 */
export function boundHeap(): void {
  setFlagsFromString('--heap-growing-percent=25')
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    if ((young?.space_size ?? 0) < youngBytes) return
    setFlagsFromString('--semi-space-growth-factor=1')
    observer.disconnect()
  })
  observer.observe({ entryTypes: ['gc'] })
}
