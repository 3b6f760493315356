/** `worker --json`: the contract. Pure. */

import type { WorkerReport } from '../../worker/types.js'
import { failureOf } from '../exit.js'
import { parkingDocument } from '../pause/document.js'
import { utc } from '../zone.js'

export function workerDocument(report: WorkerReport, exitCode: number): unknown {
  return {
    end: report.end.replace(' ', '_'),
    reason: report.reason,
    requests: report.requests,
    rows: report.rows,
    done: report.done,
    retrying: report.retrying,
    put_back: report.putBack,
    died: report.died.map(({ task, code, message, hint }) => ({
      id: task.id,
      number: task.number,
      source: task.source,
      stream: task.stream,
      partition: task.partition,
      code,
      message,
      hint,
    })),
    differing: report.differing.map(({ task, received, expected }) => ({
      id: task.id,
      number: task.number,
      source: task.source,
      stream: task.stream,
      partition: task.partition,
      received,
      expected,
    })),
    shrunk: report.shrunk.map(({ task, received, before }) => ({
      id: task.id,
      number: task.number,
      source: task.source,
      stream: task.stream,
      partition: task.partition,
      received,
      before,
    })),
    refused: report.refused.map(({ source, stream, error }) => ({ source, stream, ...errorDocument(error) })),
    parked: report.parked.map(parkingDocument),
    closed: report.closed.map(({ source, opensAt }) => ({ source, opens_at: utc(opensAt) })),
    failure: report.failure === null ? null : errorDocument(report.failure),
    next_due_at: utc(report.nextDueAt),
    exit_code: exitCode,
  }
}

function errorDocument(error: Error): {
  readonly code: string
  readonly message: string
  readonly hint: string | null
} {
  const { code, message, hint } = failureOf(error)
  return { code, message, hint }
}
