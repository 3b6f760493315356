/** Owns the way from a row of `task` to a Task. Rows are arrays, because every claim reads ten of them. */
import { parsePartitionKey } from '../domain/partition.js'
import type { Proof, Task, TaskState } from '../domain/task.js'
import type { Names } from './names.js'
import type { Store } from './store.js'

/** Column positions are those of {@link TaskRow}. */
export const taskColumns = `number, id, stream, partition, backfill, state, priority, epoch, attempts, reclaims,
  created_at, ready_at, leased_at, renewed_at, finished_at, run, code, message, hint,
  pages, received, created, updated, unchanged, held, duplicates, requests, expected, proof, cursor, worked_ms`

export type TaskRow = readonly [
  number: number,
  id: string,
  stream: number,
  partition: string,
  backfill: number,
  state: TaskState,
  priority: number,
  epoch: number,
  attempts: number,
  reclaims: number,
  createdAt: number,
  readyAt: number | null,
  leasedAt: number | null,
  renewedAt: number,
  finishedAt: number | null,
  run: number | null,
  code: string | null,
  message: string | null,
  hint: string | null,
  pages: number,
  received: number,
  created: number,
  updated: number,
  unchanged: number,
  held: number,
  duplicates: number,
  requests: number,
  expected: number | null,
  proof: Proof | null,
  cursor: string | null,
  workedMs: number,
]

const taskByNumber = `select ${taskColumns} from task where number = ?`

/** The task of that number, which must exist. */
export function loadTask(store: Store, names: Names, number: number): Task {
  return readTask(store.sql(taskByNumber).raw().get(number) as TaskRow, names)
}

export function readTask(row: TaskRow, names: Names): Task {
  const { source, stream } = names.streamName(row[2])
  return {
    number: row[0],
    id: row[1],
    source,
    stream,
    partition: parsePartitionKey(row[3]),
    backfillId: names.backfillId(row[4]),
    state: row[5],
    priority: row[6],
    epoch: row[7],
    attempts: row[8],
    reclaims: row[9],
    createdAt: row[10],
    readyAt: row[11],
    leasedAt: row[12],
    // Before its first claim nobody renewed it.
    renewedAt: row[7] === 0 ? null : row[13],
    finishedAt: row[14],
    runId: row[15] === null ? null : names.runId(row[15]),
    code: row[16],
    message: row[17],
    hint: row[18],
    totals: {
      pages: row[19],
      received: row[20],
      created: row[21],
      updated: row[22],
      unchanged: row[23],
      held: row[24],
      duplicates: row[25],
    },
    requests: row[26],
    expected: row[27],
    proof: row[28],
    cursor: row[29],
    workedMs: row[30],
  }
}
