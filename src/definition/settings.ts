// Owns the defaults of everything that may be set by source and by stream, and how layers of settings become one. Loads nothing, because a warm
// start lays the environment over the compiled settings with it.
import type { ParkRules } from '../domain/controls.js'
import type { HourRange, MissingParent, StatusFate, StreamSettings } from '../domain/source-model.js'

/** Settings as far as one place gives them; amounts are in ms and bytes. */
export interface SettingsLayer {
  readonly pageSize?: number | undefined
  readonly claim?: number | undefined
  readonly delay?: number | undefined
  readonly timeout?: number | undefined
  readonly retries?: number | undefined
  readonly retryDelay?: number | undefined
  readonly attempts?: number | undefined
  readonly backoff?: number | undefined
  readonly flush?:
    | { readonly rows?: number | undefined; readonly bytes?: number | undefined; readonly age?: number | undefined }
    | undefined
  readonly foreignKeys?: 'check' | 'off' | undefined
  readonly missingParent?: MissingParent | undefined
  readonly maxPages?: number | undefined
  readonly maxAnswerBytes?: number | undefined
  readonly maxWalkAge?: number | undefined
  readonly maxShrink?: number | undefined
  readonly statuses?: Readonly<Record<string, StatusFate>> | undefined
  readonly every?: number | undefined
  readonly weight?: number | undefined
  readonly priority?: number | undefined
  readonly hours?: readonly HourRange[] | undefined
  readonly maxRequestsPerRun?: number | undefined
  readonly maxTasksPerRun?: number | undefined
  readonly maxParentsPerRun?: number | undefined
}

/** Settings of a whole source, as far as one place gives them; amounts are in ms. */
export interface SourceLayer {
  readonly park?:
    | {
        readonly after?: number | undefined
        readonly first?: number | undefined
        readonly longest?: number | undefined
        readonly refused?: number | undefined
      }
    | undefined
}

/** What holds where nothing else is said (DESIGN.md §6). `flushRows` and `delay` are the ones of a source without limits. */
export const defaultSettings = {
  claim: 10,
  delay: 2000,
  timeout: 120_000,
  retries: 3,
  retryDelay: 1000,
  attempts: 3,
  backoff: 5000,
  flushRows: 10_000,
  flushBytes: 8_388_608,
  flushAge: 1000,
  missingParent: 'wait',
  maxPages: 1_000_000,
  maxAnswerBytes: 67_108_864,
  maxWalkAge: 604_800_000,
  maxShrink: 0.5,
  concurrency: 4,
  parkAfter: 5,
  parkFirst: 300_000,
  parkLongest: 3_600_000,
  parkRefused: 21_600_000,
} as const

/** Least and greatest value of each amount. */
export const settingBounds = {
  pageSize: [1, 1_000_000],
  claim: [1, 1000],
  delay: [0, 86_400_000],
  timeout: [10, 3_600_000],
  retries: [0, 20],
  retryDelay: [0, 600_000],
  attempts: [1, 1000],
  backoff: [0, 604_800_000],
  flushRows: [1, 1_000_000],
  flushBytes: [1000, 268_435_456],
  flushAge: [1, 60_000],
  maxPages: [1, 1_000_000_000],
  maxAnswerBytes: [1000, 536_870_912],
  maxWalkAge: [60_000, 31_536_000_000],
  every: [1000, 31_536_000_000],
  concurrency: [1, 1000],
  weight: [1, 1000],
  priority: [-1_000_000, 1_000_000],
  perRun: [1, 1_000_000_000],
  maxRuntime: [1000, 604_800_000],
  metricsInterval: [1000, 86_400_000],
  parkAfter: [1, 1_000_000],
  parkWait: [100, 604_800_000],
} as const satisfies Record<string, readonly [number, number]>

/** What replaces them where a source declares limits: its requests are dear, so a kill may not cost more than these rows. */
export const limitedDefaults = { delay: 0, flushRows: 1000, concurrency: 2 } as const

/** Layers from the weakest to the strongest as one. `flush` and `statuses` are merged key by key. */
export function mergeLayers(layers: readonly SettingsLayer[]): SettingsLayer {
  return layers.reduce<SettingsLayer>(
    (below, above) => ({
      ...below,
      ...definedOnly(above),
      flush: { ...below.flush, ...definedOnly(above.flush ?? {}) },
      statuses: { ...below.statuses, ...above.statuses },
    }),
    {},
  )
}

/** Resolved settings of a stream. `ownDelay` is what the stream itself, not its source, asks for. */
export function streamSettings(
  layer: SettingsLayer,
  options: { readonly hasLimits: boolean; readonly ownDelay: number | undefined },
): StreamSettings {
  const rows = options.hasLimits ? limitedDefaults.flushRows : defaultSettings.flushRows
  return {
    pageSize: layer.pageSize ?? null,
    claim: layer.claim ?? defaultSettings.claim,
    ...(options.ownDelay === undefined ? {} : { delayMs: options.ownDelay }),
    timeoutMs: layer.timeout ?? defaultSettings.timeout,
    retries: layer.retries ?? defaultSettings.retries,
    retryDelayMs: layer.retryDelay ?? defaultSettings.retryDelay,
    attempts: layer.attempts ?? defaultSettings.attempts,
    backoffMs: layer.backoff ?? defaultSettings.backoff,
    flush: {
      rows: layer.flush?.rows ?? rows,
      bytes: layer.flush?.bytes ?? defaultSettings.flushBytes,
      ageMs: layer.flush?.age ?? defaultSettings.flushAge,
    },
    checksForeignKeys: layer.foreignKeys !== 'off',
    missingParent: layer.missingParent ?? defaultSettings.missingParent,
    maxPages: layer.maxPages ?? defaultSettings.maxPages,
    maxAnswerBytes: layer.maxAnswerBytes ?? defaultSettings.maxAnswerBytes,
    maxWalkAgeMs: layer.maxWalkAge ?? defaultSettings.maxWalkAge,
    maxShrink: layer.maxShrink ?? defaultSettings.maxShrink,
    statuses: layer.statuses ?? {},
    ...shareSettings(layer),
  }
}

/** How a stream shares its source's budget with others; only what is given. */
function shareSettings({
  weight,
  priority,
  hours,
  maxRequestsPerRun,
  maxTasksPerRun,
  maxParentsPerRun,
}: SettingsLayer): Partial<StreamSettings> {
  return definedOnly({
    weight,
    priority,
    hours,
    maxRequestsPerRun,
    maxTasksPerRun,
    maxParentsPerRun,
  }) as Partial<StreamSettings>
}

/** When a source is parked, from its layers, the weakest first; each may give some of it. */
export function parkRules(layers: readonly SourceLayer[]): ParkRules {
  const park = layers.reduce<NonNullable<SourceLayer['park']>>(
    (below, above) => ({ ...below, ...definedOnly(above.park ?? {}) }),
    {},
  )
  return {
    after: park.after ?? defaultSettings.parkAfter,
    firstMs: park.first ?? defaultSettings.parkFirst,
    longestMs: park.longest ?? defaultSettings.parkLongest,
    refusedMs: park.refused ?? defaultSettings.parkRefused,
  }
}

function definedOnly<T extends object>(layer: T): Partial<T> {
  return Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined)) as Partial<T>
}
