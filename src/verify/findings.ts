/** Which complaints outlive the verify that made them, and which one takes them back. */
import type { Finding } from '../domain/finding.js'
import { partitionKey } from '../domain/partition.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import type { PartitionVerdict, VerifyDeps, VerifyRequest } from './types.js'

export interface Judged {
  readonly verdict: PartitionVerdict
  /** The open task, else the newest finished one. */
  readonly task: Task | null
  /** It could not be asked: `hopeless` where waiting does not heal it. */
  readonly failure: 'temporary' | 'hopeless' | null
}

/** The findings of one stream, brought up to date by one verdict after another. */
export interface StreamFindings {
  judged(judged: Judged): Promise<void>
  /** All its partitions were looked at but these findings' own: they are no partitions any more. */
  keepOnly(partitions: readonly Task['partition'][]): Promise<void>
}

export async function openFindings(
  { source, stream }: SelectedStream,
  { isStrict }: Pick<VerifyRequest, 'isStrict'>,
  { findings }: Pick<VerifyDeps, 'findings'>,
): Promise<StreamFindings> {
  const name = { source: source.name, stream: stream.name }
  const known = new Map((await findings.of(name)).map((finding) => [partitionKey(finding.partition), finding]))
  return {
    judged: async (judged) => {
      const { partition } = judged.verdict
      const before = known.get(partitionKey(partition)) ?? null
      const complaint = complaintOf(judged, isStrict)
      if (complaint !== null && !(before?.verdict === 'discrepancy' && complaint === 'unproven'))
        await findings.keep({ ...name, partition, verdict: complaint })
      else if (before !== null && complaint === null && isOver(before, judged))
        await findings.takeBack(name, [partition])
    },
    keepOnly: async (partitions) => {
      const asked = new Set(partitions.map(partitionKey))
      const gone = [...known].flatMap(([key, { partition }]) => (asked.has(key) ? [] : [partition]))
      if (gone.length > 0) await findings.takeBack(name, gone)
    },
  }
}

function complaintOf({ verdict: { verdict }, failure }: Judged, isStrict: boolean): Finding['verdict'] | null {
  if (verdict === 'discrepancy') return 'discrepancy'
  return verdict === 'unproven' && failure !== 'temporary' && (isStrict || failure === 'hopeless') ? 'unproven' : null
}

/** A discrepancy is over where both sides agree again; where they cannot be compared any more, only a walk since then ends it. */
function isOver(before: Finding, { verdict: { verdict, owedBy }, task, failure }: Judged): boolean {
  if (failure !== null) return false
  if (verdict !== 'unproven' || before.verdict === 'unproven') return true
  return owedBy === null && (task?.finishedAt ?? 0) > before.foundAt
}
