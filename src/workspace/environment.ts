// Owns the environment as a workspace sees it: the process's over `.env`, and the BACKFILL_ variables that stand for settings. Values never leave it but
// into the workspace's `environment`.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { ConfigError } from '../domain/errors.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** The process environment over `.env`. An empty variable counts as none. @throws ConfigError where `.env` is there and cannot be read. */
export function readEnvironment(directory: string, given: Environment): Environment {
  const set = Object.entries(given).filter(([, value]) => value !== undefined && value !== '')
  return Object.freeze({ ...readDotEnv(directory), ...Object.fromEntries(set) })
}

/** A variable that is set and not empty; null otherwise. */
export function variable(environment: Environment, name: string): string | null {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined
  return value === undefined || value === '' ? null : value
}

function readDotEnv(directory: string): Environment {
  const path = join(directory, '.env')
  try {
    return parseEnv(readFileSync(path, 'utf8'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    if (code === 'ENOENT') return {}
    throw new ConfigError('unreadable_file', `read "${path}" found ${code}`, {
      hint: 'make .env readable for this user',
      cause: error,
    })
  }
}
