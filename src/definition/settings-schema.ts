// Owns the shape of what may be set by source and by stream, and of a budget. Defaults are in `settings.ts`, sentences in `settings-catalogue.ts`.
import { z } from 'zod'
import type { Limit } from '../domain/source-model.js'
import { readLimit } from './quantity.js'
import { count, duration, listOf, missingParent, oneOf, readable, share, size, words } from './schema-parts.js'
import { settingBounds as bounds } from './settings.js'
import { statusFates } from './status-schema.js'

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

const limitExpected = 'a limit like 2/s, 1200/hour, 15 per minute or 3/10s'
const limit: z.ZodType<Limit, string> = readable(limitExpected, readLimit)
const limits = z.union([limit.transform((one) => [one]), listOf(limit, `a list of limits: ${limitExpected}`)], {
  error: `${limitExpected}, or a list of them`,
})

const budgetRules = z.strictObject(
  {
    limits: limits.optional(),
    reserve: share.refine((value) => value < 1, { error: 'a share below 100%' }).optional(),
    refusals: listOf(count(100, 599), 'a list of statuses, like [429]').optional(),
    key: words('a name that requests are counted under').optional(),
    delay: settingsShape.delay.optional(),
    concurrency: count(...bounds.concurrency).optional(),
    verifyShare: share.optional(),
  },
  { error: 'limits, like [2/s, 1200/h], or { limits: […], reserve: 5% }' },
)

/** Limits alone, or the whole budget. */
export const budget = z.union([limits.transform((value) => ({ limits: value })), budgetRules], {
  error: 'limits, like [2/s, 1200/h], or { limits: […], reserve: 5% }',
})
