/** `verify --json`: the contract. Pure. */
import type { PartitionVerdict, VerifyReport } from '../../verify/types.js'
import { utc } from '../zone.js'

export function verifyDocument(report: VerifyReport, exitCode: number): unknown {
  return {
    verdicts: report.byVerdict,
    requests: report.requests,
    not_asked: report.notAsked,
    opens_at: utc(report.opensAt),
    partitions: report.partitions.map(partitionDocument),
    exit_code: exitCode,
  }
}

function partitionDocument(one: PartitionVerdict): unknown {
  const { lastWalk } = one.actual
  return {
    source: one.source,
    stream: one.stream,
    partition: one.partition,
    verdict: one.verdict,
    message: one.sentence,
    expected: one.expected === null ? null : { count: one.expected.value, trust: one.expected.trust.replace(' ', '_') },
    actual: { rows: one.actual.rows, held: one.actual.held, dismissed: one.actual.dismissed?.met ?? 0 },
    last_walk:
      lastWalk === null
        ? null
        : {
            finished_at: utc(lastWalk.finishedAt),
            received: lastWalk.received,
            distinct: lastWalk.distinct,
            proof: lastWalk.proof,
          },
    owed_by: one.owedBy,
  }
}
