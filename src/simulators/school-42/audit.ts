/**
 * What a School 42's audit says of a client: whether it kept the limits, what it asked twice and why, how it used its tokens, what it spent where. Works on the
 * entries alone, so it serves entries read over HTTP, too.
 */
import type { AuditEntry } from '../audit.js'
import { routeOf } from './routes.js'
import type { School, SchoolTable } from './school.js'
import type { SlidingLimit } from './switches.js'

export interface BusiestWindow {
  /** Most requests that were answered within one window of this length, wherever it lies. */
  readonly most: number
  /** Unix ms at which that window ends. */
  readonly endsAt: number
}

/** Counts every request, whatever its answer: token calls, refusals and cut connections, too. `most` must not exceed the limit. */
export function busiestWindow(entries: readonly AuditEntry[], periodMs: number): BusiestWindow {
  const answers = entries.map((entry) => entry.answeredAt).sort((one, other) => one - other)
  let first = 0
  let busiest: BusiestWindow = { most: 0, endsAt: 0 }
  for (const [last, endsAt] of answers.entries()) {
    while ((answers[first] ?? endsAt) <= endsAt - periodMs) first += 1
    const count = last - first + 1
    if (count > busiest.most) busiest = { most: count, endsAt }
  }
  return busiest
}

/**
 * Share of a window that was used between two instants (Unix ms) of which the caller knows that work was due: the answers in it by what the limit allows, where each
 * full window allows its number of requests. 1 is all of it.
 */
export function usedShare(
  entries: readonly AuditEntry[],
  limit: SlidingLimit,
  span: { readonly from: number; readonly to: number },
): number {
  const answered = entries.filter((entry) => entry.answeredAt > span.from && entry.answeredAt <= span.to).length
  return answered / ((limit.requests * (span.to - span.from)) / limit.periodMs)
}

/** The same method and address asked again. */
export interface Repeat {
  readonly method: string
  readonly path: string
  /** Numbers of the two requests; nothing with this method and address lies between. */
  readonly first: number
  readonly again: number
  /** What the first got, where that excuses asking again; null: it had a good answer, so only a declared overlap or a new walk explains it. */
  readonly excuse: string | null
}

/** Every method and address that came more than once, in the order of the second request. Token calls are left to {@link tokenUses}. */
export function repeats(entries: readonly AuditEntry[]): readonly Repeat[] {
  const last = new Map<string, AuditEntry>()
  const found: Repeat[] = []
  for (const entry of entries) {
    if (isTokenCall(entry)) continue
    const address = `${entry.method} ${entry.path}`
    const before = last.get(address)
    last.set(address, entry)
    if (before === undefined) continue
    found.push({
      method: entry.method,
      path: entry.path,
      first: before.number,
      again: entry.number,
      excuse: excuse(before),
    })
  }
  return found
}

/** Repeats that nothing in the answers explains: walks of their own excepted, there should be none. */
export function unexplainedRepeats(entries: readonly AuditEntry[]): readonly Repeat[] {
  return repeats(entries).filter((repeat) => repeat.excuse === null)
}

export interface TokenUse {
  readonly token: number
  /** Unix ms of the answer that handed it out first, and how often that happened (more than once: it was asked for again while it lived). */
  readonly grantedAt: number
  readonly granted: number
  readonly lifeMs: number
  readonly served: number
  /** Data requests refused with 401 that carried it. */
  readonly refused: number
  /** True where the next token was asked for after this one had been refused, or no further than `marginMs` from its end. */
  readonly isUsedUp: boolean
}

/** One line for each token; `isUsedUp` judges against a margin of renewal. */
export function tokenUses(entries: readonly AuditEntry[], marginMs = 0): readonly TokenUse[] {
  const grants = entries.filter((entry) => entry.labels.granted !== undefined)
  const tokens = [...new Set(grants.map((entry) => Number(entry.labels.token)))]
  return tokens.map((token, place) => {
    const own = grants.filter((entry) => entry.labels.token === token)
    const used = entries.filter((entry) => entry.labels.token === token && !isTokenCall(entry))
    const [first] = own
    const grantedAt = first?.answeredAt ?? 0
    const lifeMs = Number(first?.labels.life_s ?? 0) * 1000
    const refused = used.filter((entry) => entry.status === 401).length
    const next = grants.find((entry) => entry.labels.token === tokens[place + 1])
    const isUsedUp = next === undefined || refused > 0 || next.answeredAt >= grantedAt + lifeMs - marginMs
    return { token, grantedAt, granted: own.length, lifeMs, served: used.length - refused, refused, isUsedUp }
  })
}

/** Requests by method and route, ids taken out, most first: `{"GET /v2/users/:id/locations": 12}`. */
export function requestsPerRoute(entries: readonly AuditEntry[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>()
  for (const entry of entries) {
    const route = `${entry.method} ${routeOf(entry.path)}`
    counts.set(route, (counts.get(route) ?? 0) + 1)
  }
  return Object.fromEntries([...counts].sort((one, other) => other[1] - one[1]))
}

/** Tables that have a list of their own; the linkers come with projects and achievements. */
const listed: readonly SchoolTable[] = [
  'campuses',
  'cursus',
  'projects',
  'project_sessions',
  'achievements',
  'coalitions',
  'users',
  'campus_users',
  'cursus_users',
  'projects_users',
  'achievements_users',
  'coalitions_users',
  'locations',
]
const relations: readonly SchoolTable[] = [
  'cursus_users',
  'projects_users',
  'achievements_users',
  'coalitions_users',
  'locations',
]

export interface LeastRequests {
  /** A token and every table's list in pages of this size, nothing else: less is impossible. */
  readonly least: number
  /** The same where relations are asked for each user, one request a user and relation, as the scripts did. */
  readonly perUser: number
}

/** What a full load of the school as it is now costs at least, in pages of `size` rows. */
export function leastRequests(school: School, size = 100): LeastRequests {
  const pages = (name: SchoolTable) => Math.max(1, Math.ceil(school.table(name).size / size))
  const sum = (names: readonly SchoolTable[]) => names.reduce((total, name) => total + pages(name), 0)
  const flat = listed.filter((name) => !relations.includes(name))
  return { least: 1 + sum(listed), perUser: 1 + sum(flat) + relations.length * school.users.size }
}

function isTokenCall(entry: AuditEntry): boolean {
  return entry.path.includes('/oauth/')
}

function excuse(entry: AuditEntry): string | null {
  // A fault's own status is judged as a status.
  if (entry.fault !== null && !['latency', 'status'].includes(entry.fault)) return entry.fault
  if (typeof entry.labels.trap === 'string') return entry.labels.trap
  const isExcused = entry.status >= 500 || [401, 402, 408, 429].includes(entry.status)
  return isExcused ? String(entry.status) : null
}
