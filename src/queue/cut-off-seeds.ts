/** Owns which seeds were begun and never came to their end, so that a part of what was asked for is not in the queue. Reads only. */
import type { CutOffSeed } from '../domain/ports.js'
import type { Store } from './store.js'

/** A seed at work makes tasks all the time; one that makes none for so long, while nothing else does, has ended. */
const quietMs = 60_000
/** However busy the queue is otherwise: longer than a seed of millions takes. */
const longestMs = 10 * 60_000

/**
 * One for each thing that was asked for; a later seed of the same that came to its end has made what was missing, but for a forced one only another forced one has
 * (the last word of a seed's fingerprint).
 */
const unplanned = `
  select u.scope, max(u.created_at) as begunAt from backfill u
  where u.planned_at is null and u.reason = 'seed'
    and not exists (select 1 from backfill p where p.scope = u.scope and p.reason = 'seed' and p.planned_at >= u.created_at
      and (p.fingerprint like '%true]' or u.fingerprint not like '%true]'))
  group by u.scope order by max(u.number) desc`
const newestTask = 'select created_at from task order by number desc limit 1'

/** The last begun first. */
export function readCutOffSeeds(store: Store): readonly CutOffSeed[] {
  const found = store.sql(unplanned).all() as CutOffSeed[]
  if (found.length === 0) return []
  const now = store.clock.now()
  const madeAt = (store.sql(newestTask).pluck().get() as number | undefined) ?? 0
  return found.filter(({ begunAt }) => {
    const quietSince = Math.max(begunAt, madeAt)
    return now - begunAt >= longestMs || now - quietSince >= quietMs
  })
}
