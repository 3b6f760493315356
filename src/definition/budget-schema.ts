// Owns the shape of a budget as people write it: limits, quotas, what headers tell of them, the file that several workspaces share.
import { z } from 'zod'
import type { Limit, Quota } from '../domain/source-model.js'
import { readLimit, readPeriod, readQuota, readReset } from './quantity.js'
import { count, duration, listOf, oneOf, readable, share, words } from './schema-parts.js'
import { settingBounds as bounds } from './settings.js'

const limitExpected = 'a limit like 2/s, 1200/hour, 15 per minute, 3/10s or 7500/day reset 00:00 UTC'
const limit: z.ZodType<Limit | Quota, string> = readable(limitExpected, (text) => readLimit(text) ?? readQuota(text))

/** One limit, or a list of them; one with a reset time is a quota. */
export const limits = z.union([limit.transform((one) => [one]), listOf(limit, `a list of limits: ${limitExpected}`)], {
  error: `${limitExpected}, or a list of them`,
})

const quotaExpected = '{ requests: 7500, per: day, resets: "00:00 UTC" }, or 7500/day reset 00:00 UTC'
const quota = z.union(
  [
    readable(quotaExpected, readQuota),
    z
      .strictObject(
        {
          requests: count(1, 1_000_000_000),
          per: oneOf(['day', 'month']),
          resets: readable('a time of day and its zone, like "00:00 UTC" or "09:00 Europe/Berlin"', readReset),
        },
        { error: quotaExpected },
      )
      .transform(({ requests, per, resets }): Quota => ({ requests, per, ...resets })),
  ],
  { error: quotaExpected },
)

const headersExpected = 'x-hourly-ratelimit-*, or { limit: X-RateLimit-Limit, remaining: X-RateLimit-Remaining }'
const headerName = words('the name of a header').regex(/^[A-Za-z0-9!#$%&'+.^_`|~-]+$/, {
  error: 'the name of a header',
})
const toldBy = z.union(
  [
    readable(headersExpected, (text) =>
      /^[A-Za-z0-9._-]*\*[A-Za-z0-9._-]*$/.test(text) && text.length > 1
        ? {
            limit: text.replace('*', 'limit'),
            remaining: text.replace('*', 'remaining'),
            reset: text.replace('*', 'reset'),
          }
        : null,
    ),
    z.strictObject(
      { limit: headerName, remaining: headerName, reset: headerName.optional() },
      { error: headersExpected },
    ),
  ],
  { error: headersExpected },
)
const periodExpected = 'a window: second, minute, hour, day or a length like 30s'
const headers = z.record(
  z.string().refine((text) => readPeriod(text) !== null, { error: periodExpected }),
  toldBy,
  { error: 'windows with their headers, like { hour: x-hourly-ratelimit-* }' },
)

const file = words('a file like ../shared-budget.db').refine((text) => !text.startsWith('~'), {
  error: 'a path from the folder of backfill.yaml, or from the root; "~" is for shells',
})

export const budgetRules = z.strictObject(
  {
    limits: limits.optional(),
    quotas: listOf(quota, `a list of quotas: ${quotaExpected}`).optional(),
    headers: headers.optional(),
    reserve: share.refine((value) => value < 1, { error: 'a share below 100%' }).optional(),
    refusals: listOf(count(100, 599), 'a list of statuses, like [429]').optional(),
    key: words('a name that requests are counted under').optional(),
    file: file.optional(),
    delay: duration(...bounds.delay).optional(),
    concurrency: count(...bounds.concurrency).optional(),
    verifyShare: share.optional(),
  },
  { error: 'limits, like [2/s, 1200/h], or { limits: […], reserve: 5% }' },
)
