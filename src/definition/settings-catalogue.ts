// Owns the list of everything that backfill.yaml may set: what it is called, what it means, what holds without it, and which constant of the
// replaced scripts it stands for. The README's table, `--help` and the environment are made from it; tests hold it against the schema.

import { writeDuration, writeSize } from './quantity.js'
import { defaultSettings, limitedDefaults, settingBounds } from './settings.js'

/**
 * Where a setting may stand: at the top of backfill.yaml, or for all sources (`defaults`), a source, or a stream; `source`: not on a stream; `budget`: of a
 * source.
 */
export type SettingScope = 'workspace' | 'stream' | 'source' | 'budget'
export type SettingType = 'count' | 'duration' | 'size' | 'word' | 'share' | 'limits' | 'flag' | 'statuses'

export interface Setting {
  /** As written in YAML; a dot is a level. */
  readonly key: string
  readonly scope: SettingScope
  readonly type: SettingType
  /** As people write it; with two values: with declared limits, and without. */
  readonly default: string
  readonly sentence: string
  /** What the replaced scripts called it. */
  readonly seed: string | null
  /** Its twin in the environment; null: none. */
  readonly environment: string | null
  /** A value that is accepted, as YAML. */
  readonly example: string
  readonly bounds: readonly [number, number] | null
}

const preset = defaultSettings

/** Every setting, in the order of the README. */
export const settingsCatalogue: readonly Setting[] = [
  workspaceSetting('database', 'word', {
    default: 'none',
    sentence: 'the Postgres to load into: embedded, $NAME of a variable, or an address',
    seed: null,
    environment: 'BACKFILL_DATABASE',
    example: 'embedded',
  }),
  workspaceSetting('schema', 'word', {
    default: 'public',
    sentence: 'schema of tables that name none',
    seed: null,
    environment: 'BACKFILL_SCHEMA',
    example: 'public',
  }),
  workspaceSetting('delta_prefix', 'word', {
    default: 'delta_',
    sentence: 'what the names of delta tables begin with',
    seed: 'BACKLOG_TABLE_PREFIX="delta_"',
    environment: 'BACKFILL_DELTA_PREFIX',
    example: 'delta_',
  }),
  workspaceSetting('timezone', 'word', {
    default: "the system's",
    sentence: 'zone of times in text, and of today',
    seed: null,
    environment: 'BACKFILL_TIMEZONE',
    example: 'Europe/Berlin',
  }),
  workspaceSetting('log_level', 'word', {
    default: 'info',
    sentence: 'least level that is logged: debug, info, warn or error',
    seed: 'BACKLOG_LOG_LEVEL=INFO',
    environment: 'BACKFILL_LOG_LEVEL',
    example: 'INFO',
  }),
  workspaceSetting('transactions', 'flag', {
    default: 'true',
    sentence: 'a flush is always promoted in one transaction; only true is accepted',
    seed: 'BACKLOG_USE_TRANSACTIONS=true',
    environment: null,
    example: 'true',
  }),
  workspaceSetting('metrics.enabled', 'flag', {
    default: 'true',
    sentence: 'whether the worker logs its figures',
    seed: 'BACKLOG_ENABLE_METRICS=true',
    environment: 'BACKFILL_METRICS_ENABLED',
    example: 'true',
  }),
  workspaceSetting('metrics.interval', 'duration', {
    default: '5m',
    sentence: 'how often it logs them',
    seed: 'BACKLOG_METRIC_INTERVAL=300',
    environment: 'BACKFILL_METRICS_INTERVAL',
    example: '5m',
    bounds: settingBounds.metricsInterval,
  }),
  workspaceSetting('max_runtime', 'duration', {
    default: '4h without a terminal',
    sentence: 'how long a worker runs at most',
    seed: null,
    environment: 'BACKFILL_MAX_RUNTIME',
    example: '4h',
    bounds: settingBounds.maxRuntime,
  }),
  streamSetting('page_size', 'count', {
    default: "the source's own",
    sentence: 'rows per request',
    seed: '--batch-size=500',
    example: '100',
    bounds: settingBounds.pageSize,
  }),
  streamSetting('claim', 'count', {
    default: String(preset.claim),
    sentence: 'tasks per claim',
    seed: 'BACKLOG_FETCH_BATCH_SIZE=10',
    example: '10',
    bounds: settingBounds.claim,
  }),
  streamSetting('delay', 'duration', {
    default: `${writeDuration(limitedDefaults.delay)} with limits, ${writeDuration(preset.delay)} without`,
    sentence: 'least time between the starts of two requests',
    seed: 'BACKLOG_FETCH_DELAY_SECONDS=2',
    example: '2s',
    bounds: settingBounds.delay,
  }),
  streamSetting('attempts', 'count', {
    default: String(preset.attempts),
    sentence: 'attempts of a task before it is dead',
    seed: 'BACKLOG_MAX_RETRIES=3',
    example: '3',
    bounds: settingBounds.attempts,
  }),
  streamSetting('backoff', 'duration', {
    default: writeDuration(preset.backoff),
    sentence: 'first wait between two attempts; it doubles',
    seed: 'BACKLOG_RETRY_DELAY=5',
    example: '5s',
    bounds: settingBounds.backoff,
  }),
  streamSetting('timeout', 'duration', {
    default: writeDuration(preset.timeout),
    sentence: 'how long one request may take',
    seed: 'HTTP client with 120s timeout',
    example: '120s',
    bounds: settingBounds.timeout,
  }),
  streamSetting('retries', 'count', {
    default: String(preset.retries),
    sentence: 'further tries of a request inside one attempt',
    seed: 'exponential backoff retry (3 attempts)',
    example: '3',
    bounds: settingBounds.retries,
  }),
  streamSetting('retry_delay', 'duration', {
    default: writeDuration(preset.retryDelay),
    sentence: 'wait before the first further try; it doubles',
    seed: 'exponential backoff (1s, 2s, 4s)',
    example: '1s',
    bounds: settingBounds.retryDelay,
  }),
  streamSetting('flush.rows', 'count', {
    default: `${limitedDefaults.flushRows} with limits, ${preset.flushRows} without`,
    sentence: 'rows after which a flush is made, and the walk can go on from there',
    seed: 'BACKLOG_BATCH_SIZE_LOAD=100; checkpoint every 1000 records',
    example: '1000',
    bounds: settingBounds.flushRows,
  }),
  streamSetting('flush.bytes', 'size', {
    default: writeSize(preset.flushBytes),
    sentence: 'bytes after which a flush is made',
    seed: null,
    example: '8MiB',
    bounds: settingBounds.flushBytes,
  }),
  streamSetting('flush.age', 'duration', {
    default: writeDuration(preset.flushAge),
    sentence: 'age of the oldest waiting row at which a flush is made',
    seed: null,
    example: '1s',
    bounds: settingBounds.flushAge,
  }),
  streamSetting('foreign_keys', 'word', {
    default: 'check',
    sentence: 'check: a row without its parent is held; off: the database alone decides',
    seed: 'BACKLOG_VALIDATE_FOREIGN_KEYS=true',
    example: 'check',
  }),
  streamSetting('missing_parent', 'word', {
    default: preset.missingParent,
    sentence:
      'a row without its parent: wait (held until it comes), reject (held for you) or refuse (nothing of its flush is promoted)',
    seed: null,
    example: 'reject',
  }),
  streamSetting('every', 'duration', {
    default: 'only seed makes tasks',
    sentence: 'how long after its end a partition is walked again',
    seed: 'BACKLOG_POLL_INTERVAL=300',
    example: '5m',
    bounds: settingBounds.every,
  }),
  streamSetting('max_pages', 'count', {
    default: String(preset.maxPages),
    sentence: 'pages after which a walk is called endless',
    seed: null,
    example: '1000000',
    bounds: settingBounds.maxPages,
  }),
  streamSetting('max_answer_bytes', 'size', {
    default: writeSize(preset.maxAnswerBytes),
    sentence: 'size above which an answer is refused',
    seed: null,
    example: '64MiB',
    bounds: settingBounds.maxAnswerBytes,
  }),
  streamSetting('max_walk_age', 'duration', {
    default: writeDuration(preset.maxWalkAge),
    sentence: 'age at which an unfinished walk begins again',
    seed: null,
    example: '7d',
    bounds: settingBounds.maxWalkAge,
  }),
  streamSetting('max_shrink', 'share', {
    default: '50%',
    sentence: 'part of the rows of its last proven walk that a walk may lack and still be called proven',
    seed: null,
    example: '50%',
    environment: null,
  }),
  streamSetting('statuses', 'statuses', {
    default: '5xx and 408 retry, other 3xx and 4xx dead',
    sentence: 'fate of a status: retry, dead, budget or credentials, or rules for its answers',
    seed: '404 stays in the queue, retried up to 3x',
    example: '{ 404: retry }',
    environment: null,
  }),
  streamSetting('weight', 'count', {
    default: '1',
    sentence: 'what a request costs of each limit; a request may say its own (request.weight)',
    seed: null,
    example: '5',
    environment: null,
    bounds: settingBounds.weight,
  }),
  streamSetting('priority', 'count', {
    default: '0',
    sentence: 'priority of tasks that seed gives none; the higher goes first, at each claim and in line for the budget',
    seed: null,
    example: '10',
    environment: null,
    bounds: settingBounds.priority,
  }),
  streamSetting('hours', 'word', {
    default: 'always',
    sentence: 'hours of the day in which its tasks may be at work, in the zone of the workspace; one or a list',
    seed: null,
    example: '"22:00-06:00"',
    environment: null,
  }),
  streamSetting('max_requests_per_run', 'count', {
    default: 'no limit',
    sentence: 'requests that one run sends for the stream',
    seed: null,
    example: '500',
    environment: null,
    bounds: settingBounds.perRun,
  }),
  streamSetting('max_tasks_per_run', 'count', {
    default: 'no limit',
    sentence: 'tasks of the stream that one run claims',
    seed: null,
    example: '100',
    environment: null,
    bounds: settingBounds.perRun,
  }),
  streamSetting('max_parents_per_run', 'count', {
    default: 'no limit',
    sentence: 'rows of another stream that one run asks about, where the stream fans out over them',
    seed: 'MAX_PER_RUN_RELATION_USERS',
    example: '200',
    environment: null,
    bounds: settingBounds.perRun,
  }),
  sourceSetting('park.after', 'count', {
    default: String(preset.parkAfter),
    sentence: 'failures of a source in a row, without an answer between, after which it is parked',
    example: '5',
    bounds: settingBounds.parkAfter,
  }),
  sourceSetting('park.first', 'duration', {
    default: writeDuration(preset.parkFirst),
    sentence: 'how long it is parked at first; it doubles while the source goes on failing',
    example: '5m',
    bounds: settingBounds.parkWait,
  }),
  sourceSetting('park.longest', 'duration', {
    default: writeDuration(preset.parkLongest),
    sentence: 'how long it is parked at most before one task asks again',
    example: '1h',
    bounds: settingBounds.parkWait,
  }),
  sourceSetting('park.refused', 'duration', {
    default: writeDuration(preset.parkRefused),
    sentence: 'how long a source may call itself over its limit, without an answer between, before it is parked',
    example: '6h',
    bounds: settingBounds.parkWait,
  }),
  budgetSetting('limits', 'limits', {
    default: 'none',
    sentence: 'requests per time; all of them must allow a request; with a reset time it is a quota',
    example: '[2/s, 1200/h]',
  }),
  budgetSetting('quotas', 'limits', {
    default: 'none',
    sentence: 'limits that empty at a time of day, or of the month on its first day',
    example: '[{ requests: 7500, per: day, resets: "00:00 UTC" }]',
  }),
  budgetSetting('headers', 'limits', {
    default: 'none',
    sentence: 'headers that tell of a window; * stands for limit, remaining and reset',
    example: '{ second: x-secondly-ratelimit-*, hour: x-hourly-ratelimit-* }',
  }),
  budgetSetting('reserve', 'share', {
    default: '0',
    sentence: 'part of each limit that the worker leaves to verify and seed --dry-run',
    example: '5%',
  }),
  budgetSetting('refusals', 'word', {
    default: '[429]',
    sentence: 'statuses that mean "over the limit"',
    example: '[429]',
  }),
  budgetSetting('key', 'word', {
    default: "the source's name",
    sentence: 'name that requests are counted under; sources with one name share a budget',
    example: 'shared',
  }),
  budgetSetting('file', 'word', {
    default: 'queue.db',
    sentence: 'SQLite file that keeps the budget for several workspaces, from the folder of backfill.yaml',
    example: '../shared-budget.db',
  }),
  budgetSetting('delay', 'duration', {
    default: `${writeDuration(limitedDefaults.delay)} with limits, ${writeDuration(preset.delay)} without`,
    sentence: 'the same as delay on the source',
    example: '2s',
    bounds: settingBounds.delay,
  }),
  budgetSetting('concurrency', 'count', {
    default: `${limitedDefaults.concurrency} with limits, ${preset.concurrency} without`,
    sentence: 'requests of the source in flight at once, at most',
    example: '2',
    bounds: settingBounds.concurrency,
  }),
  budgetSetting('verify_share', 'share', {
    default: '50%',
    sentence: 'share of every limit that verify may use while a worker may need it',
    example: '50%',
  }),
]

type Words = Pick<Setting, 'default' | 'sentence' | 'example'> &
  Partial<Pick<Setting, 'seed' | 'environment' | 'bounds'>>

function workspaceSetting(key: string, type: SettingType, words: Words): Setting {
  return { seed: null, environment: null, bounds: null, ...words, key, scope: 'workspace', type }
}

function streamSetting(key: string, type: SettingType, words: Words): Setting {
  const environment = `BACKFILL_${key.toUpperCase().replaceAll('.', '_')}`
  return { seed: null, environment, bounds: null, ...words, key, scope: 'stream', type }
}

function sourceSetting(key: string, type: SettingType, words: Words): Setting {
  return { seed: null, environment: null, bounds: null, ...words, key, scope: 'source', type }
}

function budgetSetting(key: string, type: SettingType, words: Words): Setting {
  return { seed: null, environment: null, bounds: null, ...words, key: `budget.${key}`, scope: 'budget', type }
}
