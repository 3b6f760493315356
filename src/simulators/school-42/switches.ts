/**
 * What can be different about the simulated School 42 while it runs: traps 1 to 8, 11 and 12 of wire/traps.md, and what is unverified there. Each can be set alone;
 * `allTraps` sets them together. Traps 9 to 11 are in the rows (`size.ts`). "Every" counts requests of the simulator's life that reach the trap; null is never.
 * Generic faults (latency, resets, a 500 at the n-th request) are `../faults.ts`.
 */
import type { ChurnRules } from './churn.js'

export interface SlidingLimit {
  readonly requests: number
  readonly periodMs: number
}

export interface School42Switches {
  // ------------------------------------------------------------------------------------------------ trap 1: HTML with 200
  /** Every so many data requests get an HTML page with status 200. */
  readonly htmlEvery: number | null

  // --------------------------------------------------------------------------------------------------- trap 2: tokens
  /** Life of a token, seconds. */
  readonly tokenLifeS: number
  /** A living token is handed out again, with what is left of its life as `expires_in` (unverified, wire/school42.md §2.1). */
  readonly reusesToken: boolean
  /** A token is revoked, by the request after it, once it has served so many data requests: in the middle of a walk. */
  readonly killTokenAfter: number | null
  /** Every token is refused with 401, also one that was minted just now. */
  readonly refusesTokens: boolean
  /** Body of a 401; which it is is unverified. */
  readonly unauthorizedBody: 'json' | 'empty'

  // ------------------------------------------------------------------------------------------------- trap 3: the secret
  /** Unix seconds after which the token endpoint refuses the secret (in answers as `secret_valid_until`); living tokens go on. */
  readonly secretValidUntil: number | null

  // --------------------------------------------------------------------------------------------------- trap 4: limits
  /** Sliding, per application, judged when the server answers; null: none. */
  readonly secondly: SlidingLimit | null
  /** The same; its window is an hour only by default. */
  readonly hourly: SlidingLimit | null
  /** Answers of the token endpoint count in both windows (unverified: the stricter reading). */
  readonly countsTokenRequests: boolean
  /** 429s count in both windows (unverified). */
  readonly countsRefusals: boolean
  /** `Retry-After` with a 429: always, never, or with every second one. */
  readonly retryAfter: 'always' | 'never' | 'sometimes'
  /** A 429 although the limit is kept, every so many data requests; the headers say which window has nothing left. */
  readonly spurious429: { readonly every: number; readonly window: 'secondly' | 'hourly' } | null

  // ----------------------------------------------------------------------------------------------- trap 5: page size
  /** More rows than this are never given, silently. */
  readonly pageCut: number
  /** Routes that give fewer: `{"/v2/projects": 30}`. */
  readonly routeCuts: Readonly<Record<string, number>>
  /** Routes whose pages above a size are late: `{"/v2/projects": {"aboveSize": 30, "ms": 5000}}`. */
  readonly slowPages: Readonly<Record<string, { readonly aboveSize: number; readonly ms: number }>>
  /** Every request lies so long before it is answered and judged, ms, evenly between the two. */
  readonly latencyMs: { readonly least: number; readonly most: number }

  // ------------------------------------------------------------- traps 6, 7 and 11: a set that moves, rows that vanish
  /** Changes of the data between requests; null: none. */
  readonly churn: ChurnRules | null
  /** Rows that are equal in every field sorted by come in another order at every request, unless `id` is among the fields. */
  readonly ties: 'by id' | 'any'

  // --------------------------------------------------------------------------------------------------- trap 7: totals
  /** Routes without `X-Total`: `["/v2/locations"]`. */
  readonly noTotalOn: readonly string[]
  /** Every so many pages come without `X-Total`. */
  readonly noTotalEvery: number | null

  // -------------------------------------------------------------------------------------------------- trap 8: filters
  /** More values than this in one filter are a 502 in HTML. */
  readonly mostFilterValues: number
  /** Longer addresses (path and query, bytes) are a 414 in HTML. */
  readonly mostAddressBytes: number

  // ------------------------------------------------------------------------------------------------ trap 12: refusals
  /** Every so many requests get Cloudflare's 403 in HTML. */
  readonly cloudflareEvery: number | null
  /** Routes that need a scope: `{"/v2/locations": "forum"}`; without it they answer 403 with the reason in JSON. */
  readonly neededScopes: Readonly<Record<string, string>>
  /** Routes for staff only: 403 with another reason. */
  readonly staffOnly: readonly string[]
  /** How a missing record is answered with 404. */
  readonly missing: 'json' | 'html'
}

/** A default application and data that stand still. */
export const defaultSwitches: School42Switches = {
  htmlEvery: null,
  tokenLifeS: 7200,
  reusesToken: true,
  killTokenAfter: null,
  refusesTokens: false,
  unauthorizedBody: 'json',
  secretValidUntil: null,
  secondly: { requests: 2, periodMs: 1000 },
  hourly: { requests: 1200, periodMs: 3_600_000 },
  countsTokenRequests: true,
  countsRefusals: false,
  retryAfter: 'always',
  spurious429: null,
  pageCut: 100,
  routeCuts: {},
  slowPages: {},
  latencyMs: { least: 0, most: 0 },
  churn: null,
  ties: 'by id',
  noTotalOn: [],
  noTotalEvery: null,
  mostFilterValues: 100,
  mostAddressBytes: 8192,
  cloudflareEvery: null,
  neededScopes: {},
  staffOnly: [],
  missing: 'json',
}

/**
 * Every trap that a client can get over, at once, in numbers that are prime to one another so that the traps do not always meet the same request. Not in it, because
 * they end the work by their nature: `refusesTokens`, an expired secret, needed scopes and staff-only routes. The limits stay those of whoever sets it.
 */
export const allTraps: Partial<School42Switches> = {
  htmlEvery: 41,
  tokenLifeS: 60,
  killTokenAfter: 97,
  unauthorizedBody: 'empty',
  retryAfter: 'sometimes',
  spurious429: { every: 29, window: 'secondly' },
  routeCuts: { '/v2/projects': 30, '/v2/achievements': 50, '/v2/locations': 90 },
  slowPages: { '/v2/projects': { aboveSize: 30, ms: 1500 } },
  latencyMs: { least: 0, most: 15 },
  churn: { everyRequests: 3, everyMs: null, seed: 'all traps' },
  ties: 'any',
  noTotalOn: ['/v2/project_sessions'],
  noTotalEvery: 23,
  mostFilterValues: 60,
  cloudflareEvery: 53,
  missing: 'html',
}
