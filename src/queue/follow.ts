/**
 * Owns which streams follow others, and when each is to be looked at: one row of `meta` a stream. Inside the transaction of its caller.
 */
import type { Followed, FollowPlan } from '../domain/follow.js'
import { type Partition, parsePartitionKey } from '../domain/partition.js'
import type { Names, StreamName } from './names.js'
import type { Store } from './store.js'

const prefix = 'follow '
const followGet = `select value from meta where name = ?`
const followSet = `insert into meta (name, value) values (?, ?) on conflict (name) do update set value = excluded.value where value <> excluded.value`
const followList = `select name, value from meta where name >= 'follow ' and name < 'follow!' order by name`
const openPartitions = `
  select partition from task where stream = ? and is_current = 1 and (state = 'ready' or state = 'leased' or state = 'dead')`

const oldestDone = `select min(finished_at) from task where stream = ? and is_current = 1 and state = 'done'`

/** Statements for the test that looks at their plans. */
export const followStatements = { followGet, oldestDone }

type Kept = Omit<Followed, 'source' | 'stream'>
const nothingKept: Kept = { isAll: false, planAt: 0, seen: '', fullBefore: null, found: null }

/** Begins to follow, or widens what is followed; it is looked at by the next run. */
export function follow(
  store: Store,
  name: StreamName,
  { isAll, fullBefore }: Pick<Followed, 'isAll' | 'fullBefore'>,
): void {
  const kept = read(store, name)
  write(store, name, {
    ...kept,
    isAll: kept.isAll || isAll,
    planAt: 0,
    fullBefore: fullBefore ?? kept.fullBefore,
  })
}

export function readFollowed(store: Store): readonly Followed[] {
  const rows = store.sql(followList).all() as { readonly name: string; readonly value: string }[]
  return rows.flatMap(({ name, value }) => {
    const [source, stream] = name.slice(prefix.length).split(' ')
    return source === undefined || stream === undefined ? [] : [{ source, stream, ...parse(value) }]
  })
}

export function writePlan(store: Store, name: StreamName, plan: FollowPlan): void {
  write(store, name, { ...read(store, name), ...plan })
}

export function readOpenPartitions(store: Store, names: Names, name: StreamName): readonly Partition[] {
  const stream = names.streamNumber(name)
  return stream === null ? [] : (store.sql(openPartitions).pluck().all(stream) as string[]).map(parsePartitionKey)
}

export function readOldestDone(store: Store, names: Names, name: StreamName): number | null {
  const stream = names.streamNumber(name)
  return stream === null ? null : (store.sql(oldestDone).pluck().get(stream) as number | null)
}

function keyOf({ source, stream }: StreamName): string {
  return `${prefix}${source} ${stream}`
}

function read(store: Store, name: StreamName): Kept {
  // Not plucked: a statement is kept by its text, which others ask with as well, and would answer them in the same way from then on.
  const row = store.sql(followGet).get(keyOf(name)) as { readonly value: string } | undefined
  return row === undefined ? nothingKept : parse(row.value)
}

function parse(value: string): Kept {
  return { ...nothingKept, ...(JSON.parse(value) as Partial<Kept>) }
}

function write(store: Store, name: StreamName, kept: Kept): void {
  store.sql(followSet).run(keyOf(name), JSON.stringify(kept))
}
