/** Which complaints outlive the verify that made them, and which one takes them back. */
import { singlePartitions } from '../domain/fan-out.js'
import type { Finding } from '../domain/finding.js'
import { type Partition, partitionKey } from '../domain/partition.js'
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
  /**
   * These are all its partitions: a finding of no value of theirs is of no partition any more, and taken back. One of values that are asked about in other company
   * by now stays until each of them was judged there.
   */
  keepOnly(partitions: readonly Task['partition'][]): Promise<void>
}

/** A finding of values that are asked about in other groups now. */
interface Regrouped {
  readonly finding: Finding
  /** Values not judged yet, as partitions of their own. */
  readonly left: Set<string>
}

export async function openFindings(
  { source, stream }: SelectedStream,
  { isStrict }: Pick<VerifyRequest, 'isStrict'>,
  { findings }: Pick<VerifyDeps, 'findings'>,
): Promise<StreamFindings> {
  const name = { source: source.name, stream: stream.name }
  const known = new Map((await findings.of(name)).map((finding) => [partitionKey(finding.partition), finding]))
  const singlesOf = (partition: Partition) => singlePartitions(stream, partition).map(partitionKey)
  const regrouped = new Map<string, Regrouped[]>()
  const endRegrouped = async (judged: Judged, isComplaint: boolean): Promise<void> => {
    for (const single of singlesOf(judged.verdict.partition)) {
      for (const { finding, left } of regrouped.get(single) ?? []) {
        if (isComplaint || isOver(finding, judged)) left.delete(single)
        if (left.size === 0) await findings.takeBack(name, [finding.partition])
      }
    }
  }
  return {
    judged: async (judged) => {
      const { partition } = judged.verdict
      const before = known.get(partitionKey(partition)) ?? null
      const complaint = complaintOf(judged, isStrict)
      if (complaint !== null && !(before?.verdict === 'discrepancy' && complaint === 'unproven'))
        await findings.keep({ ...name, partition, verdict: complaint })
      else if (before !== null && complaint === null && isOver(before, judged))
        await findings.takeBack(name, [partition])
      if (regrouped.size > 0) await endRegrouped(judged, complaint === 'discrepancy')
    },
    keepOnly: async (partitions) => {
      const asked = new Set(partitions.map(partitionKey))
      const others = [...known.values()].filter(({ partition }) => !asked.has(partitionKey(partition)))
      if (others.length === 0) return
      const askedSingles = new Set(partitions.flatMap(singlesOf))
      const gone: Partition[] = []
      for (const finding of others) {
        const left = new Set(singlesOf(finding.partition).filter((single) => askedSingles.has(single)))
        if (left.size === 0) gone.push(finding.partition)
        for (const single of left) regrouped.set(single, [...(regrouped.get(single) ?? []), { finding, left }])
      }
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
