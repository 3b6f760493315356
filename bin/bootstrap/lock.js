// Owns that one process at a time installs and builds here. The lock is a folder with one file named after its holder; taking it is a rename
// of a folder that already has its file, which the kernel refuses while another holder's file is there, so two takers of a dead lock cannot both win.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { BootstrapError } from './run-tool.js'

const pollMs = 200
const patienceMs = 15 * 60_000

/**
 * Runs `act` while no other process of this machine does so for the same root. A dead holder's lock is taken over at once.
 * @template T
 * @param {string} root
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 * @throws {BootstrapError} when a living holder keeps it for 15 minutes, or the folder cannot be written
 */
export async function withLock(root, act) {
  const lock = path.join(root, '.bootstrap.lock')
  const me = `${process.pid}.${startOf(process.pid) ?? 'unknown'}`
  await take(lock, me)
  const release = () => {
    rmSync(path.join(lock, me), { force: true })
    removeIfEmpty(lock)
  }
  process.on('exit', release)
  try {
    return await act()
  } finally {
    process.off('exit', release)
    release()
  }
}

/**
 * @param {string} lock
 * @param {string} me
 */
async function take(lock, me) {
  const mine = `${lock}.${me}`
  createOwned(mine, me)
  const deadline = Date.now() + patienceMs
  let isTold = false
  try {
    while (!tryRename(mine, lock)) {
      if (clearDead(lock)) continue
      if (!isTold) process.stderr.write('waiting for another process that installs or builds here\n')
      isTold = true
      if (Date.now() > deadline)
        throw new BootstrapError(`another process has been installing for 15 minutes; if that is wrong, remove ${lock}`)
      await delay(pollMs)
    }
  } finally {
    rmSync(mine, { recursive: true, force: true })
  }
}

/**
 * @param {string} folder
 * @param {string} me
 */
function createOwned(folder, me) {
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, me), '')
  } catch (error) {
    throw new BootstrapError(
      `cannot write ${path.dirname(folder)} (${codeOf(error)}); install and build as the user who owns it`,
    )
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function tryRename(from, to) {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) return false
    throw error
  }
}

/**
 * Removes the files of dead holders; true when the lock may be free now.
 * @param {string} lock
 */
function clearDead(lock) {
  const holders = listOf(lock)
  const dead = holders.filter((holder) => !isAlive(holder))
  // By exact name: a holder that came since has another one.
  for (const holder of dead) rmSync(path.join(lock, holder), { force: true })
  return dead.length === holders.length
}

/** @param {string} holder */
function isAlive(holder) {
  const [pid = '', start] = holder.split('.')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false
  }
  const now = startOf(Number(pid))
  return now === null || start === 'unknown' || now === start
}

/**
 * The kernel's start time of a process, so that a reused pid is not taken for the holder; null where there is no /proc.
 * @param {number} pid
 */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

/** @param {string} folder */
function listOf(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** @param {string} folder */
function removeIfEmpty(folder) {
  try {
    rmdirSync(folder)
  } catch {
    // Somebody else holds it by now.
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
