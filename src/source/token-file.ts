// Owns the files that access tokens are kept in across runs: one a credential, 0600, written whole or not at all. Never holds a client secret. Knows nothing of when a
// token is due, and loads nothing that `status` would have to wait for.
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { SecretEnd } from '../domain/auth.js'
import type { KeptToken } from './token-life.js'

const mostBytes = 65_536

/** The name of a credential's file: it tells nothing of it. */
export function tokenName(parts: readonly (string | null)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)
}

/** What the kept tokens' answers said of the end of their client secrets: of each source and address the newest. */
export function readSecretEnds(directory: string): readonly SecretEnd[] {
  const newest = new Map<string, KeptToken>()
  for (const name of namesIn(directory)) {
    const token = readTokenFile(join(directory, name))
    if (token === null || typeof token === 'string') continue
    const key = JSON.stringify([token.source, token.tokenUrl])
    const known = newest.get(key)
    if (known === undefined || known.obtainedAt < token.obtainedAt) newest.set(key, token)
  }
  return [...newest.values()].flatMap(({ source, tokenUrl, secretValidUntil }) =>
    secretValidUntil === null ? [] : [{ source, tokenUrl, validUntil: secretValidUntil }],
  )
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.json'))
  } catch {
    return []
  }
}

/** The token; null where there is no file; text: why it is not trusted. */
export function readTokenFile(path: string): KeptToken | string | null {
  let file: number
  try {
    // Not through a link that somebody put there.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? null : `it cannot be read (${codeOf(error)})`
  }
  try {
    const { uid, mode, size } = fstatSync(file)
    if (process.getuid !== undefined && uid !== process.getuid()) return 'it belongs to somebody else'
    if ((mode & 0o077) !== 0) return 'others may read it'
    if (size > mostBytes) return 'it is broken'
    return tokenIn(readFileSync(file, 'utf8')) ?? 'it is broken'
  } catch {
    return 'it is broken'
  } finally {
    closeSync(file)
  }
}

const version = 1

function tokenIn(text: string): KeptToken | null {
  const value = JSON.parse(text) as Partial<Record<string, unknown>> | null
  if (value?.version !== version) return null
  const { source, tokenUrl, accessToken, obtainedAt, expiresAt, lifetimeMs, isHandedBack, secretValidUntil } = value
  if (typeof source !== 'string' || typeof tokenUrl !== 'string' || typeof isHandedBack !== 'boolean') return null
  if (typeof accessToken !== 'string' || !/^[\x21-\x7e]+$/.test(accessToken) || typeof obtainedAt !== 'number')
    return null
  if (!isNumberOrNull(expiresAt) || !isNumberOrNull(lifetimeMs) || !isNumberOrNull(secretValidUntil)) return null
  return { source, tokenUrl, accessToken, obtainedAt, expiresAt, lifetimeMs, isHandedBack, secretValidUntil }
}

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || (typeof value === 'number' && Number.isFinite(value))
}

/** Why it could not be written; null: it was. */
export function writeTokenFile(directory: string, path: string, token: KeptToken): string | null {
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    // Root at somebody's workspace must not leave files there that its owner cannot read.
    if (process.getuid !== undefined && statSync(directory).uid !== process.getuid()) return 'its folder is not ours'
    writeFileSync(draft, `${JSON.stringify({ version, ...token })}\n`, { mode: 0o600, flag: 'wx' })
    renameSync(draft, path)
    return null
  } catch (error) {
    discard(draft)
    return `it cannot be written (${codeOf(error)})`
  }
}

function discard(draft: string): void {
  try {
    rmSync(draft, { force: true })
  } catch {
    // Where nothing could be written there is nothing to take away.
  }
}

/** `ENOENT` and the like. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
