/** What a count on each side means: the four verdicts and their sentences. Pure. */
import type { Partition } from '../domain/partition.js'
import type { PartitionActual, SourceCount } from '../domain/ports.js'
import type { SelectedStream } from '../domain/selection.js'
import type { Task } from '../domain/task.js'
import type { Verdict } from './types.js'

export interface Evidence {
  readonly selected: SelectedStream
  readonly partition: Partition
  /** The open task, else the newest finished one. */
  readonly task: Task | null
  readonly expected: SourceCount | null
  readonly actual: PartitionActual
}
export interface Judgement {
  readonly verdict: Verdict
  readonly sentence: string
}

export function judge(evidence: Evidence): Judgement {
  const { task, expected, actual } = evidence
  if (task !== null && isOpen(task)) return owed(task, expected, actual.rows)
  if (actual.rows === null) return unproven('the table has no column for a dimension, so its rows cannot be told apart')
  if (expected?.trust !== 'exact' && hasLostAll(evidence)) return lostAll(actual)
  if (expected === null) return withoutCount(actual, actual.rows)
  if (expected.trust === 'at least') return judgeLowerBound(expected, actual.rows)
  if (expected.value === actual.rows) return { verdict: 'equal', sentence: `${rows(actual.rows)} on both sides` }
  return judgeDifference(evidence, expected, actual.rows)
}

/**
 * Whether everything is gone that the last walk put there: a source without a count does not tell, the walk does. That some rows are fewer proves nothing: a key
 * that came twice counts twice in a walk, and a row may have moved to another partition where a dimension is no part of its key.
 */
function hasLostAll({ selected, actual }: Evidence): boolean {
  const { key, columns, dimensions } = selected.stream
  const ofKey = (columns ?? []).flatMap(({ name, dimension }) => (key.includes(name) ? [dimension] : []))
  const isWhole = dimensions.every((name) => ofKey.includes(name))
  return isWhole && actual.rows === 0 && actual.held === 0 && (actual.lastWalk?.distinct ?? 0) > 0
}

function lostAll({ lastWalk }: PartitionActual): Judgement {
  const sides = `the last walk brought ${rows(lastWalk?.distinct ?? 0)}, the table has none of them`
  return { verdict: 'discrepancy', sentence: `${sides}: run "backfill seed --force" for it` }
}

function withoutCount({ lastWalk }: PartitionActual, stored: number): Judgement {
  const brought =
    lastWalk !== null && lastWalk.distinct > stored ? `, its last walk brought ${count(lastWalk.distinct)}` : ''
  return unproven(`the source gives no count; the table has ${rows(stored)}${brought}`)
}

function judgeLowerBound(expected: SourceCount, actual: number): Judgement {
  if (actual >= expected.value) {
    return unproven(`the source only says "at least ${count(expected.value)}"; the table has ${rows(actual)}`)
  }
  return {
    verdict: 'discrepancy',
    sentence: `the source has at least ${rows(expected.value)}, the table ${count(actual)}: run "backfill seed --force" for it`,
  }
}

function judgeDifference({ task, actual }: Evidence, expected: SourceCount, stored: number): Judgement {
  const walk = actual.lastWalk
  if (task === null && walk === null) {
    return {
      verdict: 'discrepancy',
      sentence: `never walked; the source has ${rows(expected.value)}: run "backfill seed" for it`,
    }
  }
  // A walk that reads pages twice on purpose knows better what the source counted than how many rows were distinct.
  const walked = walk?.proof === 'proven' ? [walk.distinct, walk.expected?.value] : []
  const isAsWalked = walked.some((rows) => rows !== undefined && rows - actual.held === stored)
  const hasMoved = walk?.expected?.trust === 'exact' && walk.expected.value !== expected.value
  if (isAsWalked && hasMoved) {
    const when = new Date(walk.finishedAt).toISOString()
    return {
      verdict: 'moved',
      sentence: `equal at the last walk (${when}) with ${rows(walk.distinct)}; the source has ${count(expected.value)} now: seed it again`,
    }
  }
  return { verdict: 'discrepancy', sentence: differenceSentence(expected.value, stored, actual.held) }
}

/** A difference of a stream that is asked for its changes, held against what changed since its watermark: null where that does not explain it. */
export function explainChanges({
  expected,
  stored,
  changed,
  freshTo,
}: {
  readonly expected: number
  readonly stored: number
  /** Rows that changed since the watermark, by the source; null: it did not say. */
  readonly changed: number | null
  /** Unix ms. */
  readonly freshTo: number
}): Judgement | null {
  const since = new Date(freshTo).toISOString()
  if (stored > expected) {
    const sentence = `${count(stored - expected)} more than the source; what was deleted there goes with the next full walk`
    return { verdict: 'moved', sentence }
  }
  const missing = expected - stored
  if (changed === null || changed < missing) return null
  return { verdict: 'moved', sentence: `${rows(missing)} came since ${since}; the next worker brings them` }
}

function differenceSentence(expected: number, stored: number, held: number): string {
  const missing = expected - stored
  const sides = `the source has ${rows(expected)}, the table ${count(stored)}`
  if (missing < 0) return `${sides}: ${count(-missing)} more than the source; rows deleted there stay here`
  if (held === missing)
    return `${sides}: the ${held === 1 ? 'one' : count(held)} missing ${held === 1 ? 'is' : 'are'} held with a reason`
  const heldPart = held > 0 ? `, ${count(held)} of them held` : ''
  return `${sides}: ${count(missing)} missing${heldPart}; run "backfill seed --force" for it`
}

function owed(task: Task, expected: SourceCount | null, stored: number | null): Judgement {
  const state =
    task.state === 'leased'
      ? 'is running'
      : task.state === 'dead'
        ? `is dead (${task.code ?? 'no code'})`
        : 'is waiting'
  if (expected === null || stored === null) return unproven(`owed: task ${task.number} ${state}`)
  return unproven(`owed: task ${task.number} ${state}; the table has ${count(stored)} of ${rows(expected.value)}`)
}

function isOpen(task: Task): boolean {
  return task.state === 'ready' || task.state === 'leased' || task.state === 'dead'
}

function unproven(sentence: string): Judgement {
  return { verdict: 'unproven', sentence }
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function rows(value: number): string {
  return `${count(value)} row${value === 1 ? '' : 's'}`
}
