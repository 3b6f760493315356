/**
 * Owns the counters of streams: what one transaction changed is added up here and written once per stream at its end.
 * (Triggers did the same at every row: measured at half the time of a settle.) A kill undoes both, tasks and counters.
 */
import type { Task } from '../domain/task.js'
import type { Store } from './store.js'

/** What of a task is counted. */
export type CountedFacts = Pick<Task, 'state' | 'attempts' | 'reclaims' | 'readyAt' | 'proof' | 'totals' | 'requests'>

const columns = [
  ...['ready', 'retrying', 'waiting', 'suspect', 'leased', 'done', 'dead', 'cancelled', 'unproven', 'differs'],
  ...['pages', 'received', 'created', 'updated', 'unchanged', 'held', 'duplicates', 'requests'],
]
const streamAdd = `update stream set ${columns.map((name) => `${name} = ${name} + ?`).join(', ')} where number = ?`

export interface Tally {
  /** A task of the stream came into being, or was read: `before` null for a new one. */
  move(stream: number, before: CountedFacts | null, after: CountedFacts): void
  /** `count` waiting tasks became claimable. */
  makeDue(stream: number, count: number): void
  /** Writes the sums. Inside the same transaction, last. */
  write(store: Store): void
}

export function createTally(): Tally {
  const changes = new Map<number, number[]>()

  function changesOf(stream: number): number[] {
    let sums = changes.get(stream)
    if (sums === undefined) {
      sums = columns.map(() => 0)
      changes.set(stream, sums)
    }
    return sums
  }

  return {
    move: (stream, before, after) => {
      const sums = changesOf(stream)
      if (before !== null) add(sums, before, -1)
      add(sums, after, 1)
    },
    makeDue: (stream, count) => {
      const sums = changesOf(stream)
      sums[2] = (sums[2] ?? 0) - count
    },
    write: (store) => {
      for (const [stream, sums] of changes) if (sums.some((sum) => sum !== 0)) store.sql(streamAdd).run(...sums, stream)
    },
  }
}

function add(sums: number[], facts: CountedFacts, sign: 1 | -1): void {
  const values = contribution(facts)
  for (const [index, value] of values.entries()) if (value !== 0) sums[index] = (sums[index] ?? 0) + sign * value
}

/** In the order of {@link columns}. */
function contribution({ state, attempts, reclaims, readyAt, proof, totals, requests }: CountedFacts): number[] {
  const isReady = state === 'ready'
  return [
    Number(isReady),
    Number(isReady && attempts > 0),
    Number(readyAt !== null),
    Number(isReady && reclaims > 0),
    Number(state === 'leased'),
    Number(state === 'done'),
    Number(state === 'dead'),
    Number(state === 'cancelled'),
    Number(proof === 'unproven'),
    Number(proof === 'differs'),
    totals.pages,
    totals.received,
    totals.created,
    totals.updated,
    totals.unchanged,
    totals.held,
    totals.duplicates,
    requests,
  ]
}
