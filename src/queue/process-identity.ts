/**
 * Owns the question whether another process still lives: one that booked a request, one that seeds. A pid alone is not enough: pids come round again, and another
 * container counts its own.
 */
import { readFileSync, readlinkSync } from 'node:fs'

/** This process: pid namespace, pid, start time. */
export function ownIdentity(): string {
  return [namespace(), process.pid, startTime(process.pid) ?? ''].join(' ')
}

/** True only where the process is certainly gone: the same pid namespace, and no such pid, or one that began at another time. */
export function isGone(identity: string): boolean {
  return lifeOf(identity) === 'gone'
}

/** `unknown`: of another pid namespace, or of a system that does not tell when a process began. */
export function lifeOf(identity: string): 'alive' | 'gone' | 'unknown' {
  const [space = '', pidText = '', started = ''] = identity.split(' ')
  const pid = Number(pidText)
  if (space !== namespace() || !Number.isSafeInteger(pid) || pid <= 0) return 'unknown'
  if (!isRunning(pid)) return 'gone'
  const startedNow = startTime(pid)
  if (started === '' || startedNow === null) return 'unknown'
  return startedNow === started ? 'alive' : 'gone'
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, as another user.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return process.platform
  }
}

/** Clock ticks since boot at which the process began (field 22, counted behind the name, which may hold blanks); null without /proc. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
