import type { PartitionFilter } from '../domain/partition.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Workspace } from '../domain/workspace-model.js'

/** A command line as its workspace understands it: what a command's run is given. */
export interface Asked<Flags> {
  readonly workspace: Workspace
  readonly flags: Flags
  readonly streams: readonly SelectedStream[]
  readonly filter: PartitionFilter
  /** True where neither a stream nor a partition was named. */
  readonly isEverything: boolean
  /** True where a source or a stream was named. */
  readonly isNamed: boolean
  /** What was asked for, as the command line says it, flags in a fixed order: the same question has the same text. */
  readonly scope: string
  /** `YYYY-MM-DD` in the workspace's zone. */
  readonly today: string
}
