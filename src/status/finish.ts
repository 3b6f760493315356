/**
 * When the open tasks will be done: open tasks × mean requests of a done one, through the budget that binds them. Pure. An estimate that says "unknown"
 * where there is nothing to estimate from, because a wrong hour is worse than none.
 */
import { type ControlGate, controlLabel, gateOpensAt } from '../domain/controls.js'
import { timeForRequests } from '../domain/estimate.js'
import type { BudgetState, StreamCounts } from '../domain/ports.js'
import type { BudgetRules } from '../domain/source-model.js'
import type { Task } from '../domain/task.js'
import type { Finish } from './types.js'

export interface StreamWork {
  readonly counts: StreamCounts
  /** Leased tasks of the stream, as many as were read. */
  readonly running: readonly Task[]
  readonly requestsPerTask: number | null
}

/** Requests that a stream's open tasks still need; null where no task is done yet and the running ones do not tell either. */
export function requestsOwed(work: StreamWork): number | null {
  const known = work.running.map((task) => requestsLeft(task, work.requestsPerTask))
  const others = work.counts.ready + work.counts.leased - work.running.length
  if (others > 0 && work.requestsPerTask === null) return null
  let owed = Math.max(0, others) * (work.requestsPerTask ?? 0)
  for (const left of known) {
    if (left === null) return null
    owed += left
  }
  return Math.ceil(owed)
}

/** A running task with a count of its own tells more than the mean of the others. */
function requestsLeft(task: Task, mean: number | null): number | null {
  const { expected, totals, requests } = task
  if (expected !== null && totals.received > 0 && requests > 0) {
    return Math.max(1, (requests * Math.max(0, expected - totals.received)) / totals.received)
  }
  return mean === null ? null : Math.max(1, mean - requests)
}

export interface FinishQuestion {
  readonly works: readonly StreamWork[]
  readonly budget: { readonly rules: BudgetRules; readonly state: BudgetState } | null
  readonly now: number
}

/** The end of these streams' work, which share one budget: the slower of what the budget allows and what the tasks took so far. */
export function finishOf({ works, budget, now }: FinishQuestion): Finish {
  const open = works.filter(({ counts }) => counts.ready + counts.leased > 0)
  if (open.length === 0) return { kind: 'nothing open' }
  if (budget === null) return { kind: 'unknown', why: 'not configured' }
  const owed = open.map(requestsOwed)
  if (owed.includes(null)) return { kind: 'unknown', why: 'no task is done yet' }
  const requests = owed.reduce<number>((sum, part) => sum + (part ?? 0), 0)
  const byBudget = timeForRequests(requests, budget.rules, budget.state)
  const worked = open.reduce((sum, work) => sum + workLeftMs(work), 0)
  const start = Math.max(now, budget.state.opensAt)
  return { kind: 'at', at: notBefore(start + Math.max(byBudget, worked / budget.rules.concurrency), open), requests }
}

/** The median of done tasks, and for running ones what remains of it. */
function workLeftMs({ counts, running }: StreamWork): number {
  const median = counts.medianWorkedMs ?? 0
  const spent = running.reduce((sum, task) => sum + Math.min(median, task.workedMs), 0)
  return (counts.ready + counts.leased) * median - spent
}

/** Where nothing but later tasks is open, nothing ends before the first of them is due. */
function notBefore(at: number, open: readonly StreamWork[]): number {
  const isAllLater = open.every(({ counts }) => counts.leased === 0 && counts.waiting === counts.ready)
  const due = open.flatMap(({ counts }) => (counts.nextDueAt === null ? [] : [counts.nextDueAt]))
  return isAllLater && due.length > 0 ? Math.max(at, ...due) : at
}

/** What may be at work only from some moment on ends that much later, at least. */
function notBeforeHours(finish: Finish, { now, opensAt }: { now: number; opensAt: number | null }): Finish {
  if (finish.kind !== 'at' || opensAt === null || opensAt <= now) return finish
  return { ...finish, at: Math.max(finish.at, opensAt + Math.max(0, finish.at - now)) }
}

/** What is paused, parked or outside of its hours ends that much after it opens, too; what only a person resumes has no end to be known. */
export function notBeforeGates(
  finish: Finish,
  { now, gates, opensAt }: { now: number; gates: readonly ControlGate[]; opensAt: number | null },
): Finish {
  if (finish.kind === 'nothing open') return finish
  for (const gate of gates)
    if (gate.kind === 'paused' && gate.pause.until === null)
      return { kind: 'unknown', why: `it waits for "backfill resume ${controlLabel(gate.pause)}"` }
  const times = gates.map((gate) => gateOpensAt(gate) ?? 0)
  return notBeforeHours(finish, { now, opensAt: Math.max(opensAt ?? 0, ...times) })
}

/** The latest of several; unknown as soon as one of them is. */
export function latest(finishes: readonly Finish[]): Finish {
  const unknown = finishes.find((finish) => finish.kind === 'unknown')
  if (unknown !== undefined) return unknown
  return finishes.reduce<Finish>(
    (last, finish) => {
      if (finish.kind !== 'at') return last
      if (last.kind !== 'at') return finish
      return { kind: 'at', at: Math.max(last.at, finish.at), requests: last.requests + finish.requests }
    },
    { kind: 'nothing open' },
  )
}
