/**
 * Owns how the queue is mended from the ledger: tasks put back as it has them, done tasks that it does not know any more made ready again, and waits that a
 * clock set back would make endless. Inside the transactions of its caller; a kill undoes all of a call.
 */
import { partitionKey } from '../domain/partition.js'
import type { Contradiction, LedgerTask, RestoreCounts, RestoreResult, RestoreVerdict } from '../domain/repair-ports.js'
import type { Names } from './names.js'
import { makePageTasks } from './split.js'
import type { Store } from './store.js'
import type { Tally } from './tally.js'
import { loadTask } from './task-row.js'

const taskById = `select number, stream, partition from task where id = ?`
const taskCurrent = `select number, id, state from task where stream = ? and partition = ? and is_current = 1`
const taskStepAside = `update task set is_current = 0 where number = ?`
const backfillNumber = `select number from backfill where id = ?`
const restoredMark = `insert into restored_backfill (backfill) values (?) on conflict do nothing`
const taskRestore = `
  insert into task (id, stream, partition, backfill, state, is_current, priority, epoch, created_at, renewed_at, finished_at,
    pages, received, created, updated, unchanged, held, duplicates, requests, expected, proof, cursor, worked_ms)
  values (@id, @stream, @partition, @backfill, @state, @isCurrent, 0, @epoch, @createdAt, @renewedAt, @finishedAt,
    @pages, @received, @created, @updated, @unchanged, @held, @duplicates, @requests, @expected, @proof, @cursor, @workedMs)`
const doneLast = `
  select id from task where state = 'done' and is_current = 1 and stream = ? order by finished_at desc limit ?`
const streamAll = `select number from stream`
const doneAfter = `
  select number, id from task where number > ? and state = 'done' and is_current = 1 order by number limit ?`
const taskDone = `select number, stream, finished_at as finishedAt from task where id = ? and state = 'done'`
const taskReopen = `
  update task set state = 'ready', finished_at = null, proof = null, attempts = 0, reclaims = 0, code = 'database_restored', message = ?, hint = null
  where number = ? and state = 'done' and is_current = 1`
const lastSeen = `select max(touched_at) from run where touched_at > ?`
const waitBegun = `
  select number from task where stream = ? and state = 'ready' and ready_at is not null and ready_at > ? and renewed_at > ?`
const waitFromNow = `update task set ready_at = @now + max(0, ready_at - renewed_at), renewed_at = @now where number = @number`
const runNumber = `select number from run where id = ?`

export interface RepairContext {
  readonly names: Names
  readonly tally: Tally
  /** The day of an instant, in the workspace's zone. */
  readonly dayOf: (at: number) => string
}

interface Judged {
  readonly verdict: RestoreVerdict
  readonly contradiction: Contradiction | null
  /** The done task that was its partition's newest until now. */
  readonly outdated: number | null
}

/** What becomes of a row. A task that the queue has is left as it is: its next claim reads the ledger itself. */
function judgeTask(store: Store, names: Names, task: LedgerTask): Judged {
  const stream = names.streamNumber(task)
  const partition = partitionKey(task.partition)
  const known = store.sql(taskById).get(task.id) as { number: number; stream: number; partition: string } | undefined
  if (known !== undefined) {
    if (known.stream === stream && known.partition === partition) return judged('known')
    return contradicting('other task', task, loadTask(store, names, known.number))
  }
  if (!task.isNewest) return judged('past')
  const current =
    stream === null
      ? undefined
      : (store.sql(taskCurrent).get(stream, partition) as { number: number; id: string; state: string } | undefined)
  const own = task.done ? 'done' : 'ready'
  if (current === undefined || current.state === 'cancelled') return judged(own)
  // Ids begin with the time of their making, so they tell which task is the later one.
  const isLater = task.id > current.id
  if (current.state === 'done') return isLater ? { ...judged(own), outdated: current.number } : judged('past')
  if (task.done) return judged('past')
  return contradicting('other walk', task, loadTask(store, names, current.number))
}

function judged(verdict: RestoreVerdict): Judged {
  return { verdict, contradiction: null, outdated: null }
}

function contradicting(kind: Contradiction['kind'], ledger: LedgerTask, queued: Contradiction['queued']): Judged {
  return { verdict: 'contradiction', contradiction: { kind, ledger, queued }, outdated: null }
}

export function judgeTasks(store: Store, names: Names, tasks: readonly LedgerTask[]): RestoreResult {
  return summarise(tasks.map((task) => ({ task, judged: judgeTask(store, names, task) })))
}

function summarise(all: readonly { readonly task: LedgerTask; readonly judged: Judged }[]): RestoreResult {
  const streams = new Map<string, { -readonly [K in keyof RestoreCounts]: RestoreCounts[K] }>()
  const contradictions: Contradiction[] = []
  for (const { task, judged: found } of all) {
    const { source, stream } = task
    const key = `${source}\n${stream}`
    const counts = streams.get(key) ?? { source, stream, done: 0, ready: 0, past: 0, known: 0 }
    streams.set(key, counts)
    if (found.contradiction !== null) contradictions.push(found.contradiction)
    if (found.verdict !== 'contradiction') counts[found.verdict] += 1
  }
  return { streams: [...streams.values()], contradictions }
}

export function restoreTasks(
  store: Store,
  { backfillId, tasks }: { readonly backfillId: string; readonly tasks: readonly LedgerTask[] },
  context: RepairContext,
): RestoreResult {
  const backfill = store.sql(backfillNumber).pluck().get(backfillId) as number
  store.sql(restoredMark).run(backfill)
  const today = context.dayOf(store.clock.now())
  // One after the other: a row is judged by what those before it have become.
  const all = tasks.map((task) => {
    const found = judgeTask(store, context.names, task)
    if (found.outdated !== null) store.sql(taskStepAside).run(found.outdated)
    if (found.verdict !== 'known' && found.verdict !== 'contradiction')
      insertTask(store, context, { task, verdict: found.verdict, backfill, today })
    return { task, judged: found }
  })
  return summarise(all)
}

/** Tasks for pages that were passed over and never claimed: only the walk's own row names them. */
export function splitRestored(store: Store, tasks: readonly LedgerTask[], context: RepairContext): void {
  for (const { id, split } of tasks) {
    if (split === null) continue
    const walked = store.sql(taskById).get(id) as { number: number; stream: number } | undefined
    if (walked !== undefined) makePageTasks(store, { walked, split }, context)
  }
}

interface Insertion {
  readonly task: LedgerTask
  readonly verdict: 'done' | 'ready' | 'past'
  readonly backfill: number
  readonly today: string
}

function insertTask(store: Store, context: RepairContext, { task, verdict, backfill, today }: Insertion): void {
  const now = store.clock.now()
  const stream = context.names.ensureStream(task)
  // Of a past task that never ended, a later one took the partition over.
  const state = task.done ? 'done' : verdict === 'past' ? 'cancelled' : 'ready'
  const finishedAt = Math.min(now, task.finishedAt ?? task.movedAt ?? task.claimedAt)
  const isOpen = state === 'ready'
  const { totals, requests } = task
  const proof = state === 'done' ? (task.proof ?? 'unproven') : null
  store.sql(taskRestore).run({
    ...totals,
    ...{ id: task.id, stream, partition: partitionKey(task.partition), backfill, state, proof, requests },
    isCurrent: verdict === 'past' ? 0 : 1,
    epoch: task.epoch,
    createdAt: Math.min(now, madeAt(task)),
    renewedAt: Math.min(now, task.movedAt ?? task.claimedAt),
    finishedAt: isOpen ? null : finishedAt,
    expected: task.expected,
    cursor: isOpen && task.cursor !== null ? shortText(task.cursor) : null,
    workedMs: task.done ? Math.max(0, finishedAt - task.claimedAt) : 0,
  })
  context.tally.move(stream, null, { state, attempts: 0, reclaims: 0, readyAt: null, proof, totals, requests })
  if (state === 'done' && context.dayOf(finishedAt) !== today) context.tally.finishedElsewhen(stream, 1)
}

/** The moment that a UUID of version 7 begins with; of another one, the last claim. */
function madeAt({ id, claimedAt }: LedgerTask): number {
  return id[14] === '7' ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : claimedAt
}

function shortText(cursor: unknown): string {
  const text = JSON.stringify(cursor, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}

/** The last finished of every stream, the newest of their partitions. */
export function lastDone(store: Store, limit: number): string[] {
  const streams = store.sql(streamAll).pluck().all() as number[]
  return streams.flatMap((stream) => store.sql(doneLast).pluck().all(stream, limit) as string[])
}

export function doneTasksAfter(store: Store, after: number, limit: number): { number: number; id: string }[] {
  return store.sql(doneAfter).all(after, limit) as { number: number; id: string }[]
}

export function reopenTasks(store: Store, ids: readonly string[], context: RepairContext): number {
  const today = context.dayOf(store.clock.now())
  let count = 0
  for (const id of ids) {
    const row = store.sql(taskDone).get(id) as { number: number; stream: number; finishedAt: number } | undefined
    if (row === undefined) continue
    const before = loadTask(store, context.names, row.number)
    const message = `check task ${row.number} found its rows gone: the database was put back to an earlier moment`
    if (store.sql(taskReopen).run(message, row.number).changes === 0) continue
    context.tally.move(row.stream, before, loadTask(store, context.names, row.number))
    if (context.dayOf(row.finishedAt) !== today) context.tally.finishedElsewhen(row.stream, -1)
    count += 1
  }
  return count
}

/** Nothing is looked through unless a run was seen later than now: only then was the clock set back. */
export function adjustWaits(store: Store): void {
  const now = store.clock.now()
  if ((store.sql(lastSeen).pluck().get(now) as number | null) === null) return
  for (const stream of store.sql(streamAll).pluck().all() as number[]) {
    for (const number of store.sql(waitBegun).pluck().all(stream, now, now) as number[]) {
      store.sql(waitFromNow).run({ now, number })
    }
  }
}

export function compareRuns(store: Store, a: string, b: string): number | null {
  const [first, second] = [a, b].map((id) => store.sql(runNumber).pluck().get(id) as number | undefined)
  return first === undefined || second === undefined ? null : first - second
}
