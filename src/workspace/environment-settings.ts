// Owns the BACKFILL_ twins of settings: laid over the compiled workspace at every start, so that the cache never knows them.
import { readCount, readDuration, readSize } from '../definition/quantity.js'
import { type Setting, settingsCatalogue } from '../definition/settings-catalogue.js'
import { ConfigError, type Problem } from '../domain/errors.js'
import type { LogLevel } from '../domain/ports.js'
import type { Source, Stream, StreamSettings } from '../domain/source-model.js'
import type { CompiledSettings, CompiledWorkspace } from './compiled-workspace.js'
import { type Environment, variable } from './environment.js'
import { isTimezone } from './timezone.js'

/** Settings that the environment gives, by key of the catalogue: amounts in ms, bytes or rows, words as they are. */
type Twins = ReadonlyMap<string, number | string>

/** The workspace with every twin that is set. @throws ConfigError `invalid_environment` with all that cannot be read. */
export function overlay(compiled: CompiledWorkspace, environment: Environment): CompiledWorkspace {
  const twins = readTwins(environment)
  const settings = overlaySettings(compiled.settings, twins)
  return { ...compiled, settings, sources: overlaySources(compiled.sources, twins) }
}

function readTwins(environment: Environment): Twins {
  const twins = new Map<string, number | string>()
  const problems: Problem[] = []
  for (const setting of settingsCatalogue) {
    const text = setting.environment === null ? null : variable(environment, setting.environment)
    if (text === null || setting.environment === null || setting.key === 'database') continue
    const value = readTwin(setting, text.trim())
    if (value === null)
      problems.push({
        file: 'environment',
        line: null,
        path: setting.environment,
        expected: expectation(setting),
        found: JSON.stringify(text),
      })
    else twins.set(setting.key, value)
  }
  if (problems.length === 0) return twins
  const names = problems.map(({ path }) => path).join(', ')
  throw new ConfigError('invalid_environment', `read the environment found a mistake in ${names}`, { problems })
}

/** The workspace's own settings with the twins laid over them. */
function overlaySettings(settings: CompiledSettings, twins: Twins): CompiledSettings {
  const enabled = twins.get('metrics.enabled')
  return {
    ...settings,
    timezone: word(twins, 'timezone') ?? settings.timezone,
    logLevel: (word(twins, 'log_level') as LogLevel | undefined) ?? settings.logLevel,
    metrics: {
      enabled: enabled === undefined ? settings.metrics.enabled : enabled === 'true',
      intervalMs: amount(twins, 'metrics.interval') ?? settings.metrics.intervalMs,
    },
    maxRuntimeMs: amount(twins, 'max_runtime') ?? settings.maxRuntimeMs,
  }
}

/** The sources with the twins laid over every stream's settings; the same objects where there is nothing to lay. */
function overlaySources(sources: Readonly<Record<string, Source>>, twins: Twins): Readonly<Record<string, Source>> {
  if (!settingsCatalogue.some(({ scope, key }) => scope === 'stream' && twins.has(key))) return sources
  return mapValues(sources, (source) => ({
    ...source,
    budget: { ...source.budget, delayMs: amount(twins, 'delay') ?? source.budget.delayMs },
    streams: mapValues(source.streams, (stream) => overlayStream(stream, twins)),
  }))
}

function overlayStream(stream: Stream, twins: Twins): Stream {
  const { settings } = stream
  const delayMs = amount(twins, 'delay') ?? settings.delayMs
  const overlaid: StreamSettings = {
    ...settings,
    ...(delayMs === undefined ? {} : { delayMs }),
    pageSize: amount(twins, 'page_size') ?? settings.pageSize,
    claim: amount(twins, 'claim') ?? settings.claim,
    timeoutMs: amount(twins, 'timeout') ?? settings.timeoutMs,
    retries: amount(twins, 'retries') ?? settings.retries,
    retryDelayMs: amount(twins, 'retry_delay') ?? settings.retryDelayMs,
    attempts: amount(twins, 'attempts') ?? settings.attempts,
    backoffMs: amount(twins, 'backoff') ?? settings.backoffMs,
    flush: {
      rows: amount(twins, 'flush.rows') ?? settings.flush.rows,
      bytes: amount(twins, 'flush.bytes') ?? settings.flush.bytes,
      ageMs: amount(twins, 'flush.age') ?? settings.flush.ageMs,
    },
    checksForeignKeys: twins.has('foreign_keys') ? twins.get('foreign_keys') === 'check' : settings.checksForeignKeys,
    missingParent: missingParents.find((known) => known === twins.get('missing_parent')) ?? settings.missingParent,
    maxPages: amount(twins, 'max_pages') ?? settings.maxPages,
    maxAnswerBytes: amount(twins, 'max_answer_bytes') ?? settings.maxAnswerBytes,
    maxWalkAgeMs: amount(twins, 'max_walk_age') ?? settings.maxWalkAgeMs,
  }
  return { ...stream, everyMs: amount(twins, 'every') ?? stream.everyMs, settings: overlaid }
}

const missingParents = ['wait', 'reject', 'refuse'] as const
const wordsOf: Readonly<Record<string, readonly string[]>> = {
  log_level: ['debug', 'info', 'warn', 'error'],
  foreign_keys: ['check', 'off'],
  missing_parent: missingParents,
}

function readTwin(setting: Setting, text: string): number | string | null {
  switch (setting.type) {
    case 'count':
      return within(readCount(text), setting)
    case 'duration':
      return within(readDuration(text), setting)
    case 'size':
      return within(readSize(text), setting)
    case 'flag':
      return text === 'true' || text === 'false' ? text : null
    case 'word':
      return readWord(setting.key, text)
    case 'share':
    case 'limits':
    case 'statuses':
      return null
  }
}

function readWord(key: string, text: string): string | null {
  if (key === 'timezone') return isTimezone(text) ? text : null
  const words = wordsOf[key]
  if (words === undefined) return text
  return words.find((known) => known === text.toLowerCase()) ?? null
}

function within(value: number | null, { bounds }: Setting): number | null {
  if (value === null || bounds === null) return value
  return value < bounds[0] || value > bounds[1] ? null : value
}

function expectation({ key, type, example }: Setting): string {
  const words = wordsOf[key]
  if (words !== undefined) return `one of ${words.join(', ')}`
  return type === 'flag' ? 'true or false' : `a ${type} like ${example}`
}

function word(twins: Twins, key: string): string | undefined {
  const value = twins.get(key)
  return typeof value === 'string' ? value : undefined
}

function amount(twins: Twins, key: string): number | undefined {
  const value = twins.get(key)
  return typeof value === 'number' ? value : undefined
}

function mapValues<T>(record: Readonly<Record<string, T>>, change: (value: T) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).map(([key, value]): [string, T] => [key, change(value)]))
}
