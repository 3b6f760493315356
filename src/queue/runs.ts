/** Owns the history of runs. A run without an end is at work, or was killed: its last sign of life tells the two apart. */
import type { RunRecord } from '../domain/ports.js'
import type { Store } from './store.js'

const runsKept = 1_000

const runInsert = `
  insert into run (id, command, pid, started_at, touched_at) values (?, ?, ?, ?, ?)
  on conflict (id) do update set command = excluded.command, pid = excluded.pid, touched_at = excluded.touched_at`
const runTouch = `update run set touched_at = ?, requests = ?, done = ?, dead = ?, rows = ? where id = ?`
const runEnd = `update run set touched_at = ?, finished_at = ?, exit_code = ?, reason = ? where id = ?`
const runPrune = `delete from run where number <= (select max(number) from run) - ${runsKept}`
const runLast = `
  select id, command, pid, started_at as startedAt, touched_at as touchedAt, finished_at as finishedAt, exit_code as exitCode, reason,
    requests, done, dead, rows
  from run order by number desc limit ?`

export function beginRun(store: Store, run: Pick<RunRecord, 'id' | 'command' | 'pid'>): void {
  const now = store.clock.now()
  store.sql(runInsert).run(run.id, run.command, run.pid, now, now)
  store.sql(runPrune).run()
}

export function touchRun(
  store: Store,
  id: string,
  totals: Pick<RunRecord, 'requests' | 'done' | 'dead' | 'rows'>,
): void {
  store.sql(runTouch).run(store.clock.now(), totals.requests, totals.done, totals.dead, totals.rows, id)
}

export function endRun(store: Store, id: string, end: { readonly exitCode: number; readonly reason: string }): void {
  const now = store.clock.now()
  store.sql(runEnd).run(now, now, end.exitCode, end.reason, id)
}

/** The last runs, newest first. */
export function lastRuns(store: Store, limit: number): RunRecord[] {
  return store.sql(runLast).all(limit) as RunRecord[]
}
