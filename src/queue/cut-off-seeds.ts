/** Owns which seeds were begun and never came to their end, so that a part of what was asked for is not in the queue. Reads only. */
import type { CutOffSeed } from '../domain/ports.js'
import { lifeOf } from './process-identity.js'
import type { Store } from './store.js'

/** Of a seed whose process cannot be asked after: it makes tasks all the time, and when none were made for so long, it has ended. */
const quietMs = 60_000
/** However busy the queue is otherwise: longer than a seed of millions takes. */
const longestMs = 10 * 60_000

const hasPlanner = `select 1 from pragma_table_info('backfill') where name = 'planner'`
/** A later seed of the same that came to its end has made what was missing, but for a forced one only another forced one has. */
const unplanned = `
  select u.scope, u.created_at as begunAt, u.planner, u.is_forced as isForced from backfill u
  where u.planned_at is null and u.reason = 'seed'
    and not exists (select 1 from backfill p where p.scope = u.scope and p.reason = 'seed' and p.planned_at >= u.created_at
      and p.is_forced >= u.is_forced)
  order by u.number desc`
const newestTask = 'select created_at from task order by number desc limit 1'

interface Unplanned {
  readonly scope: string
  readonly begunAt: number
  readonly planner: string | null
  readonly isForced: 0 | 1
}

/** One for each thing that was asked for, the last begun first. A file of a version that did not note the process names none. */
export function readCutOffSeeds(store: Store): readonly CutOffSeed[] {
  if (store.sql(hasPlanner).get() === undefined) return []
  const found = (store.sql(unplanned).all() as Unplanned[]).map((seed) => ({
    ...seed,
    life: seed.planner === null ? 'unknown' : lifeOf(seed.planner),
  }))
  if (found.length === 0) return []
  const now = store.clock.now()
  const madeAt = (store.sql(newestTask).pluck().get() as number | undefined) ?? 0
  const isQuiet = (begunAt: number) => now - begunAt >= longestMs || now - Math.max(begunAt, madeAt) >= quietMs
  const atWork = found.filter(({ life, begunAt }) => life === 'alive' || (life === 'unknown' && !isQuiet(begunAt)))
  const cutOff = new Map<string, CutOffSeed>()
  for (const { scope, begunAt, isForced, life } of found) {
    const isMade = atWork.some((other) => other.scope === scope && other.isForced >= isForced)
    if (!isMade && !cutOff.has(scope)) cutOff.set(scope, { scope, begunAt, isGone: life === 'gone' })
  }
  return [...cutOff.values()]
}
