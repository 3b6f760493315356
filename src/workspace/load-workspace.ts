// Owns finding and loading a workspace: files and environment go in once, a frozen Workspace comes out. Warm, it reads the cache and loads neither zod
// nor yaml nor jiti; cold, it compiles and leaves the cache behind. Writes nothing else; a kill anywhere leaves nothing to repair.
import { readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ConfigError } from '../domain/errors.js'
import type { Workspace } from '../domain/workspace-model.js'
import { type CacheKey, readCache, writeCache } from './cache.js'
import type { CompiledWorkspace, TableOverrides } from './compiled-workspace.js'
import { resolveDatabase } from './database.js'
import { type Environment, readEnvironment, variable } from './environment.js'
import { lookAtFiles } from './fingerprint.js'
import { systemTimezone } from './timezone.js'

export interface LoadRequest {
  /** The folder with backfill.yaml; without it BACKFILL_WORKSPACE, else the current one. */
  readonly directory?: string | undefined
  /** Variables of the process; `process.env` where nothing else is meant. */
  readonly environment?: Environment | undefined
}

/**
 * The workspace in a folder.
 * @throws ConfigError `no_workspace`, `unreadable_file`, `invalid_definition` (with every mistake in `problems`) or `invalid_environment`.
 */
export async function loadWorkspace(request: LoadRequest = {}): Promise<Workspace> {
  const given = request.environment ?? process.env
  const directory = resolve(request.directory ?? variable(given, 'BACKFILL_WORKSPACE') ?? '.')
  requireSettingsFile(directory)
  const environment = readEnvironment(directory, given)
  const { compiled: found, isNew } = await compiledWorkspace(directory, environment)
  const compiled = await withTwins(found, environment)
  const workspace: Workspace = {
    directory,
    queueFile: join(directory, 'queue.db'),
    stateDirectory: join(directory, '.backfill'),
    ...resolveDatabase(compiled.database, environment, () => readSettings(directory)),
    ...compiled.settings,
    timezone: compiled.settings.timezone ?? systemTimezone(),
    sources: withBudgetFiles(compiled.sources, directory),
    broken: compiled.broken,
    notes: compiled.notes,
    areNotesNew: isNew,
    environment,
  }
  return freeze(workspace)
}

/** A budget's file is named from the folder of backfill.yaml. */
function withBudgetFiles(sources: Workspace['sources'], directory: string): Workspace['sources'] {
  return Object.fromEntries(
    Object.entries(sources).map(([name, source]) => {
      const { file } = source.budget
      return [
        name,
        file === undefined ? source : { ...source, budget: { ...source.budget, file: resolve(directory, file) } },
      ]
    }),
  )
}

/** Settings of the environment laid over those of the files; its reader is loaded only where there are any. */
async function withTwins(compiled: CompiledWorkspace, environment: Environment): Promise<CompiledWorkspace> {
  const isSet = Object.keys(environment).some((name) => name.startsWith('BACKFILL_') && name !== 'BACKFILL_WORKSPACE')
  if (!isSet) return compiled
  const { overlay } = await import('./environment-settings.js')
  return overlay(compiled, environment)
}

/** `isNew`: the files were read, and the next command will find what was read of them. */
async function compiledWorkspace(
  directory: string,
  environment: Environment,
): Promise<{ readonly compiled: CompiledWorkspace; readonly isNew: boolean }> {
  const stateDirectory = join(directory, '.backfill')
  const tables: TableOverrides = {
    schema: variable(environment, 'BACKFILL_SCHEMA'),
    deltaPrefix: variable(environment, 'BACKFILL_DELTA_PREFIX'),
  }
  const { fingerprint, definitions } = look(directory)
  const key: CacheKey = { directory, fingerprint, tables }
  const cached = readCache(stateDirectory, key)
  if (cached !== null) return { compiled: cached, isNew: false }
  const text = readSettings(directory)
  const { compileWorkspace } = await import('./compile-workspace.js')
  const { compiled, imported, isCacheable } = await compileWorkspace({ directory, text, ownFiles: definitions, tables })
  const isNew = isCacheable && writeCache(stateDirectory, key, { compiled, imported })
  return { compiled, isNew }
}

function look(directory: string): ReturnType<typeof lookAtFiles> {
  try {
    return lookAtFiles(directory)
  } catch (error) {
    throw unreadable(join(directory, 'sources'), error)
  }
}

function requireSettingsFile(directory: string): void {
  const path = join(directory, 'backfill.yaml')
  try {
    if (statSync(path).isFile()) return
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw unreadable(path, error)
  }
  throw new ConfigError('no_workspace', `find the workspace found no backfill.yaml in "${directory}"`, {
    hint: 'run "backfill init" there, or name a workspace with --workspace',
  })
}

function readSettings(directory: string): string {
  const path = join(directory, 'backfill.yaml')
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): ConfigError {
  return new ConfigError('unreadable_file', `read "${path}" found ${codeOf(error)}`, {
    hint: "run backfill as the workspace's owner, or make it readable",
    cause: error,
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'an unknown failure'
}

/** Freezes plain data all the way down; errors are left as they are. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Error || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const child of Object.values(value)) freeze(child)
  return value
}
