/** How a task's end becomes the outcome that the queue is told, and what of it concerns more than the task. Pure. */

import type { StreamSettings } from '../domain/source-model.js'
import type { Lease, Outcome } from '../domain/task.js'
import { describe, type Fate, fateOf } from './fate.js'
import type { TaskEnd } from './types.js'

export interface EndContext {
  readonly settings: StreamSettings
  readonly now: number
  /** 0 to below 1. */
  readonly jitter: number
  readonly workedMs: number
  /** Unix ms; null: the source is not parked by this end. */
  readonly parkedUntil: number | null
}
export interface Concluded {
  readonly outcome: Outcome
  /** null: the task is done. */
  readonly fate: Fate | null
}

/** The outcome of a task whose walk ended, or broke off with an error. */
export function concludeTask(lease: Lease, end: TaskEnd, context: EndContext): Concluded {
  const attemptsBefore = end.hasProgress ? 0 : lease.task.attempts
  const split = end.split === undefined ? {} : { split: end.split }
  const base = { lease, progress: end.progress, attempts: attemptsBefore, workedMs: context.workedMs, ...split }
  if (end.error === null) {
    return { outcome: { ...base, attempts: 0, kind: 'done', proof: end.proof ?? 'unproven' }, fate: null }
  }
  const { settings, now, jitter, parkedUntil } = context
  const { hasOpenParent = false } = end
  const hasSpent = end.sent > 0
  const fate = fateOf({ error: end.error, attemptsBefore, hasSpent, hasOpenParent, settings, now, jitter, parkedUntil })
  const said = withNote(describe(end.error), fate.kind === 'dead' ? end.note : undefined)
  switch (fate.kind) {
    case 'later':
      return { outcome: { ...base, kind: 'later', readyAt: fate.readyAt, attempts: fate.attempts, ...said }, fate }
    case 'dead':
      return { outcome: { ...base, kind: 'dead', attempts: fate.attempts, ...said }, fate }
    case 'cancelled':
      return { outcome: { ...base, kind: 'cancelled', ...said }, fate }
    case 'over budget':
      return { outcome: { ...base, kind: 'later', readyAt: fate.opensAt, ...said }, fate }
    case 'bug':
      return {
        outcome: { ...base, kind: 'later', readyAt: now + settings.backoffMs, attempts: attemptsBefore + 1, ...said },
        fate,
      }
    case 'released':
    case 'refused':
    case 'database':
      return { outcome: { ...base, kind: 'released' }, fate }
  }
}

function withNote<T extends { readonly hint: string | null }>(said: T, note: string | undefined): T {
  return note === undefined ? said : { ...said, hint: said.hint === null ? note : `${said.hint}; ${note}` }
}

/** Gives a lease back unspent, with what the queue knew of it. */
export function released(lease: Lease): Outcome {
  return { kind: 'released', lease, progress: progressOf(lease), attempts: lease.task.attempts, workedMs: 0 }
}

/** What the queue knew of a task when it was claimed. */
export function progressOf({ task }: Lease): Outcome['progress'] {
  return { totals: task.totals, requests: task.requests, expected: task.expected, cursor: task.cursor }
}
