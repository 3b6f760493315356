// Owns `.backfill/cache/workspace.json`: the compiled workspace of the last cold start, so that a warm one loads neither zod nor yaml nor jiti. Holds no
// value of the environment and no database address. Losing it costs a tenth of a second; a kill while it is written leaves the old one.
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CompiledWorkspace, TableOverrides } from './compiled-workspace.js'
import { codeFingerprint, type Fingerprint, fileLine } from './fingerprint.js'

/** What a compiled workspace was made from. */
export interface CacheKey {
  readonly directory: string
  readonly fingerprint: Fingerprint
  readonly tables: TableOverrides
}

interface CacheFile {
  readonly key: string
  /** Files outside `sources/`, each with its line. */
  readonly imported: readonly (readonly [path: string, line: string])[]
  readonly compiled: CompiledWorkspace
}

/** The compiled workspace where it is still what the files say; null otherwise, whatever the reason. */
export function readCache(stateDirectory: string, key: CacheKey): CompiledWorkspace | null {
  try {
    const cache = JSON.parse(readFileSync(cachePath(stateDirectory), 'utf8')) as CacheFile
    if (cache.key !== keyText(key)) return null
    return cache.imported.every(([path, line]) => fileLine('/', path) === line) ? cache.compiled : null
  } catch {
    return null
  }
}

/** Keeps it for the next start; false where it is not kept. Silent where that cannot be: a read-only folder, a full disk, another user's workspace. */
export function writeCache(
  stateDirectory: string,
  key: CacheKey,
  { compiled, imported }: { readonly compiled: CompiledWorkspace; readonly imported: readonly string[] },
): boolean {
  const path = cachePath(stateDirectory)
  const draft = `${path}.${process.pid}`
  try {
    // Root looking at somebody's workspace must not leave files there that its owner cannot replace.
    if (process.getuid !== undefined && statSync(key.directory).uid !== process.getuid()) return false
    mkdirSync(join(stateDirectory, 'cache'), { recursive: true, mode: 0o700 })
    const file: CacheFile = {
      key: keyText(key),
      imported: imported.map((name) => [name, fileLine('/', name)] as const),
      compiled,
    }
    writeFileSync(draft, JSON.stringify(file), { mode: 0o600 })
    chmodSync(draft, 0o600)
    renameSync(draft, path)
    return true
  } catch {
    discard(draft)
    return false
  }
}

function discard(draft: string): void {
  try {
    rmSync(draft, { force: true })
  } catch {
    // Where nothing could be written there is nothing to take away.
  }
}

function cachePath(stateDirectory: string): string {
  return join(stateDirectory, 'cache', 'workspace.json')
}

function keyText({ directory, fingerprint, tables }: CacheKey): string {
  return JSON.stringify([directory, process.version, tables, fingerprint, codeFingerprint()])
}
