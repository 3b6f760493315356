/**
 * Owns the counters of streams: what one transaction changed is added up here and written once per stream at its end.
 * (Triggers did the same at every row: measured at half the time of a settle.) A kill undoes both, tasks and counters.
 */
import type { Task, TaskState, Totals } from '../domain/task.js'
import type { Store } from './store.js'

/** What of a task is counted. */
export type CountedFacts = Pick<Task, 'state' | 'attempts' | 'reclaims' | 'readyAt' | 'proof' | 'totals' | 'requests'>

/** A number for each counter column of `stream`, and `elsewhen`. */
type Sums = Record<
  TaskState | keyof Totals | 'retrying' | 'waiting' | 'suspect' | 'unproven' | 'differs' | 'requests' | 'elsewhen',
  number
>

function noSums(): Sums {
  return {
    ready: 0,
    retrying: 0,
    waiting: 0,
    suspect: 0,
    leased: 0,
    done: 0,
    dead: 0,
    cancelled: 0,
    unproven: 0,
    differs: 0,
    pages: 0,
    received: 0,
    created: 0,
    updated: 0,
    unchanged: 0,
    held: 0,
    duplicates: 0,
    requests: 0,
    elsewhen: 0,
  }
}
const counters = Object.keys(noSums()).filter((name) => name !== 'elsewhen') as (keyof Sums)[]
const streamAdd = `
  update stream set ${counters.map((name) => `${name} = ${name} + ?`).join(', ')},
    done_on_day = iif(day = ?, done_on_day, 0) + ?, day = ?
  where number = ?`

export interface Tally {
  /** A task changed; `before` is null for a new one. */
  move(stream: number, before: CountedFacts | null, after: CountedFacts): void
  /** A ready task was claimed: the short form of a move, for it runs ten times a call. */
  claim(stream: number, task: Pick<Task, 'attempts' | 'reclaims'>): void
  /** `count` waiting tasks became claimable. */
  makeDue(stream: number, count: number): void
  /** Of the tasks that became done, or ceased to be, so many more (less) were finished on another day than today. */
  finishedElsewhen(stream: number, count: number): void
  /** Writes the sums. Inside the same transaction, last. */
  write(store: Store, today: string): void
}

export function createTally(): Tally {
  const changes = new Map<number, Sums>()

  return {
    move: (stream, before, after) => {
      const sums = sumsOf(changes, stream)
      if (before !== null) add(sums, before, -1)
      add(sums, after, 1)
    },
    claim: (stream, { attempts, reclaims }) => {
      const sums = sumsOf(changes, stream)
      sums.ready -= 1
      sums.leased += 1
      if (attempts > 0) sums.retrying -= 1
      if (reclaims > 0) sums.suspect -= 1
    },
    makeDue: (stream, count) => {
      sumsOf(changes, stream).waiting -= count
    },
    finishedElsewhen: (stream, count) => {
      sumsOf(changes, stream).elsewhen += count
    },
    write: (store, today) => {
      for (const [stream, sums] of changes) {
        const added = counters.map((name) => sums[name])
        store.sql(streamAdd).run(...added, today, sums.done - sums.elsewhen, today, stream)
      }
    },
  }
}

function sumsOf(changes: Map<number, Sums>, stream: number): Sums {
  let sums = changes.get(stream)
  if (sums === undefined) {
    sums = noSums()
    changes.set(stream, sums)
  }
  return sums
}

function add(sums: Sums, facts: CountedFacts, sign: 1 | -1): void {
  const { state, totals, proof } = facts
  sums[state] += sign
  if (state === 'ready' && facts.attempts > 0) sums.retrying += sign
  if (state === 'ready' && facts.reclaims > 0) sums.suspect += sign
  if (facts.readyAt !== null) sums.waiting += sign
  if (proof === 'unproven' || proof === 'differs') sums[proof] += sign
  sums.pages += sign * totals.pages
  sums.received += sign * totals.received
  sums.created += sign * totals.created
  sums.updated += sign * totals.updated
  sums.unchanged += sign * totals.unchanged
  sums.held += sign * totals.held
  sums.duplicates += sign * totals.duplicates
  sums.requests += sign * facts.requests
}
