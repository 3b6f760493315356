/** Owns the numbers that `status` shows. Nothing here grows with the number of tasks: counters that settle keeps, and ends of indexes. */
import type { StreamCounts, TaskFilter } from '../domain/ports.js'
import type { Names } from './names.js'
import { restrictPartitions } from './partition-filter.js'
import type { Store } from './store.js'

const medianOf = 100
/** Due tasks that no claim has met yet are counted up to here; beyond, they are still called waiting (3 ms at a hundred thousand). */
const dueCounted = 100_000

const streamCounts = `
  select *, iif(day = ?, done_on_day, 0) as doneToday from stream order by source, name`
const doneLast = `
  select worked_ms from (
    select * from (select finished_at, worked_ms from task
      where stream = ? and is_current = 1 and state = 'done' order by finished_at desc limit ${medianOf})
    union all
    select * from (select finished_at, worked_ms from task
      where stream = ? and is_current = 0 and state = 'done' order by finished_at desc limit ${medianOf}))
  order by finished_at desc limit ${medianOf}`
const waitingFirst = `
  select ready_at from task where stream = ? and state = 'ready' and ready_at is not null and ready_at > ? order by ready_at limit 1`
const waitingDue = `
  select count(*) from (select 1 from task
    where stream = ? and state = 'ready' and ready_at is not null and ready_at <= ? limit ${dueCounted})`

/** Statements of a warm `status`, for the test that looks at their plans. */
export const countStatements = { doneLast, waitingFirst, waitingDue }

interface StreamRow {
  readonly number: number
  readonly source: string
  readonly name: string
  readonly ready: number
  readonly retrying: number
  readonly waiting: number
  readonly leased: number
  readonly done: number
  readonly dead: number
  readonly cancelled: number
  readonly unproven: number
  readonly differs: number
  readonly pages: number
  readonly received: number
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly held: number
  readonly duplicates: number
  readonly requests: number
  readonly doneToday: number
}

/** Counters of every stream that ever had a task. */
export function readCounts(store: Store, today: string): StreamCounts[] {
  const rows = store.sql(streamCounts).all(today) as StreamRow[]
  return rows.map((row) => readStream(store, row))
}

function readStream(store: Store, row: StreamRow): StreamCounts {
  const { number, name, waiting, pages, received, created, updated, unchanged, held, duplicates, ...rest } = row
  const now = store.clock.now()
  const nextDueAt =
    waiting === 0 ? null : ((store.sql(waitingFirst).pluck().get(number, now) as number | undefined) ?? null)
  return {
    source: rest.source,
    stream: name,
    ready: rest.ready,
    retrying: rest.retrying,
    waiting: stillWaiting(store, { number, waiting, nextDueAt, now }),
    leased: rest.leased,
    done: rest.done,
    dead: rest.dead,
    cancelled: rest.cancelled,
    doneToday: rest.doneToday,
    totals: { pages, received, created, updated, unchanged, held, duplicates },
    requests: rest.requests,
    unproven: rest.unproven,
    differs: rest.differs,
    medianWorkedMs: median(store.sql(doneLast).pluck().all(number, number) as number[]),
    nextDueAt,
  }
}

/** Tasks whose time has come but that no claim has met are not waiting any more. */
function stillWaiting(
  store: Store,
  stream: { number: number; waiting: number; nextDueAt: number | null; now: number },
): number {
  if (stream.nextDueAt === null) return 0
  return stream.waiting - (store.sql(waitingDue).pluck().get(stream.number, stream.now) as number)
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2
}

/** The earliest moment at which a task of the filter may be claimed; `now` where one may be at once, null where none is ready. */
export function readNextDueAt(store: Store, names: Names, filter: TaskFilter): number | null {
  const { condition, values } = restrictPartitions(filter.partitions)
  const now = store.clock.now()
  let earliest: number | null = null
  for (const stream of names.streamNumbers(filter.streams)) {
    const isClaimable = ['= 0', '> 0'].some(
      (reclaims) => store.sql(readyAny(reclaims, condition)).get(stream, ...values) !== undefined,
    )
    if (isClaimable) return now
    const readyAt = store
      .sql(readyFirst(condition))
      .pluck()
      .get(stream, ...values) as number | undefined
    if (readyAt !== undefined && (earliest === null || readyAt < earliest)) earliest = readyAt
  }
  return earliest
}

function readyAny(reclaims: string, condition: string): string {
  return `
  select 1 from task where stream = ? and state = 'ready' and ready_at is null and reclaims ${reclaims}${condition}
  order by priority desc, number limit 1`
}

function readyFirst(condition: string): string {
  return `
  select ready_at from task where stream = ? and state = 'ready' and ready_at is not null${condition} order by ready_at limit 1`
}
