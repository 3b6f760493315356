/** `seed --json` and `seed --dry-run --json`: the contract. Pure. */
import type { DryRunReport, SeedReport } from '../../seed/types.js'
import { taskDocument } from '../status/document.js'

export function seedDocument(report: SeedReport): unknown {
  return {
    created: report.created,
    superseded: report.superseded,
    already_done: report.alreadyDone,
    already_open: report.alreadyOpen,
    streams: report.byStream.map(({ source, stream, created, alreadyDone, alreadyOpen, follows }) => ({
      source,
      stream,
      created,
      already_done: alreadyDone,
      already_open: alreadyOpen,
      follows,
    })),
    open: report.open.map(taskDocument),
  }
}

export function dryRunDocument(report: DryRunReport): unknown {
  return {
    would_create: report.wouldCreate,
    already_done: report.alreadyDone,
    already_open: report.alreadyOpen,
    requests: report.requests,
    is_exact: report.isExact,
    rows: report.rows,
    asked: report.asked,
    not_asked: report.notAsked,
    takes_ms: report.takesMs,
    sources: report.bySource.map(({ source, requests, takesMs }) => ({ source, requests, takes_ms: takesMs })),
    partitions: report.partitions.map(({ source, stream, partition, state, requests, rows, trust }) => ({
      source,
      stream,
      partition,
      state,
      requests,
      rows,
      trust: trust.replace(' ', '_'),
    })),
  }
}
