/** Owns what is told of dismissed tasks: how many, when and why. */
import type { Dismissal, Dismissals } from '../domain/ports.js'
import type { Names } from './names.js'
import type { Store } from './store.js'
import { loadTask } from './task-row.js'

const hasDismissals = `select 1 from sqlite_schema where name = 'dismissal'`
const dismissalLast = `select task, dismissed_at as at, note from dismissal order by dismissed_at desc, task desc limit ?`
const dismissalCounts = `
  select s.source, s.name as stream, count(*) as count from dismissal d join stream s on s.number = d.stream group by d.stream order by s.source, s.name`
const dismissalOf = `
  select d.dismissed_at as at, d.note from dismissal d where d.task = (select number from task where id = ?)`

/** The newest first. A reader of a file from before dismissals finds none. */
export function readDismissals(store: Store, names: Names, limit: number): Dismissals {
  if (store.sql(hasDismissals).get() === undefined) return { tasks: [], counts: [] }
  const rows = store.sql(dismissalLast).all(limit) as (Dismissal & { readonly task: number })[]
  const tasks = rows.map(({ task, at, note }) => ({ task: loadTask(store, names, task), dismissal: { at, note } }))
  return { tasks, counts: store.sql(dismissalCounts).all() as Dismissals['counts'] }
}

export function readDismissal(store: Store, taskId: string): Dismissal | null {
  if (store.sql(hasDismissals).get() === undefined) return null
  return (store.sql(dismissalOf).get(taskId) as Dismissal | undefined) ?? null
}
