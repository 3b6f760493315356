/** Owns what verify complained of and no verify has taken back. Inside the transaction of its caller. */
import type { Finding, FindingCount } from '../domain/finding.js'
import { type Partition, parsePartitionKey, partitionKey } from '../domain/partition.js'
import type { Names, StreamName } from './names.js'
import type { Store } from './store.js'

const hasFindings = `select 1 from sqlite_schema where name = 'finding'`
const findingsOf = `select partition, verdict, found_at as foundAt from finding where stream = ? order by partition`
const findingPut = `
  insert into finding (stream, partition, verdict, found_at) values (?, ?, ?, ?)
  on conflict (stream, partition) do update set verdict = excluded.verdict, found_at = excluded.found_at`
const findingDelete = `delete from finding where stream = ? and partition = ?`
const findingCounts = `
  select stream, sum(verdict = 'discrepancy') as discrepancies, sum(verdict = 'unproven') as unproven from finding group by stream`
const findingExample = `
  select partition, verdict, found_at as foundAt from finding where stream = ? order by verdict, found_at, partition limit 1`

/** Statements for the test that looks at their plans. */
export const findingStatements = { findingsOf, findingDelete }

interface Kept {
  readonly partition: string
  readonly verdict: Finding['verdict']
  readonly foundAt: number
}

export function readFindings(store: Store, names: Names, name: StreamName): readonly Finding[] {
  const stream = names.streamNumber(name)
  return stream === null ? [] : (store.sql(findingsOf).all(stream) as Kept[]).map((kept) => toFinding(name, kept))
}

/** Of a stream that nothing was seeded of, too. */
export function keepFinding(store: Store, names: Names, finding: Omit<Finding, 'foundAt'>): void {
  const { verdict } = finding
  store.sql(findingPut).run(names.ensureStream(finding), partitionKey(finding.partition), verdict, store.clock.now())
}

export function takeBackFindings(store: Store, stream: number | null, partitions: readonly Partition[]): void {
  for (const partition of partitions) store.sql(findingDelete).run(stream, partitionKey(partition))
}

export function countFindings(store: Store, names: Names): readonly FindingCount[] {
  if (store.sql(hasFindings).get() === undefined) return []
  const counts = store.sql(findingCounts).all() as (Omit<FindingCount, 'example'> & { readonly stream: number })[]
  return counts.map(({ stream, discrepancies, unproven }) => {
    const name = names.streamName(stream)
    const example = toFinding(name, store.sql(findingExample).get(stream) as Kept)
    return { ...name, discrepancies, unproven, example }
  })
}

function toFinding({ source, stream }: StreamName, { partition, verdict, foundAt }: Kept): Finding {
  return { source, stream, partition: parsePartitionKey(partition), verdict, foundAt }
}
