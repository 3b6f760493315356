import type { BackfillError } from '../domain/errors.js'
import type { FindingKeeper } from '../domain/finding.js'
import type { FollowQueue } from '../domain/follow.js'
import type { Partition, PartitionFilter } from '../domain/partition.js'
import type { Clock, Destination, Log, PartitionActual, Queue, SourceClient, SourceCount } from '../domain/ports.js'
import type { Source, Stream } from '../domain/source-model.js'

export interface VerifyRequest {
  readonly streams: readonly { readonly source: Source; readonly stream: Stream }[]
  readonly filter: PartitionFilter
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
  /** Unproven is a complaint, too. */
  readonly isStrict: boolean
  readonly signal: AbortSignal
}
export interface VerifyDeps {
  readonly queue: Queue
  readonly follows: Pick<FollowQueue, 'followed'>
  readonly findings: Omit<FindingKeeper, 'counts'>
  readonly client: SourceClient
  readonly destination: Destination
  readonly clock: Clock
  readonly log: Log
  readonly onVerdict: (verdict: PartitionVerdict) => void
}

/**
 * `equal`: the source's exact count is the table's, with what an operator gave up. `discrepancy`: they differ after a second look. `unproven`: there is no count to be trusted, or work
 * is still owed. `moved`: the table is what the last walk proved, and the source has changed since.
 */
export type Verdict = 'equal' | 'discrepancy' | 'unproven' | 'moved'
export interface PartitionVerdict {
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  readonly verdict: Verdict
  /** One sentence: what was found and, where there is something to do, what. */
  readonly sentence: string
  readonly expected: SourceCount | null
  readonly actual: PartitionActual
  /** The open task that owes this partition, by number. */
  readonly owedBy: number | null
}
export interface VerifyReport {
  readonly partitions: readonly PartitionVerdict[]
  readonly byVerdict: Readonly<Record<Verdict, number>>
  readonly requests: number
  /** Partitions whose source or table could not be asked; each is `unproven` with the reason. */
  readonly failed: readonly { readonly partition: Partition; readonly error: BackfillError }[]
  /** Partitions left out because the budget closed; the verdict is incomplete then. */
  readonly notAsked: number
  readonly opensAt: number | null
}
