// Owns what is kept of tokens between runs, and the right to renew one: one process at a time. A file that is broken, somebody else's or readable by others is ignored
// and replaced; one that cannot be written costs a token per run. Knows nothing of when a token is due.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import lockfile from 'proper-lockfile'
import { StoppedError } from '../domain/errors.js'
import type { Clock, Log } from '../domain/ports.js'
import { codeOf, readTokenFile, writeTokenFile } from './token-file.js'
import type { KeptToken } from './token-life.js'

export interface TokenStore {
  /** The token of a name, however old; null where there is none to be trusted. */
  readonly read: (name: string) => KeptToken | null
  readonly write: (name: string, token: KeptToken) => void
  /** Takes the file away where it still holds this token. */
  readonly forget: (name: string, accessToken: string) => void
  /** One process at a time; answers how to let go. A holder that hangs is not waited for for ever. @throws StoppedError */
  readonly lock: (name: string, signal: AbortSignal) => Promise<() => Promise<void>>
}
export interface TokenStoreOptions {
  /** null: nothing outlives the process. */
  readonly directory: string | null
  readonly clock: Clock
  readonly log: Log
}

/** A dead holder's lock is taken over after this long. */
const staleMs = 10_000
const lockPollMs = 100
/** Renewing with somebody else is better than never. */
const longestLockMs = 300_000

export function createTokenStore({ directory, clock, log }: TokenStoreOptions): TokenStore {
  if (directory === null) {
    const letGo = async (): Promise<void> => undefined
    return { read: () => null, write: () => undefined, forget: () => undefined, lock: async () => letGo }
  }
  const pathOf = (name: string): string => join(directory, `${name}.json`)
  const said = new Set<string>()
  const complain = (name: string, reason: string): void => {
    if (said.has(reason)) return
    said.add(reason)
    log('warn', 'source.token_file', { file: `tokens/${name}.json`, reason })
  }
  return {
    read: (name) => {
      const found = readTokenFile(pathOf(name))
      if (typeof found !== 'string') return found
      complain(name, found)
      return null
    },
    write: (name, token) => {
      const reason = writeTokenFile(directory, pathOf(name), token)
      if (reason !== null) complain(name, reason)
    },
    forget: (name, accessToken) => {
      const found = readTokenFile(pathOf(name))
      if (found === null || typeof found === 'string' || found.accessToken !== accessToken) return
      rmSync(pathOf(name), { force: true })
    },
    lock: async (name, signal) => {
      const until = clock.monotonic() + longestLockMs
      for (;;) {
        if (signal.aborted) throw new StoppedError()
        const release = await tryLock(directory, name)
        if (typeof release === 'function') return release
        if (release !== 'ELOCKED' || clock.monotonic() >= until) {
          complain(name, `locking it failed (${release})`)
          return async () => undefined
        }
        await clock.sleep(lockPollMs, signal)
      }
    },
  }
}

/** How to let go, or the code of why it is not held. */
async function tryLock(directory: string, name: string): Promise<(() => Promise<void>) | string> {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const release = await lockfile.lock(directory, {
      lockfilePath: join(directory, `${name}.lock`),
      realpath: false,
      stale: staleMs,
      update: staleMs / 4,
      retries: 0,
      // Somebody took it over while this process slept: two tokens are asked for, and nothing is lost.
      onCompromised: () => undefined,
    })
    return () => release().catch(() => undefined)
  } catch (error) {
    return codeOf(error)
  }
}
