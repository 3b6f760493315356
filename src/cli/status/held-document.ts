/** `status --held --json`: the contract. Keys are snake_case and stable. Raw text of records is in it only where it was asked for. Pure. */
import type { HeldGivenUp, HeldGroup, HeldList, HeldPlace, HeldRecord } from '../../domain/held.js'
import { utc } from '../zone.js'

type NumberOf = (taskId: string) => number | null

export function heldDocument(list: HeldList, at: number, numberOf: NumberOf): unknown {
  return {
    at: utc(at),
    total: list.total,
    dismissed: list.dismissed,
    groups: list.groups.map((group) => groupDocument(group, numberOf)),
    more_groups: list.moreGroups,
    rows: list.rows.map((row) => recordDocument(row, numberOf)),
  }
}

/** One group, as `status` and `retry` print it. */
export function groupDocument(group: HeldGroup, numberOf: NumberOf): unknown {
  return {
    source: group.source,
    stream: group.stream,
    code: group.code,
    reason: group.reason,
    count: group.count,
    oldest_at: utc(group.oldestAt),
    newest_at: utc(group.newestAt),
    ...dismissalFields(group.dismissal),
    example: placeDocument(group.example, numberOf),
  }
}

function recordDocument(row: HeldRecord, numberOf: NumberOf): unknown {
  return {
    source: row.source,
    stream: row.stream,
    ...placeDocument(row, numberOf),
    version: row.version,
    code: row.code,
    reason: row.reason,
    held_at: utc(row.heldAt),
    retried_at: utc(row.retriedAt),
    ...dismissalFields(row.dismissal),
    raw: row.raw,
  }
}

/** Both null where the row is not given up. */
function dismissalFields(dismissal: HeldGivenUp | null) {
  return { dismissed_at: utc(dismissal?.at ?? null), dismissal_note: dismissal?.note ?? null }
}

function placeDocument({ partition, taskId, page, position, key }: HeldPlace, numberOf: NumberOf) {
  const parts = key === null ? null : key.split('\t')
  return { partition, task_id: taskId, task_number: numberOf(taskId), page, row: position, key: parts }
}
