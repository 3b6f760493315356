/** What a `verify` complained of, kept until a verify takes it back: one that looks at less than the one before must not make its findings unseen. Shapes only. */
import type { Partition } from './partition.js'

export interface Finding {
  readonly source: string
  readonly stream: string
  readonly partition: Partition
  /** `unproven`: could not be judged, where that was asked for (`--strict`) or time will not heal it. */
  readonly verdict: 'discrepancy' | 'unproven'
  /** When it was found last, Unix ms. */
  readonly foundAt: number
}

export interface FindingStream {
  readonly source: string
  readonly stream: string
}

/** At most one finding a partition. Each call is atomic and durable when it resolves. */
export interface FindingKeeper {
  /** All of one stream, by partition. */
  of(name: FindingStream): Promise<readonly Finding[]>
  /** In the place of what was found of this partition before. */
  keep(finding: Omit<Finding, 'foundAt'>): Promise<void>
  takeBack(name: FindingStream, partitions: readonly Partition[]): Promise<void>
  /** How many there are of each stream. A file from before findings has none. */
  counts(): Promise<readonly FindingCount[]>
}
export interface FindingCount extends FindingStream {
  readonly discrepancies: number
  readonly unproven: number
  /** One of the oldest; a discrepancy where there is one. */
  readonly example: Finding
}
