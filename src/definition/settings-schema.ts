// Owns the shape of what may be set by source and by stream, and of a budget. Defaults are in `settings.ts`, sentences in `settings-catalogue.ts`.
import { z } from 'zod'
import { readHours } from '../domain/hours.js'
import { budgetRules, limits } from './budget-schema.js'
import { count, duration, listOf, missingParent, oneOf, readable, share, size } from './schema-parts.js'
import { settingBounds as bounds } from './settings.js'
import { statusFates } from './status-schema.js'

const hoursExpected = 'hours of the day like 22:00-06:00'
const hourRange = readable(hoursExpected, readHours)
/** Hours of the day, one range or several. */
export const hours = z.union(
  [
    hourRange.transform((one) => [one]),
    listOf(hourRange, `a list of ${hoursExpected}`).min(1, { error: hoursExpected }),
  ],
  { error: `${hoursExpected}, or a list of them` },
)

/** Keys that stand on a source, on a stream, and in backfill.yaml under `defaults`, a source, or a stream. */
export const settingsShape = {
  pageSize: count(...bounds.pageSize),
  claim: count(...bounds.claim),
  delay: duration(...bounds.delay),
  timeout: duration(...bounds.timeout),
  retries: count(...bounds.retries),
  retryDelay: duration(...bounds.retryDelay),
  attempts: count(...bounds.attempts),
  backoff: duration(...bounds.backoff),
  flush: z.strictObject(
    {
      rows: count(...bounds.flushRows).optional(),
      bytes: size(...bounds.flushBytes).optional(),
      age: duration(...bounds.flushAge).optional(),
    },
    { error: 'rows, bytes and age, like { rows: 1000, bytes: 8MiB, age: 1s }' },
  ),
  foreignKeys: oneOf(['check', 'off']),
  missingParent,
  maxPages: count(...bounds.maxPages),
  maxAnswerBytes: size(...bounds.maxAnswerBytes),
  maxWalkAge: duration(...bounds.maxWalkAge),
  maxShrink: share,
  statuses: statusFates,
  every: duration(...bounds.every),
  weight: count(...bounds.weight),
  priority: count(...bounds.priority),
  hours,
  maxRequestsPerRun: count(...bounds.perRun),
  maxTasksPerRun: count(...bounds.perRun),
  maxParentsPerRun: count(...bounds.perRun),
}

export const optionalSettings = z.object(settingsShape).partial().shape

/** Keys that stand on a source, and in backfill.yaml under `defaults` or a source: they make no sense for one stream. */
export const sourceSettingsShape = {
  park: z
    .strictObject(
      {
        after: count(...bounds.parkAfter).optional(),
        first: duration(...bounds.parkWait).optional(),
        longest: duration(...bounds.parkWait).optional(),
        refused: duration(...bounds.parkWait).optional(),
      },
      { error: 'after, first, longest and refused, like { after: 5, first: 5m, longest: 1h, refused: 6h }' },
    )
    .optional(),
}

/** Limits alone, or the whole budget. */
export const budget = z.union([limits.transform((value) => ({ limits: value })), budgetRules], {
  error: 'limits, like [2/s, 1200/h], or { limits: […], reserve: 5% }',
})
