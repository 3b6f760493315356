/**
 * Owns the real time: wall clock, monotonic clock and the identity of the boot that the latter counts from.
 * Must not know: what anybody waits for. Nothing here survives a kill, and nothing needs to.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { setTimeout as sleepFor } from 'node:timers/promises'
import { StoppedError } from '../domain/errors.js'
import type { Clock } from '../domain/ports.js'

/** Node fires a longer timer at once, so longer sleeps are taken in parts. */
const longestTimerMs = 2_147_483_647

/** The machine's clocks. `monotonic` is CLOCK_MONOTONIC, so two processes of one boot may compare their readings. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Number(process.hrtime.bigint() / 1_000n) / 1_000,
  get bootId() {
    bootId ??= readBootId()
    return bootId
  },
  sleep,
}

let bootId: string | undefined

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  let leftMs = Math.max(0, ms)
  try {
    for (;;) {
      const partMs = Math.min(leftMs, longestTimerMs)
      await sleepFor(partMs, undefined, signal === undefined ? {} : { signal })
      leftMs -= partMs
      if (leftMs <= 0) return
    }
  } catch (error) {
    throw new StoppedError('stopped while waiting', { cause: error })
  }
}

function readBootId(): string {
  return linuxBootId() ?? macBootTime() ?? bootMinute()
}

function linuxBootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return null
  }
}

function macBootTime(): string | null {
  if (process.platform !== 'darwin') return null
  try {
    return execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim()
  } catch {
    return null
  }
}

/** Last resort: the minute of the boot. Two readings that fall into different minutes only mean that ages come from the wall clock. */
function bootMinute(): string {
  return `boot-${Math.round((Date.now() - uptime() * 1_000) / 60_000)}`
}
