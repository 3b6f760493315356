/**
 * What can be different about the simulated civic.band: the traps of wire/traps.md 1 and 13 to 17, each a switch. The defaults are what its code says
 * of a caller without a key (wire/civicband.md §3). Generic faults (latency, resets, a 500 at the n-th request) are `../faults.ts`.
 */

export interface CivicBandSwitches {
  /** The Datasette behind the wrapper: bodies, errors, counts and the address of custom SQL differ (§3.4). */
  readonly version: '0.65' | '1.0a28' | '1.0a36'
  /** Without a key `_size` is silently rewritten to at most this; null: not cut (§3.3, 4). */
  readonly sizeCut: number | null
  /** A fixed window per IP that begins with its first request; null: none (§3.3, 2). */
  readonly limit: { readonly requests: number; readonly periodMs: number } | null
  /** Keys that are valid; the stored code of civic.band refuses every key in production (§3.3, 3). */
  readonly acceptedKeys: readonly string[]
  /** Value of `X-Service-Secret` that lifts limit and cut; null: none does (§3.3, 1). */
  readonly serviceSecret: string | null
  /** Who gets a challenge page with status 200: User-Agents that say Mozilla or Opera, nobody, or everybody (§3.3). */
  readonly challenge: 'browsers' | 'never' | 'always'
  /** `_extra=count` and `filtered_table_rows_count`: as Datasette gives them, left out, or null because the count timed out (§3.4). */
  readonly count: 'given' | 'absent' | 'timed out'
  /** Queries that take longer than sql_time_limit_ms: 400 "SQL Interrupted" (§3.4). */
  readonly interrupt: Interrupt | null
  /** False: custom SQL is answered with 403. */
  readonly executesSql: boolean
  /** `opaque`: tokens that break unless they are URL-encoded when put back; the promise is only that they are opaque (§3.5). */
  readonly cursor: 'tilde' | 'opaque'
  /** How a missing table is answered; which of the two civic.band does is unverified (§3.3). */
  readonly missingTable: 'html' | 'json'
  /** The site's file is deleted and rebuilt after so many of its table pages were served, once (§3.2). */
  readonly rebuild: (Rebuild & { readonly afterPages: number }) | null
}

export interface Interrupt {
  readonly target: 'table' | 'sql'
  /** Only table queries for more rows than this; 0: all. */
  readonly aboveSize: number
  /** Only the first so many since the switch was set; null: all. */
  readonly times: number | null
}

/** What an update of a municipality changes. Each count is per table. */
export interface Rebuild {
  /** Pages whose text changes: a new id for the same page. */
  readonly changed: number
  /** New pages, with ids that sort before nearly every cursor. */
  readonly added: number
  /** Pages that are gone. */
  readonly removed: number
  /** True: entities and votes are filled in; ids stay. */
  readonly extracted: boolean
}

/** A caller without a key, and the Datasette of civic.band's lock file. */
export const defaultSwitches: CivicBandSwitches = {
  version: '1.0a28',
  sizeCut: 100,
  limit: { requests: 15, periodMs: 60_000 },
  acceptedKeys: [],
  serviceSecret: null,
  challenge: 'browsers',
  count: 'given',
  interrupt: null,
  executesSql: true,
  cursor: 'tilde',
  missingTable: 'html',
  rebuild: null,
}
